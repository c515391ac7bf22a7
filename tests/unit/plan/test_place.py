from __future__ import annotations

import pytest

from orchestrator.api.backend import Mode, Node
from orchestrator.diagnostics import KeyPlace, Severity
from orchestrator.plan.model import Action, PlannedPlacement
from orchestrator.plugins import configure, find_backends
from tests.unit.plan.samples import AMD64, ARM7, ARM64, HEAD, Asked, build_of, codes, compile_text

FOREIGN = HEAD + "[images.x]\n"
NATIVE = configure(
    find_backends().spec("native"),
    {
        "nodes": [
            {"name": "amd", "platforms": ["linux/amd64"], "emulates": ["linux/arm/v7"]},
            {"name": "arm", "platforms": ["linux/arm64"]},
        ]
    },
)


def rule(**platforms: str) -> str:
    """A project with rules of emulation; `all` stands for `*`, `arm64` for its platform."""
    names = {"all": "*", "arm64": "linux/arm64", "amd64": "linux/amd64"}
    return FOREIGN + "".join(f'[platforms."{names[key]}"]\nemulation = "{value}"\n' for key, value in platforms.items())


def test_what_the_node_runs_is_native_and_the_rest_is_emulated() -> None:
    """On one builder; choosing `qemu` by name is writing emulation down."""
    plan = compile_text(FOREIGN)
    assert (
        PlannedPlacement(backend="qemu", node="default", mode=Mode.NATIVE) == build_of(plan, "x@linux/amd64").placement
    )
    assert Mode.EMULATED == getattr(build_of(plan, "x@linux/arm64").placement, "mode", None)
    assert () == plan.diagnostics


def test_emulation_is_forbidden_unless_somebody_wrote_it_down() -> None:
    """`auto` found the backend by itself, and nobody chose to emulate."""
    plan = compile_text(FOREIGN, asked=Asked(by_name=False))
    (finding,) = plan.diagnostics
    assert ("emulation-forbidden", "x@linux/arm64") == (finding.code, finding.subject)
    assert KeyPlace(file="builds.toml", keys=("defaults", "platforms")) == finding.place
    assert Action.BLOCKED == build_of(plan, "x@linux/arm64").action
    assert ["blocked"] == [reason.code for reason in build_of(plan, "x@linux/arm64").reasons]


@pytest.mark.parametrize(
    ("text", "by_name", "expected"),
    [
        (rule(all="allow"), False, []),
        (rule(arm64="allow"), False, []),
        (rule(arm64="warn"), False, ["emulated"]),
        (rule(arm64="forbid"), True, ["emulation-forbidden"]),
        (rule(all="forbid"), True, ["emulation-forbidden"]),
        (rule(all="forbid", arm64="allow"), True, []),
        (rule(all="allow", arm64="forbid"), True, ["emulation-forbidden"]),
        (rule(amd64="forbid"), True, []),
    ],
)
def test_the_nearest_rule_counts(text: str, expected: list[str], *, by_name: bool) -> None:
    """That of the platform, then that for all, then what the choice of the backend says."""
    assert expected == codes(compile_text(text, asked=Asked(by_name=by_name)).diagnostics)


def test_a_warning_blocks_nothing() -> None:
    """It says what it costs, and how to take it without a word."""
    plan = compile_text(rule(all="warn"))
    assert (Severity.WARNING, False) == (plan.diagnostics[0].severity, plan.blocked)


def test_an_image_may_choose_the_backend_itself() -> None:
    """Which writes emulation down for it alone."""
    text = FOREIGN + '[images.y]\nbackend = "qemu"\n'
    found = compile_text(text, asked=Asked(by_name=False)).diagnostics
    assert ["x@linux/arm64"] == [finding.subject for finding in found]


def test_a_backend_that_is_not_there_blocks_its_image() -> None:
    """It is told at the image's line, with those that are there."""
    plan = compile_text(FOREIGN + 'backend = "buildah"\n')
    (finding,) = plan.diagnostics
    assert ("unknown-backend", "backend `buildah` is not there") == (finding.code, finding.message)
    assert KeyPlace(file="builds.toml", keys=("images", "x", "backend")) == finding.place
    assert [Action.BLOCKED, Action.BLOCKED] == [build.action for build in plan.builds]
    assert () == plan.backends


def test_without_an_emulator_nothing_is_built() -> None:
    """Found before anything runs, with the command that installs it."""
    node = Node(name="default", platforms=(AMD64,), builder="default")
    (finding,) = compile_text(FOREIGN, asked=Asked(nodes=(node,))).diagnostics
    assert "no-emulator" == finding.code
    assert any("--install arm64" in hint for hint in finding.hints)


def test_an_unfit_node_takes_nothing() -> None:
    """It says why, and what to do about it."""
    node = Node(name="default", platforms=(AMD64,), problem="it is too old", hints=("renew it",))
    found = compile_text(FOREIGN, asked=Asked(nodes=(node,))).diagnostics
    assert ["node-unfit", "node-unfit"] == codes(found)
    assert ("renew it",) == found[0].hints


def test_a_node_that_nobody_asked_is_a_guess() -> None:
    """This machine's own platform is native then, the rest may be emulated."""
    node = Node(name="default", platforms=(), provisional=True)
    plan = compile_text(FOREIGN, asked=Asked(nodes=(node,), host=ARM64))
    assert [("x@linux/amd64", Mode.EMULATED, True), ("x@linux/arm64", Mode.NATIVE, True)] == [
        (build.id, build.placement.mode, build.placement.provisional) for build in plan.builds if build.placement
    ]


def native(text: str) -> Asked:
    """Asked of the native backend."""
    del text
    return Asked(backend=NATIVE, nodes=NATIVE.backend.nodes({}))


def test_native_nodes_build_their_own_platforms() -> None:
    """So that platforms on different nodes are different solves."""
    plan = compile_text(FOREIGN, asked=native(FOREIGN))
    assert ["amd", "arm"] == [build.placement.node for build in plan.builds if build.placement]
    assert ["its platforms are built on different nodes"] * 2 == [
        getattr(step, "because", "") for step in plan.steps if step.id.startswith("solve:")
    ]


@pytest.mark.parametrize(
    ("platform", "rules", "expected"),
    [
        ("linux/s390x", "", ["no-node"]),
        ("linux/arm/v7", "", ["emulation-forbidden"]),
        ("linux/arm/v7", '[platforms."*"]\nemulation = "allow"\n', []),
    ],
)
def test_a_native_backend_emulates_only_where_that_is_written(platform: str, rules: str, expected: list[str]) -> None:
    """Choosing it by name says nothing about emulation."""
    text = HEAD + f'[images.x]\nplatforms = ["{platform}"]\n{rules}'
    plan = compile_text(text, asked=native(text))
    assert expected == codes(plan.diagnostics)
    modes = [build.placement.mode for build in plan.builds if build.placement]
    assert modes == ([] if expected else [Mode.EMULATED])
    assert str(ARM7) == "linux/arm/v7"
