"""What of a saved plan is no longer true: each precondition held against the world, and each difference named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.model import Model
from orchestrator.oci.digest import Digest, short
from orchestrator.plan.context import Listing, changed_paths
from orchestrator.plan.differences import Difference
from orchestrator.plan.facts import TagState
from orchestrator.plan.frozen import Overrides
from orchestrator.plan.inputs import InputManifest
from orchestrator.plan.memory import Memory
from orchestrator.plan.reasons import compare, list_names

_ROOM = 200


class Stale(Model):
    """One precondition that does not hold: what it is about, in words, and what to do besides planning again."""

    message: str
    hints: tuple[str, ...] = ()


def stale_overrides(then: Overrides, now: Overrides) -> Iterator[Stale]:
    """What was said over the files, and is not said again: the file of a plan is no grant."""
    for name in sorted({*then.variables, *now.variables}):
        before, after = then.variables.get(name), now.variables.get(name)
        if before != after:
            yield Stale(
                message=f"var `{name}` is {_said(before)} in the plan, and {_said(after)} here",
                hints=("say it again here, or vouch for the whole plan with `--expect DIGEST`",),
            )
    for option, before, after in (
        ("--registry", then.registry, now.registry),
        ("--backend", then.backend, now.backend),
    ):
        if before != after:
            yield Stale(
                message=f"`{option}` is {_said(before)} in the plan, and {_said(after)} here",
                hints=("say it again here, or vouch for the whole plan with `--expect DIGEST`",),
            )
    if then.assignments != now.assignments:
        # the values may be nobody's business
        targets = sorted({text.partition("=")[0] for text in set(then.assignments) ^ set(now.assignments)})
        about = ", ".join(f"`{target}`" for target in targets) or "their order"
        yield Stale(
            message=f"`--set` says otherwise here than in the plan: {about}",
            hints=("say it again here, or vouch for the whole plan with `--expect DIGEST`",),
        )


def stale_grants(then: Overrides, now: Overrides) -> Iterator[Stale]:
    """What the plan was granted, and is not granted here; nobody can grant that for another machine."""
    for grant in then.allow:
        if grant not in now.allow:
            yield Stale(message=f"the plan was granted `{grant}`", hints=(f"grant it here: `--allow {grant}`",))


def stale_inputs(
    then: Mapping[str, InputManifest],
    now: Mapping[str, InputManifest],
    before: Mapping[Digest, Listing],
    after: Mapping[Digest, Listing],
) -> Iterator[Stale]:
    """What builds are made from now, against what they were made from then; what follows from a parent is left out."""
    builds: dict[str, list[str]] = {}
    for build, old in then.items():
        new = now.get(build)
        if new is None or new == old:
            continue
        reasons = compare(old, new, _paths(old, new, before, after))
        own = [reason.message for reason in reasons if reason.code != "upstream_changed"]
        for message in own or (() if reasons else ("what it is made from cannot be told any more",)):
            builds.setdefault(message, []).append(build)
    for message, several in builds.items():
        yield Stale(message=f"{list_names(tuple(several))}: {message}")


def _paths(
    old: InputManifest, new: InputManifest, before: Mapping[Digest, Listing], after: Mapping[Digest, Listing]
) -> dict[str, tuple[str, ...]]:
    now = dict(new.contexts)
    pairs = {name: (before.get(Digest(digest)), after.get(Digest(now.get(name, "")))) for name, digest in old.contexts}
    return {name: changed_paths(one, other) for name, (one, other) in pairs.items() if one and other and one != other}


def stale_declarations(differences: tuple[Difference, ...]) -> Iterator[Stale]:
    """What the project would do now, against what the plan says; what follows for steps only where nothing else is."""
    telling = tuple(each for each in differences if ":" not in each.subject)
    for difference in telling or differences:
        then, now = _lines(difference.before), _lines(difference.after)
        yield Stale(
            message=f"`{difference.subject}`: {difference.attribute} would be {now} now, and is {then} in the plan"
        )


def stale_tags(
    then: Mapping[str, TagState], now: Mapping[str, TagState], own: Mapping[str, Digest | None]
) -> Iterator[Stale]:
    """Tags that moved since; one that points at what this plan makes was put by an earlier try.

    Args:
        then: what tags pointed at when the plan was made.
        now: what they point at.
        own: by tag the digest that this plan is to put there, where it stands already.
    """
    for tag, state in now.items():
        before = then.get(tag, TagState())
        if state.unknown:
            yield Stale(message=f"tag `{tag}` could not be looked up: {state.unknown}", hints=state.hints)
        elif state.digest != before.digest and (state.digest is None or state.digest != own.get(tag)):
            then_, now_ = _digest(before.digest), _digest(state.digest)
            yield Stale(
                message=f"tag `{tag}` pointed at {then_} when it was planned, and points at {now_} now",
                hints=("if that is meant, say `--allow-moved-tags`",),
            )


def stale_memory(then: Memory, now: Memory) -> Iterator[Stale]:
    """What the plan takes over, and does not stand any more as it did."""
    for build, part in then.parts.items():
        stands = now.parts.get(build)
        if stands is None:
            yield Stale(message=f"`{build}` stood as {_digest(part.record)} then, and is not there any more")
        elif stands.record != part.record:
            yield Stale(
                message=f"`{build}` stood as {_digest(part.record)} then, and stands as {_digest(stands.record)} now"
            )
    for image, index in then.images.items():
        if now.images.get(image) != index:
            yield Stale(message=f"`{image}` was verified as {_digest(index)} then, and that does not stand any more")
    for build in then.tested:
        if build not in now.tested:
            yield Stale(message=f"`{build}` had passed its test then, and nothing says so any more")


def _said(value: str | None) -> str:
    return "not given" if value is None else f"`{value}`"


def _digest(digest: Digest | None) -> str:
    return short(digest) if digest else "nothing"


def _lines(lines: tuple[str, ...]) -> str:
    text = " ".join(lines)
    return f"`{text[:_ROOM]}{'…' if len(text) > _ROOM else ''}`" if lines else "nothing"
