"""What may become public: tags held against what the registry has now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.diagnostics import Diagnostic, Severity
from orchestrator.model import Model
from orchestrator.plan.facts import TagState
from orchestrator.plan.image import Image, Tag
from orchestrator.plan.model import Destination, PlannedTag
from orchestrator.tags.semver import find_semver


class ReleaseRules(Model):
    """What the user allows beyond the safe."""

    replace_tags: bool = False
    allow_downgrade: bool = False


def planned_tags(
    image: Image, states: Mapping[str, TagState], rules: ReleaseRules, *, publishing: Destination
) -> tuple[tuple[PlannedTag, ...], tuple[Diagnostic, ...]]:
    """The tags of an image with what they point at now, and the reasons not to put them."""
    tags: list[PlannedTag] = []
    found: list[Diagnostic] = []
    for tag in image.tags if image.publish else ():
        state = states.get(str(tag.reference), TagState(unknown="not asked"))
        tags.append(
            PlannedTag(
                name=tag.name, moving=tag.moving, reference=tag.reference, current=state.digest, unknown=state.unknown
            )
        )
        if publishing is Destination.PUSH:
            found += _check_tag(image, tag, state, rules)
    return tuple(tags), tuple(found)


def _check_tag(image: Image, tag: Tag, state: TagState, rules: ReleaseRules) -> Iterator[Diagnostic]:
    place = image.place("tags", tag.position)
    if tag.reference is None:
        yield Diagnostic(
            code="no-registry",
            message=f"tag `{tag.name}` of `{image.name}` has no repository to be put in",
            place=place,
            subject=image.name,
            hints=("set `registry` in `[project]`, ORCHESTRATE_REGISTRY or `--registry`",),
        )
    elif state.unknown and state.unknown != "not asked":
        yield Diagnostic(
            code="tag-unknown",
            message=f"`{tag.reference}` could not be looked up: {state.unknown}",
            severity=Severity.WARNING,
            place=place,
            subject=image.name,
            hints=("`orchestrate doctor` looks at registries and logins; `--offline` asks nobody",),
        )
    elif state.digest and not tag.moving and not rules.replace_tags:
        yield Diagnostic(
            code="tag-exists",
            message=f"`{tag.reference}` exists as `{state.digest}`, and a new build has another digest",
            place=place,
            subject=image.name,
            hints=("give it a new version, mark the tag `moving = true`, or replace it with `--replace-tags`",),
        )
    elif state.digest and tag.moving and not rules.allow_downgrade and _is_lower(image.version, state.version):
        yield Diagnostic(
            code="downgrade",
            message=f"`{tag.reference}` is at version {state.version}, this plan would move it down to {image.version}",
            place=place,
            subject=image.name,
            hints=("if that is meant, say `--allow-downgrade`",),
        )


def _is_lower(new: str | None, old: str | None) -> bool:
    """Whether both are semantic versions and the new one is lower."""
    parsed_new, parsed_old = find_semver(new or ""), find_semver(old or "")
    return parsed_new is not None and parsed_old is not None and parsed_new.precedence < parsed_old.precedence
