"""What a run came to: a fold of its events over the plan; `result.json` and the table are views of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from orchestrator.api.events import (
    Event,
    FailedAt,
    RunFinished,
    RunStarted,
    StepFinished,
    StepState,
    TagPut,
    TagsKept,
)
from orchestrator.api.invocation import StepId
from orchestrator.api.outline import TagOutline
from orchestrator.api.place import locate
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.plan import stepnames
from orchestrator.plan.model import Action, Plan, PlannedImage, PlannedTag, PlatformBuild, SolveStep, VerifyStep
from orchestrator.plan.outline import outline_dockerfile

RESULT_FORMAT = "1.0"
TEST_FAILED = "test failed"
"""The state of a platform build that did not pass its test, and of its image."""

REUSED = "reused"
"""The state of a platform build that stood already."""

PART = "part"
"""The state of an image of which this run was to build some platforms, and did; it is assembled by another one."""

_DONE: Final = frozenset({"built", REUSED})
_TESTED: Final = {StepState.FAILED: TEST_FAILED, StepState.CANCELLED: "cancelled"}


class BuildResult(Model):
    """One platform build: its state, how long its solve took, and the digest of its image manifest."""

    id: str
    platform: str
    state: str
    seconds: float | None
    digest: str | None
    node: str | None
    mode: str | None


class TagResult(Model):
    """A public tag: whether it stands where it belongs, and what it pointed at before this release.

    `unsure`: it was asked for, and no answer says whether it stands.
    """

    ref: str
    moving: bool
    put: bool
    previous: str | None
    unsure: bool = False


class ImageResult(Model):
    """One image: its state, the digest of its index, where that is, and its tags.

    `keeps` are the volatile args and labels that have the values of an earlier build.
    """

    name: str
    state: str
    digest: str | None
    home: str
    platforms: tuple[BuildResult, ...]
    tags: tuple[TagResult, ...]
    keeps: tuple[str, ...] = ()


class StepFailure(Model):
    """A step that failed: the first line of the message, the lines that the build printed last, and hints.

    `place` is a line of a Dockerfile, such as `api/Dockerfile:3`, with the `excerpt` around it; `command` runs the
    build alone, and `log` is the file with all that it printed.
    """

    step: str
    image: str
    message: str
    lines: tuple[str, ...]
    hints: tuple[str, ...]
    place: str | None = None
    excerpt: tuple[str, ...] = ()
    command: str | None = None
    log: str | None = None


class RunResult(Model):
    """A whole run. `now` is the time that its templates saw; times are seconds since the epoch."""

    format_version: str
    project: str
    run: str
    destination: str
    now: str
    exit_code: int
    started: float
    finished: float
    images: tuple[ImageResult, ...]
    failures: tuple[StepFailure, ...]


_RESULT: Final = msgspec.json.Decoder(RunResult)


def summarise_run(plan: Plan, events: Iterable[Event], *, now: str) -> RunResult:
    """Fold the events of a run."""
    seen = _fold(events)
    solves = {
        f"{step.image}@{platform}": step.id
        for step in plan.steps
        if isinstance(step, SolveStep)
        for platform in step.solve.platforms
    }
    verified = {step.image for step in plan.steps if isinstance(step, VerifyStep)}
    solved = {step.image for step in plan.steps if isinstance(step, SolveStep)}
    stands = {known.step: known.manifest for known in plan.known}
    by_image: dict[str, list[PlatformBuild]] = {}
    for build in plan.builds:
        by_image.setdefault(build.image, []).append(build)
    images = []
    for image in plan.images:
        # a plan that verifies what it does not solve is the last part of another run
        otherwise = "staged" if image.name in verified - solved else "not built"
        place = image.place if image.digest or image.name in verified else ""
        planned = by_image.get(image.name, ())
        builds = tuple(_build(build, seen.ended, solves, otherwise, stands) for build in planned)
        made = _image(image, builds, seen, place, is_whole=image.name in verified)
        images.append(msgspec.structs.replace(made, keeps=_kept(builds, planned)))
    return RunResult(
        format_version=RESULT_FORMAT,
        project=plan.project,
        run=plan.run,
        destination=plan.destination.value,
        now=now,
        exit_code=seen.exit_code,
        started=seen.started,
        finished=seen.finished,
        images=tuple(images),
        failures=tuple(_failures(plan, seen.ended, seen.places)),
    )


class _Seen:
    """What the events of a run say so far; a step that began again is what it came to last."""

    def __init__(self) -> None:
        self.ended: dict[str, StepFinished] = {}
        self.put: dict[str, TagPut] = {}
        self.moves: dict[str, TagOutline] = {}
        self.places: dict[str, FailedAt] = {}
        self.unsure: frozenset[str] = frozenset()
        self.started = self.finished = 0.0
        self.exit_code = 1


def _fold(events: Iterable[Event]) -> _Seen:
    seen = _Seen()
    for event in events:
        match event:
            case RunStarted():
                seen.started = seen.finished = event.time
            case StepFinished():
                seen.ended[event.step] = event
                seen.finished = event.time
            case TagPut():
                seen.put[event.reference] = event
            case TagsKept():
                seen.moves |= {move.reference: move for move in event.moves if move.before != move.after}
            case FailedAt():
                seen.places[event.step] = event
            case RunFinished():
                seen.finished, seen.exit_code = event.time, event.exit_code
            case _:
                pass
    seen.unsure = frozenset(ref for event in seen.ended.values() for ref in event.unsure) - seen.put.keys()
    return seen


def render_result(result: RunResult) -> bytes:
    """The bytes of `result.json`."""
    return msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n"


def parse_result(content: bytes) -> RunResult:
    """Read a `result.json`, which is input like any other.

    Raises:
        ValueError: it is none, or of another format version.
    """
    try:
        result = _RESULT.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        message = f"not a result of a run: {error}"
        raise ValueError(message) from error
    if result.format_version != RESULT_FORMAT:
        message = f"a result of format {result.format_version}, expected {RESULT_FORMAT}"
        raise ValueError(message)
    return result


class _Head(Model):
    """What results of every format have."""

    format_version: str
    project: str
    run: str
    destination: str


_HEAD: Final = msgspec.json.Decoder(_Head)


def is_result(content: bytes) -> bool:
    """Whether this is a result of a run, in whatever format."""
    try:
        _HEAD.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def continue_result(earlier: RunResult, later: RunResult) -> RunResult:
    """The result of a run that went on with what an earlier one had built: what that one knew is not lost."""
    before = {image.name: image for image in earlier.images}
    images = tuple(
        msgspec.structs.replace(
            image,
            digest=image.digest or before[image.name].digest,
            platforms=before[image.name].platforms,
            keeps=before[image.name].keeps,
        )
        if image.name in before
        else image
        for image in later.images
    )
    return msgspec.structs.replace(later, images=images)


def _kept(builds: Iterable[BuildResult], planned: Iterable[PlatformBuild]) -> tuple[str, ...]:
    """What has the volatile values of an earlier build: also what another run had built by the time it was needed."""
    pairs = zip(builds, planned, strict=True)
    return tuple(dict.fromkeys(name for build, plan in pairs if build.state == REUSED for name in plan.volatile))


def _build(
    build: PlatformBuild,
    ended: Mapping[str, StepFinished],
    solves: Mapping[str, str],
    otherwise: str,
    stands: Mapping[str, Digest | None],
) -> BuildResult:
    step = stepnames.record_id(build.image, build.platform)
    record = ended.get(step)
    solve = ended.get(solves.get(build.id, ""))
    digest = record.digest if record and record.state is StepState.DONE else stands.get(step)
    ran = solve is not None and solve.state not in {StepState.SKIPPED, StepState.FOUND}
    tested = _TESTED.get(test.state) if (test := ended.get(stepnames.test_of(build.id))) else None
    return BuildResult(
        id=build.id,
        platform=str(build.platform),
        state=tested or _state(build, record, solve, otherwise, stands=step in stands),
        seconds=round(solve.seconds, 3) if solve and ran else None,
        digest=digest,
        node=(solve.node if solve and ran else "") or (build.placement.node if build.placement else None),
        mode=build.placement.mode.value if build.placement else None,
    )


def _state(
    build: PlatformBuild, record: StepFinished | None, solve: StepFinished | None, otherwise: str, *, stands: bool
) -> str:
    if build.action is Action.BLOCKED:
        return "blocked"
    if record is not None and record.state is not StepState.SKIPPED:
        if record.state is StepState.DONE and solve is not None and solve.state is StepState.FOUND:
            return REUSED
        return "built" if record.state is StepState.DONE else record.state.value
    if build.action is Action.REUSE or (solve is None and stands):
        return REUSED
    if solve is None:
        return otherwise
    return solve.state.value if solve.state is not StepState.DONE else "built"


def _image(
    image: PlannedImage, builds: tuple[BuildResult, ...], seen: _Seen, home: str, *, is_whole: bool
) -> ImageResult:
    """What became of an image; only one that `is_whole` is assembled and verified by this run."""
    verified = seen.ended.get(stepnames.verify_id(image.name))
    done = image.digest is not None or (verified is not None and verified.state is StepState.DONE)
    digest = image.digest or (verified.digest if verified and done else None)
    tags = tuple(
        _tag(tag, seen, digest, stands=tag.stands(image.digest, image.version)) for tag in image.tags if tag.reference
    )
    released = done and bool(tags) and all(tag.put for tag in tags)
    unfinished = _unfinished(image.name, builds, seen.ended, is_whole=is_whole)
    return ImageResult(
        name=image.name,
        state="released" if released else "verified" if done else unfinished,
        digest=digest,
        home=home,
        platforms=builds,
        tags=tags,
    )


def _tag(tag: PlannedTag, seen: _Seen, digest: Digest | str | None, *, stands: bool) -> TagResult:
    """What became of a tag; where an earlier try of the same release had moved it, it is told from before that one."""
    ref = str(tag.reference)
    put, kept = seen.put.get(ref), seen.moves.get(ref)
    previous = put.previous if put else tag.current
    if kept is not None and (put or stands) and kept.after == digest:
        previous = kept.before
    return TagResult(
        ref=ref,
        moving=tag.moving,
        put=put is not None or stands,
        previous=previous,
        unsure=ref in seen.unsure,
    )


def _unfinished(
    name: str, builds: tuple[BuildResult, ...], ended: Mapping[str, StepFinished], *, is_whole: bool
) -> str:
    """The state of an image that was not verified: that of what kept it from it, the gravest first."""
    others = [build.state for build in builds if build.state not in _DONE]
    if not (others or is_whole):
        return PART
    last = [ended[step] for step in (stepnames.assemble_id(name), stepnames.verify_id(name)) if step in ended]
    states = [*others, *(event.state.value for event in last if event.state is not StepState.DONE)]
    return next((state for state in ("failed", TEST_FAILED) if state in states), next(iter(states), "not built"))


def moved_tags(result: RunResult) -> tuple[str, ...]:
    """The tags that stand because this release has put them: they pointed elsewhere before, or were not there."""
    return tuple(tag.ref for image in result.images for tag in image.tags if tag.put and tag.previous != image.digest)


def unsure_tags(result: RunResult) -> tuple[str, ...]:
    """The tags of which nobody knows whether they were put."""
    return tuple(tag.ref for image in result.images for tag in image.tags if tag.unsure)


def tell_more(result: RunResult, *, commands: Mapping[StepId, str], logs: Mapping[StepId, str]) -> RunResult:
    """The result whose failures say how to run each of them alone, and where all that it printed is."""
    failures = tuple(
        msgspec.structs.replace(failure, command=commands.get(failure.step), log=logs.get(failure.step))
        for failure in result.failures
    )
    return msgspec.structs.replace(result, failures=failures)


def _failures(plan: Plan, ended: Mapping[str, StepFinished], places: Mapping[str, FailedAt]) -> Iterable[StepFailure]:
    for step in plan.steps:
        event = ended.get(step.id)
        if event is not None and event.state is StepState.FAILED:
            first, *lines = event.message.split("\n")
            failure = StepFailure(step=step.id, image=step.image, message=first, lines=tuple(lines), hints=event.hints)
            at = places.get(step.id)
            if at is not None and isinstance(step, SolveStep):  # a test has a Dockerfile that nobody wrote
                place = locate(at, outline_dockerfile(step))
                failure = msgspec.structs.replace(failure, place=place, excerpt=at.excerpt)
            yield failure
