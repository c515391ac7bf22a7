"""The `native` backend: what is declared, what nodes answer, where images go, and builders of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api.backend import Emulation, LowerRequest, Mode, Node, Placement, PlaceRequest, Refusal
from orchestrator.api.invocation import Invocation, Outcome, Phase, render_word
from orchestrator.diagnostics import KeyPlace
from orchestrator.model import Table
from orchestrator.oci.platform import parse_platform
from orchestrator.plugins import check_table, find_backends
from orchestrator_native.backend import NativeBackend
from orchestrator_native.config import NativeConfig, find_problems
from tests.unit.buildkit.solves import AMD64, ARM64, outcome, solve

SPECS = find_backends().specs
ARM_V7 = parse_platform("linux/arm/v7")
S390 = parse_platform("linux/s390x")
FAR: Mapping[str, object] = {"name": "far", "platforms": ["linux/arm64"], "endpoint": "tcp://h:1"}


def native(*nodes: Mapping[str, object]) -> NativeBackend:
    """A native backend with these nodes."""
    return NativeBackend.configured(msgspec.convert({"nodes": list(nodes)}, NativeConfig))


def ask(backend: NativeBackend, image: str = "x", emulation: Emulation = Emulation.FORBID) -> Placement | Refusal:
    """Where an image for amd64 goes."""
    request = PlaceRequest(image=image, platform=AMD64, emulation=emulation, nodes=backend.nodes({}), host=ARM64)
    return backend.place(request)


def test_a_native_backend_without_nodes_builds_nothing() -> None:
    """It says where they are declared."""
    backend = NativeBackend.configured(Table())
    found = ask(backend)
    assert () == backend.nodes({})
    assert isinstance(found, Refusal)
    assert ("no-node", True) == (found.code, "[backends.native]" in found.hints[0])


def test_a_declared_node_is_what_is_written() -> None:
    """Platforms normalised; nobody was asked."""
    nodes = native(
        {"name": "a", "platforms": ["linux/arm64/v8"], "endpoint": "tcp://h:1", "emulates": ["linux/arm"], "slots": 3},
        {"name": "b", "platforms": ["linux/amd64"], "builder": "mine"},
        {"name": "c", "platforms": ["linux/amd64"], "driver": "kubernetes"},
    ).nodes({})
    assert Node(
        name="a",
        platforms=(ARM64,),
        emulates=(parse_platform("linux/arm/v7"),),
        slots=3,
        builder=nodes[0].builder,
        private=True,
        provisional=True,
        summary="not asked",
    ) == nodes[0]  # fmt: skip
    assert [False, True] == [node.private for node in nodes[1:]]
    assert "mine" == nodes[1].builder


def test_a_native_node_wins_over_one_that_emulates() -> None:
    """Even where emulation is allowed."""
    backend = native(
        {"name": "slow", "platforms": ["linux/arm64"], "emulates": ["linux/amd64"]},
        {"name": "fast", "platforms": ["linux/amd64"]},
    )
    assert Placement(node="fast", mode=Mode.NATIVE) == ask(backend, emulation=Emulation.ALLOW)


@pytest.mark.parametrize(
    ("emulation", "expected"),
    [(Emulation.FORBID, "emulation-forbidden"), (Emulation.WARN, Mode.EMULATED), (Emulation.ALLOW, Mode.EMULATED)],
)
def test_a_node_emulates_only_where_that_is_allowed(emulation: Emulation, expected: Mode | str) -> None:
    """It is never silent."""
    found = ask(native({"name": "a", "platforms": ["linux/arm64"], "emulates": ["linux/amd64"]}), emulation=emulation)
    assert expected == (found.mode if isinstance(found, Placement) else found.code)


@given(slots=st.lists(st.integers(1, 4), min_size=2, max_size=4))
def test_equal_nodes_share_images_by_their_slots(slots: list[int]) -> None:
    """Every node gets some, one with more slots more, and the same image always goes to the same node."""
    backend = native(
        *({"name": f"n{number}", "platforms": ["linux/amd64"], "slots": many} for number, many in enumerate(slots))
    )
    placed = [ask(backend, f"image-{number}") for number in range(600)]
    names = [one.node for one in placed if isinstance(one, Placement)]
    counts = [names.count(f"n{number}") for number in range(len(slots))]
    assert 600 == sum(counts)
    for count, many in zip(counts, slots, strict=True):
        assert abs(count - 600 * many / sum(slots)) < 120
    assert placed == [ask(backend, f"image-{number}") for number in range(600)]


@pytest.mark.parametrize(
    ("node", "code", "keys"),
    [
        ({"platforms": ["linux/amd64", "linux/z80"]}, "illegal-platform", ("platforms", 1)),
        ({"emulates": ["x"]}, "illegal-platform", ("emulates", 0)),
        ({"endpoint": "tc://h:1"}, "illegal-endpoint", ("endpoint",)),
        ({"name": "first"}, "duplicate-node", ("name",)),
        ({"endpoint": "a b"}, "illegal-endpoint", ("endpoint",)),
        ({"endpoint": "-x"}, "illegal-endpoint", ("endpoint",)),
        ({"endpoint": "tcp://h:1", "driver": "kubernetes"}, "illegal-value", ("endpoint",)),
        ({"endpoint": ""}, "illegal-value", ("name",)),
        ({"builder": "mine"}, "illegal-value", ("endpoint",)),
        ({"cacert": "env:"}, "illegal-value", ("cacert",)),
        ({"cacert": "env:BUILDKIT_CA"}, "illegal-value", ("cacert",)),
        ({"cacert": "ca", "driver": "docker-container"}, "illegal-value", ("cacert",)),
        ({"cacert": "ca", "key": "k"}, "illegal-value", ("cacert",)),
        ({"cert": "c", "key": "k"}, "illegal-value", ("cert",)),
    ],
)
def test_a_mistake_in_a_node_is_found_at_its_line(
    node: dict[str, object], code: str, keys: tuple[str | int, ...]
) -> None:
    """When the file is read, not when somebody builds; with a hint."""
    first = {"name": "first", "platforms": ["linux/amd64"], "endpoint": "tcp://h:1"}
    second = {"name": "second", "platforms": ["linux/arm64"], "endpoint": "tcp://h:2"}
    table = {"nodes": [first, {key: value for key, value in {**second, **node}.items() if value}]}
    (finding,) = check_table(SPECS["native"], table, "builds.toml")
    place = KeyPlace(file="builds.toml", keys=("backends", "native", "nodes", 1, *keys))
    assert (code, place) == (finding.code, finding.place)
    assert finding.hints


@pytest.mark.parametrize("endpoint", ["tcp://h:1", "ssh://u@h", "unix:///run/x", "docker-container://x", "my-context"])
def test_endpoints_that_buildx_knows_are_right(endpoint: str) -> None:
    """So are names of Docker contexts."""
    table = {"nodes": [{"name": "n", "platforms": ["linux/amd64"], "endpoint": endpoint}]}
    assert () == check_table(SPECS["native"], table, "f")


def test_a_table_of_wrong_types_is_not_looked_into() -> None:
    """What its class says comes first."""
    found = check_table(SPECS["native"], {"nodes": [{"name": 5, "platforms": ["linux/z80"]}]}, "f")
    assert ["wrong-type"] == [finding.code for finding in found]
    assert () == tuple(find_problems(Table()))


def inspected(*platforms: str, driver: str = "remote", status: str = "running", nodes: int = 1) -> Outcome:
    """What `docker buildx inspect` prints of a builder."""
    node = f"Name: n\nEndpoint: tcp://h:1\nStatus: {status}\nPlatforms: {', '.join(platforms)}\n"
    return Outcome(exit_code=0, stdout=f"Name: b\nDriver: {driver}\n\nNodes:\n" + node * nodes)


def answered(answer: Outcome, **table: object) -> Node:
    """The node `far`, after it answered this."""
    (node,) = native({**FAR, **table}).nodes({"inspect far": answer})
    return node


def test_every_node_is_asked_with_a_time_limit() -> None:
    """And the engine, where a builder may be this machine's."""
    probes = native(FAR, {"name": "b", "platforms": ["linux/amd64"], "builder": "mine"}).probes()
    assert ["inspect far", "inspect b", "version", "info"] == [probe.name for probe in probes]
    assert ["far", "b", "", ""] == [probe.node for probe in probes]
    assert [12.0, 25.0] == [probe.timeout for probe in probes[:2]]


