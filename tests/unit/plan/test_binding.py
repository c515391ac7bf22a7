"""The nodes of a plan on another machine."""

from __future__ import annotations

from orchestrator.api.backend import Node
from orchestrator.plan.binding import bind_nodes
from tests.unit.plan.samples import AMD64, ARM64, EMULATED, HEAD, compile_text

PLAN = compile_text(HEAD + EMULATED + "[images.api]\n", {"api": "FROM scratch\n"})
ABLE = Node(name="mine", platforms=(AMD64,), emulates=(ARM64,), builder="mine", slots=3)


def test_any_node_that_can_stands_for_the_one_of_the_plan() -> None:
    """Under the plan's name, with the builder and the slots that are here."""
    bound = bind_nodes(PLAN, {"qemu": (ABLE,)}, {})
    assert () == bound.unbound
    assert [("default", "mine", 3)] == [(node.name, node.builder, node.slots) for node in bound.nodes["qemu"]]


def test_the_node_of_the_same_name_comes_first() -> None:
    """Though another one could do it as well."""
    same = Node(name="default", platforms=(AMD64,), emulates=(ARM64,), builder="same")
    bound = bind_nodes(PLAN, {"qemu": (ABLE, same)}, {})
    assert ["same"] == [node.builder for node in bound.nodes["qemu"]]


def test_a_chosen_node_is_taken_or_nothing() -> None:
    """Where it cannot do what is asked, no other one is taken for it."""
    chosen = Node(name="other", platforms=(AMD64,), builder="other")
    bound = bind_nodes(PLAN, {"qemu": (ABLE,)}, {"default": chosen})
    assert ["default"] == [one.node for one in bound.unbound]
    assert "`other` does not build `linux/arm64` under emulation" in bound.unbound[0].message


def test_native_and_emulated_are_frozen() -> None:
    """In both directions."""
    native = Node(name="native", platforms=(AMD64, ARM64), builder="native")
    assert "it runs it natively" in bind_nodes(PLAN, {"qemu": (native,)}, {}).unbound[0].message
    emulating = Node(name="emulating", platforms=(ARM64,), emulates=(AMD64,), builder="emulating")
    assert "it emulates it" in bind_nodes(PLAN, {"qemu": (emulating,)}, {}).unbound[0].message


def test_a_node_that_is_silent_or_broken_is_none() -> None:
    """And says why."""
    silent = Node(name="a", platforms=(AMD64,), emulates=(ARM64,), provisional=True, summary="no such builder")
    broken = Node(name="b", platforms=(AMD64,), emulates=(ARM64,), problem="too old")
    message = bind_nodes(PLAN, {"qemu": (silent, broken)}, {}).unbound[0].message
    assert "`a` does not answer: no such builder; `b`: too old" in message
    assert "there is no node here" in bind_nodes(PLAN, {}, {}).unbound[0].message
