"""Lost nodes: left alone once, given up the second time."""

from __future__ import annotations

from orchestrator.engine.losses import REST, Losses

NODE = ("native", "one")


def test_a_lost_node_rests_and_is_given_up_the_second_time() -> None:
    """Steps that lose it at the same time lose it once."""
    losses = Losses()
    assert not losses.is_suspect(NODE)
    assert [10 + REST, 10 + REST] == [losses.note(NODE, now) for now in (10.0, 12.0)]
    assert losses.is_suspect(NODE)
    assert losses.note(NODE, 10 + REST) is None


def test_a_node_that_is_back_may_be_lost_anew() -> None:
    """It rests again."""
    losses = Losses()
    losses.note(NODE, 10.0)
    losses.forgive(NODE)
    assert not losses.is_suspect(NODE)
    assert 100 + REST == losses.note(NODE, 100.0)


def test_a_node_that_was_given_up_stays_so() -> None:
    """With the reason."""
    losses = Losses()
    assert "" == losses.reason(NODE)
    losses.give_up(NODE, "no route")
    assert ("no route", None) == (losses.reason(NODE), losses.note(NODE, 5.0))


def test_a_step_that_takes_down_every_node_ends() -> None:
    """After three."""
    losses = Losses()
    assert [1, 2, 3, None] == [losses.move("solve:x") for _ in range(4)]
    assert 1 == losses.move("solve:y")
