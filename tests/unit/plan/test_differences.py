"""Two plans held against each other."""

from __future__ import annotations

import msgspec

from orchestrator.plan.differences import Difference, compare_plans, say_the_same
from orchestrator.plan.document import PlanDocument, build_document, parse_document, render_document
from orchestrator.plan.lower import Lowered
from orchestrator.ui.differences import render_differences
from tests.unit.plan.samples import EMULATED, HEAD, compile_text

DOCKERFILES = {"base": "FROM scratch\n", "leaf": "FROM base\n"}
PROJECT = HEAD + EMULATED + "[images.base]\n[images.leaf]\n"


def document(text: str = PROJECT) -> PlanDocument:
    """What the plan of a file says."""
    return build_document(compile_text(text, DOCKERFILES), Lowered(invocations={}, refusals={}), ())


def test_a_plan_says_the_same_as_itself() -> None:
    """Through its bytes, too."""
    plan = document()
    assert () == compare_plans(plan, parse_document(render_document(plan)))
    assert "the plans say the same\n" == render_differences(())


def test_a_comment_is_no_difference() -> None:
    """Where something is written does not count."""
    assert () == compare_plans(document(), document("# hello\n\n" + PROJECT))


def test_every_word_counts_where_plans_are_to_be_the_same() -> None:
    """Also what changes nothing of what is done, since somebody has read it; but no place and no finding."""
    plan = document()
    assert say_the_same(plan, document("# hello\n\n" + PROJECT))
    first, *others = plan.builds
    told = msgspec.structs.replace(first.reasons[0], message="nothing to see here")
    edited = msgspec.structs.replace(plan, builds=(msgspec.structs.replace(first, reasons=(told,)), *others))
    assert not say_the_same(plan, edited)


def test_another_tag_is_told_with_both() -> None:
    """As lists, of which only what differs is shown."""
    changed = PROJECT + 'tags = ["2.0"]\n'
    differences = compare_plans(document(), document(changed))
    expected = Difference(
        subject="leaf",
        attribute="tags",
        before=("r.example/acme/leaf:1.0", "r.example/acme/leaf:latest (moving)"),
        after=("r.example/acme/leaf:2.0",),
    )
    assert expected in differences
    text = render_differences(differences)
    assert "  - tags: r.example/acme/leaf:latest (moving)\n  + tags: r.example/acme/leaf:2.0" in text


def test_images_builds_and_steps_come_and_go() -> None:
    """Each is told once, by its name."""
    fewer = PROJECT.replace("[images.leaf]\n", "")
    gone = {each.subject for each in compare_plans(document(), document(fewer)) if not each.after}
    assert {"leaf", "leaf@linux/amd64", "leaf@linux/arm64"} <= gone
    assert "promote:leaf" in gone
    come = {each.subject for each in compare_plans(document(fewer), document()) if not each.before}
    assert gone == come


def test_order_alone_is_told_as_such() -> None:
    """Such as that of words of a command."""
    difference = Difference(subject="solve:a", attribute="argv", before=("a", "b"), after=("b", "a"))
    assert "solve:a\n  ~ argv: the same in another order\n\n1 difference\n" == render_differences((difference,))
