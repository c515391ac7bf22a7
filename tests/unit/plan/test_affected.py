from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.lock import Lock, LockedBase
from orchestrator.oci.digest import digest_bytes
from orchestrator.oci.reference import parse_reference
from orchestrator.plan.affected import (
    AffectedImage,
    Side,
    Since,
    compare_bases,
    compare_declared,
    explain_files,
    join,
    spread,
)
from orchestrator.plan.bases import find_bases
from orchestrator.plan.changes import Seen
from orchestrator.plan.edges import DockerfileReader, find_edges
from orchestrator.plan.graph import Order, order_images
from orchestrator.plan.model import Reason
from tests.unit.plan.samples import AMD64, HEAD, expand_text

FILES = {"base": "FROM scratch\n", "api": "FROM base\nCOPY --from=tools / /\n", "tools": "FROM debian:12\n", "last": ""}
TEXT = HEAD + '[images.base]\n[images.tools]\n[images.api]\nargs.GO = "1"\n[images.last]\nneeds = ["api"]\n'


def side(text: str = TEXT) -> Side:
    """What a file declares."""
    expansion, found = expand_text(text)
    assert found == ()
    reader = reader_of()
    edges, _ = find_edges(expansion.images, reader, expansion.families)
    return Side(images=expansion.images, edges=edges)


def reader_of() -> DockerfileReader:
    """What reads their Dockerfiles."""
    return DockerfileReader({f"{name}/Dockerfile": text for name, text in FILES.items()}, AMD64)


def order(given: Side) -> Order:
    """The order of images."""
    found = order_images(tuple(image.name for image in given.images), given.edges)
    assert isinstance(found, Order)
    return found


def messages(old: str, new: str) -> dict[str, tuple[str, ...]]:
    """What is said of two files."""
    found = compare_declared(side(old), side(new))
    return {name: tuple(reason.message for reason in reasons) for name, reasons in found.items()}


def api(lines: str) -> str:
    """A project of one image."""
    return HEAD + f"[images.api]\n{lines}\n"


@pytest.mark.parametrize(
    "text",
    [
        "# a comment\n" + TEXT,
        TEXT.replace("[images.base]\n[images.tools]\n", "[images.tools]\n[images.base]\n"),
        TEXT.replace('"linux/amd64", "linux/arm64"', '"linux/arm64", "linux/amd64"'),
        TEXT.replace('"1.0", { ref = "latest", moving = true }', '{ ref = "latest", moving = true }, "1.0"'),
        TEXT.replace('args.GO = "1"', 'inherits = ["go"]') + '[templates.go]\nargs.GO = "1"\n',
        TEXT.replace('args.GO = "1"', "args.GO = 1"),
        TEXT.replace("[images.base]\n", '[images.base]\ncontext = "{{ image }}"\ndescription = "x"\nretries = 3\n'
                     'timeout = "1h"\ncache-from = ["r.example/c"]\nno-cache = true\npull = true\n'),
        TEXT.replace('needs = ["api"]', 'needs = ["base"]'),
    ],
)  # fmt: skip
def test_what_means_the_same_changes_nothing(text: str) -> None:
    """Comments, order, templates, and whatever only says how to build."""
    assert {} == messages(TEXT, text)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('args.GO = "1"', 'args.GO = "2"', "args changed: `GO`"),
        ('args.GO = "1"', 'args = { GO = "1", A = "", B = "", C = "" }', "args changed: `A`, `B`, `C`"),
        ('args.GO = "1"', 'args.GO = { value = "1", volatile = true }', "args changed: `GO`"),
        ('on."linux/arm64".args.GO = "1"', "", "args changed: `GO`"),
        ("", 'dockerfile-inline = "FROM scratch"', "its Dockerfile changed"),
        ("", 'labels.a = "1"', "changed: `label a`"),
        ("", 'target = "x"', "changed: `target`"),
        ("", 'context = "other"', "changed: `context`, `dockerfile`"),
        ("", 'dockerfile = "other"', "changed: `dockerfile`"),
        ("", 'contexts.x = "docker-image://debian"', "changed: `context x`"),
        ("", 'secrets = ["id=a"]', "changed: `secrets`"),
        ('secrets = [{ id = "a", env = "A" }]', 'secrets = [{ id = "a", env = "B" }]', "changed: `secrets`"),
        ("", 'ssh = ["default"]', "changed: `ssh`"),
        ("", 'network = "none"', "changed: `network`"),
        ("", 'extra-hosts.a = "1.2.3.4"', "changed: `extra-hosts`"),
        ("", 'shm-size = "1g"', "changed: `shm-size`"),
        ("", 'ulimits = ["nofile=1"]', "changed: `ulimits`"),
        ("", "sbom = true", "changed: `sbom`"),
        ("", 'provenance = "max"', "changed: `provenance`"),
        ("", 'annotations.a = "1"', "changed: `annotations`"),
        ("", "publish = false", "changed: `publish`"),
        ("", 'repository = "r.example/x"', "changed: `repository`, `tags`"),
        ("", 'tags = ["2.0"]', "changed: `tags`"),
        ('tags = ["1.0"]', 'tags = [{ ref = "1.0", moving = true }]', "changed: `tags`"),
        ("", 'version = "3"', "changed: `version`"),
        ("", 'test.run = ["true"]', "changed: `test`"),
        ("", 'platforms = ["linux/amd64"]', "changed: `platforms`"),
        ('platforms = ["linux/amd64"]', "", "`linux/arm64` is new"),
    ],
)
def test_what_is_declared_otherwise_is_named(old: str, new: str, expected: str) -> None:
    """As it is called in the file."""
    if 'secrets = ["id=a"]' in new:
        new = 'secrets = [{ id = "a" }]'
    assert {"api": (expected,)} == messages(api(old), api(new))


