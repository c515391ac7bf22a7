from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api.backend import Emulation, LowerRequest, Mode, Node, Placement, PlaceRequest, Refusal
from orchestrator.api.invocation import Invocation
from orchestrator.diagnostics import KeyPlace
from orchestrator.model import Table
from orchestrator.oci.platform import parse_platform
from orchestrator.plugins import check_table, configure, find_backends
from orchestrator_bake.backend import BakeBackend, BakeConfig
from orchestrator_native.backend import NativeBackend, NativeConfig, find_problems
from orchestrator_qemu.backend import QemuBackend, QemuConfig
from tests.unit.buildkit.solves import AMD64, ARM64, outcome, solve

SPECS = find_backends().specs
S390 = parse_platform("linux/s390x")


def native(*nodes: Mapping[str, object]) -> NativeBackend:
    """A native backend with these nodes."""
    return NativeBackend.configured(msgspec.convert({"nodes": list(nodes)}, NativeConfig))


def ask(backend: NativeBackend, image: str = "x", emulation: Emulation = Emulation.FORBID) -> Placement | Refusal:
    """Where an image for amd64 goes."""
    request = PlaceRequest(image=image, platform=AMD64, emulation=emulation, nodes=backend.nodes({}), host=ARM64)
    return backend.place(request)


def test_all_three_are_found_by_their_entry_points() -> None:
    """Like anybody's."""
    assert {"qemu", "native", "bake"} <= set(SPECS)
    assert () == find_backends().broken


def test_only_one_builder_emulates_by_being_chosen() -> None:
    """And only `qemu` passes policies on, so far."""
    flags = {name: (spec.capabilities.emulation, spec.capabilities.source_policy) for name, spec in SPECS.items()}
    assert ((True, True), (False, False), (True, False)) == (flags["qemu"], flags["native"], flags["bake"])


@pytest.mark.parametrize(
    ("backend", "expected"),
    [
        (QemuBackend.configured(QemuConfig(builder="b", slots=7)), ("b", 7)),
        (QemuBackend.configured(Table()), ("default", 4)),
        (BakeBackend.configured(BakeConfig(builder="b")), ("b", 1)),
        (BakeBackend.configured(Table()), ("default", 1)),
    ],
)
def test_one_builder_is_one_node(backend: QemuBackend | BakeBackend, expected: tuple[str, int]) -> None:
    """As configured; any other table means the defaults."""
    (node,) = backend.nodes({})
    assert expected == (node.name, node.slots)


def test_a_native_backend_without_nodes_builds_nothing() -> None:
    """It says where they are declared."""
    backend = NativeBackend.configured(Table())
    found = ask(backend)
    assert () == backend.nodes({})
    assert isinstance(found, Refusal)
    assert ("no-node", True) == (found.code, "[backends.native]" in found.hints[0])


def test_a_declared_node_is_what_is_written() -> None:
    """Platforms normalised; its summary is where it is."""
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
        provisional=True,
        summary="tcp://h:1",
    ) == nodes[0]  # fmt: skip
    assert [("mine", "mine"), ("", "kubernetes")] == [(node.builder, node.summary) for node in nodes[1:]]


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
    ],
)
def test_a_mistake_in_a_node_is_found_at_its_line(
    node: dict[str, object], code: str, keys: tuple[str | int, ...]
) -> None:
    """When the file is read, not when somebody builds; with a hint."""
    first = {"name": "first", "platforms": ["linux/amd64"]}
    table = {"nodes": [first, {"name": "second", "platforms": ["linux/arm64"], **node}]}
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


@pytest.mark.parametrize("name", ["native", "bake"])
def test_two_backends_plan_and_do_not_build_yet(name: str) -> None:
    """They say so, and with what to build."""
    table = {"nodes": [{"name": "n", "platforms": ["linux/amd64"]}]} if name == "native" else {}
    backend = configure(SPECS[name], table).backend
    request = LowerRequest(steps=(solve(),), node=backend.nodes({})[0])
    found = backend.lower(request)
    assert isinstance(found, Refusal)
    assert ("backend-plans-only", ("build with `--backend qemu`",)) == (found.code, found.hints)
    assert {} == backend.results(request, (outcome(),))
    assert () == backend.setup(backend.nodes({}))
    assert [] == list(backend.reader(Invocation(argv=("x",), steps=("s",))).feed("stderr", "x"))


def test_qemu_does_one_child_for_each_solve() -> None:
    """And reads the result of each from its own outcome."""
    backend = configure(SPECS["qemu"], None).backend
    other = msgspec.structs.replace(solve(), id="solve:y")
    request = LowerRequest(steps=(solve(), other), node=backend.nodes({})[0])
    invocations = backend.lower(request)
    assert not isinstance(invocations, Refusal)
    assert [("solve:x",), ("solve:y",)] == [invocation.steps for invocation in invocations]
    results = backend.results(request, (outcome(1, "ERROR: no"), outcome(1, "ERROR: neither")))
    assert ["no", "neither"] == [getattr(results[name], "message", "") for name in ("solve:x", "solve:y")]


@pytest.mark.parametrize("name", ["--help", "-x", "", "a b", "a/b"])
@pytest.mark.parametrize("config", [QemuConfig, BakeConfig])
def test_a_builder_is_never_called_like_an_option(config: type[Table], name: str) -> None:
    """Its name becomes a word of an argv."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"builder": name}, config)
