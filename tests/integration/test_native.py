"""Two real BuildKits, each a builder of its own: what is built where, what becomes of nodes that are dead, what stays.

This machine runs one kind of CPU. So the node for arm64 is declared as what it is, one that emulates it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.integration.conftest import MakeWorkspace, builders
from tests.integration.mutual_tls import create_certificates, guarded
from tests.integration.recorder import Recorder
from tests.integration.registries import Registries
from tests.integration.workspace import Workspace
from tests.lab import Lab

pytestmark = pytest.mark.integration

HEAD = """\
format = 1
[project]
name = "nodes"
[version]
value = "1.0.0"
[defaults]
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{{ version }}"]
[platforms."linux/arm64"]
emulation = "allow"
"""
IMAGES: Mapping[str, str] = {
    "base/Dockerfile": "FROM %BASE%\nRUN uname -m > /arch\n",
    "app/Dockerfile": "FROM base\nRUN cp /arch /copied\n",
}
AMD64, ARM64 = "linux/amd64", "linux/arm64"


@pytest.fixture(scope="module")
def second(lab: Lab) -> Iterator[Lab]:
    """A second engine with a BuildKit of its own; it takes the first lab's registry."""
    assert lab.engines
    with Lab.start() as started:
        yield started


@pytest.fixture
def record(lab: Lab, tmp_path: Path) -> Recorder:
    """Records what docker is asked to do."""
    return Recorder(tmp_path, lab.environ)


def node(name: str, where: str, platform: str = AMD64, **more: str) -> str:
    """A node of `builds.toml`."""
    lines = {"name": name, "endpoint": where, **more}
    text = "".join(
        f"{key.replace('_', '-')} = {value if value[0] == '[' else repr(value)}\n"
        for key, value in lines.items()
        if value
    )
    return f'[[backends.native.nodes]]\nplatforms = ["{platform}"]\n{text}'


def project(*nodes: str, images: Mapping[str, str] = IMAGES, more: str = "") -> dict[str, str]:
    """A repository for these nodes."""
    tables = "".join(f"[images.{name.partition('/')[0]}]\n" for name in images)
    return {"builds.toml": HEAD + "".join(nodes) + tables + more, **images}


def two(one: str, other: str) -> tuple[str, str]:
    """One node for amd64, and one that is told to emulate arm64."""
    return node("amd", one), node("arm", other, "linux/amd64/v2", emulates=f'["{ARM64}"]')


def recorded(workspace: Workspace, record: Recorder) -> Workspace:
    """The workspace, with a recorder before its docker."""
    workspace.environ["PATH"] = record.path(workspace.environ)
    return workspace


def option(argv: list[str], name: str) -> str:
    """The value of an option."""
    return next(word.partition("=")[2] for word in argv if word.startswith(f"--{name}="))


def built_at(record: Recorder) -> set[tuple[str, str]]:
    """What was built where: platforms, and the endpoint of the builder that did it."""
    made = {
        option(call.argv, "name"): call.argv[-1] for call in record.calls() if call.argv[1:3] == ["buildx", "create"]
    }
    return {(option(call.argv, "platform"), made[option(call.argv, "builder")]) for call in record.builds()}


@pytest.mark.parametrize("destination", ["--push", "--oci=out"])
def test_each_platform_is_built_on_its_node_and_all_become_one_index(
    destination: str, lab: Lab, second: Lab, make_workspace: MakeWorkspace, record: Recorder, registries: Registries
) -> None:
    """Parents of both nodes serve children on both; layouts of several nodes too, which buildx refuses to write."""
    one, other = lab.node(), second.node()
    before = builders(lab)
    workspace = recorded(make_workspace(project(*two(one, other))), record)
    workspace.succeed("build", destination)

    assert {(AMD64, one), (ARM64, other)} == built_at(record)
    for platform, machine in ((AMD64, "x86_64"), (ARM64, "aarch64")):
        if destination == "--push":
            assert machine == registries.file(f"{workspace.registry}/app:1.0.0", platform, "copied")
        else:
            assert machine == registries.layout_file(workspace.root / "out/app", platform, "copied")
    if destination == "--push":
        assert {AMD64, ARM64} == set(registries.index(f"{workspace.registry}/app:1.0.0").images)
    assert before == builders(lab)
    assert {"native", "emulated"} == {build.mode for build in workspace.image("app").platforms}


def test_a_saved_plan_is_applied_on_the_nodes(
    lab: Lab, second: Lab, make_workspace: MakeWorkspace, record: Recorder
) -> None:
    """A part on each, as jobs of CI would."""
    one, other = lab.node(), second.node()
    workspace = recorded(make_workspace(project(*two(one, other))), record)
    workspace.succeed("plan", "--push", "--out=plan.json")
    workspace.succeed("apply", "plan.json", "--only", ARM64)
    assert {(ARM64, other)} == built_at(record)
    workspace.succeed("apply", "plan.json", "--only", AMD64)
    workspace.succeed("apply", "plan.json", "--finish")
    assert {(AMD64, one), (ARM64, other)} == built_at(record)


def test_a_node_that_only_emulates_is_never_called_native(
    lab: Lab, make_workspace: MakeWorkspace, record: Recorder
) -> None:
    """Whatever the file says of it: exit 3 before anything is built, and what to write instead."""
    workspace = recorded(make_workspace(project(node("amd", lab.node()), node("arm", lab.node(), ARM64))), record)
    refused = workspace.run("build", "--push")

    assert 3 == refused.exit_code
    assert "node `arm`: it is declared to run `linux/arm64` natively, and only emulates it" in refused.stderr
    assert 'emulates = ["linux/arm64"]' in refused.stderr
    assert [] == record.builds()


