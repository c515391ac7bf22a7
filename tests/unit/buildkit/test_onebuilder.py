from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.api.backend import Emulation, LowerRequest, Mode, Node, Placement, PlaceRequest, Refusal
from orchestrator.api.invocation import Invocation, Outcome
from orchestrator.api.solve import Output
from orchestrator.buildkit.onebuilder import OneBuilder
from orchestrator.buildkit.placement import place_on
from orchestrator.buildkit.progress import RawJsonReader
from orchestrator.buildkit.untrusted import at, clean, clean_lines, items_at, text_at
from orchestrator.oci.platform import Platform
from orchestrator.plugins import find_backends
from tests.unit.buildkit.solves import AMD64, ARM64, LAYOUT, PUSH, solve

DATA = Path(__file__).with_name("data")
BUILDER = OneBuilder("default", slots=3)


def answer(name: str) -> Outcome:
    """What was recorded."""
    return Outcome(exit_code=0, stdout=(DATA / name).read_text())


ANSWERS = {"inspect": answer("inspect-default.txt"), "version": answer("version.json"), "info": answer("info.json")}


def test_the_questions_change_nothing() -> None:
    """To the builder and its engine, each with a time limit."""
    assert [
        ("docker", "buildx", "inspect", "default"),
        ("docker", "version", "--format=json"),
        ("docker", "info", "--format=json"),
    ] == [probe.argv for probe in BUILDER.probes()]
    assert all(probe.timeout for probe in BUILDER.probes())


def test_the_answers_make_a_node() -> None:
    """What its CPU runs, what its emulators run, and how many builds at a time."""
    (node,) = BUILDER.nodes(ANSWERS)
    assert ("default", 3, False, "") == (node.name, node.slots, node.provisional, node.problem)
    assert AMD64 in node.platforms
    assert (ARM64,) == node.emulates


@pytest.mark.parametrize(
    ("answers", "summary"),
    [
        ({}, "not asked"),
        ({"inspect": Outcome(exit_code=1, stderr="warn\nERROR: no builder found\n\n")}, "no builder found"),
        ({"inspect": Outcome(exit_code=1)}, "did not answer"),
        ({"inspect": Outcome(exit_code=0, stdout="{}")}, "did not answer"),
        ({"inspect": Outcome(exit_code=1, stderr="ERROR: \x1b[2Jgone\n")}, "[2Jgone"),
        (
            {"inspect": Outcome(exit_code=1, stderr="docker: unknown command: docker buildx")},
            "docker has no plugin buildx",
        ),
    ],
)
def test_a_builder_that_does_not_answer_is_provisional(answers: dict[str, Outcome], summary: str) -> None:
    """And says why."""
    (node,) = BUILDER.nodes(answers)
    assert ((), True, summary) == (node.platforms, node.provisional, node.summary)


def test_a_builder_that_is_not_running_is_provisional() -> None:
    """Nobody knows yet what it builds; starting it tells."""
    text = "Name: x\nDriver: docker-container\n\nNodes:\nName: n\nEndpoint: e\nStatus: stopped\n"
    (node,) = BUILDER.nodes({"inspect": Outcome(exit_code=0, stdout=text)})
    assert (True, "not running") == (node.provisional, node.summary)
    assert ("start it: `orchestrate builders inspect x --bootstrap`",) == node.hints


@pytest.mark.parametrize("version", [Outcome(exit_code=1), Outcome(exit_code=0, stdout="no JSON")])
def test_an_engine_that_does_not_answer_is_believed_to_fit(version: Outcome) -> None:
    """The builder itself answered."""
    (node,) = BUILDER.nodes({**ANSWERS, "version": version})
    assert ("", False) == (node.problem, node.provisional)


def test_an_engine_that_builds_one_platform_at_a_time_is_unfit() -> None:
    """The `docker` driver without containerd's image store; the hints make another builder."""
    info = Outcome(exit_code=0, stdout='{"Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]]}')
    (node,) = BUILDER.nodes({**ANSWERS, "info": info})
    assert "containerd image store" in node.problem
    assert any("docker buildx create" in hint for hint in node.hints)


def test_there_is_nothing_to_set_up() -> None:
    """The builder is there, or the plan is blocked."""
    assert () == BUILDER.setup(BUILDER.nodes(ANSWERS))


def test_its_reader_reads_for_the_step_of_the_child() -> None:
    """So that events say where they come from."""
    reader = BUILDER.reader(Invocation(argv=("x",), steps=("solve:y",)))
    assert isinstance(reader, RawJsonReader)
    (event,) = reader.feed("stderr", '{"vertexes": [{"digest": "d", "name": "n", "started": "t"}]}')
    assert "solve:y" == event.step


NODE = Node(name="n", platforms=(AMD64,), emulates=(ARM64,))
BARE = Node(name="n", platforms=(AMD64,))
GUESS = Node(name="n", platforms=(), provisional=True)