def test_an_endpoint_is_asked_without_making_a_builder() -> None:
    """In a folder of buildx that holds what `buildx create` would write, and nothing else."""
    (probe,) = native({**FAR, "cacert": "certs/ca", "options": {"servername": 'a"b'}}).probes()
    (file,) = probe.writes
    assert ("BUILDX_CONFIG", ("docker", "buildx", "inspect", file.name.partition("/")[2])) == (probe.folder, probe.argv)
    written = json.loads(render_word(file.content))
    assert ("remote", "tcp://h:1", {"servername": 'a"b', "cacert": "<path of certs/ca>"}) == (
        written["Driver"], written["Nodes"][0]["Endpoint"], written["Nodes"][0]["DriverOpts"]
    )  # fmt: skip


def test_a_node_that_is_what_it_was_declared_to_be_is_taken() -> None:
    """Its platforms are the declared ones, also where it could do more."""
    node = answered(inspected("linux/arm64", "linux/arm/v7", "linux/amd64"))
    assert (False, "", (ARM64,), ()) == (node.provisional, node.problem, node.platforms, node.emulates)


def test_the_platform_of_a_machine_is_what_it_lists_first() -> None:
    """The order in the file says nothing; programs of the build platform run on this one."""
    node = answered(inspected("linux/arm64", "linux/arm/v7"), platforms=["linux/arm/v7", "linux/arm64"])
    assert (ARM64, ARM64) == (node.own, node.build_platform)
    (unasked,) = native({**FAR, "platforms": ["linux/arm/v7", "linux/arm64"]}).nodes({})
    assert (None, ARM_V7) == (unasked.own, unasked.build_platform)


