"""What templates may use, made from facts; whatever is not known is absent with its reason, and nothing else fails."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from orchestrator.model import Model
from orchestrator.oci.platform import Platform
from orchestrator.tags.errors import Absent
from orchestrator.tags.facts import GitFacts, NoGit
from orchestrator.tags.record import Record, Scalar, Value
from orchestrator.tags.semver import find_semver
from orchestrator.tags.tagnames import highest_tag

UNSHALLOW: Final = (
    "fetch what is missing with `git fetch --unshallow --tags`",
    "with actions/checkout set `fetch-depth: 0`",
)
NO_PLATFORM: Final = Absent(
    reason="`platform` is not known here",
    hints=("it is known in what one platform build is made of: args, caches, contexts; not in names, tags and labels",),
)
NO_MATRIX: Final = Absent(
    reason="this image has no `matrix`", hints=("add `matrix = { axis = [...] }` to the image, or use `vars`",)
)
NO_VERSION: Final = Absent(
    reason="no version is configured",
    hints=('add `[version]` with `from = "git-tag"`, or `version = "1.2.3"` to the image',),
)
NO_REGISTRY: Final = Absent(
    reason="no registry is configured",
    hints=("set `registry` in `[project]`, ORCHESTRATE_REGISTRY or --registry",),
)
FALLBACK_ONLY: Final = Absent(
    reason="`next_patch` and `distance` are known only in the `fallback` of a version",
    hints=("use `git.distance` for the commits since the last release tag",),
)


class Values(Model):
    """The names of templates and their values, one `Values` for each image or platform build."""

    now: datetime
    registry: str | Absent = NO_REGISTRY
    image: str | Absent = Absent(reason="`image` is not known here", hints=("it is known in the tables of images",))
    version: Record | Absent = NO_VERSION
    git: Record | Absent = Absent(reason="nothing is known from git", hints=("run this in a git repository",))
    vars: Record = Record("vars", {})
    matrix: Record | Absent = NO_MATRIX
    platform: Record | Absent = NO_PLATFORM
    next_patch: str | Absent = FALLBACK_ONLY
    distance: int | Absent = FALLBACK_ONLY


NAMES: Final = Values.__struct_fields__


class Version(Model):
    """A version that was found; `tag` is the git tag that it comes from, or empty."""

    text: str
    tag: str = ""


def version_value(version: Version | Absent) -> Record | Absent:
    """`version`: prints itself; its parts are there where it is a semantic version."""
    return version if isinstance(version, Absent) else _version_record(version.text)


@lru_cache(maxsize=4096)
def _version_record(text: str) -> Record:
    semver = find_semver(text)
    if semver is None:
        reason = f"the version `{text}` is no semantic version, so it has no parts"
        absent = Absent(reason=reason, hints=("use `{{ version }}` alone, or a version such as `1.2.3`",))
        names = ("major", "minor", "patch", "prerelease", "build")
        return Record("version", dict.fromkeys(names, absent), text=text)
    fields: dict[str, Value] = {
        "major": semver.major,
        "minor": semver.minor,
        "patch": semver.patch,
        "prerelease": semver.prerelease,
        "build": semver.build,
    }
    return Record("version", fields, text=text)


@lru_cache(maxsize=256)
def git_value(git: GitFacts | NoGit, match: str = "") -> Record | Absent:
    """`git`; `match` is the glob of the image's version, empty where its version does not come from a git tag."""
    if isinstance(git, NoGit):
        return Absent(reason=git.reason, hints=git.hints)
    fields: dict[str, Value] = {
        "sha": git.sha,
        "short_sha": git.short_sha,
        "branch": git.branch,
        "default_branch": git.default_branch,
        "tag": _tag(git, match),
        "dirty": git.dirty,
        "commit_time": _commit_time(git.commit_time),
        "on_release_tag": _on_release_tag(git, match),
        "distance": _distance(git, match),
    }
    return Record("git", fields)


def mapping_value(name: str, values: Mapping[str, Scalar]) -> Record:
    """`vars` and `matrix`: their names are the user's, so `default` may stand in for one that is not there."""
    return Record(name, values, names="open")


@lru_cache(maxsize=1024)
def platform_value(platform: Platform) -> Record:
    """`platform`: prints as `linux/arm64`."""
    fields: dict[str, Value] = {
        "os": platform.os,
        "architecture": platform.architecture,
        "variant": platform.variant,
        "slug": platform.slug,
    }
    return Record("platform", fields, text=str(platform))


def shallow_absent(what: str) -> Absent:
    """The absence of something that a shallow clone may lack."""
    return Absent(
        reason=f"{what} is not known: this is a shallow clone, which may lack tags and commits", hints=UNSHALLOW
    )


def _tag(git: GitFacts, match: str) -> str | Absent:
    found = highest_tag(git.tags_at_head, match or "*")
    if found is None and git.shallow:
        return shallow_absent("the tag of HEAD")
    return found or ""


def _on_release_tag(git: GitFacts, match: str) -> bool | Absent:
    if not match:
        return Absent(
            reason="the version does not come from a git tag, so there are no release tags",
            hints=('set `from = "git-tag"` and `match` in `[version]`, or use `git.tag`',),
        )
    found = highest_tag(git.tags_at_head, match) is not None
    return shallow_absent(f"whether HEAD has a tag `{match}`") if git.shallow and not found else found


def _distance(git: GitFacts, match: str) -> int | Absent:
    described = git.describe(match) if match else None
    if described is None:
        return Absent(
            reason="the version does not come from a git tag, so there is nothing to count commits from",
            hints=('set `from = "git-tag"` and `match` in `[version]`',),
        )
    return shallow_absent("`git.distance`") if git.shallow and described.distance else described.distance


def _commit_time(seconds: int) -> datetime | Absent:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return Absent(
            reason=f"the time of the commit, {seconds} seconds, is no date", hints=("use `now`, or another commit",)
        )