def place(node: Node, emulation: Emulation, *, host: bool = True) -> Placement | Refusal:
    """Where arm64 goes."""
    request = PlaceRequest(
        image="x", platform=ARM64, emulation=emulation, nodes=(node,), host=AMD64 if host else ARM64
    )  # fmt: skip
    return BUILDER.place(request)


@pytest.mark.parametrize(
    ("node", "emulation", "expected"),
    [
        (NODE, Emulation.ALLOW, Mode.EMULATED),
        (NODE, Emulation.WARN, Mode.EMULATED),
        (NODE, Emulation.FORBID, "emulation-forbidden"),
        (BARE, Emulation.ALLOW, "no-emulator"),
        (BARE, Emulation.FORBID, "emulation-forbidden"),
        (GUESS, Emulation.ALLOW, Mode.EMULATED),
        (Node(name="n", platforms=(ARM64,), problem="broken"), Emulation.ALLOW, "node-unfit"),
        (Node(name="n", platforms=(ARM64,)), Emulation.FORBID, Mode.NATIVE),
    ],
)
def test_placement_on_one_builder(node: Node, emulation: Emulation, expected: Mode | str) -> None:
    """Natively, emulated where that is allowed and possible, or refused in words."""
    found = place(node, emulation)
    assert expected == (found.mode if isinstance(found, Placement) else found.code)


def test_a_guess_is_made_from_this_machine() -> None:
    """Which runs its own platform."""
    assert Placement(node="n", mode=Mode.NATIVE) == place(GUESS, Emulation.FORBID, host=False)


def test_every_refusal_says_what_to_do() -> None:
    """A hint at least."""
    for node in (NODE, BARE):
        request = PlaceRequest(image="x", platform=ARM64, emulation=Emulation.FORBID, nodes=(node,), host=AMD64)
        found = place_on(node, request)
        assert isinstance(found, Refusal)
        assert found.hints


def test_what_tools_print_is_cut_and_made_printable() -> None:
    """Long lines, control sequences, other shapes."""
    assert "a b" == clean("a \n b\x07\x1b")
    assert 501 == len(clean("x" * 900))
    assert ("a", "b") == clean_lines(b"a\n\n \xffb".replace(b"\xff", b""))
    assert ("x", "", ()) == (text_at({"a": {"b": "x"}}, "a", "b"), text_at({"a": 5}, "a"), items_at({"a": 5}, "a"))
    assert (1, 2) == items_at({"a": [1, 2]}, "a")
    assert at([], "a") is None


def test_a_line_before_the_first_node_is_none_of_its_fields() -> None:
    """Buildx prints none today."""
    text = (
        "Name: x\nDriver: remote\n\nNodes:\n(loading)\nName: n\nEndpoint: e\nStatus: running\nPlatforms: linux/amd64\n"
    )
    (node,) = BUILDER.nodes({"inspect": Outcome(exit_code=0, stdout=text)})
    assert ((AMD64,), False) == (node.platforms, node.provisional)


@pytest.mark.parametrize(
    ("stderr", "hint"),
    [
        ("docker: unknown command: docker buildx\n", "docker-buildx-plugin"),
        ('ERROR: no builder "default" found\n', "orchestrate builders create default"),
        ("ERROR: anything else\n", None),
    ],
)
def test_what_is_missing_has_a_hint(stderr: str, hint: str | None) -> None:
    """Buildx is installed, a builder is created; for the rest there is a doctor."""
    (node,) = BUILDER.nodes({"inspect": Outcome(exit_code=1, stderr=stderr)})
    assert (hint or "") in " ".join(node.hints)
    assert (hint is None) == (node.hints == ())


@pytest.mark.parametrize(
    ("state", "summary"),
    [
        ("Status: inactive\nPlatforms: linux/arm64*", "e does not answer"),
        ("Error: no route to host", "no route to host"),
    ],
)
def test_a_remote_node_that_is_away_says_nothing(state: str, summary: str) -> None:
    """Whatever was declared for it: nobody starts it, and a build would wait for it for ever."""
    text = f"Name: x\nDriver: remote\n\nNodes:\nName: n\nEndpoint: e\n{state}\n"
    (node,) = BUILDER.nodes({"inspect": Outcome(exit_code=0, stdout=text)})
    assert ((), True, summary) == (node.platforms, node.provisional, node.summary)
    assert ("`orchestrate builders inspect x` shows its nodes",) == node.hints


def several(*lists: str, status: str = "running") -> Node:
    """The node of a builder of as many nodes as lists of platforms; the first has this status."""
    blocks = [
        f"Name: n{number}\nEndpoint: e\nStatus: {'running' if number else status}\nPlatforms: {listed}\n"
        for number, listed in enumerate(lists)
    ]
    text = "Name: farm\nDriver: docker-container\n\nNodes:\n" + "\n".join(blocks)
    (node,) = BUILDER.nodes({"inspect": Outcome(exit_code=0, stdout=text)})
    return node


