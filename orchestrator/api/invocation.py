"""One child process to run, as a value: what `plan -v` prints is what the engine starts.

What nobody can know before the run stands in it as a late value from a closed set; the engine
substitutes late values and nothing else.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from enum import Enum
from typing import Final, Literal, TypeAlias, assert_never

from orchestrator.model import Model

StepId: TypeAlias = str
_VARIABLE: Final = "env:"


class DigestOf(Model, tag="digest-of"):
    """The digest that a step gives, `sha256:…`: of its index, or of the one image manifest in it."""

    step: StepId
    label: str
    part: Literal["index", "manifest"] = "index"

    def __str__(self) -> str:
        return f"<digest of {self.label}>"


class PathOf(Model, tag="path-of"):
    """The path of a file or folder of this invocation: one that is written for it, or that it writes."""

    name: str

    def __str__(self) -> str:
        return f"<path of {self.name}>"


class BuilderOf(Model, tag="builder-of"):
    """The buildx builder that stands for a node; known once the backend's `setup` has run."""

    node: str

    def __str__(self) -> str:
        return f"<builder of {self.node}>"


class FileOf(Model, tag="file-of"):
    """The absolute path of a file of the user's: one below the root, or what the variable of `env:NAME` holds.

    `quoting` is how it is written where it stands: inside a quoted field of CSV, or inside a string of JSON.
    """

    given: str
    quoting: Literal["none", "csv", "json"] = "none"

    def __str__(self) -> str:
        return f"<path of {self.given}>"

    @property
    def variable(self) -> str:
        """The environment variable that holds the path; empty where the path is given."""
        return self.given.removeprefix(_VARIABLE) if self.given.startswith(_VARIABLE) else ""

    def locate(self, root: str, environment: Mapping[str, str]) -> str:
        """The path, for a project in this folder, as it is to be written.

        Raises:
            LookupError: the variable is not set.
        """
        path = posixpath.join(root, environment[self.variable] if self.variable else self.given)
        match self.quoting:
            case "none":
                return path
            case "csv":
                return path.replace('"', '""')
            case "json":
                return json.dumps(path)[1:-1]
            case _:
                assert_never(self.quoting)


Late: TypeAlias = DigestOf | PathOf | BuilderOf | FileOf
Word: TypeAlias = str | tuple[str | Late, ...]
"""One argument: literal, or literal parts and late values in a row."""


class Phase(Enum):
    """What an invocation does, for retries and messages."""

    SETUP = "setup"
    BUILD = "build"
    PUSH = "push"


class WrittenFile(Model):
    """A file that the engine writes before the child starts; `PathOf(name)` is its path."""

    name: str
    content: Word


class CollectedFile(Model):
    """A file that the child writes at `PathOf(name)`; delivered in `Outcome.files`."""

    name: str
    limit: int = 4 * 1024 * 1024


class Invocation(Model):
    """One child process.

    `environment` holds what is added to the user's environment, `inherits` the names of variables
    that it needs from there (secrets, paths; named, never shown). `folders` are empty folders made for it,
    at `PathOf(name)`, which live as long as the run. `timeout` is in seconds; None is no limit.
    """

    argv: tuple[Word, ...]
    steps: tuple[StepId, ...] = ()
    phase: Phase = Phase.BUILD
    environment: tuple[tuple[str, Word], ...] = ()
    inherits: tuple[str, ...] = ()
    writes: tuple[WrittenFile, ...] = ()
    collects: tuple[CollectedFile, ...] = ()
    folders: tuple[str, ...] = ()
    timeout: float | None = None


class Outcome(Model):
    """How a child ended. `files` holds the content of the collected files that exist; `signal` what ended it."""

    exit_code: int
    signal: int | None = None
    timed_out: bool = False
    stdout: str = ""
    stderr: str = ""
    files: tuple[tuple[str, bytes], ...] = ()
    paths: tuple[tuple[str, str], ...] = ()

    @property
    def succeeded(self) -> bool:
        """Whether it ended by itself with 0."""
        return self.exit_code == 0 and not self.timed_out

    def file(self, name: str) -> bytes | None:
        """The content of a collected file; None: the child did not write it."""
        return dict(self.files).get(name)


def render_word(word: Word) -> str:
    """The word as people read it: late values in angle brackets."""
    return word if isinstance(word, str) else "".join(str(part) for part in word)


def late_values(word: Word) -> tuple[Late, ...]:
    """The late values in a word."""
    return () if isinstance(word, str) else tuple(part for part in word if not isinstance(part, str))