def test_an_arg_of_one_image_is_of_that_image_alone() -> None:
    """What is made from it follows later."""
    assert {"api": ("args changed: `GO`",)} == messages(TEXT, TEXT.replace('GO = "1"', 'GO = "2"'))


def test_defaults_reach_those_that_do_not_say_it_themselves() -> None:
    """And no other."""
    old = HEAD + '[images.base]\n[images.api]\nargs.A = "own"\n'
    assert {"base": ("args changed: `A`",)} == messages(old, old.replace("tags =", 'args.A = "1"\ntags ='))


def test_an_image_that_was_not_there_is_new() -> None:
    """One that is gone is nothing to build."""
    reasons = messages(HEAD + "[images.base]\n", HEAD + "[images.tools]\n")
    assert {"tools": ("it was not declared then",)} == reasons


def test_another_parent_is_a_change() -> None:
    """Here nobody infers it any more."""
    reasons = messages(TEXT, TEXT.replace('GO = "1"', 'GO = "1"\ninfer = false'))
    assert {"api": ("changed: `what it takes from base`, `what it takes from tools`",)} == reasons


def lock(*entries: tuple[str, str]) -> Lock:
    """A lock of these images, each with a digest for its salt."""
    digests = {parse_reference(name): digest_bytes(salt.encode()) for name, salt in entries}
    return Lock(bases={key: LockedBase(digest=digest, platforms=(AMD64,)) for key, digest in digests.items()})


DEBIAN, NODE = "docker.io/library/debian:12", "docker.io/library/node:20"
ONE, TWO = digest_bytes(b"1"), digest_bytes(b"2")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (lock((DEBIAN, "1")), lock((DEBIAN, "2")), (f"`debian:12` moved from {ONE[7:19]} to {TWO[7:19]}", (ONE, TWO))),
        (None, lock((DEBIAN, "1")), ("`debian:12` is locked now", (ONE,))),
        (lock((DEBIAN, "1")), None, ("`debian:12` is not locked any more", (ONE,))),
        (lock((DEBIAN, "1")), lock((DEBIAN, "1"), (NODE, "1")), None),
        (None, None, None),
    ],
)
def test_bases_that_moved_affect_those_that_take_them(
    old: Lock | None, new: Lock | None, expected: tuple[str, tuple[str, ...]] | None
) -> None:
    """Once each, with both digests."""
    now = side()
    found = compare_bases(old, new, lambda: find_bases(now.images, now.edges, reader_of(), AMD64))
    reasons = {name: [(one.code, one.message, one.items) for one in several] for name, several in found.items()}
    assert ({"tools": [("base_moved", *expected)]} if expected else {}) == reasons


def test_a_corrected_entry_moves_nothing() -> None:
    """The digest is the same."""
    old, reference = lock((DEBIAN, "1")), parse_reference(DEBIAN)
    new = Lock(bases={reference: LockedBase(digest=old.bases[reference].digest, platforms=())})
    assert {} == compare_bases(old, new, lambda: pytest.fail("nobody need be asked"))


def test_everything_made_from_it_is_affected_and_nothing_that_only_follows() -> None:
    """In the order of builds; `needs` alone changes no result."""
    now = side()
    direct = {"base": (Reason(code="x", message="y"),), "tools": (Reason(code="x", message="z"),)}
    found = {one.name: [reason.message for reason in one.reasons] for one in spread(direct, now.edges, order(now))}
    assert {"base": ["y"], "tools": ["z"], "api": ["`base`, `tools` are affected"]} == found
    assert ["base", "tools", "api"] == list(found)


def test_reasons_come_in_one_row() -> None:
    """The image's own ones first."""
    one, other = Reason(code="a", message="a"), Reason(code="b", message="b")
    assert {"x": (one, other), "y": (other,)} == join({"x": (one,)}, {"x": (other,), "y": (other,)}, {})


def test_files_are_named_and_counted() -> None:
    """All of them for programs."""
    paths = ("a", "b", "c", "d\udcff")
    changed, unknown = explain_files(Seen(changed=paths, unknown=("e",)))
    assert ("files changed: `a`, `b`, `c` and 1 more", (*paths[:3], "d\\xff")) == (changed.message, changed.items)
    assert ("incomparable", "git knows nothing of `e`") == (unknown.code, unknown.message)
    assert () == tuple(explain_files(Seen()))


def test_names_are_those_of_what_is_affected() -> None:
    """For the selection."""
    since = Since(ref="x", commit="y", total=2, affected=(AffectedImage(name="a", reasons=()),))
    assert frozenset({"a"}) == since.names


@given(st.frozensets(st.sampled_from(["base", "tools", "api", "last"])))
def test_spreading_is_closed_and_adds_nothing_twice(names: frozenset[str]) -> None:
    """What is affected, and what that affects, is all there is."""
    now = side()
    reason = (Reason(code="x", message="y"),)
    found = {one.name for one in spread(dict.fromkeys(names, reason), now.edges, order(now))}
    again = {one.name for one in spread(dict.fromkeys(found, reason), now.edges, order(now))}
    assert names <= found == again
