from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.buildkit.builders import (
    Builder,
    BuilderNode,
    Engine,
    builds_several_platforms,
    is_builder_name,
    is_without_buildx,
    parse_builders,
    parse_buildx_version,
    parse_engine,
    parse_inspection,
    parse_platforms,
    split_platforms,
)
from orchestrator.buildkit.untrusted import UnreadableError
from orchestrator.oci.platform import Platform, parse_platform

# Recorded from Docker Engine 28.5 with buildx 0.29.
_DATA = Path(__file__).with_name("data")
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["Server", "Version", "Name", "Nodes", "Platforms", "Driver", "DriverStatus", "Err"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


def _recorded(name: str) -> bytes:
    return (_DATA / name).read_bytes()


def _platforms(*texts: str) -> tuple[Platform, ...]:
    return tuple(map(parse_platform, texts))


def test_a_recorded_engine_is_read() -> None:
    """Version, CPU, image store and folder of a real engine."""
    expected = Engine(
        version="28.5.2+dfsg4",
        architecture="amd64",
        containerd_snapshotter=True,
        root="/run/lab/data",
        context="default",
    )
    assert expected == parse_engine(_recorded("version.json"), _recorded("info.json"))


def test_an_engine_with_the_old_image_store_is_recognised() -> None:
    """The driver status of the overlay2 store says nothing of containerd."""
    info = json.dumps({"Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]]}).encode()
    assert not parse_engine(_recorded("version.json"), info).containerd_snapshotter


def test_no_engine_is_an_error() -> None:
    """What the client prints when nobody answers has no server in it."""
    with pytest.raises(UnreadableError, match="no engine answered"):
        parse_engine(b'{"Client":{"Version":"28.5.2"},"Server":null}', b"{}")


@pytest.mark.parametrize(
    ("printed", "numbers", "supported"),
    [
        ("github.com/docker/buildx v0.20.0 abc", (0, 20, 0), True),
        ("github.com/docker/buildx v0.19.9 abc", (0, 19, 9), False),
        ("github.com/docker/buildx v0.30.0-desktop.1 abc", (0, 30, 0), True),
        ("github.com/docker/buildx v1.0 abc", (1, 0, 0), True),
        ("github.com/docker/buildx 4c2bf7a.m 4c2bf7a", (), True),
    ],
)
def test_versions_of_buildx(printed: str, *, numbers: tuple[int, ...], supported: bool) -> None:
    """0.20 is the minimum; a build without a number is believed to be new."""
    version = parse_buildx_version(printed.encode())
    assert (numbers, supported) == (version.numbers, version.supported)


def test_a_recorded_version_of_buildx_is_read() -> None:
    """Debian's has no `v`."""
    assert parse_buildx_version(_recorded("buildx-version.txt")).numbers == (0, 29, 1)


def test_something_else_is_no_version_of_buildx() -> None:
    """Such as the help that an older docker prints for an unknown command."""
    with pytest.raises(UnreadableError):
        parse_buildx_version(b"Usage:  docker [OPTIONS] COMMAND")


def test_recorded_builders_are_read() -> None:
    """A declared, an unreachable and the default builder, with what each node builds."""
    cont, far, default = parse_builders(_recorded("ls.json"), engine_architecture="amd64")
    assert (cont.driver, cont.current, cont.nodes[0].status) == ("docker-container", False, "inactive")
    assert (cont.nodes[0].native, cont.nodes[0].emulated) == ((), _platforms("linux/arm64"))
    assert far.nodes == (BuilderNode(name="far0", endpoint="tcp://127.0.0.1:1", status="inactive"),)
    assert default.current
    assert default.nodes[0].native == _platforms("linux/amd64", "linux/amd64/v2", "linux/amd64/v3", "linux/amd64/v4")
    assert default.nodes[0].emulated == _platforms("linux/arm64")


def test_text_and_json_of_a_builder_agree() -> None:
    """`inspect` prints text, `ls` prints JSON; both mean the same builder."""
    _, _, default = parse_builders(_recorded("ls.json"))
    assert default.nodes == parse_inspection(_recorded("inspect-default.txt")).nodes


def test_a_declared_platform_loses_its_star() -> None:
    """`inspect` marks what the user declared for a node."""
    assert _platforms("linux/arm64") == parse_inspection(_recorded("inspect-cont.txt")).nodes[0].platforms


def test_a_label_or_a_file_of_a_node_is_not_taken_for_a_field() -> None:
    """What is indented belongs to labels and files, whatever it says."""
    text = (
        b"Name: b\nDriver: remote\n\nNodes:\nName: n\nEndpoint: e\nStatus: running\nLabels:\n Status: x\n> Error: y\n"
    )
    assert parse_inspection(text).nodes == (BuilderNode(name="n", endpoint="e", status="running"),)


def test_an_error_of_a_node_is_kept() -> None:
    """A node that buildx cannot reach is not a running one."""
    text = b"Name: b\nDriver: remote\n\nNodes:\nName: n\nEndpoint: e\nError: no route to host\n\nName: m\nEndpoint: f\n"
    first, second = parse_inspection(text).nodes
    assert (first.status, first.error, second.name) == ("error", "no route to host", "m")


def test_inactive_nodes_are_ready_unless_nobody_starts_them() -> None:
    """Buildx starts a container; a remote node that does not answer stays away."""
    cont, far, default = parse_builders(_recorded("ls.json"))
    assert [len(builder.ready) for builder in (cont, far, default)] == [1, 0, 1]


def test_the_first_platform_tells_the_cpu() -> None:
    """What the CPU runs besides is native too, the rest is emulated."""
    listed = _platforms("linux/arm64", "linux/amd64", "linux/arm/v7", "linux/arm/v6", "linux/386")
    native, emulated = split_platforms(listed)
    assert _platforms("linux/arm64", "linux/arm/v7", "linux/arm/v6") == native
    assert _platforms("linux/amd64", "linux/386") == emulated


def test_a_known_cpu_wins_over_the_order() -> None:
    """A user may declare for a node what it emulates."""
    native, emulated = split_platforms(_platforms("linux/arm64", "linux/amd64"), architecture="amd64")
    assert (_platforms("linux/amd64"), _platforms("linux/arm64")) == (native, emulated)


@given(st.lists(st.sampled_from(["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x", "linux/386"])))
def test_every_platform_is_either_native_or_emulated(listed: list[str]) -> None:
    """Nothing is lost and nothing counted twice."""
    platforms = parse_platforms(tuple(listed))
    native, emulated = split_platforms(platforms)
    assert sorted(platforms) == sorted((*native, *emulated))


def test_unknown_platforms_are_left_out() -> None:
    """A newer BuildKit may know more of them than we do."""
    listed = ("linux/amd64 (+4)", "linux/z80", "", "linux/arm64*", "linux/amd64", "../..")
    assert _platforms("linux/amd64", "linux/arm64") == parse_platforms(listed)


@pytest.mark.parametrize(
    ("driver", "containerd", "several"),
    [("docker", False, False), ("docker", True, True), ("docker-container", False, True), ("remote", False, True)],
)
def test_only_the_docker_driver_depends_on_the_image_store(driver: str, *, containerd: bool, several: bool) -> None:
    """Without containerd's store it builds one platform at a time."""
    engine = Engine(version="28", architecture="amd64", containerd_snapshotter=containerd)
    assert several == builds_several_platforms(Builder(name="b", driver=driver), engine)


def test_control_sequences_do_not_reach_the_terminal() -> None:
    """A node may be called anything."""
    (builder,) = parse_builders(b'{"Name":"a\\u001b[31mb\\nc","Driver":"remote"}')
    assert builder.name == "a[31mb c"


@given(_JSON, _JSON)
def test_any_json_is_read_or_refused(first: object, second: object) -> None:
    """Whatever shape it has, there is no other error."""
    one, two = (json.dumps(value).encode() for value in (first, second))
    for parse in (lambda: parse_engine(one, two), lambda: parse_builders(one + b"\n" + two)):
        try:
            parse()
        except UnreadableError:
            continue


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(output: bytes) -> None:
    """Whatever a tool prints, there is no other error."""
    for parse in (parse_builders, parse_inspection, parse_buildx_version):
        try:
            parse(output)
        except UnreadableError:
            continue


def test_deep_nesting_is_refused() -> None:
    """It would exhaust the stack."""
    with pytest.raises(UnreadableError):
        parse_builders(b"[" * 100_000)


def test_a_node_takes_work_where_its_platforms_are_known() -> None:
    """It says them when it runs; declared ones are what somebody else says."""
    cont, far, default = parse_builders(_recorded("ls.json"))
    new = BuilderNode(name="n", endpoint="e", status="inactive")
    away = BuilderNode(name="n", endpoint="e", status="inactive", platforms=_platforms("linux/arm64"))
    fresh = Builder(name="b", driver="docker-container", nodes=(new,))
    lost = Builder(name="b", driver="remote", nodes=(away,))
    assert [0, 0, 1, 0, 0] == [len(builder.answering) for builder in (cont, far, default, fresh, lost)]


@pytest.mark.parametrize(
    "printed",
    [
        "docker: unknown command: docker buildx\n\nRun 'docker --help' for more information\n",
        "unknown flag: --format\n\nUsage:  docker [OPTIONS] COMMAND [ARG...]\n\nRun 'docker --help' for more\n",
        "docker: 'buildx' is not a docker command.\nSee 'docker --help'\n",
        "unknown flag: --progress\nSee 'docker --help'.\n\nUsage:  docker [OPTIONS] COMMAND\n",
    ],
)
def test_a_docker_without_buildx_is_recognised(printed: str) -> None:
    """It answers itself, in words that say nothing of buildx where a flag follows; of versions 20 to 28."""
    assert is_without_buildx(printed)


@pytest.mark.parametrize(
    "printed",
    [
        "",
        'ERROR: no builder "x" found\n',
        "unknown flag: --nonsense\n\nUsage:  docker buildx ls\n\nRun 'docker buildx ls --help' for more information\n",
        "ERROR: Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?\n",
    ],
)
def test_what_buildx_says_is_no_lack_of_it(printed: str) -> None:
    """Errors of its own, an unknown flag of its own."""
    assert not is_without_buildx(printed)


@pytest.mark.parametrize(("name", "legal"), [("a.b_c-1", True), ("", False), ("-f", False), ("a\n", False)])
def test_names_of_builders(name: str, *, legal: bool) -> None:
    """As buildx has them."""
    assert legal == is_builder_name(name)