def test_machines_of_different_platforms_do_not_stand_in_for_each_other() -> None:
    """Both run it, but a Dockerfile that looks at `$BUILDPLATFORM` builds something else there."""
    backend = native(*({**FAR, "name": name, "platforms": ["linux/arm/v7"]} for name in ("old", "new", "newer")))
    new = inspected("linux/arm64", "linux/arm/v7")
    nodes = backend.nodes({"inspect old": inspected("linux/arm/v7"), "inspect new": new, "inspect newer": new})
    asked = (
        PlaceRequest(image=f"i{n}", platform=ARM_V7, emulation=Emulation.FORBID, nodes=nodes, host=AMD64)
        for n in range(40)
    )
    found = {(placed.node, placed.others) for placed in map(backend.place, asked) if isinstance(placed, Placement)}
    assert {("old", ()), ("new", ("newer",)), ("newer", ("new",))} == found


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (inspected("linux/amd64", "linux/arm64"), "it is declared to run `linux/arm64` natively, and only emulates it"),
        (inspected("linux/amd64"), "it is declared to run `linux/arm64`, and does not"),
    ],
)
def test_a_node_that_is_not_is_unfit(answer: Outcome, problem: str) -> None:
    """Nothing is placed there, emulated or not; the hint says what to write."""
    backend, node = native(FAR), answered(answer)
    assert problem == node.problem
    assert node.hints
    request = PlaceRequest(image="x", platform=ARM64, emulation=Emulation.ALLOW, nodes=(node,), host=AMD64)
    found = backend.place(request)
    assert isinstance(found, Refusal)
    assert ("node-unfit", f"node `far`: {problem}") == (found.code, found.message)


