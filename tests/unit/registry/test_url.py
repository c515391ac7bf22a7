from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.registry.url import find_origin, hide_queries, is_loopback, parse_url

BASE = parse_url("https://registry.example/v2/acme/api/blobs/uploads/1?_state=x")
_PIECES = st.sampled_from(
    ["http", "https", ":", "//", "/", "?", "#", "@", "[", "]", "a", "::1", "127.0.0.1", "..", "%"]
)


@given(st.text() | st.lists(_PIECES, max_size=10).map("".join))
def test_any_text(text: str) -> None:
    """Any text is a URL that prints and parses as itself, or a ValueError; relative or not."""
    for base in (None, BASE):
        try:
            url = parse_url(text, base=base)
        except ValueError:
            continue
        assert url == parse_url(str(url))


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/v2/x", "https://registry.example/v2/x"),
        ("/v2/x?a=b#c", "https://registry.example/v2/x?a=b"),
        ("2?_state=y", "https://registry.example/v2/acme/api/blobs/uploads/2?_state=y"),
        ("?_state=y", "https://registry.example/v2/acme/api/blobs/uploads/1?_state=y"),
        ("//other.example/x", "https://other.example/x"),
        ("http://other.example:80/x", "http://other.example/x"),
        ("HTTPS://Other.Example:8443", "https://other.example:8443/"),
    ],
)
def test_relative(location: str, expected: str) -> None:
    """A `Location` may be absolute, or relative in any way."""
    assert expected == str(parse_url(location, base=BASE))


@pytest.mark.parametrize("text", ["https://u:p@host/", "ftp://host/", "https:///x", "https://a b/", "https://[x]/", ""])
def test_not_a_url(text: str) -> None:
    """Passwords, other schemes and missing hosts are refused, and not shown."""
    with pytest.raises(ValueError, match=r"^not a legal http or https URL$"):
        parse_url(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://r.example/v2/a/blobs/b?sig=s3cret", "https://r.example/v2/a/blobs/b"),
        ("https://cdn.example/s3cret?sig=s3cret", "https://cdn.example/…"),
    ],
)
def test_redacted(text: str, expected: str) -> None:
    """A query is never shown, a path only where it is the distribution API's."""
    assert expected == parse_url(text).redacted


def test_queries_in_text() -> None:
    """URLs within a sentence lose their queries."""
    text = 'see https://a.example/b?sig=1&x=2 and "HTTP://c/d?e" or https://f/g'
    assert 'see https://a.example/b?… and "HTTP://c/d?…" or https://f/g' == hide_queries(text)


@pytest.mark.parametrize(
    ("registry", "insecure", "secured", "expected"),
    [
        ("docker.io", "", "", "https://registry-1.docker.io"),
        ("ghcr.io", "", "", "https://ghcr.io"),
        ("GHCR.io", "", "", "https://ghcr.io"),
        ("registry.example:5000", "", "", "https://registry.example:5000"),
        ("registry.example:5000", "registry.example:5000", "", "http://registry.example:5000"),
        ("registry.example:5000", "registry.example", "", "https://registry.example:5000"),
        ("localhost:5000", "", "", "http://localhost:5000"),
        ("localhost", "", "", "http://localhost"),
        ("127.0.0.1:443", "", "", "https://127.0.0.1"),
        ("127.0.0.1:5000", "", "127.0.0.1:5000", "https://127.0.0.1:5000"),
        ("[::1]:5000", "", "", "http://[::1]:5000"),
        ("127.0.0.1.evil.example", "", "", "https://127.0.0.1.evil.example"),
    ],
)
def test_where_a_registry_answers(registry: str, insecure: str, secured: str, expected: str) -> None:
    """Plain HTTP is for loopback hosts and for those that the user named."""
    origin = find_origin(registry, insecure=frozenset({insecure}), secured=frozenset({secured}))
    assert expected == str(origin)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("x.localhost", True), ("127.8.8.8", True), ("::1", True), ("10.0.0.1", False), ("", False)],
)
def test_loopback(host: str, expected: bool) -> None:  # noqa: FBT001  # the value that is expected
    """Loopback is this machine, and nothing that only looks like it."""
    assert expected is is_loopback(host)
