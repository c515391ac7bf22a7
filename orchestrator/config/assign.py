"""Assignments: `--set 'api*.platforms=["linux/amd64"]'` and the lines of `ORCHESTRATE_SET`."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Final, Literal, TypeAlias

import msgspec
import tomli
from msgspec import structs

from orchestrator.config.credentials import hide_userinfo
from orchestrator.config.findings import Findings
from orchestrator.config.keys import ATTRIBUTES, BUILD_ATTRIBUTES, parse_key, render_key
from orchestrator.config.names import filter_names
from orchestrator.config.nearest import Nearest
from orchestrator.config.rules import SecretsInArgs, check_file
from orchestrator.config.schema import FORMAT, CommonTable, IncludedFile
from orchestrator.diagnostics import Diagnostic, has_errors
from orchestrator.model import Model

Origin: TypeAlias = Literal["environment", "command line"]

VARIABLE: Final = "ORCHESTRATE_SET"
"""The environment variable that holds assignments, one a line."""

_LONGEST: Final = 65_536
_EQUALS: Final = re.compile(r"""(?P<target>(?:[^"'=]|"(?:[^"\\]|\\.)*"|'[^']*')+)=(?P<value>.*)\Z""", re.DOTALL)
_EXAMPLE: Final = """write it as `'api*.platforms=["linux/amd64"]'` or `api.args.GO_VERSION=1.24`"""


class Assignment(Model):
    """One attribute for the images whose names match `pattern`.

    `keys` are keys as in TOML, `table` holds the checked value at that place and nothing else; `text` is how messages
    call it, without the value, which may be nobody's business.
    """

    pattern: str
    keys: tuple[str, ...]
    table: CommonTable
    origin: Origin
    text: str


def assignment_lines(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The assignments in `ORCHESTRATE_SET`: one a line, empty lines skipped."""
    return tuple(line.strip() for line in environment.get(VARIABLE, "").splitlines() if line.strip())


def parse_assignments(
    texts: tuple[str, ...], origin: Origin, *, secrets_in_args: SecretsInArgs = "error"
) -> tuple[tuple[Assignment, ...], tuple[Diagnostic, ...]]:
    """Parse `PATTERN.KEY=VALUE` each, and check every value as if it stood in a file.

    Args:
        texts: the assignments.
        origin: where they come from.
        secrets_in_args: what the project says about args that look like credentials.
    """
    assignments: list[Assignment] = []
    findings: list[Diagnostic] = []
    for text in texts:
        parsed = _parse(text, origin)
        if isinstance(parsed, Diagnostic):
            findings.append(parsed)
            continue
        problems = _check_value(parsed, secrets_in_args)
        findings.extend(problems)
        if not has_errors(problems):
            assignments.append(parsed)
    return tuple(assignments), tuple(findings)


def check_patterns(assignments: tuple[Assignment, ...], names: Collection[str]) -> tuple[Diagnostic, ...]:
    """An error for each pattern that matches none of `names`: of all images after expansion, and of their families."""
    nearest = Nearest(names)
    return tuple(
        Diagnostic(
            code="unknown-image",
            message=f"`{assignment.text}`: `{assignment.pattern}` matches no image",
            hints=nearest.hints(assignment.pattern),
        )
        for assignment in assignments
        if not filter_names(assignment.pattern, names)
    )


def applying(assignments: tuple[Assignment, ...], *names: str) -> tuple[Assignment, ...]:
    """Those for an image that is called by any of `names`: its own and its family's."""
    return tuple(
        assignment for assignment in assignments if any(_matcher(assignment.pattern).match(name) for name in names)
    )


@lru_cache(maxsize=1024)
def _matcher(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))


def _parse(text: str, origin: Origin) -> Assignment | Diagnostic:
    flag = "--set" if origin == "command line" else VARIABLE
    match = _EQUALS.match(text) if len(text) <= _LONGEST else None
    if match is None:
        return Diagnostic(
            code="assignment-syntax",
            message=f"`{flag} {_cut(text)}`: expected `PATTERN.KEY=VALUE`",
            hints=(_EXAMPLE,),
        )
    shown = f"{flag} {_cut(match['target'].strip())}"
    target = _split(match["target"].strip())
    if target is None:
        return Diagnostic(
            code="assignment-syntax",
            message=f"`{shown}`: expected an image's name or a glob, a dot and a key before `=`",
            hints=(_EXAMPLE,),
        )
    pattern, keys = target
    problem = _check_keys(keys, shown)
    if problem is not None:
        return problem
    table = _convert(keys, match["value"].strip())
    if isinstance(table, CommonTable):
        return Assignment(pattern=pattern, keys=keys, table=table, origin=origin, text=shown)
    return Diagnostic(
        code="wrong-type", message=f"`{shown}`: {table}", hints=(_value_hint(pattern, keys, match["value"].strip()),)
    )


def _check_value(assignment: Assignment, secrets_in_args: SecretsInArgs) -> tuple[Diagnostic, ...]:
    """What the rules for files say about the value; without their places, which are in no file."""
    findings = Findings("")
    check_file(IncludedFile(format=FORMAT, defaults=assignment.table), findings, secrets_in_args)
    return tuple(
        structs.replace(finding, message=f"`{assignment.text}`: {finding.message}", place=None, related=())
        for finding in findings.all()
    )


def _cut(text: str) -> str:
    text = hide_userinfo(text)
    return text if len(text) <= 80 else text[:79] + "…"  # noqa: PLR2004 - as long as a message can bear


def _split(target: str) -> tuple[str, tuple[str, ...]] | None:
    """Pattern and keys; the pattern may have dots in it, so the first dot before a known attribute divides them."""
    first: tuple[str, tuple[str, ...]] | None = None
    for dot in (match.start() for match in re.finditer(r"\.", target)):
        pattern = target[:dot].strip()
        if not pattern:
            continue
        try:
            keys = parse_key(target[dot + 1 :])
        except ValueError:
            continue
        if keys[0] in ATTRIBUTES:
            return pattern, keys
        first = first or (pattern, keys)
    return first


def _check_keys(keys: tuple[str, ...], shown: str) -> Diagnostic | None:
    unknown = keys[0] if keys[0] not in ATTRIBUTES else None
    known: Collection[str] = ATTRIBUTES
    if keys[0] == "on" and len(keys) > 2 and keys[2] not in BUILD_ATTRIBUTES:  # noqa: PLR2004 - on.PLATFORM.KEY
        unknown, known = keys[2], BUILD_ATTRIBUTES
    if unknown is not None:
        hints = Nearest(known).hints(unknown)
        if unknown in ATTRIBUTES:
            hints = (f"`{unknown}` is the same for all platforms: set it without `on`",)
        return Diagnostic(
            code="unknown-key",
            message=f"`{shown}`: `{unknown}` is no attribute that can be set",
            hints=hints,
        )
    return None


def _convert(keys: tuple[str, ...], text: str) -> CommonTable | str:
    """The value at its place, or what is wrong with it.

    A bare number, date or Boolean is text where text is allowed: `1.10` as a build arg is a version, not 1.1.
    """
    problem = ""
    for value in _candidates(text):
        nested: object = value
        for key in reversed(keys):
            nested = {key: nested}
        try:
            return msgspec.convert(nested, CommonTable)
        except msgspec.ValidationError as error:
            problem = _lower_first(str(error).partition(" - at ")[0])
    return problem


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _candidates(text: str) -> Iterator[object]:
    parsed = _parse_value(text)
    if isinstance(parsed, (str, list, dict)):
        yield parsed
        return
    yield text
    if parsed is not None:
        yield parsed


def _parse_value(text: str) -> object:
    """The TOML value, or None where it is none: then it is a string as it stands."""
    if "\n" in text or "\r" in text:
        return None
    try:
        document = tomli.loads(f"value = {text}")
    except (ValueError, RecursionError):  # an integer of thousands of digits is a plain ValueError
        return None
    return document["value"]


def _value_hint(pattern: str, keys: tuple[str, ...], text: str) -> str:
    if text[:1] in {"[", "{", '"', "'"} and _parse_value(text) is None:
        return "it begins like a TOML value and is none: look at its quotes and brackets"
    attribute = f"{pattern}.{render_key(keys)}"
    for wanted, kind in ((f"[{_quote(text)}]", "a list"), (_quote(text), "a string")):
        if isinstance(_convert(keys, wanted), CommonTable):
            return f"for {kind} write `'{attribute}={_cut(wanted)}'`"
    return "the value is written as in `builds.toml`"


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
