from __future__ import annotations

import msgspec
import pytest

from orchestrator.api.backend import LowerRequest, Refusal
from orchestrator.model import Table
from orchestrator.oci.platform import parse_platform
from orchestrator.plugins import configure, find_backends
from orchestrator_bake.backend import BakeBackend, BakeConfig
from orchestrator_qemu.backend import QemuBackend, QemuConfig
from tests.unit.buildkit.solves import outcome, solve

SPECS = find_backends().specs
S390 = parse_platform("linux/s390x")


def test_all_three_are_found_by_their_entry_points() -> None:
    """Like anybody's."""
    assert {"qemu", "native", "bake"} <= set(SPECS)
    assert () == find_backends().broken


def test_only_one_builder_emulates_by_being_chosen() -> None:
    """And all pass policies on."""
    flags = {name: (spec.capabilities.emulation, spec.capabilities.source_policy) for name, spec in SPECS.items()}
    assert ((True, True), (False, True), (True, True)) == (flags["qemu"], flags["native"], flags["bake"])


@pytest.mark.parametrize(
    ("backend", "expected"),
    [
        (QemuBackend.configured(QemuConfig(builder="b", slots=7)), ("b", 7)),
        (QemuBackend.configured(Table()), ("default", 8)),
        (BakeBackend.configured(BakeConfig(builder="b")), ("b", 1)),
        (BakeBackend.configured(Table()), ("default", 1)),
    ],
)
def test_one_builder_is_one_node(backend: QemuBackend | BakeBackend, expected: tuple[str, int]) -> None:
    """As configured; any other table means the defaults."""
    (node,) = backend.nodes({})
    assert expected == (node.name, node.slots)


def test_bake_alone_takes_several_solves_at_once() -> None:
    """As many as a run of it bears."""
    assert {"qemu": 1, "native": 1, "bake": 40} == {
        name: SPECS[name].capabilities.max_steps for name in ("qemu", "native", "bake")
    }


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
