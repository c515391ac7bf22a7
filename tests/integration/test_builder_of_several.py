"""A buildx builder of several real BuildKits, each node of it used alone: what builds where, what is lost, what stays.

This machine runs one kind of CPU. Where a node has to be an arm64 one, what it says of its
platforms is changed on its way.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.conftest import MakeWorkspace, builders
from tests.integration.mutual_tls import create_certificates, guarded
from tests.integration.recorder import Recorder
from tests.integration.registries import Registries
from tests.integration.remains import traces
from tests.integration.test_native import AMD64, ARM64, HEAD, IMAGES, built_at, node, option, project, recorded
from tests.lab import Lab

pytestmark = pytest.mark.integration

ONE = {"app/Dockerfile": "FROM %BASE%\nRUN uname -m > /arch\n"}
BOTH = f'["{AMD64}", "{ARM64}"]'
_DISGUISE = """#!{python} -SE
import os, re, subprocess, sys
argv = [{real!r}, *sys.argv[1:]]
if sys.argv[1:3] != ["buildx", "inspect"]:
    os.execv(argv[0], argv)
done = subprocess.run(argv, stdout=subprocess.PIPE, text=True)
blocks = re.split("(?m)^(?=Name:)", done.stdout)
arm = lambda text: re.sub("(?m)^Platforms:.*", "Platforms: linux/arm64, linux/arm/v7", text)
sys.stdout.write("".join(arm(block) if {endpoint!r} in block else block for block in blocks))
sys.exit(done.returncode)
"""


@pytest.fixture(scope="module")
def second(lab: Lab) -> Iterator[Lab]:
    """A second engine with a BuildKit of its own; it takes the first lab's registry."""
    if not lab.engines:
        pytest.skip("needs engines of its own, which a borrowed Docker cannot give")
    with Lab.start() as started:
        yield started


@pytest.fixture
def record(lab: Lab, tmp_path: Path) -> Recorder:
    """Records what docker is asked to do."""
    return Recorder(tmp_path, lab.environ)


@contextmanager
def farm(lab: Lab, *endpoints: str, options: tuple[str, ...] = ()) -> Iterator[None]:
    """The builder `farm` of these nodes; when it is not needed any more, it is what it was."""
    stored = lab.docker_config / "buildx" / "instances" / "farm"
    try:
        for number, endpoint in enumerate(endpoints):
            more = [] if number == 0 else ["--append"]
            buildx(lab, "create", "--name=farm", "--driver=remote", f"--node=n{number}", *more, *options, endpoint)
        before, known = stored.read_bytes(), builders(lab)
        yield
        assert before == stored.read_bytes()
        assert known == builders(lab)
    finally:
        buildx(lab, "rm", "farm")


def buildx(lab: Lab, *words: str) -> None:
    """As a user does."""
    subprocess.run(["docker", "buildx", *words], env=lab.environ, check=True, capture_output=True)


def disguised(lab: Lab, folder: Path, endpoint: str) -> dict[str, str]:
    """An environment in which the node of this endpoint says that it is an arm64 machine."""
    real = shutil.which("docker", path=lab.environ["PATH"])
    assert real is not None
    program = folder / "disguise" / "docker"
    program.parent.mkdir()
    program.write_text(_DISGUISE.format(python=sys.executable, real=real, endpoint=endpoint))
    program.chmod(0o755)
    return {**lab.environ, "PATH": f"{program.parent}:{lab.environ['PATH']}"}


def of_farm(platforms: str, images: Mapping[str, str], **more: str) -> dict[str, str]:
    """A repository whose nodes are those of `farm`."""
    text = node("farm", "", builder="farm", **more)
    files = project(text, images=images)
    files["builds.toml"] = files["builds.toml"].replace(
        f'platforms = ["{AMD64}"]\nname', f"platforms = {platforms}\nname"
    )
    return files


