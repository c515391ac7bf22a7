from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.oci.reference import check_tag, parse_repository
from orchestrator.plan.names import final_tag, record_tag, run_id, solve_tag
from orchestrator.plan.stepnames import copy_id, solve_id
from tests.unit.plan.samples import AMD64, ARM7, ARM64

NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=128)


@given(image=NAMES, content=st.binary(max_size=50))
def test_private_names_are_legal_tags(image: str, content: bytes) -> None:
    """Whatever an image is called, and however long."""
    run = run_id(content)
    for tag in (
        solve_tag(run, solve_id(image, (AMD64,), whole=False), image),
        record_tag(run, image, ARM7),
        final_tag(run, image),
    ):
        check_tag(tag)


@given(NAMES, NAMES)
def test_private_names_of_two_images_differ(one: str, other: str) -> None:
    """Also where their long names begin alike, and both live in one repository."""
    assert (one == other) == (final_tag("r", one) == final_tag("r", other))
    assert (one == other) == (solve_tag("r", f"solve:{one}", one) == solve_tag("r", f"solve:{other}", other))


def test_private_names_tell_runs_and_platforms_apart() -> None:
    """Each run has its own, and each platform."""
    names = {record_tag(run, "x", platform) for run in ("a", "b") for platform in (AMD64, ARM64)}
    assert 4 == len(names)


def test_a_solve_of_some_platforms_names_them() -> None:
    """As there is another one for the others."""
    assert "solve:x" == solve_id("x", (AMD64, ARM64), whole=True)
    assert "solve:x@linux/amd64,linux/arm64" == solve_id("x", (AMD64, ARM64), whole=False)


def test_a_copy_names_its_target() -> None:
    """An image may be copied to several."""
    assert "copy:x:docker.io/a/x" == copy_id("x", parse_repository("a/x"))
