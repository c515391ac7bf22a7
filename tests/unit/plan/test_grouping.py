from __future__ import annotations

from graphlib import TopologicalSorter

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.api.backend import Link, Mode
from orchestrator.api.invocation import DigestOf, StepId, Word
from orchestrator.api.solve import BuildOptions, NamedContext, NetworkMode, NoOutput, PushOutput, Solve, SourcePin
from orchestrator.diagnostics import Span
from orchestrator.model import Model
from orchestrator.oci.digest import digest_bytes
from orchestrator.oci.platform import Platform
from orchestrator.oci.reference import Repository
from orchestrator.plan import model
from orchestrator.plan.graph import Edge, EdgeKind
from orchestrator.plan.grouping import Group, group_steps
from orchestrator.plan.model import (
    Action,
    AssembleStep,
    Destination,
    Plan,
    PlannedImage,
    PlannedPlacement,
    PlatformBuild,
    RecordKey,
    RecordStep,
    RegistryHome,
    SolveStep,
    Step,
)
from tests.unit.plan.samples import AMD64, ARM64

HOME = RegistryHome(repository=Repository(registry="r.example", path="x"))
KEY = RecordKey(scope="main", inputs=digest_bytes(b""), manifest="", listings=(), parents=())
BOTH = (AMD64, ARM64)


class Sample(Model):
    """An image to be planned: `linked` parents are built upon, `after` only come before, `data` is of one platform."""

    name: str
    linked: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    pinned: tuple[str, ...] = ()
    split: bool = False
    tested: bool = False
    platforms: tuple[Platform, ...] = BOTH
    backend: str = "bake"
    timeout: float | None = None
    options: BuildOptions = BuildOptions(context=".", dockerfile="Dockerfile")
    mode: Mode = Mode.EMULATED
    asked: Platform | None = None


def _word(step: str, *, manifest: bool = False) -> Word:
    return ("docker-image://r.example/x@", DigestOf(step=step, label=step, part="manifest" if manifest else "index"))


def _solve(sample: Sample, platforms: tuple[Platform, ...]) -> SolveStep:
    whole = platforms == sample.platforms
    step = f"solve:{sample.name}" if whole else f"solve:{sample.name}@{platforms[0]}"
    contexts = [NamedContext(name=name, value=_word(f"assemble:{name}")) for name in sample.linked]
    contexts += [
        NamedContext(name=f"d-{name}", value=_word(f"record:{name}@linux/amd64", manifest=True)) for name in sample.data
    ]
    needs = [f"assemble:{name}" for name in (*sample.linked, *sample.after, *sample.pinned)]
    needs += [f"record:{name}@linux/amd64" for name in sample.data]
    return SolveStep(
        id=step, image=sample.name, needs=tuple(dict.fromkeys(needs)), backend=sample.backend, node="here", home=HOME,
        solve=Solve(
            id=step, image=sample.name, platforms=platforms, options=sample.options, contexts=tuple(contexts),
            output=PushOutput(reference=HOME.repository.tag("run-1")), timeout=sample.timeout,
            pins=tuple(SourcePin(source=name, value=_word(f"assemble:{name}")) for name in sample.pinned),
        ),
    )  # fmt: skip


def _steps(sample: Sample) -> list[Step]:
    groups = [(platform,) for platform in sample.platforms] if sample.split else [sample.platforms]
    solves = [_solve(sample, platforms) for platforms in groups]
    records = [
        RecordStep(
            id=f"record:{sample.name}@{platform}", image=sample.name, needs=(solve.id,), solve=solve.id,
            platform=platform, home=HOME, key=KEY,
        )
        for solve in solves
        for platform in solve.solve.platforms
    ]  # fmt: skip
    tests = [
        model.TestStep(
            id=f"test:{sample.name}@{record.platform}", image=sample.name, needs=(record.id,), record=record.id,
            platform=record.platform, backend=sample.backend, node="here", mode=sample.mode, home=HOME, scope="main",
            command=("x",),
            solve=Solve(
                id=f"test:{sample.name}@{record.platform}", image=sample.name, platforms=(record.platform,),
                options=sample.options, output=NoOutput(),
            ),
        )
        for record in records
        if sample.tested
    ]  # fmt: skip
    ids = tuple(record.id for record in records)
    assemble = AssembleStep(id=f"assemble:{sample.name}", image=sample.name, needs=ids, parts=ids, home=HOME)
    return [*solves, *records, *tests, assemble]