@pytest.mark.parametrize(
    ("answer", "summary"),
    [
        (inspected(status="inactive"), "tcp://h:1 does not answer"),
        (
            Outcome(exit_code=127, stderr="`docker` did not end within 12 seconds"),
            "`docker` did not end within 12 seconds",
        ),
        (Outcome(exit_code=0, stdout="Name: b\nDriver: remote\n"), "it has no nodes"),
    ],
)
def test_a_node_that_does_not_answer_is_provisional(answer: Outcome, summary: str) -> None:
    """It stands where the file says, and a build does not begin on it."""
    node = answered(answer)
    assert (True, summary, (ARM64,)) == (node.provisional, node.summary, node.platforms)
    assert "`tcp://h:1`" in node.hints[0]


@pytest.mark.parametrize("platforms", [(), ("linux/arm64*",)])
def test_a_node_that_buildx_starts_is_believed_until_it_runs(platforms: tuple[str, ...]) -> None:
    """It has no platforms yet, but for what was declared; the host asks it again when it was started."""
    node = answered(inspected(*platforms, driver="docker-container", status="inactive"), driver="docker-container")
    assert (False, True, "", (ARM64,)) == (node.provisional, node.asleep, node.problem, node.platforms)
    assert "docker-container driver, not started" == node.summary
    started = answered(inspected("linux/amd64", "linux/arm64", driver="docker-container"), driver="docker-container")
    assert (False, "it is declared to run `linux/arm64` natively, and only emulates it") == (
        started.asleep, started.problem
    )  # fmt: skip


def test_an_engine_without_its_image_store_is_no_node() -> None:
    """It builds one platform at a time, and no layouts."""
    backend = native({"name": "b", "platforms": ["linux/amd64"], "builder": "default"})
    (node,) = backend.nodes(
        {
            "inspect b": inspected("linux/amd64", driver="docker"),
            "version": Outcome(exit_code=0, stdout=json.dumps({"Server": {"Version": "28", "Arch": "amd64"}})),
            "info": Outcome(exit_code=0, stdout=json.dumps({"DriverStatus": []})),
        }
    )
    assert "containerd image store" in node.problem


def test_an_emulator_that_is_not_there_is_missed() -> None:
    """The node builds the rest; what it cannot emulate is refused with what to install."""
    backend = native({**FAR, "emulates": ["linux/s390x"]})
    nodes = backend.nodes({"inspect far": inspected("linux/arm64")})
    found = backend.place(PlaceRequest(image="x", platform=S390, emulation=Emulation.ALLOW, nodes=nodes, host=AMD64))
    assert isinstance(found, Refusal)
    assert "no-emulator" == found.code
    assert "tonistiigi/binfmt --install s390x" in found.hints[0]


def test_a_node_that_answered_is_preferred() -> None:
    """Of two equal ones that is where all images go while the other is silent."""
    backend = native(*({**FAR, "name": name} for name in ("one", "two")))
    nodes = backend.nodes({"inspect one": inspected(status="inactive"), "inspect two": inspected("linux/arm64")})
    requests = (
        PlaceRequest(image=f"i{number}", platform=ARM64, emulation=Emulation.FORBID, nodes=nodes, host=AMD64)
        for number in range(20)
    )
    assert {Placement(node="two", mode=Mode.NATIVE)} == {
        found for found in map(backend.place, requests) if isinstance(found, Placement)
    }


def words(invocations: tuple[Invocation, ...]) -> list[list[str]]:
    """What children are told."""
    return [[render_word(word) for word in invocation.argv] for invocation in invocations]


