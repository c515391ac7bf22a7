"""What a Dockerfile says, as values."""

from __future__ import annotations

from typing import Literal, TypeAlias

from orchestrator.model import Model

UseKind: TypeAlias = Literal["from", "copy", "mount", "onbuild"]
StepName: TypeAlias = Literal["ADD", "ARG", "COPY", "ENV", "RUN"]


class Argument(Model):
    """One name of an `ARG`; `value` is its default as it is written, None where it has none."""

    name: str
    value: str | None
    line: int


class Use(Model):
    """A place where a stage takes data from another stage or image; `name` as it is written.

    `onbuild` is a `COPY --from` or a mount in an `ONBUILD`: it is executed by the stages that start from this one.
    `is_mount` tells the two apart, since a mount knows no stage numbers.
    """

    kind: UseKind
    name: str
    line: int
    is_mount: bool = False


class Step(Model):
    """An instruction that takes files or sets variables; its words and flags as they are written.

    A `RUN` is one only where it has mounts, and has no words. `is_trigger` is one of an `ONBUILD`: it is executed by
    the stages that start from this one, before their own.
    """

    name: StepName
    words: tuple[str, ...]
    line: int
    flags: tuple[str, ...] = ()
    is_trigger: bool = False


class Stage(Model):
    """A `FROM` and what follows it; `name` is in lower case and empty where there is none, `base` as it is written.

    `arguments` are the `ARG`s within it, those of `ONBUILD` included; `steps` are in the order of the file.
    """

    index: int
    name: str
    base: str
    platform: str
    line: int
    arguments: tuple[Argument, ...] = ()
    uses: tuple[Use, ...] = ()
    steps: tuple[Step, ...] = ()


class Dockerfile(Model):
    """A parsed Dockerfile; without stages it is written for a frontend whose language is not known here."""

    file: str
    syntax: str | None = None
    syntax_line: int = 0
    escape: str = "\\"
    arguments: tuple[Argument, ...] = ()
    stages: tuple[Stage, ...] = ()