def plan_of(*samples: Sample) -> Plan:
    """A plan of these images, parents first."""
    place = Span(file="builds.toml", line=1)
    return Plan(
        project="p", destination=Destination.PUSH, run="1", diagnostics=(),
        images=tuple(
            PlannedImage(
                name=each.name, wave=1, action=Action.BUILD, platforms=each.platforms, publish=True,
                edges=tuple(
                    Edge(
                        parent=parent, child=each.name, kind=EdgeKind.FROM, place=place, platforms=each.platforms,
                        name=parent, asked=each.asked,
                    )
                    for parent in each.linked
                ),
            )
            for each in samples
        ),
        builds=tuple(
            PlatformBuild(
                id=f"{each.name}@{platform}", image=each.name, platform=platform, wave=1, needs=(),
                action=Action.BUILD, reasons=(),
                placement=PlannedPlacement(backend=each.backend, node="here", mode=each.mode),
            )
            for each in samples
            for platform in each.platforms
        ),
        steps=tuple(step for each in samples for step in _steps(each)),
    )  # fmt: skip


def groups_of(*samples: Sample, limit: int = 40) -> list[tuple[str, ...]]:
    """The members of the groups, as they are called without their kind."""
    return [
        tuple(step.removeprefix("solve:") for step in group.steps)
        for group in group_steps(plan_of(*samples), {"bake": limit, "qemu": 1})
    ]


def links_of(*samples: Sample) -> list[Link]:
    """The links of all groups."""
    return [link for group in group_steps(plan_of(*samples), {"bake": 40}) for link in group.links]


@st.composite
def plans(draw: st.DrawFn) -> tuple[Plan, int]:
    """A random graph of images, with everything that may keep two of them apart, and how many go together."""
    samples: list[Sample] = []
    for number in range(draw(st.integers(min_value=1, max_value=14))):
        above = st.lists(st.sampled_from([each.name for each in samples]), max_size=2, unique=True)
        parents = above if samples else st.just([])
        samples.append(
            Sample(
                name=f"i{number}",
                linked=tuple(draw(parents)),
                after=tuple(draw(parents)),
                data=tuple(draw(parents)) if draw(st.booleans()) else (),
                pinned=tuple(draw(parents)) if draw(st.integers(0, 5)) == 0 else (),
                split=draw(st.integers(0, 4)) == 0,
                tested=draw(st.booleans()),
                backend=draw(st.sampled_from(["bake", "bake", "bake", "qemu"])),
                timeout=draw(st.sampled_from([None, None, None, 60.0])),
            )
        )
    return plan_of(*samples), draw(st.integers(min_value=2, max_value=5))


def contracted(plan: Plan, groups: tuple[Group, ...]) -> dict[StepId | int, set[StepId | int]]:
    """The steps of a plan with each group as one, without what stands between linked members of one group."""
    group_of = {step: number for number, group in enumerate(groups) for step in group.steps}
    inside = {(link.step, link.parent) for group in groups for link in group.links}
    made_by = {
        step.id: {record.solve for record in plan.steps if isinstance(record, RecordStep) and record.id in step.parts}
        for step in plan.steps
        if isinstance(step, AssembleStep)
    }
    graph: dict[StepId | int, set[StepId | int]] = {}
    for step in plan.steps:
        before = graph.setdefault(group_of.get(step.id, step.id), set())
        for need in step.needs:
            if not any((step.id, solve) in inside for solve in made_by.get(need, ())):
                before.add(group_of.get(need, need))
    return graph


@settings(max_examples=300)
@given(plans())
def test_the_graph_of_groups_has_no_cycle(given_: tuple[Plan, int]) -> None:
    """With all steps between the groups."""
    plan, limit = given_
    groups = group_steps(plan, {"bake": limit, "qemu": 1})
    # raises where there is one
    assert tuple(TopologicalSorter(contracted(plan, groups)).static_order())


@settings(max_examples=200)
@given(plans())
def test_every_step_is_in_one_group_that_is_not_too_large(given_: tuple[Plan, int]) -> None:
    """All of one backend and node, tests apart from solves, parents before what is linked to them."""
    plan, limit = given_
    groups = group_steps(plan, {"bake": limit, "qemu": 1})
    steps = {step.id: step for step in plan.steps if isinstance(step, SolveStep | model.TestStep)}
    assert sorted(step for group in groups for step in group.steps) == sorted(
        step.id for step in steps.values() if step.backend == "bake"
    )
    for group in groups:
        members = [steps[step] for step in group.steps]
        assert 1 <= len(members) <= limit
        assert 1 == len({type(member) for member in members})
        assert 1 == len(members) or not any(each.solve.pins or each.solve.timeout for each in members)
        for link in group.links:
            assert group.steps.index(link.parent) < group.steps.index(link.step)
        assert not set(group.needs) & set(group.steps)