@pytest.mark.parametrize("destination", ["--push", "--oci=out"])
def test_each_platform_is_built_on_its_node_of_the_builder(
    destination: str, lab: Lab, second: Lab, make_workspace: MakeWorkspace, tmp_path: Path, registries: Registries
) -> None:
    """All become one index, also as a layout, which buildx refuses to write for such a builder."""
    one, other = lab.node(), second.node()
    record = Recorder(tmp_path, disguised(lab, tmp_path, other))
    with farm(lab, one, other):
        workspace = recorded(make_workspace(of_farm(BOTH, IMAGES)), record)
        workspace.succeed("build", destination)

    assert {(AMD64, one), (ARM64, other)} == built_at(record)
    for platform, machine in ((AMD64, "x86_64"), (ARM64, "aarch64")):
        if destination == "--push":
            assert machine == registries.file(f"{workspace.registry}/app:1.0.0", platform, "copied")
        else:
            assert machine == registries.layout_file(workspace.root / "out/app", platform, "copied")
    if destination == "--push":
        assert {AMD64, ARM64} == set(registries.index(f"{workspace.registry}/app:1.0.0").images)
    assert {"native"} == {build.mode for build in workspace.image("app").platforms}
    assert not any(option(call.argv, "builder") == "farm" for call in record.builds())


def test_a_saved_plan_is_applied_on_the_nodes_of_the_builder(
    lab: Lab, second: Lab, make_workspace: MakeWorkspace, tmp_path: Path
) -> None:
    """They are found again by what they build; `--node` takes their names."""
    one, other = lab.node(), second.node()
    record = Recorder(tmp_path, disguised(lab, tmp_path, other))
    with farm(lab, one, other):
        workspace = recorded(make_workspace(of_farm(BOTH, ONE)), record)
        planned = workspace.run("plan", "--push", "--out=plan.json")
        workspace.succeed("apply", "plan.json", "--only", ARM64)
        assert {(ARM64, other)} == built_at(record)
        refused = workspace.run("apply", "plan.json", "--only", AMD64, "--node", "farm/n0=nobody")
        workspace.succeed("apply", "plan.json")
    assert f"farm/n0 ({AMD64}); farm/n1 ({ARM64})" in planned.stdout
    assert (3, True) == (refused.exit_code, "node `farm/n0` of the plan builds" in refused.stderr)
    assert {(AMD64, one), (ARM64, other)} == built_at(record)


def test_what_somebody_has_declared_of_a_node_is_not_believed(
    lab: Lab, second: Lab, make_workspace: MakeWorkspace, record: Recorder
) -> None:
    """Left to buildx, arm64 would be built there, emulated, without a word."""
    with farm(lab, lab.node(), second.node(), options=(f"--platform={ARM64}",)):
        workspace = recorded(make_workspace(of_farm(BOTH, ONE)), record)
        refused = workspace.run("build", "--push")
    assert 3 == refused.exit_code
    assert f"no node of builder `farm` runs `{ARM64}` natively" in refused.stderr
    assert [] == record.builds()


def test_what_was_declared_of_the_only_node_is_not_believed(
    lab: Lab, make_workspace: MakeWorkspace, record: Recorder
) -> None:
    """It is asked alone, and says that it would emulate it."""
    with farm(lab, lab.node(), options=(f"--platform={ARM64}",)):
        workspace = recorded(make_workspace(of_farm(f'["{ARM64}"]', ONE)), record)
        refused = workspace.run("build", "--push")
        files = of_farm(f'["{AMD64}"]', ONE)
        files["builds.toml"] = files["builds.toml"].replace(f"platforms = {BOTH}", f'platforms = ["{AMD64}"]', 1)
        recorded(make_workspace(files), record).succeed("build", "--push")
    assert 3 == refused.exit_code
    assert f"it is declared to run `{ARM64}` natively, and only emulates it" in refused.stderr
    assert ["farm"] == [option(call.argv, "builder") for call in record.builds()]


