"""`resolve_version`: where `{{ version }}` comes from -> the version, or why there is none."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, assert_never

import msgspec
import tomli

from orchestrator.model import Model
from orchestrator.tags.errors import Absent, TemplateError
from orchestrator.tags.facts import GitFacts, NoGit
from orchestrator.tags.render import Renderer
from orchestrator.tags.semver import find_semver
from orchestrator.tags.tagnames import highest_tag, version_of
from orchestrator.tags.values import NO_VERSION, Values, Version, git_value, shallow_absent

DEFAULT_MATCH: Final = "v*"
MAX_VERSION: Final = 128
MAX_FILE: Final = 1024 * 1024

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SOURCES_HINT: Final = "`from` is `git-tag`, `env:NAME`, `file:PATH` or `file:PATH#dotted.key`"

SourceKind: TypeAlias = Literal["literal", "git-tag", "env", "file"]


class VersionRule(Model):
    """A decoded `[version]`: `argument` is the text, the glob, the variable or the path, as `kind` says."""

    kind: SourceKind
    argument: str
    key: str = ""
    fallback: str | None = None


class VersionFacts(Model):
    """What versions are made from; a file that is not there is None."""

    git: GitFacts | NoGit
    environment: Mapping[str, str]
    files: Mapping[str, str | None]


def parse_rule(*, source: str = "", value: str = "", match: str = "", fallback: str | None = None) -> VersionRule:
    """Check the keys of a `[version]` table; a literal version is `parse_rule(value=…)`.

    Raises:
        TemplateError: they contradict each other, or `from` is none of the sources.
    """
    if bool(source) == bool(value):
        message = "a version has both `from` and `value`" if source else "a version has neither `from` nor `value`"
        raise TemplateError(message, hints=(f"write one of them; {_SOURCES_HINT}",))
    if match and source != "git-tag":
        message = "`match` is for versions from a git tag"
        raise TemplateError(message, hints=('write `from = "git-tag"`, or leave `match` out',))
    if value:
        return VersionRule(kind="literal", argument=value, fallback=fallback)
    kind, _, argument = source.partition(":")
    if source == "git-tag":
        return VersionRule(kind="git-tag", argument=match or DEFAULT_MATCH, fallback=fallback)
    if kind == "env" and _NAME.match(argument):
        return VersionRule(kind="env", argument=argument, fallback=fallback)
    path, _, key = argument.partition("#")
    if kind == "file" and path:
        return VersionRule(kind="file", argument=path, key=key, fallback=fallback)
    message = f"unknown source of a version: `{source[:80]}`"
    raise TemplateError(message, hints=(_SOURCES_HINT,))


def needed_files(rule: VersionRule) -> tuple[str, ...]:
    """The paths that have to be read for a version."""
    return (rule.argument,) if rule.kind == "file" else ()


def needed_matches(rule: VersionRule) -> tuple[str, ...]:
    """The globs of git tags that have to be described for a version."""
    return (rule.argument,) if rule.kind == "git-tag" else ()


def needed_environment(rule: VersionRule) -> tuple[str, ...]:
    """The environment variables that have to be read for a version."""
    return (rule.argument,) if rule.kind == "env" else ()


def match_of(rule: VersionRule | None) -> str:
    """The glob of release tags, for `git_value`; empty where the version does not come from a git tag."""
    return rule.argument if rule is not None and rule.kind == "git-tag" else ""


def resolve_version(
    rule: VersionRule | None, facts: VersionFacts, *, renderer: Renderer, values: Values
) -> Version | Absent:
    """The version of a rule; `values` are what a `fallback` may use besides git, `next_patch` and `distance`."""
    if rule is None:
        return NO_VERSION
    found = _from_source(rule, facts)
    if isinstance(found, Version):
        return _checked(found)
    if rule.fallback is None or _is_shallow(rule, facts):
        return found
    return _from_fallback(rule, rule.fallback, facts, renderer=renderer, values=values)


def _from_source(rule: VersionRule, facts: VersionFacts) -> Version | Absent:
    match rule.kind:
        case "literal":
            return Version(text=rule.argument)
        case "env":
            return _from_environment(rule.argument, facts.environment)
        case "file":
            return _from_file(rule, facts.files.get(rule.argument))
        case "git-tag":
            return _from_tag(rule.argument, facts.git)
        case _:
            assert_never(rule.kind)


def _from_environment(name: str, environment: Mapping[str, str]) -> Version | Absent:
    text = environment.get(name, "").strip()
    if text:
        return Version(text=text)
    reason = f"the version comes from the environment variable `{name}`, which is not set"
    return Absent(reason=reason, hints=(f"set `{name}`, or add `fallback` to `[version]`",))


def _from_tag(match: str, git: GitFacts | NoGit) -> Version | Absent:
    if isinstance(git, NoGit):
        return Absent(reason=f"the version comes from a git tag, and {git.reason}", hints=git.hints)
    tag = highest_tag(git.tags_at_head, match)
    if tag is not None:
        return Version(text=version_of(tag, match), tag=tag)
    if git.shallow:
        return shallow_absent(f"the version, a git tag `{match}`,")
    return Absent(
        reason=f"the version comes from a git tag, and HEAD ({git.short_sha}) has none that matches `{match}`",
        hints=("tag the commit, or add `fallback` to `[version]` for builds between releases",),
    )


def _is_shallow(rule: VersionRule, facts: VersionFacts) -> bool:
    return rule.kind == "git-tag" and isinstance(facts.git, GitFacts) and facts.git.shallow


def _from_file(rule: VersionRule, content: str | None) -> Version | Absent:
    hint = f"write a version into `{rule.argument}`, or add `fallback` to `[version]`"
    if content is None:
        return Absent(reason=f"the version comes from the file `{rule.argument}`, which cannot be read", hints=(hint,))
    if len(content) > MAX_FILE:
        return Absent(reason=f"the file `{rule.argument}` is too large to hold a version", hints=(hint,))
    text = content.strip() if not rule.key else _find_key(rule, content)
    if isinstance(text, Absent):
        return text
    return Version(text=text) if text else Absent(reason=f"the file `{rule.argument}` is empty", hints=(hint,))


def _find_key(rule: VersionRule, content: str) -> str | Absent:
    """A dotted key of a TOML or JSON file."""
    try:
        node: object = json.loads(content) if rule.argument.endswith(".json") else tomli.loads(content)
    except (ValueError, RecursionError) as error:
        kind = "JSON" if rule.argument.endswith(".json") else "TOML"
        reason = f"`{rule.argument}` cannot be read as {kind}: {str(error)[:200]}"
        return Absent(reason=reason, hints=("correct the file; without `#key` the whole file is the version",))
    for part in rule.key.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    if isinstance(node, str) and node.strip():
        return node.strip()
    reason = f"`{rule.argument}` has no text under `{rule.key}`"
    return Absent(reason=reason, hints=(f"check the key after `#` in `file:{rule.argument}#{rule.key}`",))


def _from_fallback(
    rule: VersionRule, fallback: str, facts: VersionFacts, *, renderer: Renderer, values: Values
) -> Version | Absent:
    next_patch, distance = _since_last(match_of(rule), facts.git)
    offered = msgspec.structs.replace(
        values,
        version=Absent(reason="`version` cannot be used in its own `fallback`", hints=("use `next_patch`",)),
        git=git_value(facts.git, match_of(rule)),
        next_patch=next_patch,
        distance=distance,
    )
    try:
        return _checked(Version(text=renderer.render(fallback, offered).strip()))
    except TemplateError as error:
        return Absent(reason=f"the `fallback` of the version, `{fallback[:80]}`: {error.message}", hints=error.hints)


def _since_last(match: str, git: GitFacts | NoGit) -> tuple[str | Absent, int | Absent]:
    """`next_patch` and `distance` of a fallback."""
    if isinstance(git, NoGit):
        absent = Absent(reason=git.reason, hints=git.hints)
        return absent, absent
    described = git.describe(match)
    if described is None:
        absent = Absent(
            reason="`next_patch` and `distance` count from a git tag, and the version does not come from one",
            hints=('set `from = "git-tag"`',),
        )
        return absent, absent
    if described.tag is None:
        return "0.0.1", described.distance
    semver = find_semver(version_of(described.tag, match))
    if semver is None:
        reason = f"`next_patch` needs a semantic version, and the last tag is `{described.tag}`"
        return Absent(reason=reason, hints=("use `distance` and `git.short_sha` alone",)), described.distance
    return f"{semver.major}.{semver.minor}.{semver.patch + 1}", described.distance


def _checked(version: Version) -> Version | Absent:
    """A version is one short line."""
    if len(version.text) <= MAX_VERSION and version.text.isprintable() and version.text:
        return version
    return Absent(
        reason=f"`{version.text[:40]!a}` is no version: one line of 1 to {MAX_VERSION} characters is",
        hints=("check where the version comes from",),
    )
