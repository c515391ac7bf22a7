"""What may become public: tags held against what the registry has now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from orchestrator.diagnostics import Diagnostic, Severity
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.plan.facts import TagState
from orchestrator.plan.image import Image, Tag
from orchestrator.plan.model import Destination, PlannedImage, PlannedTag
from orchestrator.tags.semver import find_semver

NOT_ASKED: Final = "not asked"
"""Why nothing is known of a tag that no plan had a reason to look up, or that nobody was to be asked about."""


class ReleaseRules(Model):
    """What the user allows beyond the safe.

    `released` are the digests of images that are built already and wait for their tags: a tag that has such a
    digest was put by a promotion that was cut off, and stands in nobody's way.
    """

    replace_tags: bool = False
    allow_downgrade: bool = False
    released: Mapping[str, Digest] = {}


def planned_tags(
    image: Image, states: Mapping[str, TagState], rules: ReleaseRules, *, publishing: Destination
) -> tuple[tuple[PlannedTag, ...], tuple[Diagnostic, ...]]:
    """The tags of an image with what they point at now, and the reasons not to put them."""
    tags: list[PlannedTag] = []
    found: list[Diagnostic] = []
    for tag in image.tags if image.publish else ():
        state = states.get(str(tag.reference), TagState(unknown=NOT_ASKED))
        tags.append(
            PlannedTag(
                name=tag.name,
                moving=tag.moving,
                reference=tag.reference,
                current=state.digest,
                noted=state.version,
                unknown=state.unknown,
                hints=state.hints,
            )
        )
        if publishing is Destination.PUSH:
            found += _check_tag(image, tag, state, rules)
    return tuple(tags), tuple(found)


def _check_tag(image: Image, tag: Tag, state: TagState, rules: ReleaseRules) -> Iterator[Diagnostic]:
    place = image.place("tags", tag.position)
    stands = state.digest is not None and state.digest == rules.released.get(image.name)
    if tag.reference is None:
        yield Diagnostic(
            code="no-registry",
            message=f"tag `{tag.name}` of `{image.name}` has no repository to be put in",
            place=place,
            subject=image.name,
            hints=("set `registry` in `[project]`, ORCHESTRATE_REGISTRY or `--registry`",),
        )
    elif state.digest and not stands and not tag.moving and not rules.replace_tags:
        yield Diagnostic(
            code="tag-exists",
            message=f"`{tag.reference}` exists as `{state.digest}`, and {_this_release(image, rules)}",
            place=place,
            subject=image.name,
            hints=_for_fixed(image, rules),
        )
    elif state.digest and tag.moving and not rules.allow_downgrade and _is_lower(image.version, state.version):
        yield Diagnostic(
            code="downgrade",
            message=f"`{tag.reference}` is at version {state.version}, this plan would move it down to {image.version}",
            place=place,
            subject=image.name,
            hints=("if that is meant, say `--allow-downgrade`",),
        )


def _for_fixed(image: Image, rules: ReleaseRules) -> tuple[str, ...]:
    """What to do about a fixed tag that exists: it may be an earlier run that put it, and was cut off after it."""
    resume = "where a release was cut off after it, `--resume` finishes that one"
    finish = () if image.name in rules.released else (resume,)
    return ("give it a new version, mark the tag `moving = true`, or replace it with `--replace-tags`", *finish)


def _this_release(image: Image, rules: ReleaseRules) -> str:
    digest = rules.released.get(image.name)
    return f"this release is `{digest}`" if digest else "a new build has another digest"


def unknown_tags(images: Iterable[PlannedImage]) -> Iterator[Diagnostic]:
    """One warning for each reason why tags could not be looked up, however many tags it is about."""
    reasons: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for image in images:
        for tag in image.tags:
            if tag.reference and tag.unknown not in {"", NOT_ASKED}:
                reasons.setdefault((tag.unknown, tag.hints), []).append(str(tag.reference))
    for (reason, hints), references in reasons.items():
        more = f" and {len(references) - 1} more" if len(references) > 1 else ""
        yield Diagnostic(
            code="tag-unknown",
            message=f"tag `{references[0]}`{more} could not be looked up: {reason}",
            severity=Severity.WARNING,
            hints=(*hints, "`orchestrate doctor` looks at registries and logins; `--offline` asks nobody"),
        )


def _is_lower(new: str | None, old: str | None) -> bool:
    """Whether both are semantic versions and the new one is lower."""
    parsed_new, parsed_old = find_semver(new or ""), find_semver(old or "")
    return parsed_new is not None and parsed_old is not None and parsed_new.precedence < parsed_old.precedence
