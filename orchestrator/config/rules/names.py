"""Names that the user chooses, and platforms."""

from __future__ import annotations

import re
from collections.abc import Collection
from difflib import get_close_matches
from typing import Final, Literal, TypeAlias

from orchestrator.config.findings import Findings, quote
from orchestrator.config.scan import Keys
from orchestrator.diagnostics import KeyPlace
from orchestrator.oci.platform import parse_platform

Kind: TypeAlias = Literal["image", "template", "group", "variable", "matrix axis"]

NAME_PATTERN: Final = r"[a-z0-9]+((_{1,2}|-+)[a-z0-9]+)*"
"""Images, templates and groups: every such name is also a legal component of a repository."""
VARIABLE_PATTERN: Final = r"[A-Za-z_][A-Za-z0-9_]*"
"""Variables and axes: templates say them as `vars.NAME` and `matrix.NAME`."""
MAX_NAME: Final = 128

_NAME: Final = re.compile(NAME_PATTERN + r"\Z")
_VARIABLE: Final = re.compile(VARIABLE_PATTERN + r"\Z")
_VARIABLES: Final = frozenset({"variable", "matrix axis"})
_FORM: Final = "write it like `linux/amd64` or `linux/arm/v7`"
_USUAL: Final = (
    "linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6", "linux/386", "linux/ppc64le", "linux/s390x",
    "linux/riscv64", "windows/amd64",
)  # fmt: skip


def check_name(kind: Kind, name: str, findings: Findings, table: Keys) -> None:
    """Whether a name may be one of its kind."""
    variable = kind in _VARIABLES
    if len(name) <= MAX_NAME and (_VARIABLE if variable else _NAME).match(name):
        return
    place = findings.key(*table, name)
    if len(name) > MAX_NAME:
        hint = "choose a shorter one"
        findings("illegal-name", f"{kind} name of {len(name)} characters, at most {MAX_NAME} are allowed", place, hint)
        return
    rule = "letters, digits and `_`, the first no digit"
    if not variable:
        rule = "lower-case letters, digits, `-` and `_`, with a letter or digit at both ends"
    better = re.sub(r"[^A-Za-z0-9_]+" if variable else r"[^a-z0-9_-]+", "_" if variable else "-", name.lower())
    better = (better if variable else better.strip("-_")).lstrip("0123456789" if variable else "")
    legal = (_VARIABLE if variable else _NAME).match(better)
    findings(
        "illegal-name",
        f"illegal {kind} name {quote(name)}: {rule}",
        place,
        f"write `{better}`" if legal else "rename it",
    )


def check_platforms(texts: Collection[str], findings: Findings, keys: Keys, *, wildcard: str = "") -> None:
    """Whether these, a list or the keys of a table, are platforms, and no two of them the same one."""
    first: dict[object, KeyPlace] = {}
    for position, text in enumerate(texts):
        if text == wildcard:
            continue
        place = findings.value(*keys, position) if isinstance(texts, list) else findings.key(*keys, text)
        try:
            platform = parse_platform(text)
        except ValueError as error:
            findings("illegal-platform", str(error), place, _FORM if findings.many else _platform_hint(text))
            continue
        if platform in first:
            message = f"platform {quote(text)} is there twice: both mean `{platform}`"
            findings("duplicate-platform", message, place, "remove one of the two", related=(first[platform],))
        first.setdefault(platform, place)


def _platform_hint(text: str) -> str:
    if "," in text:
        return "write each platform as a string of its own"
    if "*" in text:
        return "name each platform; there are no patterns here"
    written = text.strip().lower()
    candidates = [usual for usual in _USUAL if usual.removeprefix("linux/") == written]
    matches = candidates or get_close_matches(written[:64], _USUAL, 1, 0.6)
    return f"did you mean `{matches[0]}`?" if matches else _FORM
