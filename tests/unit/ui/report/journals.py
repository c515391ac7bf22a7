"""Runs that never happened, as the events that they would have given: large ones, and hostile ones."""

from __future__ import annotations

import hashlib
import heapq
import random
from collections.abc import Iterator, Mapping

from orchestrator.api.events import (
    BuildWarning,
    Event,
    NodeLost,
    Retried,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
    StepState,
    TagPut,
    VertexProgress,
)
from orchestrator.api.outline import BuildOutline, ImageOutline, StepOutline
from orchestrator.ui.report.logs import LogTail

BEGAN = 1_700_000_000.0
PLATFORMS = ("linux/amd64", "linux/arm64")
NODES = ("amd-1", "amd-2", "arm-1", "arm-2")
SLOTS = 4
_LINES = 400
_LOST = 0.02


def digest(text: str) -> str:
    """A digest that is nobody's."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def outline_run(number: int, seed: int = 1) -> RunStarted:
    """A plan of so many images on two platforms, some of which stand: layers of families, as repositories have them."""
    dice = random.Random(seed)  # noqa: S311 (the same run each time, no secret)
    names = [f"{('base', 'lang', 'lib', 'app', 'job')[min(n * 5 // number, 4)]}-{n:03d}" for n in range(number)]
    images, steps = [], list[StepOutline]()
    for place, name in enumerate(names):
        reach = names[max(0, place - number // 3) : place]
        needs = tuple(sorted(dice.sample(reach, min(len(reach), dice.choice((0, 1, 1, 2)) if place > 6 else 0))))
        is_reused = dice.random() < 0.25
        images.append(
            ImageOutline(
                name=name,
                action="reuse" if is_reused else "build",
                needs=needs,
                builds=tuple(
                    BuildOutline(
                        platform=platform,
                        action="reuse" if is_reused else "build",
                        reasons=() if is_reused else ("files changed: `src/main.c`, `Makefile`",),
                        mode="native",
                        inputs=digest(f"in {name}{platform}"),
                        digest=digest(f"{name}{platform}") if is_reused else None,
                    )
                    for platform in PLATFORMS
                ),
                tags=(f"registry.example.org/acme/{name}:1.4.2", f"registry.example.org/acme/{name}:latest"),
                standing=(f"registry.example.org/acme/{name}:1.4.2",) if is_reused else (),
                version="1.4.2",
                digest=digest(name) if is_reused else None,
            )
        )
        if not is_reused:
            steps += _steps(images[-1], {image.name: image for image in images})
    verified = tuple(step.id for step in steps if step.kind == "verify")
    steps.append(StepOutline(id="gate:release", kind="gate", image="", needs=verified))
    steps += [
        StepOutline(id=f"promote:{image.name}", kind="promote", image=image.name, needs=("gate:release",))
        for image in images
        if image.action == "build"
    ]
    return RunStarted(
        run="7c1f09a2", time=BEGAN, project="acme", destination="push", steps=tuple(steps), images=tuple(images)
    )


def _steps(image: ImageOutline, images: Mapping[str, ImageOutline]) -> Iterator[StepOutline]:
    for platform in PLATFORMS:
        nodes = tuple(node for node in NODES if node[:3] == platform[6:9])
        needs = tuple(f"record:{need}@{platform}" for need in image.needs if images[need].action == "build")
        solve, record = f"solve:{image.name}@{platform}", f"record:{image.name}@{platform}"
        yield StepOutline(
            id=solve, kind="solve", image=image.name, needs=needs, platforms=(platform,), nodes=nodes, seconds=30.0
        )
        yield StepOutline(id=record, kind="record", image=image.name, needs=(solve,), platforms=(platform,))
    records = tuple(f"record:{image.name}@{platform}" for platform in PLATFORMS)
    yield StepOutline(id=f"assemble:{image.name}", kind="assemble", image=image.name, needs=records)
    yield StepOutline(id=f"verify:{image.name}", kind="verify", image=image.name, needs=(f"assemble:{image.name}",))


def run_events(number: int, seed: int = 1, failing: int = 3) -> Iterator[Event]:
    """Such a run: what is ready runs where a slot is free, some solves fail, and what needs them is skipped."""
    begun = outline_run(number, seed)
    yield begun
    dice = random.Random(seed)  # noqa: S311 (the same run each time, no secret)
    solves = [step.id for step in begun.steps if step.kind == "solve"]
    wrong = frozenset(dice.sample(solves[len(solves) // 4 :], min(failing, len(solves) // 4)))
    yield from _simulate(begun, wrong, dice)


def _simulate(begun: RunStarted, wrong: frozenset[str], dice: random.Random) -> Iterator[Event]:
    ended: dict[str, StepState] = {}
    slots = [(BEGAN, node, slot) for node in NODES for slot in range(SLOTS)]
    finish: dict[str, float] = {}
    later: list[tuple[float, int, Event]] = []
    heapq.heapify(slots)
    for number, step in enumerate(begun.steps):
        ready = max((finish.get(need, BEGAN) for need in step.needs), default=BEGAN)
        if any(ended[need] in {StepState.FAILED, StepState.SKIPPED} for need in step.needs if need in ended):
            ended[step.id], finish[step.id] = StepState.SKIPPED, ready
            why = f"needs {step.needs[0].partition(':')[2]}"
            later.append(
                (ready, number, StepFinished(step=step.id, state=StepState.SKIPPED, time=ready, seconds=0, message=why))
            )
            continue
        start, seconds, node = ready, dice.uniform(0.05, 0.4), ""
        if step.kind == "solve":
            free, node, slot = next(one for one in sorted(slots) if one[1] in step.nodes)
            slots.remove((free, node, slot))
            start, seconds = max(ready, free), dice.lognormvariate(3, 0.8)
            slots.append((start + seconds, node, slot))
        state = StepState.FAILED if step.id in wrong else StepState.DONE
        ended[step.id], finish[step.id] = state, start + seconds
        later += [(time, number, event) for time, event in _step_events(step, state, start, seconds, node, dice)]
    for _, _, event in sorted(later, key=lambda one: one[:2]):
        yield event
    failed = StepState.FAILED in ended.values()
    yield RunFinished(run=begun.run, exit_code=4 if failed else 0, time=max(finish.values()) + 0.1)


def _step_events(
    step: StepOutline, state: StepState, start: float, seconds: float, node: str, dice: random.Random
) -> Iterator[tuple[float, Event]]:
    end = start + seconds
    if step.kind == "solve" and dice.random() < _LOST:
        elsewhere, gone = next(other for other in step.nodes if other != node), start + seconds / 4
        yield start, StepStarted(step=step.id, time=start, node=elsewhere)
        yield gone, Retried(step=step.id, attempt=1, message="no answer for 20 s", time=gone, node=elsewhere)
        start = gone
    yield start, StepStarted(step=step.id, time=start, node=node)
    if step.kind == "solve":
        for number in range(1, 5):
            cached = dice.random() < 0.4
            name = f"[{step.platforms[0]} {number}/4] RUN make part-{number}"
            yield end, VertexProgress(step=step.id, vertex=str(number), name=name, state="cached" if cached else "done")
        yield end, VertexProgress(step=step.id, vertex="i", name="[internal] load build definition", state="done")
    if step.kind == "promote":
        for tag in ("1.4.2", "latest"):
            reference = f"registry.example.org/acme/{step.image}:{tag}"
            yield end, TagPut(step=step.id, reference=reference, digest=digest(step.image), previous=None, time=end)
    message, hints = "", tuple[str, ...]()
    if state is StepState.FAILED:
        message = "the build failed: `RUN make part-4` ended with 2\n" + "\n".join(
            f"cc: error: part-{number}.c: No such file or directory" for number in range(6)
        )
        hints = (f"run it alone with `orchestrate build {step.image} --platform {step.platforms[0]}`",)
    given = digest(step.id) if state is StepState.DONE and step.kind in {"record", "verify"} else None
    yield (
        end,
        StepFinished(
            step=step.id, state=state, time=end, seconds=seconds, node=node, digest=given, message=message, hints=hints
        ),
    )


def made_log(step: str, most: int) -> LogTail | None:
    """A log of a step that builds: numbered lines."""
    if not step.startswith("solve:"):
        return None
    lines = "".join(f"#{number} {step}: compiling part {number * 7 % 31} of the program\n" for number in range(_LINES))
    content = lines.encode()
    return LogTail(path=f".orchestrate/logs/{step}.log", size=len(content), content=content[-most:])


HOSTILE = (
    "</script><script>window.harmed = 1</script>",
    "<img src=x onerror='window.harmed = 2'>",
    "<!-- <script> --!> ]]> <![CDATA[",
    "javascript:window.harmed=3",
    "\x1b[31mred\x1b[0m\x1b]8;;http://harm.example/\x07link\x1b]8;;\x07",
    "\u202egnp.exe\u2066\u200f",
    "\u2028window.harmed = 4\u2029",
    "%{data}%{script}&lt;script&gt;&#60;",
    "__proto__",
    "constructor",
    "${alert(1)}`'\"\\",
)
"""Texts that have been used against pages."""


def hostile_events() -> Iterator[Event]:
    """A run in which every text that came from outside is one of these."""
    images = tuple(
        ImageOutline(
            name=text,
            action=text,
            needs=(HOSTILE[number - 1], text, "nobody") if number else (),
            builds=(BuildOutline(platform=text, action="build", reasons=(text,), mode=text, inputs=text, digest=text),),
            tags=(text,),
            standing=(text,),
            version=text,
            digest=text,
        )
        for number, text in enumerate(HOSTILE)
    )
    steps = tuple(
        StepOutline(
            id=f"solve:{text}",
            kind="solve",
            image=text,
            needs=(f"solve:{text}", text),
            platforms=(text,),
            nodes=(text,),
        )
        for text in HOSTILE
    )
    first = HOSTILE[0]
    yield RunStarted(run=first, time=BEGAN, project=first, destination=first, steps=steps, images=images)
    for number, text in enumerate(HOSTILE):
        step, now = f"solve:{text}", BEGAN + number
        yield StepStarted(step=step, time=now, node=text)
        yield Retried(step=step, attempt=1, message=text, time=now, wait=0.5, node=text)
        yield NodeLost(node=text, message=text, time=now)
        yield BuildWarning(step=step, message=text)
        yield VertexProgress(step=step, vertex=text, name=f"[1/1] {text}", state="cached", message=text)
        yield TagPut(step=step, reference=text, digest=text, previous=text, time=now)
        yield StepFinished(
            step=step, state=StepState.FAILED, time=now + 1, seconds=1, node=text, digest=text,
            message="\n".join((text, *HOSTILE)), hints=(text,),
        )  # fmt: skip
    yield RunFinished(run=first, exit_code=99, time=BEGAN + 60)


def hostile_log(step: str, most: int) -> LogTail | None:
    """A log that is all of these, and of a folder that is one of them."""
    content = "\n".join(HOSTILE).encode()[-most:] + b"\n\xff\xfe\x00 not unicode\n"
    return LogTail(path=f"{HOSTILE[0]}/{step}", size=10**15, content=content)
