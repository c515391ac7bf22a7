"""Parts of a plan: what is left of it, and what one machine of several does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api.solve import PushOutput
from orchestrator.oci.digest import digest_bytes
from orchestrator.plan import stepnames
from orchestrator.plan.memory import RememberedPart
from orchestrator.plan.model import AssembleStep, Plan, RecordStep, SolveStep
from orchestrator.plan.part import builds_to_do, choose_builds, find_done, missing_inputs, part_of, remaining, split
from tests.unit.plan.samples import EMULATED, HEAD, compile_text, solves_of, step_of

PROJECT = (
    HEAD
    + EMULATED
    + '[images.base]\n[images.middle]\n[images.leaf]\n[images.tool]\nplatforms = ["linux/amd64"]\nneeds = ["base"]\n'
)
DOCKERFILES = {
    "base": "FROM scratch\nCOPY a /\n",
    "middle": "FROM base\n",
    "leaf": "FROM middle\nCOPY --from=base /a /b\n",
    "tool": "FROM scratch\nCOPY a /\n",
}
PLAN = compile_text(PROJECT, DOCKERFILES)
BUILDS = builds_to_do(PLAN)


def stands(*builds: str) -> dict[str, RememberedPart]:
    """These builds, as if they stood."""
    return {
        build: RememberedPart(
            record=digest_bytes(build.encode()), manifest=digest_bytes(b"m" + build.encode()), key=build
        )
        for build in builds
    }


def built(plan: Plan) -> list[str]:
    """The builds of the records of a plan."""
    return [f"{step.image}@{step.platform}" for step in plan.steps if isinstance(step, RecordStep)]


def test_all_builds_are_to_do_parents_first() -> None:
    """Of a plan of which nothing stands."""
    assert BUILDS.index("base@linux/arm64") < BUILDS.index("middle@linux/arm64") < BUILDS.index("leaf@linux/arm64")
    assert 7 == len(BUILDS)


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["leaf@linux/arm64"], {"leaf@linux/arm64"}),
        (["linux/arm64"], {"base@linux/arm64", "middle@linux/arm64", "leaf@linux/arm64"}),
        (["base"], {"base@linux/amd64", "base@linux/arm64"}),
        (["*e*@linux/amd64"], {"base@linux/amd64", "middle@linux/amd64", "leaf@linux/amd64"}),
        (["tool", "base@linux/amd64"], {"tool@linux/amd64", "base@linux/amd64"}),
    ],
)
def test_a_part_is_chosen_by_image_platform_or_both(patterns: list[str], expected: set[str]) -> None:
    """Wildcards are allowed in each."""
    assert expected == set(choose_builds(PLAN, patterns))


def test_a_pattern_that_means_nothing_is_an_error() -> None:
    """As a typo would do nothing, in silence."""
    with pytest.raises(ValueError, match="`linux/riscv64` is nothing that this plan builds"):
        choose_builds(PLAN, ["base", "linux/riscv64"])


def test_what_other_parts_build_is_missing() -> None:
    """Direct parents alone; what those stand on is theirs to miss."""
    assert ("base@linux/arm64", "middle@linux/arm64") == missing_inputs(PLAN, ["leaf@linux/arm64"], [])
    assert () == missing_inputs(PLAN, ["leaf@linux/arm64"], ["base@linux/arm64", "middle@linux/arm64"])


def test_an_order_without_data_is_kept_between_parts() -> None:
    """`needs` asks for the same platform where there is one."""
    assert ("base@linux/amd64",) == missing_inputs(PLAN, ["tool@linux/amd64"], [])


def test_a_part_records_and_does_not_publish() -> None:
    """Its solve is narrowed to its platform, under an id and a private name of its own."""
    part = part_of(PLAN, ["middle@linux/arm64"], stands("base@linux/arm64"))
    assert ["solve", "record", "assemble"] == [
        str(step.__struct_config__.tag)
        for step in sorted(part.steps, key=lambda step: ["solve", "record", "assemble"].index(step.id.split(":")[0]))
    ]
    solve = solves_of(part)["solve:middle@linux/arm64"]
    whole = solves_of(PLAN)["solve:middle"]
    assert ["linux/arm64"] == [str(platform) for platform in solve.solve.platforms]
    assert whole.solve.contexts == solve.solve.contexts
    assert isinstance(solve.solve.output, PushOutput)
    assert isinstance(whole.solve.output, PushOutput)
    assert whole.solve.output != solve.solve.output
    record = step_of(part, "record:middle@linux/arm64")
    assert (solve.id,) == record.needs


def test_a_part_gets_an_index_of_what_it_needs_of_a_parent() -> None:
    """Of its own platforms alone: the others may not be built yet."""
    part = part_of(PLAN, ["middle@linux/arm64"], stands("base@linux/arm64"))
    assemble = step_of(part, "assemble:base")
    assert isinstance(assemble, AssembleStep)
    assert ("record:base@linux/arm64",) == assemble.parts
    assert "record:base@linux/arm64" in {known.step for known in part.known}


def test_a_whole_image_in_a_part_keeps_its_solve() -> None:
    """Argv for argv what the plan says."""
    part = part_of(PLAN, ["base@linux/amd64", "base@linux/arm64"], {})
    assert solves_of(PLAN)["solve:base"] == solves_of(part)["solve:base"]


def test_nothing_is_left_to_solve_when_all_stands() -> None:
    """What is left assembles, verifies and tags."""
    rest = remaining(PLAN, stands(*BUILDS))
    assert [] == [step for step in rest.steps if isinstance(step, SolveStep | RecordStep)]
    assert {"assemble", "verify", "gate", "promote"} == {str(step.__struct_config__.tag) for step in rest.steps}


def test_a_plan_of_which_nothing_stands_is_left_as_it_is() -> None:
    """The same value."""
    assert remaining(PLAN, {}) == PLAN


@given(st.sets(st.sampled_from(BUILDS)))
def test_what_is_left_and_what_stands_are_the_whole(done: set[str]) -> None:
    """Each build is in exactly one of them, and every solve that a record names is there."""
    rest = remaining(PLAN, stands(*done))
    assert sorted(BUILDS) == sorted([*built(rest), *done])
    assert {step.solve for step in rest.steps if isinstance(step, RecordStep)} == set(solves_of(rest))


@given(st.sets(st.sampled_from(BUILDS), min_size=1))
def test_a_part_with_what_it_misses_knows_all_that_its_steps_need(wanted: set[str]) -> None:
    """No step of it waits for a result that nobody gives."""
    missing = missing_inputs(PLAN, wanted, [])
    part = part_of(PLAN, wanted, stands(*missing))
    given_ = {step.id for step in part.steps} | {known.step for known in part.known}
    assert sorted(wanted) == sorted(built(part))
    for step in part.steps:
        needed = step.parts if isinstance(step, AssembleStep) else step.needs
        assert set(needed) <= given_, step.id


def test_what_stands_is_done_only_over_parents_that_are() -> None:
    """A child that stands on a parent which is to be replaced is not what the plan makes."""
    everything = stands(*BUILDS)
    assert set(BUILDS) == set(find_done(PLAN, everything, anew={}, vouched={}))
    assert {"tool@linux/amd64"} == set(
        find_done(PLAN, stands("leaf@linux/arm64", "tool@linux/amd64"), anew={}, vouched={})
    )


def test_what_is_built_anew_is_done_when_another_record_stands() -> None:
    """Or where a result of this plan says so, for a build may give the same record again."""
    everything = stands(*BUILDS)
    base = "base@linux/amd64"
    same = {base: everything[base].record}
    assert base not in find_done(PLAN, everything, anew=same, vouched={})
    assert "leaf@linux/amd64" not in find_done(PLAN, everything, anew=same, vouched={})
    assert base in find_done(PLAN, everything, anew={base: digest_bytes(b"another")}, vouched={})
    assert base in find_done(PLAN, everything, anew={base: None}, vouched={})
    assert base in find_done(PLAN, everything, anew=same, vouched={base: everything[base].manifest})


def test_parts_are_platforms_on_nodes() -> None:
    """They cover the plan, each build once; a part names what it waits for."""
    parts = split(PLAN)
    assert sorted(BUILDS) == sorted(build for part in parts for build in part.builds)
    assert {"linux/amd64 on default", "linux/arm64 on default"} == {part.name for part in parts}
    assert [(), ()] == [part.waits_for for part in parts]


def test_ids_of_narrowed_solves_are_those_of_the_plan_for_several_solves() -> None:
    """One way to name them."""
    part = part_of(PLAN, ["base@linux/amd64"], {})
    platform = next(build.platform for build in PLAN.builds if build.id == "base@linux/amd64")
    assert [stepnames.solve_id("base", (platform,), whole=False)] == list(solves_of(part))
