"""A plan as people read it: what, where, why, and what becomes public."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from typing import assert_never

from orchestrator.api.backend import Mode
from orchestrator.config.credentials import hide_userinfo
from orchestrator.diagnostics import Diagnostic, Span
from orchestrator.model import Model
from orchestrator.oci.digest import short
from orchestrator.plan.document import SummaryDocument, summarise
from orchestrator.plan.estimate import Estimate
from orchestrator.plan.graph import Edge
from orchestrator.plan.image import PlatformTest
from orchestrator.plan.lower import Lowered
from orchestrator.plan.masked import masked_argv, masked_command
from orchestrator.plan.model import (
    Action,
    Destination,
    Plan,
    PlannedImage,
    PlannedTag,
    PlatformBuild,
    SolveStep,
    TestStep,
)
from orchestrator.plan.volatile import kept_names
from orchestrator.ui.estimate import render_estimate
from orchestrator.ui.excerpt import printable as escaped
from orchestrator.ui.text import count

_COMMANDS = {
    Destination.PUSH: "orchestrate build --push",
    Destination.STAGE: "orchestrate build --stage",
    Destination.LAYOUT: "orchestrate build",
    Destination.LOAD: "orchestrate build --load",
}
_MARKS = {Action.BUILD: "+", Action.GRAFT: "~", Action.RETAG: ">", Action.REUSE: "=", Action.BLOCKED: "!"}


class Heading(Model):
    """What the first lines say besides the plan itself."""

    source: str
    nodes: tuple[str, ...]
    notes: tuple[str, ...] = ()


def render_plan(
    plan: Plan, heading: Heading, diagnostics: tuple[Diagnostic, ...], estimate: Estimate | None = None
) -> str:
    """The whole text, without the diagnostics themselves, which go to stderr."""
    summary = summarise(plan, diagnostics)
    lines = [
        f"{plan.project}: {_counts(summary)}   {heading.source}",
        f"this is what `{_COMMANDS[plan.destination]}` does",
        *heading.nodes,
        *heading.notes,
    ]
    builds: dict[str, list[PlatformBuild]] = {}
    for build in plan.builds:
        builds.setdefault(build.image, []).append(build)
    tests: dict[str, list[TestStep]] = {}
    for step in plan.steps:
        if isinstance(step, TestStep):
            tests.setdefault(step.image, []).append(step)
    width = max((len(image.name) for image in plan.images), default=0)
    wave = 0
    for image in sorted(plan.images, key=lambda image: image.wave):
        if image.wave != wave:
            wave = image.wave
            lines += ["", f"wave {wave}"]
        lines += _image_lines(
            image, builds.get(image.name, []), tests.get(image.name, []), width=width, destination=plan.destination
        )
    time = (render_estimate(estimate),) if estimate else ()
    lines += ["", _public_line(plan, summary), *time, _summary_line(plan, summary)]
    return "\n".join(escaped(hide_userinfo(line)) for line in lines) + "\n"


def _counts(summary: SummaryDocument) -> str:
    parts = (count(summary.images, "image"), count(summary.builds, "platform build"), count(summary.waves, "wave"))
    return ", ".join(parts)


def render_invocations(plan: Plan, lowered: Lowered) -> str:
    """What `plan -v` adds: every child, argv for argv, as one could paste it but for late values and credentials."""
    lines = ["", "commands"]
    for step in plan.steps:
        if not isinstance(step, SolveStep | TestStep):
            continue
        note = step.because if isinstance(step, SolveStep) else escaped(_command(step.command))
        lines.append(f"  {step.id}" + (f"   ({note})" if note else ""))
        if step.id in lowered.refusals:
            lines.append(f"    refused: {escaped(hide_userinfo(lowered.refusals[step.id].message))}")
        for child in lowered.invocations.get(step.id, ()):
            command = masked_command(child)
            pairs = (variable.partition("=") for variable in command.environment)
            variables = [f"{name}={_quote(value)}" for name, _, value in pairs]
            lines.append("    " + " ".join((*variables, *map(_quote, command.argv))))
    return "\n".join(lines) + "\n"


def _quote(word: str) -> str:
    """A word as a shell takes it; with control characters in it as `$'…'`, so that none reaches a terminal."""
    if word.isprintable():
        return shlex.quote(word)
    plain = word.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + "".join(letter if letter.isprintable() else f"\\U{ord(letter):08x}" for letter in plain) + "'"


def _image_lines(
    image: PlannedImage, builds: list[PlatformBuild], tests: list[TestStep], *, width: int, destination: Destination
) -> Iterator[str]:
    places = "   ".join(map(_place, builds))
    yield f"  {_MARKS[image.action]} {image.name.ljust(width)}  {places}"
    margin = " " * (width + 6)
    if image.edges:
        yield f"{margin}after {', '.join(map(_edge, image.edges))}"
    for reason in dict.fromkeys(reason.message for build in builds for reason in build.reasons):
        yield f"{margin}why   {reason}"
    if keeps := kept_names(builds):
        yield f"{margin}keeps {', '.join(keeps)}{_of_some(builds)}"
    if image.test:
        yield f"{margin}test  {_command(image.test.run)} {_tested(image, image.test, tests)}"
    if not image.publish:
        yield f"{margin}tags  none, `publish = false`"
    elif destination is Destination.PUSH and image.tags:
        yield f"{margin}tags  {_tags(image)}"


def _command(words: tuple[str, ...]) -> str:
    """A test as people read it."""
    return shlex.join(masked_argv(words))


def _tested(image: PlannedImage, test: PlatformTest, steps: list[TestStep]) -> str:
    """Where a test is to be run; in what stands it may have passed already."""
    if image.action is Action.BLOCKED:
        return f"on {', '.join(map(str, test.platforms))}"
    open_ = {step.platform: ", emulated" if step.mode is Mode.EMULATED else "" for step in steps}
    runs = ", ".join(f"{platform}{mode}" for platform, mode in open_.items())
    passed = ", ".join(str(each) for each in test.platforms if each in image.platforms and each not in open_)
    return "; ".join((*([f"on {runs}"] if runs else []), *([f"passed on {passed}"] if passed else [])))


def _place(build: PlatformBuild) -> str:
    if build.placement is None:
        return f"{build.platform} {'stands' if build.action is Action.REUSE else 'blocked'}"
    mode = ", emulated" if build.placement.mode is Mode.EMULATED else ""
    guess = "?" if build.placement.provisional else ""
    return f"{build.platform} on {build.placement.node}{_or(build.placement.others)}{guess}{mode}"


def _or(others: tuple[str, ...]) -> str:
    """The nodes that may take it as well."""
    if not others:
        return ""
    return f" or {others[0]}" if len(others) == 1 else f" or {len(others)} others"


def _of_some(builds: list[PlatformBuild]) -> str:
    """The platforms that are taken over, where others are built."""
    kept = [str(build.platform) for build in builds if build.action is Action.REUSE]
    return f" on {', '.join(kept)}" if len(kept) < len(builds) else ""


def _edge(edge: Edge) -> str:
    place = f" {edge.place.file}:{edge.place.line}" if isinstance(edge.place, Span) else ""
    other = edge.platform or edge.asked
    platform = f" of {other}" if other else ""
    return f"{edge.parent}{platform} ({edge.kind.value}{place})"


def _tags(image: PlannedImage) -> str:
    fixed = [_tag(image, tag) for tag in image.tags if not tag.moving]
    moving = [_tag(image, tag) for tag in image.tags if tag.moving]
    return ", ".join(fixed) + (f"{'; ' if fixed else ''}moving: {', '.join(moving)}" if moving else "")


def _tag(image: PlannedImage, tag: PlannedTag) -> str:
    home = tag.reference and image.repository == tag.reference.repository
    name = tag.name if home or tag.reference is None else str(tag.reference)
    if tag.current and tag.current == image.digest:
        return f"{name} (stands)"
    return f"{name} (now {short(tag.current)})" if tag.current else name


def _public_line(plan: Plan, summary: SummaryDocument) -> str:
    match plan.destination:
        case Destination.PUSH if summary.errors:
            return "public: nothing while there are errors"
        case Destination.PUSH if all(image.action is Action.REUSE for image in plan.images):
            return "public: nothing; everything stands as it is declared"
        case Destination.PUSH:
            return f"public: push under private names, {_released(plan)}"
        case Destination.STAGE:
            return "public: nothing; results stand under private names until `orchestrate promote`"
        case Destination.LAYOUT | Destination.LOAD:
            return "public: nothing; results stay on this machine"
        case _:
            assert_never(plan.destination)


def _released(plan: Plan) -> str:
    """What follows the private push; an image may have no tags, and one that is not published puts none."""
    new = sum(image.action in {Action.BUILD, Action.GRAFT} for image in plan.images)
    tests = sum(isinstance(step, TestStep) for step in plan.steps)
    tested = f"run {count(tests, 'test')}, " if tests else ""
    verified = f"{tested}verify {count(new, 'image')}"
    copies = sum(1 for step in plan.steps if step.__struct_config__.tag == "copy")
    copied = f", copy to {count(copies, 'other place')}" if copies else ""
    tagged = sum(1 for image in plan.images if image.publish and image.tags and image.action is not Action.REUSE)
    if not tagged:
        return f"{verified}{copied}; there is no tag to put"
    return f"{verified}{copied}, then tag {count(tagged, 'image')}; no tag moves if anything fails"


def _summary_line(plan: Plan, summary: SummaryDocument) -> str:
    """What would be done; where errors stop all of it, nothing is called `to build`."""
    actions = Counter(image.action for image in plan.images)
    blocked = actions[Action.BLOCKED]
    if summary.errors:
        images = count(summary.images, "image") + (f", {blocked} blocked" if blocked else "")
        head = f"stopped by {count(summary.errors, 'error')}; {images}"
    else:
        others = ((Action.GRAFT, "to graft"), (Action.RETAG, "to retag"), (Action.REUSE, "unchanged"))
        more = "".join(f", {actions[action]} {words}" for action, words in others if actions[action])
        head = f"{actions[Action.BUILD]} to build{more}, {blocked} blocked"
    emulated = f" ({summary.emulated} emulated)" if summary.emulated else ""
    builds = summary.builds if summary.errors else summary.build
    parts = [head, f"{count(builds, 'platform build')}{emulated}"]
    if plan.destination is Destination.PUSH:
        parts.append(f"{count(summary.tags, 'tag')} ({summary.moving_tags} moving)")
    if summary.warnings:
        parts.append(count(summary.warnings, "warning"))
    return f"Plan: {'; '.join(parts)}."
