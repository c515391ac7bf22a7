from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.oci.digest import digest_bytes
from orchestrator.oci.reference import check_tag, parse_repository
from orchestrator.plan import names as private
from orchestrator.plan.names import copy_tag, final_tag, inputs_tag, last_tag, part_key, record_tag, run_id, solve_tag
from orchestrator.plan.stepnames import copy_id, solve_id
from tests.unit.plan.samples import AMD64, ARM64, DIGEST

OTHER = digest_bytes(b"another")
NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=128)


@given(image=NAMES, content=st.binary(max_size=50))
def test_private_names_are_legal_tags(image: str, content: bytes) -> None:
    """Whatever an image is called, and however long."""
    run = run_id(content)
    for tag in (
        solve_tag(run, solve_id(image, (AMD64,), whole=False), image),
        record_tag(image, part_key(DIGEST, ())),
        final_tag(image, ("a",), content),
        private.test_tag(image, DIGEST, (image,)),
        inputs_tag(DIGEST),
        copy_tag(DIGEST),
        last_tag("main", image),
    ):
        check_tag(tag)


@given(NAMES, NAMES)
def test_private_names_of_two_images_differ(one: str, other: str) -> None:
    """Also where their long names begin alike, and both live in one repository."""
    assert (one == other) == (last_tag("main", one) == last_tag("main", other))
    assert (one == other) == (solve_tag("r", f"solve:{one}", one) == solve_tag("r", f"solve:{other}", other))


def test_a_record_is_known_by_its_input_and_its_parents() -> None:
    """In whatever order those stand; scopes have names of their own."""
    keys = {part_key(DIGEST, ()), part_key(OTHER, ()), part_key(DIGEST, (DIGEST,)), part_key(DIGEST, (DIGEST, OTHER))}
    assert 4 == len(keys)
    assert part_key(DIGEST, (OTHER, DIGEST)) == part_key(DIGEST, (DIGEST, OTHER))
    assert record_tag("main", "k") != record_tag("pr-1", "k")


def test_an_index_is_known_by_its_parts_in_order_and_by_its_test() -> None:
    """What passed another test, or has its platforms in another order, is another one."""
    names = {
        final_tag(scope, keys, extra)
        for scope in ("main", "pr-1")
        for keys in (("a", "b"), ("b", "a"))
        for extra in (b"x", b"y")
    }
    assert 8 == len(names)


def test_a_passed_test_is_known_by_its_record_and_its_words() -> None:
    """What passed another command, or the same one cut into other words, has another name."""
    tags = {
        private.test_tag(scope, record, command)
        for scope in ("main", "pr-1")
        for record in (DIGEST, OTHER)
        for command in (("a", "b"), ("a b",), ("b", "a"))
    }
    assert 12 == len(tags)


def test_a_solve_of_some_platforms_names_them() -> None:
    """As there is another one for the others."""
    assert "solve:x" == solve_id("x", (AMD64, ARM64), whole=True)
    assert "solve:x@linux/amd64,linux/arm64" == solve_id("x", (AMD64, ARM64), whole=False)


def test_a_copy_names_its_target() -> None:
    """An image may be copied to several."""
    assert "copy:x:docker.io/a/x" == copy_id("x", parse_repository("a/x"))
