"""`Environment`: the variables at one point of a stage, as far as they are known without its base image.

The rules are BuildKit's (dockerfile2llb/convert.go): `ENV` and `ARG` write the same variables and the later one wins,
whatever the documentation says of `ENV`. A stage on another stage inherits both; then what `ENV` wrote, in the base
image of that stage too, is written once more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from orchestrator.dockerfile.scope import Scope
from orchestrator.dockerfile.substitute import SubstitutionError, expand

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_PATH: Final = "PATH"
_SPECIAL: Final = re.compile(r"""[$'"\\`]""")
# buildx gives values to these by itself, or some versions of BuildKit's frontend do and others do not
_UNCERTAIN: Final = re.compile(
    r"(?:(?i:http|https|ftp|no|all)_(?i:proxy)|BUILDKIT_.*|SOURCE_DATE_EPOCH|TARGETSTAGE|(?:TARGET|BUILD)OSVERSION)\Z"
)


class Environment:
    """Values that are not certain are None; a name that is not there is not set, or unknown where `is_open`."""

    def __init__(self, *, escape: str, is_open: bool) -> None:
        """Begin a stage: on an external image where it is open, on `scratch` otherwise."""
        self._escape = escape
        self._is_open = is_open
        # BuildKit sets PATH where an image has none
        self._values: dict[str, str | None] = {_PATH: None}
        self._image: dict[str, str | None] = {_PATH: None}

    def inherit(self) -> Environment:
        """Begin a stage that starts from this one."""
        child = Environment(escape=self._escape, is_open=self._is_open)
        inherited = dict.fromkeys(self._values) if self._is_open else self._values
        child._values = {**inherited, **self._image}
        child._image = dict(self._image)
        return child

    def expand(self, word: str, *, without: frozenset[str] = frozenset()) -> str | None:
        """The word with its variables expanded; None where that is not certain, as with names in `without`."""
        if not _SPECIAL.search(word):
            return word
        known = {name: value for name, value in self._values.items() if value is not None and name not in without}
        try:
            expansion = expand(word, known, escape=self._escape)
        except SubstitutionError:
            return None
        if any(self._is_open or name in self._values or name in without for name in expansion.missing):
            return None
        return expansion.text

    def set_env(self, words: Sequence[str]) -> None:
        """Execute an `ENV`: names and values in turn, all expanded with what was set before it."""
        pairs = [(self.expand(name), self.expand(value)) for name, value in zip(words[::2], words[1::2], strict=False)]
        for name, value in pairs:
            if name is None:
                self._forget()
                return
            self._values[name] = self._image[name] = value

    def declare(self, words: Sequence[str], scope: Scope, arguments: Mapping[str, str]) -> None:
        """Execute an `ARG`: what is given, else its default, else the value before the first `FROM`, else nothing.

        Whether a default sees the names before it in the same `ARG` depends on the version of the frontend.
        """
        declared: set[str] = set()
        for word in words:
            name, equals, default = word.partition("=")
            if not _NAME.match(name):
                self._forget()
                return
            value: str | None
            if _UNCERTAIN.match(name):
                value = None
            elif name in arguments:
                value = arguments[name]
            elif equals:
                value = self.expand(default, without=frozenset(declared))
            else:
                value = scope.value(name)
                if value is None:
                    continue
            self._values[name] = value
            declared.add(name)

    def _forget(self) -> None:
        """A variable whose name is not certain has been set: any may have changed."""
        self._values, self._image = {}, {}
        self._is_open = True
