"""Commands as they are shown, in text and in JSON: what runs, with `***` for what looks like a credential."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from orchestrator.api.invocation import Invocation, Word, render_word
from orchestrator.config.credentials import MASK, hide_userinfo, looks_like_credential, mask_spans
from orchestrator.model import Model

_FLAG: Final = re.compile(r"(--?[A-Za-z][A-Za-z0-9_-]*+)(=?)")
# What stands in them before `=` is the name of a thing: an image `token-service` makes no credential of its digest.
_NAMING: Final = frozenset({"--add-host", "--build-context", "--secret", "--ssh"})
_NAMED: Final = re.compile(r"""([^\s=/:?,&"']++)=""")  # such as an arg, whose value goes to the end of the word
_QUOTED_FIELD: Final = re.compile(r'"([\w.-]++)=(?:[^"]|"")*+"?')  # of CSV, as buildx writes it
_ASSIGNED: Final = re.compile(r"""(?<![\w.-])([\w.-]++)(?:=|["'][ \t]*+:[ \t]*+)""")
_VALUE: Final = re.compile(r""""(?:[^"\\]|\\.)*+"?|'[^']*+'?|[^,]++""", re.DOTALL)
_PARAMETER: Final = re.compile(r"[^,&#]++")  # of the query of a URL


class MaskedCommand(Model):
    """One child: the variables that are added for it, as `NAME=value`, and its argv."""

    environment: tuple[str, ...]
    argv: tuple[str, ...]


def masked_command(child: Invocation) -> MaskedCommand:
    """A child as people and programs may see it; late values are in angle brackets."""
    return MaskedCommand(
        environment=tuple(_masked(f"{name}={render_word(word)}") for name, word in child.environment),
        argv=masked_argv(child.argv),
    )


def masked_argv(argv: Iterable[Word]) -> tuple[str, ...]:
    """The words of a command, as many as it has."""
    return tuple(_words(map(render_word, argv)))


def _words(words: Iterable[str]) -> Iterator[str]:
    asked = False  # by a flag without `=`, whose value is the next word
    for word in words:
        flag = _FLAG.match(word)
        if flag is None:
            yield MASK if asked else _masked(word)
        elif flag[1] in _NAMING:
            yield hide_userinfo(word)
        elif flag[2] and looks_like_credential(flag[1]):
            yield flag[0] + MASK
        else:
            yield flag[0] + _masked(word[flag.end() :])
        asked = flag is not None and flag[0] == word and flag[1] not in _NAMING and looks_like_credential(word)


def _masked(text: str) -> str:
    text = hide_userinfo(text)
    named = _NAMED.match(text)
    if named and looks_like_credential(named[1]):
        return named[0] + MASK
    return mask_spans(text, (*_fields(text), *_assignments(text)))


def _fields(text: str) -> Iterator[tuple[int, int]]:
    for match in _QUOTED_FIELD.finditer(text):
        if looks_like_credential(match[1]):
            yield match.end(1) + 1, match.end()


def _assignments(text: str) -> Iterator[tuple[int, int]]:
    position = 0
    for match in _ASSIGNED.finditer(text):
        if match.start() < position or not looks_like_credential(match[1]):
            continue
        kind = _PARAMETER if text[match.start() - 1 : match.start()] in {"?", "&"} else _VALUE
        value = kind.match(text, match.end())
        if value:
            position = value.end()
            yield value.span()