@pytest.mark.parametrize("backend", ["qemu", "bake"])
def test_one_builder_of_several_nodes_emulates_nothing_in_silence(
    backend: str, lab: Lab, second: Lab, make_workspace: MakeWorkspace, tmp_path: Path
) -> None:
    """Buildx would take the first node, which emulates what the second runs natively."""
    one, other = lab.node(), second.node()
    record = Recorder(tmp_path, disguised(lab, tmp_path, other))
    allowed = HEAD + f'[backends.{backend}]\nbuilder = "farm"\n[images.app]\n'
    forbidden = allowed.replace('"allow"', '"forbid"')
    with farm(lab, one, other):
        first = recorded(make_workspace({"builds.toml": forbidden, **ONE}), record)
        refused = first.run("build", "--push", "--backend", backend)
        workspace = recorded(make_workspace({"builds.toml": allowed, **ONE}), record)
        layout = workspace.run("build", "--oci=out", "--backend", backend)
        workspace.succeed("build", "--push", "--backend", backend)
    assert (3, True) == (refused.exit_code, "emulation-forbidden" in refused.stderr)
    assert (3, True) == (layout.exit_code, "[[backends.native.nodes]]" in layout.stderr)
    modes = {build.platform: build.mode for build in workspace.image("app").platforms}
    assert {AMD64: "native", ARM64: "emulated"} == modes


def test_a_node_that_hangs_is_left_out_while_planning(
    lab: Lab, make_workspace: MakeWorkspace, record: Recorder
) -> None:
    """Its builder as a whole does not answer as long as buildx waits for it; all is built on its equal."""
    one = lab.node()
    with Lab.start() as other, farm(lab, other.node(), one):
        other.engines[0].pause()
        workspace = recorded(make_workspace(of_farm(f'["{AMD64}"]', ONE, emulates=f'["{ARM64}"]')), record)
        planned = workspace.run("plan", "--push")
        workspace.succeed("build", "--push")
        other.engines[0].resume()
    assert "farm/n0 (" in planned.stdout
    assert "no answer: " in planned.stdout
    assert {one} == {where for _, where in built_at(record)}


def test_what_a_lost_node_of_a_builder_was_building_is_built_on_its_equal(
    lab: Lab, make_workspace: MakeWorkspace, record: Recorder
) -> None:
    """Both build, one is killed: it is found to be silent by itself, and the run ends well on the other."""
    names = ("a", "b", "c", "d")
    images = {f"{name}/Dockerfile": "FROM %BASE%\nRUN sleep 4\n" for name in names}
    one = lab.node()
    with Lab.start() as other, farm(lab, one, other.node()):
        files = of_farm(f'["{AMD64}"]', images)
        files["builds.toml"] = files["builds.toml"].replace(f"platforms = {BOTH}", f'platforms = ["{AMD64}"]', 1)
        workspace = recorded(make_workspace(files), record)
        with workspace.start("build", "--push", "--jobs=4") as process:
            while not any(trace.endswith(" sleep") for trace in traces(other)):
                assert process.poll() is None
            other.engines[0].kill()
            _, stderr = process.communicate(timeout=300)
    assert 0 == process.returncode, stderr
    assert "node `farm/n1` does not answer any more" in stderr
    assert 2 == len({where for _, where in built_at(record)})
    assert {"released"} == set(workspace.states().values())


def test_nodes_of_a_builder_keep_their_certificates(
    lab: Lab, make_workspace: MakeWorkspace, record: Recorder, tmp_path: Path
) -> None:
    """And the name that the server has in its certificate; without them nobody is let in."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here")
    folder = tmp_path / 'certs, "of" nodes'
    create_certificates(openssl, folder)
    paths = {"cacert": "ca.pem", "cert": "client.pem", "key": "client.key"}
    given = {**{name: str(folder / path) for name, path in paths.items()}, "servername": "127.0.0.1"}
    options = tuple('--driver-opt="' + f"{name}={value}".replace('"', '""') + '"' for name, value in given.items())
    with guarded(int(lab.node().rpartition(":")[2]), folder) as port:
        ends = (f"tcp://localhost:{port}", f"tcp://127.0.0.1:{port}")
        with farm(lab, *ends, options=options):
            workspace = recorded(make_workspace(of_farm(f'["{AMD64}"]', ONE, emulates=f'["{ARM64}"]')), record)
            workspace.succeed("build", "--oci=out")
    assert built_at(record)
    assert {where for _, where in built_at(record)} <= set(ends)
