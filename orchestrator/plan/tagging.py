"""The tags of one image: rendered, parsed, and held against what may be published."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import UNSET

from orchestrator.config.credentials import hide_userinfo
from orchestrator.config.schema import ImageTable, TagTable
from orchestrator.diagnostics import Severity
from orchestrator.oci.reference import Repository, check_tag, parse_reference, parse_repository
from orchestrator.plan.image import Tag
from orchestrator.plan.scope import Scope
from orchestrator.tags.facts import GitFacts, NoGit

_TAG_HINT: Final = "write `tag`, or `host/path:tag`; the filter `slug` makes a legal tag of any text: `{{ … | slug }}`"
DEFAULT_REPOSITORY: Final = "{{ registry }}/{{ image }}"


def render_repository(table: ImageTable, scope: Scope, *, registry: str | None) -> Repository | None:
    """The home repository; None where no registry is known and none is written."""
    template = DEFAULT_REPOSITORY if table.repository is UNSET else table.repository
    if registry is None and "registry" in template:
        return None
    # what the default gives is known without evaluating it, for each of 10,000 images
    text = f"{registry}/{scope.values.image}" if template is DEFAULT_REPOSITORY else scope.text(template, "repository")
    if not text:
        return None
    try:
        return parse_repository(text)
    except ValueError as error:
        hint = "write it like `ghcr.io/acme/api`, or with `{{ registry }}` and `{{ image }}`"
        scope.report("repository", f"`{template}` gives `{text}`: {error}", "repository", hints=(hint,))
        return None


def render_tags(
    table: ImageTable, scope: Scope, *, repository: Repository | None, git: GitFacts | NoGit
) -> tuple[Tag, ...]:
    """The tags that this plan puts, each once; a dirty tree puts none that names its commit, and says so."""
    tags: dict[str, Tag] = {}
    for position, entry in enumerate(table.tags or []):
        for tag in _render_tag(entry, position, scope, repository):
            template = entry.ref if isinstance(entry, TagTable) else entry
            if isinstance(git, GitFacts) and git.dirty and _names_commit(template, tag, git):
                scope.report(
                    "dirty-sha-tag",
                    f"tag `{tag.name}` is left out: the working tree has changes that commit does not have",
                    "tags",
                    position,
                    hints=("commit the changes, or look at them with `git status`",),
                    severity=Severity.WARNING,
                )
                continue
            first = tags.setdefault(str(tag.reference) if tag.reference else tag.name, tag)
            if first.moving is not tag.moving:
                scope.report(
                    "tag",
                    f"`{tag.reference or tag.name}` is there twice, once as a moving tag and once as a fixed one",
                    "tags",
                    position,
                    hints=("keep one of the two",),
                )
    return tuple(tags.values())


def _names_commit(template: str, tag: Tag, git: GitFacts) -> bool:
    """Whether people would take the tag for that commit; a version may hold it as well."""
    return (
        tag.name.startswith("sha-") or git.short_sha in tag.name or "git.sha" in template or "git.short_sha" in template
    )


def _render_tag(entry: str | TagTable, position: int, scope: Scope, repository: Repository | None) -> Iterator[Tag]:
    template = entry if isinstance(entry, str) else entry.ref
    moving = isinstance(entry, TagTable) and entry.moving
    if isinstance(entry, TagTable) and not scope.truth(entry.when, "tags", position, "when"):
        return
    keys = ("tags", position) if isinstance(entry, str) else ("tags", position, "ref")
    if repository is None and "registry" in template:
        return
    text = scope.text(template, *keys)
    if not text:
        return
    try:
        yield _parse_tag(text, moving=moving, position=position, repository=repository)
    except ValueError as error:
        shown = f"`{template}` gives `{hide_userinfo(text)[:200]}`: " if "{" in template else ""
        scope.report("tag", f"{shown}{error}", *keys, hints=(_TAG_HINT,))


def _parse_tag(text: str, *, moving: bool, position: int, repository: Repository | None) -> Tag:
    if "/" not in text:
        check_tag(text)
        reference = repository.tag(text) if repository else None
        return Tag(name=text, moving=moving, position=position, reference=reference)
    reference = parse_reference(text)
    if not reference.tag:
        msg = f"reference `{text}` has no tag"
        raise ValueError(msg)
    if reference.digest:
        msg = f"reference `{text}` has a digest; a tag is what is put here"
        raise ValueError(msg)
    return Tag(name=reference.tag, moving=moving, position=position, reference=reference)