def test_an_endpoint_gets_a_builder_of_its_own() -> None:
    """Made before the first step, forgotten at the end; certificates are paths, quoted as CSV."""
    backend = native({**FAR, "cacert": "a,b/ca", "cert": "env:CERT", "key": "env:KEY", "options": {"servername": 'x"'}})
    (node,) = nodes = backend.nodes({})
    (creation,) = backend.setup(nodes)
    assert [
        "docker", "buildx", "create", "--name=<builder of far>", f"--node={node.builder}", "--driver=remote",
        '--driver-opt="servername=x"""', '--driver-opt="cacert=<path of a,b/ca>"',
        '--driver-opt="cert=<path of env:CERT>"', '--driver-opt="key=<path of env:KEY>"', "tcp://h:1",
    ] == words((creation,))[0]  # fmt: skip
    assert (("CERT", "KEY"), Phase.SETUP) == (creation.inherits, creation.phase)
    assert [
        ["docker", "buildx", "rm", "--keep-daemon", "--keep-state", "<builder of far>"],
    ] == words(backend.teardown(nodes))


def test_buildx_starts_what_it_has_to() -> None:
    """BuildKit in a container or a cluster, and builders that there are; these stay."""
    backend = native(
        {"name": "k", "platforms": ["linux/amd64"], "driver": "kubernetes", "options": {"namespace": "ci"}},
        {"name": "s", "platforms": ["linux/amd64"], "endpoint": "ssh://u@h"},
        {"name": "b", "platforms": ["linux/amd64"], "builder": "mine"},
    )
    nodes = backend.nodes({})
    made, started, *rest = words(backend.setup(nodes))
    assert ("--driver=kubernetes", '--driver-opt="namespace=ci"') == (made[5], made[-1])
    assert ["docker", "buildx", "inspect", "--bootstrap", "<builder of k>"] == started
    assert ["ssh://u@h", "<builder of s>", "<builder of b>"] == [each[-1] for each in rest]
    assert ["<builder of k>", "<builder of s>"] == [each[-1] for each in words(backend.teardown(nodes))]


def test_a_builder_is_called_by_what_is_declared() -> None:
    """The same declaration, the same name; another endpoint, option or certificate, another name."""
    declared = [FAR, {**FAR, "endpoint": "tcp://h:2"}, {**FAR, "cacert": "ca"}, {**FAR, "options": {"servername": "h"}}]
    names = [native(table).nodes({})[0].builder for table in (*declared, {**FAR, "slots": 9})]
    assert 4 == len(set(names))
    assert names[0] == names[4]
    assert all(name.startswith("orchestrate-far-") for name in names)
    assert native({**FAR, "name": "räksmörgås / 1"}).nodes({})[0].builder.isascii()


def test_a_deployment_has_a_legal_name() -> None:
    """Of small letters; nodes whose names differ in nothing else have different ones all the same."""
    names = [native({**FAR, "name": name}).nodes({})[0].builder for name in ("Arm-One", "arm-one")]
    assert 2 == len(set(names))
    for name in names:
        assert re.fullmatch(r"orchestrate-arm-one-[0-9a-f]{8}", name)


def test_only_the_nodes_of_a_run_are_set_up() -> None:
    """Under the names that the plan has for them; a builder that somebody chose by hand is left alone."""
    backend = native(FAR, {**FAR, "name": "other", "endpoint": "tcp://h:2"})
    far, _ = backend.nodes({})
    bound = msgspec.structs.replace(far, name="arm-of-the-plan")
    chosen = Node(name="other", platforms=(ARM64,), builder="mine")
    assert ["<builder of arm-of-the-plan>"] == [each[-1] for each in words(backend.teardown((bound, chosen)))]


def test_one_child_for_each_solve() -> None:
    """With explicit platforms, on the node's builder; the result of each from its own outcome."""
    backend = native(FAR)
    other = msgspec.structs.replace(solve(), id="solve:y")
    request = LowerRequest(steps=(solve(), other), node=backend.nodes({})[0])
    invocations = backend.lower(request)
    assert not isinstance(invocations, Refusal)
    assert [("solve:x",), ("solve:y",)] == [invocation.steps for invocation in invocations]
    assert {"--builder=<builder of far>", "--platform=linux/amd64,linux/arm64"} <= set(words(invocations)[0])
    results = backend.results(request, (outcome(1, "ERROR: no"), outcome(1, "ERROR: neither")))
    assert ["no", "neither"] == [getattr(results[name], "message", "") for name in ("solve:x", "solve:y")]
