"""The variables of the global scope: BuildKit's own, then the `ARG`s before the first `FROM`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from orchestrator.dockerfile.model import Dockerfile
from orchestrator.dockerfile.substitute import Expansion, SubstitutionError, expand, is_plain
from orchestrator.model import Model
from orchestrator.oci.platform import Platform

BUILD_NAMES: Final = frozenset({"BUILDPLATFORM", "BUILDOS", "BUILDARCH", "BUILDVARIANT"})

_MENTION: Final = re.compile(rf"\b(?:{'|'.join(sorted(BUILD_NAMES))})\b")


class Word(Model):
    """A word of a `FROM` after expansion; `problem` says why it cannot be expanded.

    `unset` are the variables in it that have no value, or an empty one.
    """

    text: str
    problem: str = ""
    unset: tuple[str, ...] = ()
    from_build_platform: bool = False


class Scope:
    """What a variable in a `FROM` means, and which values come from the platform that builds."""

    def __init__(self, values: dict[str, str], escape: str) -> None:
        self._values = values
        self._escape = escape
        self._from_build = set(BUILD_NAMES)

    def word(self, text: str) -> Word:
        """Expand a word; never raises."""
        if is_plain(text, self._escape):
            return Word(text=text)
        try:
            expansion = expand(text, self._values, escape=self._escape)
        except SubstitutionError as error:
            return Word(text=text, problem=str(error))
        empty = {name for name in expansion.used if not self._values[name]}
        return Word(
            text=expansion.text,
            unset=tuple(sorted(empty | expansion.missing)),
            from_build_platform=self._depends(expansion),
        )

    def value(self, name: str) -> str | None:
        """What an `ARG` of this name and without a default in a stage gets; None where it gets nothing."""
        return self._values.get(name)

    def _depends(self, expansion: Expansion) -> bool:
        return not self._from_build.isdisjoint(expansion.used)

    def declare(self, name: str, default: str | None, given: str | None) -> str:
        """Take an `ARG` into the scope, what was given before its default; says what is wrong with the default."""
        if given is not None:
            self._values[name] = given
            self._from_build.discard(name)
        elif default is not None:
            word = self.word(default)
            if word.problem:
                return word.problem
            self._values[name] = word.text
            (self._from_build.add if word.from_build_platform else self._from_build.discard)(name)
        return ""


def global_scope(
    dockerfile: Dockerfile,
    *,
    arguments: Mapping[str, str],
    target: str,
    platform: Platform,
    build_platform: Platform,
) -> tuple[Scope, tuple[tuple[int, str], ...]]:
    """The scope for the `FROM`s of a Dockerfile, and the defaults that cannot be expanded, as (line, reason).

    Given arguments count only where an `ARG` before the first `FROM` declares them, or BuildKit itself does.
    """
    stages = dockerfile.stages
    values = {
        "BUILDPLATFORM": str(build_platform),
        "BUILDOS": build_platform.os,
        "BUILDARCH": build_platform.architecture,
        "BUILDVARIANT": build_platform.variant,
        "BUILDOSVERSION": "",
        "TARGETPLATFORM": str(platform),
        "TARGETOS": platform.os,
        "TARGETARCH": platform.architecture,
        "TARGETVARIANT": platform.variant,
        "TARGETOSVERSION": "",
        "TARGETSTAGE": target or (stages[-1].name if stages else "") or "default",
    }
    values.update({name: value for name, value in arguments.items() if name in values})
    scope = Scope(values, dockerfile.escape)
    problems: list[tuple[int, str]] = []
    for argument in dockerfile.arguments:
        problem = scope.declare(argument.name, argument.value, arguments.get(argument.name))
        if problem:
            problems.append((argument.line, problem))
    return scope, tuple(problems)


def mentions_build_platform(dockerfile: Dockerfile) -> bool:
    """Whether the result may depend on the platform that builds: `BUILDPLATFORM` or one of its parts is asked for.

    They reach a `RUN` only through an `ARG`, so `FROM`s and `ARG`s are all there is to look at.
    """
    declared = [*dockerfile.arguments, *(argument for stage in dockerfile.stages for argument in stage.arguments)]
    words = [word for stage in dockerfile.stages for word in (stage.base, stage.platform)]
    words += [word for argument in declared for word in (argument.name, argument.value or "")]
    return any(_MENTION.search(word) for word in words)
