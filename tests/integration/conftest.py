"""What integration tests share: workspaces in the lab, a base image, and the proof that nothing is left behind."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import pytest

from tests.integration.registries import Registries
from tests.integration.workspace import MARK, Workspace
from tests.lab import Lab


@pytest.fixture(scope="session")
def registries(lab: Lab) -> Registries:
    """The tools that look into registries."""
    return Registries(lab)


@pytest.fixture(scope="session")
def base(lab: Lab) -> str:
    """A base image for amd64 and arm64 in the lab's first registry, which no test stops: a reference with a digest."""
    reference = f"{lab.registry.host}/lab/busybox:stable"
    return f"{reference}@{lab.push_base(reference)}"


@pytest.fixture(scope="session")
def base_layout(lab: Lab) -> tuple[str, ...]:
    """Options that hand the base image over from this disk to images that are `FROM busybox`: no registry needed."""
    layout = lab.base_layout()
    return (f'--set=*.contexts."busybox"="oci-layout://{layout}"', f"--allow=read={layout}")


class MakeWorkspace(Protocol):
    """Makes repositories of their own, each with a place of its own in a registry."""

    def __call__(
        self, files: Mapping[str, str], *, host: str = "", tag: str = "v1.2.3", options: tuple[str, ...] = ()
    ) -> Workspace:
        """`%BASE%` in files is the base image; `host` is a registry; `options` go with every command that plans."""


@pytest.fixture(scope="module")
def make_workspace(lab: Lab, tmp_path_factory: pytest.TempPathFactory, base: str) -> Iterator[MakeWorkspace]:
    """Makes repositories; when the tests of a module are over, nothing of any command may be left of them."""
    made: list[Workspace] = []

    def make(
        files: Mapping[str, str], *, host: str = "", tag: str = "v1.2.3", options: tuple[str, ...] = ()
    ) -> Workspace:
        folder = tmp_path_factory.mktemp("workspace")
        registry = f"{host or lab.registry.host}/{folder.name}"
        environ = {**_own(lab.environ), MARK: secrets.token_hex(8), "ORCHESTRATE_REGISTRY": registry}
        workspace = Workspace(folder, environ, registry=registry, options=options)
        workspace.write({name: text.replace("%BASE%", base) for name, text in files.items()})
        workspace.commit(tag)
        made.append(workspace)
        return workspace

    before = builders(lab)
    yield make
    assert [] == [path for workspace in made for path in workspace.left_behind()]
    assert [] == [process for workspace in made for process in processes(workspace.environ[MARK])]
    assert before == builders(lab)


def _own(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a user, whatever runs the tests."""
    return {name: value for name, value in environ.items() if not name.startswith("GITHUB_")}


def processes(mark: str) -> list[str]:
    """The command lines of processes that tests with this mark started, directly or not, and that still run."""
    return [command for _, command in marked(mark)]


def end_processes(mark: str) -> None:
    """Kill them and wait until they are gone."""
    for pid, _ in marked(mark):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 60
    while processes(mark) and time.monotonic() < end:
        time.sleep(0.02)


def marked(mark: str) -> list[tuple[int, str]]:
    """The numbers and command lines of processes that carry this mark."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark.encode() in (folder / "environ").read_bytes():
                found.append((int(folder.name), (folder / "cmdline").read_text().replace("\0", " ")))
    return found


def builders(lab: Lab) -> list[str]:
    """The builders that buildx knows, as the files that it keeps of them."""
    return sorted(path.name for path in (lab.docker_config / "buildx" / "instances").glob("*"))
