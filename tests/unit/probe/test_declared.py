from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api import Emulation
from orchestrator.buildkit.untrusted import UnreadableError
from orchestrator.oci.platform import parse_platform
from orchestrator.probe.declared import (
    ConfiguredBuilder,
    Declared,
    UsedBackend,
    Wanted,
    foreign_platform,
    parse_declared,
    registry_host,
)

FORBID = Emulation.FORBID
_FILE = b"""
format = 1
[project]
registry = "ghcr.io/acme"
[defaults]
platforms = ["linux/amd64", "linux/arm64", "linux/nonsense"]
[templates.t]
extend.platforms = ["linux/s390x"]
[images.a]
platforms = ["linux/arm64", 7]
[platforms."linux/arm64"]
emulation = "allow"
[platforms."*"]
emulation = "forbid"
"""


def test_platforms_rules_and_registry_are_read() -> None:
    """Wherever platforms are declared, each once; mistakes are somebody else's to name."""
    wanted = tuple(
        Wanted(platform=parse_platform(text), emulation=rule)
        for text, rule in (("linux/amd64", FORBID), ("linux/arm64", Emulation.ALLOW), ("linux/s390x", FORBID))
    )
    assert Declared(platforms=wanted, registry="ghcr.io") == parse_declared(_FILE)


def test_builders_are_read_where_backends_name_them() -> None:
    """The one of `qemu` and of `bake`, and those of nodes; what has another shape is somebody else's to name."""
    content = b"""
[backends]
default = "qemu"
qemu.builder = "farm"
bake = { builder = 7 }
theirs.builder = "an oven"
[[backends.native.nodes]]
name = "arm-1"
builder = "arm"
[[backends.native.nodes]]
endpoint = "tcp://a:1"
[[backends.native.nodes]]
builder = "\\u001b[2Jx"
"""
    expected = (
        ConfiguredBuilder(name="farm", backend="qemu"),
        ConfiguredBuilder(name="arm", backend="native", node="arm-1"),
        ConfiguredBuilder(name="[2Jx", backend="native", node="2"),
    )
    assert expected == parse_declared(content).builders


@pytest.mark.parametrize(
    ("builder", "place"),
    [
        (ConfiguredBuilder(name="x", backend="bake"), "`backends.bake.builder`"),
        (ConfiguredBuilder(name="x", backend="native", node="arm-1"), "node `arm-1` of `backends.native`"),
    ],
)
def test_a_builder_says_where_it_is_named(builder: ConfiguredBuilder, place: str) -> None:
    """So that the line is found."""
    assert place == builder.place


def test_a_rule_that_is_not_written_forbids_nothing() -> None:
    """The backend decides then."""
    (wanted,) = parse_declared(b'defaults.platforms = ["linux/arm64"]').platforms
    assert not wanted.forbidden


_NODES = b'[[backends.native.nodes]]\nname = "n"\n'
_NATIVE = {"nodes": [{"name": "n"}]}


@pytest.mark.parametrize("content", [b"", b"images.a = {}", b"backends.default = 'bake'", b"backends.native.nodes = 7"])
def test_a_builder_of_this_machine_is_no_node(content: bytes) -> None:
    """It has a line as a builder."""
    declared = parse_declared(content)
    assert ((), False) == (declared.backends, declared.nodes_only)


def test_declared_nodes_make_their_backend_the_default() -> None:
    """As in a plan: nobody has written its name."""
    declared = parse_declared(_NODES)
    assert ((UsedBackend(name="native", table=_NATIVE, by_name=False),), True) == (
        declared.backends,
        declared.nodes_only,
    )


@pytest.mark.parametrize(
    ("text", "nodes_only"),
    [
        (b"backends.default = 'native'\n", True),
        (b"backends.default = 'qemu'\ndefaults.backend = 'native'\nimages.a = {}\n", True),
        (b"backends.default = 'qemu'\nimages.a.backend = 'native'\n", True),
        (b"backends.default = 'qemu'\nimages.a = {}\nimages.b.backend = 'native'\n", False),
        (b"backends.default = 'qemu'\nimages.a = {}\ntemplates.t.backend = 'native'\n", False),
        (b"backends.default = 'qemu'\nimages.a.backend = 'native'\ninclude = ['x']\n", False),
    ],
)
def test_a_backend_is_used_where_its_name_stands(text: bytes, *, nodes_only: bool) -> None:
    """A builder of this machine is needed too where an image may be built with it."""
    declared = parse_declared(text + _NODES)
    assert ((UsedBackend(name="native", table=_NATIVE),), nodes_only) == (declared.backends, declared.nodes_only)


def test_a_file_that_names_very_many_backends_is_not_asked_for_all() -> None:
    """Somebody else's file may name any number."""
    content = "".join(f'images.i{number}.backend = "b{number}"\n' for number in range(1000))
    assert 20 == len(parse_declared(content.encode()).backends)


@pytest.mark.parametrize("content", [b"a = ", b"\xff", b"a = " + b"[" * 100_000])
def test_what_is_no_toml_is_refused(content: bytes) -> None:
    """Not a traceback, whatever is in it."""
    with pytest.raises(UnreadableError):
        parse_declared(content)


@given(st.text(max_size=100))
def test_any_text_is_read_or_refused(text: str) -> None:
    """There is no other error."""
    try:
        parse_declared(text.encode(errors="replace"))
    except UnreadableError:
        return


@pytest.mark.parametrize(
    ("registry", "host"),
    [
        ("ghcr.io/acme", "ghcr.io"),
        ("127.0.0.1:5000/x", "127.0.0.1:5000"),
        ("localhost", "localhost"),
        ("acme/api", ""),
        ("{{ vars.host }}.io/x", ""),
        ("", ""),
    ],
)
def test_the_host_of_a_registry(registry: str, host: str) -> None:
    """A name without a dot or a port is a folder of Docker Hub; a template is nobody's."""
    assert host == registry_host(registry)


@pytest.mark.parametrize(("own", "other"), [("amd64", "arm64"), ("arm64", "amd64"), ("s390x", "amd64")])
def test_the_foreign_platform(own: str, other: str) -> None:
    """Where nothing is declared the other common one is looked for, and nothing depends on it."""
    assert Wanted(platform=parse_platform(f"linux/{other}"), declared=False) == foreign_platform(own)
