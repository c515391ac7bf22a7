from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.oci.digest import digest_bytes
from orchestrator.oci.reference import (
    Reference,
    Repository,
    check_tag,
    familiar,
    is_registry_host,
    parse_reference,
    parse_repository,
)

DIGEST = digest_bytes(b"")
_COMPONENTS = st.from_regex(r"[a-z0-9]{1,6}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}", fullmatch=True)
_HOSTS = st.sampled_from(["docker.io", "ghcr.io", "localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000", "Foo"])
_PATHS = st.lists(_COMPONENTS, min_size=1, max_size=4).map("/".join)
_TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", fullmatch=True)
_PIECES = st.sampled_from(
    ["a", "A", "/", ":", "@", ".", "-", "_", "localhost", "docker.io", "library", "[", "]", DIGEST]
)


@given(st.text() | st.lists(_PIECES, max_size=10).map("".join))
def test_any_text(text: str) -> None:
    """Any text is a reference that prints and parses as itself, or a ValueError."""
    try:
        reference = parse_reference(text)
    except ValueError:
        return
    assert reference == parse_reference(str(reference))


@given(_HOSTS, _PATHS, st.just("") | _TAGS, st.sampled_from([None, DIGEST]))
def test_round_trip(host: str, path: str, tag: str, digest: str | None) -> None:
    """A reference that is made of legal parts parses to these parts."""
    if host == "docker.io" and "/" not in path:
        path = f"library/{path}"
    expected = Reference(repository=Repository(registry=host, path=path), tag=tag, digest=DIGEST if digest else None)
    assert expected == parse_reference(str(expected))


@given(_PATHS, st.just("") | _TAGS)
def test_familiar_form_means_the_same(path: str, tag: str) -> None:
    """The short form of a reference to Docker Hub parses to the same repository."""
    repository = parse_repository(f"docker.io/{path}")
    reference = Reference(repository=repository, tag=tag)
    first = path.partition("/")[0]
    if "." not in first and first != "localhost":
        assert repository == parse_reference(familiar(reference)).repository


@pytest.mark.parametrize(
    ("text", "registry", "path"),
    [
        ("alpine", "docker.io", "library/alpine"),
        ("acme/api", "docker.io", "acme/api"),
        ("docker.io/alpine", "docker.io", "library/alpine"),
        ("index.docker.io/alpine", "docker.io", "library/alpine"),
        ("ghcr.io/acme/api", "ghcr.io", "acme/api"),
        ("localhost/api", "localhost", "api"),
        ("127.0.0.1:5000/a/b/c", "127.0.0.1:5000", "a/b/c"),
        ("[::1]:5000/api", "[::1]:5000", "api"),
    ],
)
def test_repository(text: str, registry: str, path: str) -> None:
    """A first part with a dot, a colon or the name `localhost` is a registry."""
    assert Repository(registry=registry, path=path) == parse_repository(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "no repository"),
        ("ghcr.io/", "no repository"),
        ("ghcr.io/Acme/api", "upper-case"),
        ("ghcr.io/acme//api", "illegal repository"),
        ("ghcr.io/-acme", "illegal repository"),
        ("ghcr.io/../x", "illegal repository"),
        ("ghcr.io:99999/x", "illegal registry host"),
        ("ghcr.io:0/x", "illegal registry host"),
        ("-a.b/x", "illegal registry host"),
        ("[:::::]/x", "illegal registry host"),
        ("user@ghcr.io/x", "not a sha256 digest"),
        ("a" * 256, "at most 255"),
        ("x:-tag", "illegal tag"),
        ("x:" + "t" * 129, "tag of 129 characters"),
        ("x:", "illegal tag"),
        ("x@sha256:1", "not a sha256 digest"),
    ],
)
def test_not_a_reference(text: str, expected: str) -> None:
    """The message says which part is wrong."""
    with pytest.raises(ValueError, match=expected):
        parse_reference(text)


def test_longest_path_round_trips() -> None:
    """The limit is on the whole path, so that a short form and its long form are both legal or both not."""
    longest = "a" * (255 - len("library/"))
    repository = parse_repository(longest)
    assert repository == parse_repository(str(repository))
    with pytest.raises(ValueError, match="256 characters"):
        parse_repository(longest + "a")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("node:20", "node:20"),
        ("node:latest", "node"),
        ("docker.io/library/node", "node"),
        ("docker.io/library/a/b", "library/a/b"),
        ("acme/api:1", "acme/api:1"),
        ("ghcr.io/library/x:1", "ghcr.io/library/x:1"),
        (f"node:20@{DIGEST}", f"node:20@{DIGEST}"),
    ],
)
def test_familiar(text: str, expected: str) -> None:
    """The short form is the one that Docker shows."""
    assert expected == familiar(parse_reference(text))


@pytest.mark.parametrize(("text", "expected"), [("x", "latest"), ("x:1", "1"), (f"x:1@{DIGEST}", DIGEST)])
def test_locator(text: str, expected: str) -> None:
    """The digest decides, then the tag, then `latest`."""
    assert expected == parse_reference(text).locator


def test_parts_are_put_together() -> None:
    """A repository makes references."""
    repository = parse_repository("ghcr.io/acme/api")
    assert "ghcr.io/acme/api:1.0" == str(repository.tag("1.0"))
    assert f"ghcr.io/acme/api@{DIGEST}" == str(repository.at(DIGEST))


@pytest.mark.parametrize("tag", ["a\n", "ä", "a b", ".a", "-a", "a/b", "a:b"])
def test_illegal_tag(tag: str) -> None:
    """Tags are ASCII, and nothing that could end a line or a path."""
    with pytest.raises(ValueError, match="illegal tag"):
        check_tag(tag)


@pytest.mark.parametrize("host", ["", "a.b/c", "a b", "a:b", "a" * 254, "[1.2.3.4]", "a\n"])
def test_illegal_host(host: str) -> None:
    """A host is a name or an address, and nothing else."""
    assert not is_registry_host(host)
