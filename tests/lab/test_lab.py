from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab import Lab, LabError, available

PROJECT = Path(__file__).resolve().parents[2]
PLATFORMS = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
DOCKERFILE = "FROM base\nRUN uname -m > /arch\n"
START = (
    "import time; from tests.lab import Lab; lab = Lab.start(); print(lab.name, lab.folder, lab.supervisor, flush=True)"
)

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(available() is not None, reason=f"no lab: {available()}"),
]


@pytest.fixture(scope="module")
def own_lab() -> Iterator[Lab]:
    """A lab of this module's own, with all that a lab can have."""
    with Lab.start(engines=2, emulate=("arm64", "arm")) as started:
        yield started


def run(lab: Lab, *argv: str) -> str:
    """Run a command in the lab's environment; returns its stdout."""
    done = subprocess.run(argv, env=lab.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def build(lab: Lab, tmp_path: Path, reference: str, base: str, *options: str) -> str:
    """Build and push an image for two platforms; returns the digest that buildx names."""
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    metadata = tmp_path / "metadata.json"
    wanted = [f"--platform={','.join(PLATFORMS)}", f"--build-context=base={base}", f"--metadata-file={metadata}"]
    run(lab, "docker", "buildx", "build", "--push", f"--tag={reference}", *wanted, *options, str(tmp_path))
    return str(json.loads(metadata.read_text())["containerimage.digest"])


def architectures(lab: Lab, reference: str) -> dict[str, str]:
    """What the image's `RUN` found on each platform."""
    return {platform: _file_of(lab, reference, platform, "arch") for platform in PLATFORMS}


def _file_of(lab: Lab, reference: str, platform: str, path: str) -> str:
    script = f'crane export --insecure --platform {platform} "$1" - | tar -xO {path}'
    return run(lab, "sh", "-ec", script, "sh", reference).strip()


def answers(url: str) -> bool:
    """Whether a registry answers at all."""
    try:
        urllib.request.urlopen(f"{url}/v2/", timeout=30).close()  # noqa: S310 - a registry of ours
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except urllib.error.URLError:
        return False
    return True


def traces(lab: Lab | Elsewhere) -> list[str]:
    """Everything there is of a lab, such as `process 42 sleep`."""
    argv = [sys.executable, "-m", "tests.lab.traces", lab.name, str(lab.folder)]
    return subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.splitlines()


def wait_for(condition: Callable[[], bool]) -> bool:
    """Wait until it holds; only what would never hold takes long."""
    end = time.monotonic() + 120
    while not (held := condition()) and time.monotonic() < end:
        time.sleep(0.1)
    return held


@dataclass(frozen=True)
class Elsewhere:
    """A lab in another process."""

    process: subprocess.Popen[str]
    name: str
    folder: str
    supervisor: int


@pytest.fixture
def start_elsewhere() -> Iterator[Callable[[str], Elsewhere]]:
    """Start a lab in a process of its own, which then goes on with a statement."""
    with ExitStack() as stack:
        yield lambda then: _start_elsewhere(then, stack)


def _start_elsewhere(then: str, stack: ExitStack) -> Elsewhere:
    argv = [sys.executable, "-c", f"{START}; {then}"]
    process = stack.enter_context(subprocess.Popen(argv, cwd=PROJECT, stdout=subprocess.PIPE, text=True))
    stack.callback(process.kill)
    assert process.stdout is not None
    name, folder, supervisor = process.stdout.readline().split()
    return Elsewhere(process, name, folder, int(supervisor))


def test_engines_answer(own_lab: Lab) -> None:
    """Every engine is a server of its own."""
    ids = [run(own_lab, "docker", "--host", engine.host, "info", "--format={{.ID}}") for engine in own_lab.engines]

    assert len(set(ids)) == 2


def test_engine_is_the_one_of_the_environment(own_lab: Lab) -> None:
    """The environment's Docker is engine 0."""
    ours = run(own_lab, "docker", "--host", own_lab.engines[0].host, "info", "--format={{.ID}}")

    assert ours == run(own_lab, "docker", "info", "--format={{.ID}}")


def test_engine_is_found_by_its_process_number(own_lab: Lab) -> None:
    """`pid` is the number of dockerd as seen from here."""
    processes = [trace for trace in traces(own_lab) if trace.endswith("/dockerd")]

    assert {f"process {engine.pid}" for engine in own_lab.engines} == {trace.rpartition(" ")[0] for trace in processes}


def test_buildx_is_new_enough(own_lab: Lab) -> None:
    """The plugin has at least the version that the project supports."""
    version = re.search(r" v?(\d+)\.(\d+)\.", run(own_lab, "docker", "buildx", "version"))

    assert version is not None
    assert (int(version[1]), int(version[2])) >= (0, 20)


def test_builds_on_the_layout_for_two_platforms(own_lab: Lab, tmp_path: Path) -> None:
    """A base handed over as a layout is built on, and `RUN` runs on the foreign platform."""
    reference = f"{own_lab.registry.host}/layout:1"

    digest = build(own_lab, tmp_path, reference, f"oci-layout://{own_lab.base_layout()}")

    assert digest == run(own_lab, "crane", "digest", reference).strip()
    assert architectures(own_lab, reference) == PLATFORMS


def test_builds_on_a_pushed_base(own_lab: Lab, tmp_path: Path) -> None:
    """A base in the registry is built on, by the digest that `push_base` returns."""
    base = f"{own_lab.registry.host}/base"
    base_digest = own_lab.push_base(f"{base}:1")
    reference = f"{own_lab.registry.host}/pushed:1"

    build(own_lab, tmp_path, reference, f"docker-image://{base}@{base_digest}")

    assert base_digest == run(own_lab, "crane", "digest", f"{base}:1").strip()
    assert architectures(own_lab, reference) == PLATFORMS


def test_runs_arm_programs(own_lab: Lab) -> None:
    """32-bit ARM is emulated where asked for, and in the base image then."""
    index = json.loads((own_lab.base_layout() / "index.json").read_text())["manifests"][0]["digest"]
    blob = own_lab.base_layout() / "blobs" / index.replace(":", "/")
    platforms = [manifest["platform"]["architecture"] for manifest in json.loads(blob.read_text())["manifests"]]
    own_lab.push_base(f"{own_lab.registry.host}/arm:1", ("linux/arm/v7",))

    ran = run(
        own_lab, "docker", "run", "--rm", "--platform=linux/arm/v7", f"{own_lab.registry.host}/arm:1", "uname", "-m"
    )

    assert platforms == ["amd64", "arm64", "arm"]
    assert ran.strip() == "armv7l"


def test_busybox_runs_everywhere(own_lab: Lab) -> None:
    """The emulated programs run outside of containers, too."""
    machines = [run(own_lab, str(own_lab.busybox(name)), "uname", "-m").strip() for name in ("amd64", "arm64", "arm")]

    assert machines == ["x86_64", "aarch64", "armv7l"]


def test_registry_keeps_its_content(own_lab: Lab) -> None:
    """A killed registry is unreachable, then has the same port and content."""
    registry = own_lab.new_registry()
    digest = own_lab.push_base(f"{registry.host}/base:1")
    registry.kill()
    reachable_when_killed = answers(registry.url)

    registry.restart()

    assert not reachable_when_killed
    assert digest == run(own_lab, "crane", "digest", f"{registry.host}/base:1").strip()


def test_registry_can_be_paused(own_lab: Lab) -> None:
    """A paused registry takes connections and answers when it goes on."""
    registry = own_lab.new_registry()
    host, port = registry.host.split(":")
    registry.pause()
    with closing(socket.create_connection((host, int(port)))) as connection:
        connection.sendall(b"GET /v2/ HTTP/1.0\r\n\r\n")
        connection.settimeout(0)
        with pytest.raises(BlockingIOError):
            connection.recv(1)
        connection.settimeout(None)

        registry.resume()

        assert connection.recv(12).startswith(b"HTTP/1.0 200")


def test_closed_registry_is_gone(own_lab: Lab) -> None:
    """A closed registry answers no more, and closing twice does no harm."""
    registry = own_lab.new_registry()

    registry.close()
    registry.close()

    assert not answers(registry.url)


def test_registry_with_users(own_lab: Lab, tmp_path: Path) -> None:
    """Who has no password stays out; engine, buildx and crane get in with the one of the configuration."""
    registry = own_lab.new_registry(htpasswd={"me": "secret"})
    with pytest.raises(LabError, match=r"401|UNAUTHORIZED"):
        own_lab.push_base(f"{registry.host}/base:1")
    login = ["docker", "login", "--username=me", "--password-stdin", registry.host]
    subprocess.run(login, env=own_lab.environ, input="secret", text=True, capture_output=True, check=True)

    base = own_lab.push_base(f"{registry.host}/base:1")
    build(own_lab, tmp_path, f"{registry.host}/app:1", f"docker-image://{registry.host}/base@{base}")

    assert architectures(own_lab, f"{registry.host}/app:1") == PLATFORMS


def test_registry_with_tls(own_lab: Lab, tmp_path: Path) -> None:
    """The certificate is good for who trusts its authority; the engine takes it, too."""
    registry = own_lab.new_registry(tls=True)
    base = own_lab.push_base(f"{registry.host}/base:1")

    build(own_lab, tmp_path, f"{registry.host}/app:1", f"docker-image://{registry.host}/base@{base}")

    trusting = {**own_lab.environ, "SSL_CERT_FILE": str(registry.ca)}
    argv = ["crane", "digest", f"{registry.host}/base:1"]
    found = subprocess.run(argv, env=trusting, capture_output=True, text=True, check=True).stdout
    assert registry.url.startswith("https://")
    assert base == found.strip()


def test_engines_are_nodes(own_lab: Lab, tmp_path: Path) -> None:
    """Two engines are a builder of two nodes, each for its platform."""
    base = own_lab.push_base(f"{own_lab.registry.host}/base:nodes")
    create = ["docker", "buildx", "create", "--name=two", "--driver=remote"]
    run(own_lab, *create, "--platform=linux/amd64", own_lab.node(0))
    run(own_lab, *create, "--append", "--platform=linux/arm64", own_lab.node(1))
    reference = f"{own_lab.registry.host}/nodes:1"

    build(own_lab, tmp_path, reference, f"docker-image://{own_lab.registry.host}/base@{base}", "--builder=two")

    run(own_lab, "docker", "buildx", "rm", "two")
    assert architectures(own_lab, reference) == PLATFORMS


def test_environment_is_the_labs_own(own_lab: Lab) -> None:
    """Tools come from the lab, and its configuration is not the machine's."""
    tools = ("docker", "buildx", "crane")

    found = [shutil.which(name, path=own_lab.environ["PATH"]) for name in tools]

    assert [str(own_lab.folder / "bin" / name) for name in tools] == found
    assert not [name for name in own_lab.environ if name.startswith(("BUILDX_", "BUILDKIT_"))]
    assert str(own_lab.docker_config) == own_lab.environ["DOCKER_CONFIG"]


def test_nothing_is_left_after_close(tmp_path: Path) -> None:
    """What a lab made is there while it is open and gone after `close`, though engines were killed or stopped."""
    with Lab.start(engines=3) as lab:
        reference = f"{lab.registry.host}/base:1"
        lab.push_base(reference)
        lab.node()
        build(lab, tmp_path, f"{lab.registry.host}/app:1", f"oci-layout://{lab.base_layout()}")
        run(lab, "docker", "run", "--detach", reference, "sleep", "1000000")
        lab.engines[1].kill()
        lab.engines[2].pause()
        lab.registry.pause()
        while_open = traces(lab)

    kinds = {"bridge", "process", "group", "handler", "folder"}
    assert kinds == {trace.split()[0] for trace in while_open}
    assert traces(lab) == []


def test_labs_do_not_disturb_each_other(own_lab: Lab, tmp_path: Path) -> None:
    """A lab that ends leaves the handlers and networks of another alone."""
    with Lab.start() as other:
        build(other, tmp_path, f"{other.registry.host}/app:1", f"oci-layout://{other.base_layout()}")

    digest = own_lab.push_base(f"{own_lab.registry.host}/base:alone")
    base = f"docker-image://{own_lab.registry.host}/base@{digest}"
    build(own_lab, tmp_path, f"{own_lab.registry.host}/alone:1", base, "--no-cache")


def test_an_engine_of_a_fixed_size_builds(tmp_path: Path) -> None:
    """With all its processes and those of its builds in one group, which goes with it."""
    with Lab.start() as lab:
        engine = lab.engines[0]
        engine.limit(0.5)
        (tmp_path / "Dockerfile").write_text("FROM base\nRUN cat /proc/self/cgroup > /group\n")
        context = f"--build-context=base=oci-layout://{lab.base_layout()}"
        run(lab, "docker", "buildx", "build", context, f"--output=type=local,dest={tmp_path}/out", str(tmp_path))
        groups = [Path(f"/proc/{engine.pid}/cgroup").read_text(), (tmp_path / "out" / "group").read_text()]
        assert [True, True] == [f"{engine.group}/" in group for group in groups]


def test_killed_engine_takes_its_containers_along() -> None:
    """A killed engine is dead when `kill` returns, and the others go on."""
    with Lab.start(engines=2) as lab:
        image = f"{lab.registry.host}/base:1"
        lab.push_base(image)
        for engine in lab.engines:
            run(lab, "docker", "--host", engine.host, "run", "--detach", image, "sleep", "1000000")
        before = [trace for trace in traces(lab) if trace.endswith(" sleep")]

        lab.engines[0].kill()

        found = traces(lab)
        assert [len(before), len([trace for trace in found if trace.endswith(" sleep")])] == [2, 1]
        assert not [trace for trace in found if trace.startswith(f"process {lab.engines[0].pid} ")]
        run(lab, "docker", "--host", lab.engines[1].host, "version")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_of_a_killed_parent(
    number: signal.Signals, start_elsewhere: Callable[[str], Elsewhere]
) -> None:
    """Whatever its process dies of, a lab is taken down."""
    lab = start_elsewhere("time.sleep(1000000)")
    while_open = traces(lab)

    lab.process.send_signal(number)

    assert while_open
    assert wait_for(lambda: not traces(lab))


def test_nothing_is_left_of_a_parent_that_just_ends(start_elsewhere: Callable[[str], Elsewhere]) -> None:
    """A lab that nobody closed is taken down, too."""
    lab = start_elsewhere("import os; os._exit(0)")

    assert wait_for(lambda: not traces(lab))


def test_next_lab_sweeps_up_after_a_killed_supervisor(start_elsewhere: Callable[[str], Elsewhere]) -> None:
    """When parent and supervisor are killed at once, processes end by themselves, the rest goes with the next lab."""
    lab = start_elsewhere("time.sleep(1000000)")
    lab.process.send_signal(signal.SIGSTOP)  # so that it cannot react
    os.kill(lab.supervisor, signal.SIGKILL)
    lab.process.kill()
    assert wait_for(lambda: not [trace for trace in traces(lab) if trace.startswith("process")])

    Lab.start().close()

    assert wait_for(lambda: not traces(lab))  # it may be somebody else's lab that sweeps it up


def test_command_line_runs_a_command() -> None:
    """The command finds registry and base, and its exit code is passed on."""
    script = (
        'crane push --insecure "$ORCHESTRATE_LAB_BASE" "$ORCHESTRATE_LAB_REGISTRY/base:1" && docker version && exit 7'
    )
    argv = [sys.executable, "-m", "tests.lab", "run", "--", "sh", "-c", script]

    done = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=False)

    assert done.returncode == 7, done.stderr
    assert "Server:" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command_line_ends_with_its_command(number: signal.Signals) -> None:
    """SIGTERM is passed on to the command, Ctrl-C goes to both; the lab ends with the command."""
    argv = [sys.executable, "-m", "tests.lab", "run", "--", "sh", "-c", "echo $DOCKER_CONFIG; exec sleep 1000000"]
    with subprocess.Popen(argv, cwd=PROJECT, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip()).parent

        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)

    assert process.returncode == 128 + number
    assert not traces(Elsewhere(process, folder.name.rpartition("-")[2], str(folder), 0))