def test_without_barriers_there_are_as_few_groups_as_there_can_be() -> None:
    """Forty-five images are two, in a row, beside each other, or below one."""
    alone = [Sample(name=f"i{number}") for number in range(45)]
    row = [Sample(name=f"i{number}", linked=(f"i{number - 1}",) if number else ()) for number in range(45)]
    family = [Sample(name=f"i{number}", linked=("i0",) if number else ()) for number in range(45)]
    for samples in (alone, row, family):
        assert [40, 5] == [len(group) for group in groups_of(*samples)]


def test_a_parent_in_the_same_group_is_linked() -> None:
    """By the name under which the child takes it."""
    assert [Link(step="solve:b", context="a", parent="solve:a")] == links_of(
        Sample(name="a"), Sample(name="b", linked=("a",))
    )


def test_what_a_link_cannot_say_is_another_group() -> None:
    """An order without data, one platform's data, a source policy, a parent of two solves."""
    base = Sample(name="a")
    assert [("a",), ("b",)] == groups_of(base, Sample(name="b", after=("a",)))
    assert [("a",), ("b",)] == groups_of(base, Sample(name="b", data=("a",)))
    assert [("a",), ("b",)] == groups_of(base, Sample(name="b", pinned=("a",)))
    assert [("a@linux/amd64", "a@linux/arm64"), ("b",)] == groups_of(
        Sample(name="a", split=True), Sample(name="b", linked=("a",))
    )


def test_other_platforms_than_the_parent_has_are_another_group() -> None:
    """Also where only the Dockerfile asks for them."""
    arm = Sample(name="a", platforms=(ARM64,), mode=Mode.NATIVE)
    assert [("a",), ("b",)] == groups_of(arm, Sample(name="b", linked=("a",)))
    assert [("a",), ("b",)] == groups_of(arm, Sample(name="b", linked=("a",), platforms=(ARM64,), asked=AMD64))
    assert [("a", "b")] == groups_of(arm, Sample(name="b", linked=("a",), platforms=(ARM64,)))
    assert [("a", "b")] == groups_of(Sample(name="a"), Sample(name="b", linked=("a",), platforms=(ARM64,)))


def test_a_parent_of_one_emulated_platform_is_not_linked() -> None:
    """A Dockerfile that asks for the build platform would get the other one, in silence."""
    arm = Sample(name="a", platforms=(ARM64,), mode=Mode.EMULATED)
    assert [("a",), ("b",)] == groups_of(arm, Sample(name="b", linked=("a",), platforms=(ARM64,)))


def test_a_child_may_not_do_what_only_its_parent_may() -> None:
    """Bake hands entitlements on to children."""
    free = BuildOptions(context=".", dockerfile="Dockerfile", network=NetworkMode.HOST)
    insecure = BuildOptions(context=".", dockerfile="Dockerfile", entitlements=("security.insecure",))
    for options in (free, insecure):
        parent = Sample(name="a", options=options)
        assert [("a",), ("b",)] == groups_of(parent, Sample(name="b", linked=("a",)))
        assert [("a", "b")] == groups_of(parent, Sample(name="b", linked=("a",), options=options))


def test_a_time_limit_is_for_one_alone() -> None:
    """A run has one, and an image its own."""
    assert [("a",), ("b", "c")] == groups_of(Sample(name="a", timeout=9.0), Sample(name="b"), Sample(name="c"))


def test_tests_are_groups_of_their_own() -> None:
    """With those of what was built together."""
    samples = [
        Sample(name="a", tested=True),
        Sample(name="b", tested=True),
        Sample(name="c", after=("a",), tested=True),
    ]
    assert [
        ("a", "b"), ("c",), ("test:a@linux/amd64", "test:a@linux/arm64", "test:b@linux/amd64", "test:b@linux/arm64"),
        ("test:c@linux/amd64", "test:c@linux/arm64"),
    ] == groups_of(*samples)  # fmt: skip


def test_members_wait_for_what_others_of_their_group_need() -> None:
    """From outside of it."""
    samples = (Sample(name="q", backend="qemu"), Sample(name="a", linked=("q",)), Sample(name="b", linked=("a", "q")))
    (group,) = group_steps(plan_of(*samples), {"bake": 40, "qemu": 1})
    assert (("solve:a", "solve:b"), ("assemble:q",)) == (group.steps, group.needs)


def test_backends_that_take_one_have_no_groups() -> None:
    """Their steps are what they were."""
    assert () == group_steps(plan_of(Sample(name="a", backend="qemu")), {"qemu": 1})