def test_what_one_of_several_nodes_would_emulate_is_emulated() -> None:
    """Buildx takes the first that lists a platform, which may be the one that emulates it."""
    node = several("linux/amd64, linux/arm64", "linux/arm64")
    assert ((AMD64,), (ARM64,)) == (node.platforms, node.emulates)
    found = place(node, Emulation.FORBID)
    assert isinstance(found, Refusal)
    assert "emulation-forbidden" == found.code
    assert 'use each of its nodes alone: `[[backends.native.nodes]]` with `builder = "farm"`' == found.hints[0]


def test_what_all_nodes_that_list_it_run_natively_is_native() -> None:
    """Whichever buildx takes; what their own platform is depends on that."""
    node = several("linux/amd64, linux/amd64/v2", "linux/arm64", "linux/amd64")
    assert {AMD64, ARM64} < set(node.platforms)
    assert ((), None) == (node.emulates, node.own)
    assert AMD64 == several("linux/amd64", "linux/amd64, linux/arm64").own


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        (("linux/amd64", "linux/arm64"), {AMD64: AMD64, ARM64: ARM64}),
        (("linux/amd64, linux/arm64", "linux/arm64"), {AMD64: AMD64, ARM64: AMD64}),
        (("linux/amd64, linux/arm64", "linux/arm64*, linux/arm/v7"), {AMD64: AMD64, ARM64: ARM64}),
        (("linux/amd64, linux/arm64", "linux/amd64"), {}),
    ],
)
def test_each_platform_is_built_on_the_machine_that_buildx_takes(
    lists: tuple[str, ...], expected: dict[Platform, Platform]
) -> None:
    """The first for which it was declared, else the first that lists it."""
    owns = several(*lists).owns
    assert expected == {built: own for built, own in owns if built in {AMD64, ARM64}}


def test_several_nodes_of_which_one_does_not_run_are_a_guess() -> None:
    """Buildx would start it, and may then take it for what another runs natively."""
    node = several("linux/amd64", "linux/arm64", status="inactive")
    assert ((), True, "not running") == (node.platforms, node.provisional, node.summary)


def test_a_lost_node_beside_one_that_does_not_run_is_not_the_reason() -> None:
    """Buildx does without it; the other one has to be started."""
    text = (
        "Name: x\nDriver: docker-container\n\nNodes:\nName: n\nEndpoint: e\nError: no route\n"
        "Name: m\nEndpoint: e\nStatus: stopped\n"
    )
    (node,) = BUILDER.nodes({"inspect": Outcome(exit_code=0, stdout=text)})
    assert (True, "not running") == (node.provisional, node.summary)


@pytest.mark.parametrize("status", ["inactive", "stopped"])
def test_what_was_declared_for_a_node_that_does_not_run_is_not_believed(status: str) -> None:
    """Somebody else may have said so of a machine that emulates it."""
    assert several("linux/arm64*", status=status).provisional


@pytest.mark.parametrize(
    ("listed", "native"),
    [
        ("linux/amd64*, linux/amd64/v2, linux/arm64", AMD64),
        ("linux/arm64*, linux/arm/v7, linux/amd64", ARM64),
        ("linux/arm64*, linux/amd64, linux/amd64/v2", None),
        ("linux/arm64*", None),
    ],
)
def test_platforms_that_were_declared_for_a_node_are_no_proof(listed: str, native: Platform | None) -> None:
    """What BuildKit says of its machine agrees with them, or nothing is built there."""
    node = several(listed)
    assert (native is None) == node.problem.startswith("`n0` was created with `--platform`")
    assert native in {None, node.platforms[0]}


@pytest.mark.parametrize("backend", ["qemu", "bake"])
@pytest.mark.parametrize(
    ("listed", "output", "expected"),
    [
        (("linux/amd64", "linux/arm64"), LAYOUT, "several-nodes"),
        (("linux/amd64", "linux/arm64"), PUSH, None),
        (("linux/amd64, linux/arm64",), LAYOUT, None),
    ],
)
def test_several_nodes_write_no_layout(
    backend: str, listed: tuple[str, ...], output: Output, expected: str | None
) -> None:
    """Buildx says so only when it is asked to; a plan says it before."""
    spec = find_backends().specs[backend]
    request = LowerRequest(steps=(solve(output=output),), node=several(*listed))
    lowered = spec.factory(spec.config()).lower(request)
    assert expected == (lowered.code if isinstance(lowered, Refusal) else None)
    assert not isinstance(lowered, Refusal) or "[[backends.native.nodes]]" in lowered.hints[0]