def test_an_existing_builder_is_a_node(lab: Lab, make_workspace: MakeWorkspace, record: Recorder) -> None:
    """It is used as it is, and stays."""
    subprocess.run(
        ["docker", "buildx", "create", "--name=mine", "--driver=remote", lab.node()],
        env=lab.environ, check=True, capture_output=True,
    )  # fmt: skip
    try:
        before = builders(lab)
        text = node("amd", "", builder="mine", emulates=f'["{ARM64}"]')
        workspace = recorded(make_workspace(project(text)), record)
        workspace.succeed("build", "--oci=out")
        assert {"mine"} == {option(call.argv, "builder") for call in record.builds()}
        assert before == builders(lab)
    finally:
        subprocess.run(["docker", "buildx", "rm", "mine"], env=lab.environ, check=True, capture_output=True)


@pytest.mark.parametrize("way", ["hangs", "dead", "nowhere"])
def test_a_node_that_does_not_answer_is_named_before_anything_is_built(
    way: str, lab: Lab, make_workspace: MakeWorkspace, record: Recorder
) -> None:
    """A build by hand would wait for it for ever; the plan is made all the same, and says so."""
    with Lab.start() as other:
        where = "tcp://127.0.0.1:1" if way == "nowhere" else other.node()
        if way == "hangs":
            other.engines[0].pause()
        elif way == "dead":
            other.engines[0].kill()
        workspace = recorded(make_workspace(project(*two(lab.node(), where))), record)
        planned, refused = workspace.run("plan", "--push"), workspace.run("build", "--push")
        if way == "hangs":
            other.engines[0].resume()

    assert (0, 3) == (planned.exit_code, refused.exit_code)
    assert f"arm (linux/amd64/v2; emulates {ARM64}; no answer: " in planned.stdout
    assert "node `arm` does not answer: " in refused.stderr
    assert f"`{where}`" in refused.stderr
    assert [] == record.builds()


@pytest.mark.parametrize("way", ["hangs", "dies"])
def test_a_node_that_is_lost_while_it_builds_is_named(
    way: str, lab: Lab, make_workspace: MakeWorkspace, record: Recorder
) -> None:
    """The run ends, though buildx would wait; what is built on the other node is kept, and nothing else stays."""
    before = builders(lab)
    files = {"app/Dockerfile": "FROM %BASE%\nARG TARGETARCH\nRUN [ $TARGETARCH = amd64 ] || sleep 3600\n"}
    with Lab.start() as other:
        text = project(*two(lab.node(), other.node()), images=files)
        workspace = recorded(make_workspace(text), record)
        with workspace.start("build", "--push", "-v") as process:
            assert process.stderr is not None
            said = ""
            while not said.startswith("solve:app@linux/arm64  started [2/2] RUN"):
                said = process.stderr.readline()
                assert said
            if way == "hangs":
                other.engines[0].pause()
            else:
                other.engines[0].kill()
            _, stderr = process.communicate(timeout=300)
        if way == "hangs":
            other.engines[0].resume()

    assert 4 == process.returncode
    assert "node `arm` does not answer any more: " in stderr
    (image,) = workspace.result().images
    assert {AMD64: "built", ARM64: "failed"} == {build.platform: build.state for build in image.platforms}
    assert before == builders(lab)


def test_an_interrupted_run_takes_its_builders_with_it(
    lab: Lab, second: Lab, make_workspace: MakeWorkspace, record: Recorder
) -> None:
    """Ctrl-C in the middle of a build."""
    before = builders(lab)
    files = {"app/Dockerfile": "FROM %BASE%\nRUN sleep 600\n"}
    workspace = recorded(make_workspace(project(*two(lab.node(), second.node()), images=files)), record)
    with workspace.start("build", "--push") as process:
        while len(record.builds()) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        assert before != builders(lab)
        os.kill(process.pid, signal.SIGINT)
        process.communicate(timeout=120)
    assert 130 == process.returncode
    assert before == builders(lab)


@pytest.mark.parametrize("given", ["file", "variable"])
def test_a_node_behind_mutual_tls_is_reached_with_the_files_that_are_named(
    given: str, lab: Lab, make_workspace: MakeWorkspace, record: Recorder
) -> None:
    """By paths, whatever letters are in them; keys are in no argv, and without them nobody is let in."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here")
    workspace = recorded(make_workspace({}), record)
    folder = workspace.root / 'certs, "of" nodes'
    create_certificates(openssl, folder)
    paths = {"cacert": "ca.pem", "cert": "client.pem", "key": "client.key"}
    workspace.environ |= {f"NODE_{name.upper()}": str(folder / path) for name, path in paths.items()}
    named = {
        name: f"env:NODE_{name.upper()}" if given == "variable" else f"{folder.name}/{path}"
        for name, path in paths.items()
    }
    port = int(lab.node().rpartition(":")[2])
    with guarded(port, folder) as guarded_port:
        where = f"tcp://127.0.0.1:{guarded_port}"
        images = {"app/Dockerfile": "FROM %BASE%\nRUN uname -m > /arch\n"}
        text = project(node("far", where, emulates=f'["{ARM64}"]', **named), images=images)
        base = f"{lab.registry.host}/lab/busybox:stable"
        workspace.write({name: content.replace("%BASE%", base) for name, content in text.items()})
        workspace.succeed("build", "--oci=out")
        for name in named.values():
            workspace.write({"builds.toml": text["builds.toml"].replace(f"'{name}'", "'missing.pem'")})
        refused = workspace.run("build", "--force", "--oci=other")
    assert {(f"{AMD64},{ARM64}", where)} == built_at(record)
    assert 3 == refused.exit_code
    assert "missing.pem`" in refused.stderr
    key = (folder / "client.key").read_text().splitlines()[1]
    assert not any(key in word for call in record.calls() for word in call.argv)
