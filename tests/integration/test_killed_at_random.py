"""`kill -9` at any moment of a release, again and again: gone on with, it ends right, and nothing was public too early.

The moments come from a seed: some are the n-th request that the registry sees, some a time. What is asserted holds
whatever the machine made of them.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.integration.conftest import MakeWorkspace, end_processes, processes
from tests.integration.gatekeeper import Gatekeeper, Judge, Verdict
from tests.integration.recorder import Recorder
from tests.integration.registries import Registries
from tests.integration.remains import nothing_left
from tests.integration.watcher import Watcher, tags
from tests.integration.workspace import MARK, Workspace
from tests.lab import Lab

pytestmark = pytest.mark.integration

KILLS = 30
SEED = 20
NAMES = tuple(f"i{number:02}" for number in range(20))
PARENTS: Mapping[str, tuple[str, ...]] = {
    "i00": (),
    **dict.fromkeys(NAMES[1:5], ("i00",)),
    **{name: (NAMES[1 + number % 4],) for number, name in enumerate(NAMES[5:13])},
    **{name: (NAMES[5 + number], NAMES[6 + number]) for number, name in enumerate(NAMES[13:])},
}
"""Four levels; the images of the last copy from a second one."""

HEAD = """\
format = 1
[project]
name = "tough"
[version]
from = "git-tag"
match = "v*"
[defaults]
platforms = ["linux/amd64"]
tags = ["{{ version }}", { ref = "latest", moving = true }]
"""
UUID = "cat /proc/sys/kernel/random/uuid"


def dockerfile(name: str) -> str:
    """Leaves in the image what no other build of it has, and that of the second parent."""
    first, *others = PARENTS[name] or ("%BASE%",)
    copies = "".join(f"COPY --from={other} /{other} /{other}\n" for other in others)
    return f"FROM {first}\nCOPY text /{name}-text\n{copies}RUN {UUID} > /{name}\n"


def files() -> dict[str, str]:
    """The project, but for the texts, of which each release has its own."""
    tables = "".join(f"[images.{name}]\n" for name in NAMES)
    sources = {f"{name}/Dockerfile": dockerfile(name) for name in NAMES}
    return {"builds.toml": HEAD + tables, ".gitignore": ".orchestrate\n", **sources}


@pytest.fixture(scope="module", autouse=True)
def tidy(lab: Lab) -> Iterator[None]:
    """Nothing stays: no process, mount, container or file."""
    with nothing_left(lab):
        yield


@pytest.fixture
def keeper(lab: Lab) -> Iterator[Gatekeeper]:
    """In front of the registry."""
    with Gatekeeper(lab.registry.host) as started:
        yield started


@pytest.fixture
def workspace(make_workspace: MakeWorkspace, keeper: Gatekeeper) -> Iterator[Workspace]:
    """Twenty images; whatever killed runs have left running ends with the test."""
    made = make_workspace(files(), host=keeper.host, tag="v0.1.0")
    yield made
    end_processes(made.environ[MARK])


class Killer:
    """Kills a run at a moment of its choice, and says what was finished by then."""

    def __init__(self, workspace: Workspace, keeper: Gatekeeper, lab: Lab) -> None:
        self._random = random.Random(SEED)  # noqa: S311  # moments, not secrets
        self._workspace = workspace
        self._keeper = keeper
        self._host = lab.registry.host
        self._place = workspace.registry.partition("/")[2]
        self.kills = 0

    def run(self, recorder: Recorder) -> int:
        """Start a run and kill it, or see it end; its exit code."""
        path = recorder.path(self._workspace.environ)
        process = self._workspace.start("build", "--push", "--resume", "--jobs=3", PATH=path)
        timer = threading.Timer(self._random.uniform(1, 4), _kill, (process,))
        number = self._random.randrange(20, 200)
        if self.kills < KILLS:
            if self._random.random() < 0.5:
                timer.start()
            else:
                self._keeper.judge = _at_request(number, process)
        _, stderr = process.communicate(timeout=180)
        timer.cancel()
        self._keeper.judge = lambda _: Verdict.HAND_ON
        if process.returncode == -signal.SIGKILL:
            self.kills += 1
            if self._random.random() < 0.5:  # else what it has started runs on beside the next run
                end_processes(self._workspace.environ[MARK])
        else:
            assert process.returncode == 0, stderr
        return process.returncode

    def recorded(self) -> dict[str, set[str]]:
        """The records of each image that stand in the registry."""
        with closing(HTTPConnection(self._host, timeout=60)) as connection:
            return {
                name: {tag for tag in tags(connection, f"{self._place}/{name}") if tag.startswith("in-")}
                for name in NAMES
            }


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)


def _at_request(number: int, process: subprocess.Popen[str]) -> Judge:
    """Kills when the registry is about to hear of the n-th request; that one it still gets."""
    left = iter(range(number))

    def judge(_: str) -> Verdict:
        if next(left, None) is None:
            _kill(process)
        return Verdict.HAND_ON

    return judge


def text_of(registries: Registries, reference: str, folder: Path, *paths: str) -> list[str]:
    """The one line of each of these files of an image."""
    image = str(folder / "image.tar")
    registries.tool("crane", "export", "--insecure", "--platform=linux/amd64", reference, image)
    return [registries.tool("tar", "-xOf", image, path).strip() for path in paths]


def check_contents(workspace: Workspace, registries: Registries, folder: Path, host: str, version: str) -> None:
    """Every image holds what was asked for, and stands on the very parents that are public."""
    place = f"{host}/{workspace.registry.partition('/')[2]}"
    made: dict[str, str] = {}
    for name in NAMES:
        reference = f"{place}/{name}:{version}"
        digests = {registries.digest(reference), registries.digest(f"{place}/{name}:latest"), workspace.digest(name)}
        assert 1 == len(digests), (name, digests)
        own, said, *parents = text_of(registries, reference, folder, name, f"{name}-text", *PARENTS[name])
        made[name] = own
        assert f"{version} {name}" == said
        assert [made[parent] for parent in PARENTS[name]] == parents


def release(killer: Killer, recorder: Recorder) -> None:
    """Go on with a release until it is finished; what stood at a kill is not built again."""
    before = killer.recorded()
    while True:
        done = {name for name, standing in killer.recorded().items() if standing - before[name]}
        built = len(recorder.builds())
        ended = killer.run(recorder) == 0
        again = {Path(call.argv[-1]).name for call in recorder.builds()[built:]} & done
        assert set() == again
        if ended:
            return


def test_a_release_survives_being_killed(
    workspace: Workspace, keeper: Gatekeeper, lab: Lab, registries: Registries, tmp_path: Path
) -> None:
    """Thirty times, over as many releases as that takes: each ends right, and nothing finished was built twice."""
    recorder, killer = Recorder(tmp_path, workspace.environ), Killer(workspace, keeper, lab)
    repositories = [f"{workspace.registry.partition('/')[2]}/{name}" for name in NAMES]
    versions: list[str] = []
    while killer.kills < KILLS:
        version = f"1.{len(versions)}.0"
        workspace.write({f"{name}/text": f"{version} {name}" for name in NAMES})
        workspace.commit(f"v{version}")
        with Watcher(lab.registry.host, repositories, (version, "latest"), ("linux/amd64",)) as watcher:
            release(killer, recorder)
        assert [] == processes(workspace.environ[MARK])
        check_contents(workspace, registries, tmp_path, lab.registry.host, version)
        assert [] == watcher.broken
        seen = [(repository, tag, digest) for repository, tag, digest in sorted(watcher.seen) if tag == version]
        assert sorted(repositories) == [repository for repository, _, _ in seen], seen
        assert watcher.looks > 2
        versions.append(version)
    assert [] == workspace.left_behind()
