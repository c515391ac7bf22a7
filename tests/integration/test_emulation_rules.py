"""Platforms that this machine does not run: emulated where that is written down, refused otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import MakeWorkspace
from tests.integration.recorder import Recorder
from tests.integration.registries import Registries
from tests.integration.workspace import Workspace
from tests.lab import Lab

pytestmark = pytest.mark.integration

ALLOW = '[platforms."{platform}"]\nemulation = "{rule}"\n'


def project(*platforms: str, more: str = "") -> dict[str, str]:
    """One image for these platforms."""
    listed = ", ".join(f'"{platform}"' for platform in platforms)
    text = f'format = 1\n[version]\nvalue = "1.0.0"\n[images.app]\nplatforms = [{listed}]\ntags = ["1.0.0"]\n{more}'
    return {"builds.toml": text, "app/Dockerfile": "FROM %BASE%\nRUN uname -m > /arch\n"}


@pytest.fixture
def record(lab: Lab, tmp_path: Path) -> Recorder:
    """Records what docker is asked to do."""
    return Recorder(tmp_path, lab.environ)


@pytest.mark.parametrize("platform", ["linux/s390x", "linux/riscv64"])
@pytest.mark.parametrize("destination", ["--push", "--oci=out"])
def test_a_missing_handler_is_found_before_anything_is_built(
    platform: str, destination: str, make_workspace: MakeWorkspace, record: Recorder, registries: Registries
) -> None:
    """Plan and build end with 3 and the command that installs the handler; no child but probes was started."""
    workspace = make_workspace(
        project("linux/amd64", platform, more=ALLOW.format(platform=platform, rule="allow")),
    )
    workspace.environ["PATH"] = record.path(workspace.environ)
    planned, refused = workspace.run("plan", destination), workspace.run("build", destination)
    architecture = platform.rpartition("/")[2]

    assert (3, 3) == (planned.exit_code, refused.exit_code)
    for ran in (planned, refused):
        assert f"node `default` has no QEMU handler for `{platform}`" in ran.stderr
        assert f"docker run --privileged --rm tonistiigi/binfmt --install {architecture}" in ran.stderr
        assert "orchestrate doctor --fix" in ran.stderr
    assert [] == record.builds()
    assert [] == registries.tags(f"{workspace.registry}/app")


def test_emulation_is_forbidden_unless_it_is_written_down(make_workspace: MakeWorkspace, record: Recorder) -> None:
    """Nobody wrote that arm64 may be emulated: exit 3, and the lines that would allow it."""
    workspace = make_workspace(project("linux/amd64", "linux/arm64"))
    workspace.environ["PATH"] = record.path(workspace.environ)
    refused = workspace.run("build", "--push")

    assert 3 == refused.exit_code
    assert "error[emulation-forbidden]: `app@linux/arm64`" in refused.stderr
    assert '`[platforms."linux/arm64"]` with `emulation = "allow"`' in refused.stderr
    assert [] == record.builds()


@pytest.mark.parametrize(
    ("more", "options"),
    [
        (ALLOW.format(platform="linux/arm64", rule="allow"), ()),
        (ALLOW.format(platform="*", rule="allow"), ()),
        ('[backends]\ndefault = "qemu"\n', ()),
        ("", ("--backend=qemu",)),
    ],
    ids=["platform", "star", "backend", "option"],
)
def test_each_way_of_writing_it_down_counts(more: str, options: tuple[str, ...], make_workspace: MakeWorkspace) -> None:
    """A rule for the platform, one for all, or the backend that emulates chosen by name."""
    plan = make_workspace(project("linux/amd64", "linux/arm64", more=more)).plan(*options)
    modes = {build.platform: build.placement.mode for build in plan.builds if build.placement}

    assert {"linux/amd64": "native", "linux/arm64": "emulated"} == modes
    assert not plan.blocked


def test_a_rule_beats_the_choice_of_the_backend(make_workspace: MakeWorkspace) -> None:
    """`forbid` is meant as it is written, also for the backend that emulates."""
    more = '[backends]\ndefault = "qemu"\n' + ALLOW.format(platform="linux/arm64", rule="forbid")

    assert 3 == make_workspace(project("linux/amd64", "linux/arm64", more=more)).run("build").exit_code


def test_emulation_with_a_warning_is_told_and_done(make_workspace: MakeWorkspace, registries: Registries) -> None:
    """`warn` builds, and says so before; the result says which platform was emulated."""
    workspace = make_workspace(project("linux/arm64", more=ALLOW.format(platform="linux/arm64", rule="warn")))
    ran = workspace.succeed("build", "--push")

    assert "warning[emulated]: `app@linux/arm64` runs under emulation" in ran.stderr
    assert ["emulated"] == [build.mode for build in workspace.image("app").platforms]
    assert "aarch64" == registries.file(f"{workspace.registry}/app:1.0.0", "linux/arm64", "arch")


def test_a_platform_that_is_native_needs_no_rule(make_workspace: MakeWorkspace) -> None:
    """This machine's own platform is never emulated."""
    workspace: Workspace = make_workspace(project("linux/amd64"))
    workspace.succeed("build")

    assert ["native"] == [build.mode for build in workspace.image("app").platforms]
