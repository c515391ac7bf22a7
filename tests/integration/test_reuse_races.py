"""Runs that meet, and runs that are killed: what stands afterwards fits together, and the next run goes on from it."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.integration.conftest import MakeWorkspace, end_processes
from tests.integration.family import (
    CHILDREN,
    FILES,
    ONE_PLATFORM,
    actions,
    check_standings,
    clone,
    expected_standings,
    private_names,
    standings,
)
from tests.integration.gatekeeper import Gatekeeper, Verdict
from tests.integration.recorder import Recorder
from tests.integration.registries import Registries
from tests.integration.workspace import MARK, Workspace
from tests.lab import Lab

pytestmark = pytest.mark.integration

NAMES = ("base", *CHILDREN)
RECORD_OF_PARENT = re.compile(r"PUT /v2/.+/base/manifests/in-[0-9a-f]{64}")
INDEX_OF_PARENT = re.compile(r"PUT /v2/.+/base/manifests/ok-[0-9a-f]{64}")
RECORD_OF_CHILD = re.compile(r"PUT /v2/.+/(?:left|right)/manifests/in-[0-9a-f]{64}")
SOLVE_OF_PARENT = re.compile(r"PUT /v2/.+/base/manifests/run-.+")
PATIENCE = 120  # seconds; only what would never end takes that long


class Barrier:
    """A judge that holds the first request of a kind until it is released."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.reached = threading.Event()
        self.released = threading.Event()
        self._pattern = pattern

    def __call__(self, request: str) -> Verdict:
        """Hold it, or hand it on."""
        if self._pattern.fullmatch(request) and not self.reached.is_set():
            self.reached.set()
            assert self.released.wait(PATIENCE)
        return Verdict.HAND_ON


@pytest.fixture
def keepers(lab: Lab) -> Iterator[tuple[Gatekeeper, Gatekeeper]]:
    """Two ways to one registry, so that what two runs ask of it can be told apart."""
    with ExitStack() as stack:
        yield stack.enter_context(Gatekeeper(lab.registry.host)), stack.enter_context(Gatekeeper(lab.registry.host))


@pytest.fixture
def pair(make_workspace: MakeWorkspace, keepers: tuple[Gatekeeper, Gatekeeper]) -> tuple[Workspace, Workspace]:
    """Two clones of one family, of which nothing was built; each has a way of its own to the registry."""
    first = make_workspace(ONE_PLATFORM, host=keepers[0].host)
    return first, clone(first, make_workspace, host=keepers[1].host)


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for a run, which has to succeed."""
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, stdout + stderr


def finish_or_yield(process: subprocess.Popen[str]) -> None:
    """Wait for a run, which has to succeed, or to stop where the other has moved a tag meanwhile."""
    stdout, stderr = process.communicate(timeout=PATIENCE)
    yielded = process.returncode == 3 and "somebody moved it" in stderr
    assert process.returncode == 0 or yielded, stdout + stderr


def digests(workspace: Workspace) -> dict[str, str]:
    """What the last run says that it has published."""
    return {name: workspace.digest(name) for name in NAMES}


def check_own_standings(registries: Registries, workspace: Workspace) -> None:
    """Each child that a run has published stands on the parent that it has published."""
    locators = {name: f"@{digest}" for name, digest in digests(workspace).items()}
    expected = expected_standings(registries, workspace.registry, locators["base"])
    for child in CHILDREN:
        assert expected == standings(registries, workspace.registry, child, locators[child])


def check_agreement(registries: Registries, pair: tuple[Workspace, Workspace]) -> None:
    """Both runs have published the same, and it is what the tags point at."""
    assert digests(pair[0]) == digests(pair[1])
    assert digests(pair[0]) == {name: registries.digest(f"{pair[0].registry}/{name}:latest") for name in NAMES}
    check_standings(registries, pair[0].registry)


def test_a_run_takes_the_parent_that_another_has_recorded_meanwhile(
    pair: tuple[Workspace, Workspace], keepers: tuple[Gatekeeper, Gatekeeper], registries: Registries
) -> None:
    """It has planned to build it, and built it: then it finds that of the other, and builds its children on that."""
    first, second = pair
    late = keepers[1].judge = Barrier(SOLVE_OF_PARENT)
    behind = second.start("build", "--push")
    assert late.reached.wait(PATIENCE)
    first.succeed("build", "--push")
    late.released.set()
    finish(behind)
    check_agreement(registries, pair)


def test_runs_that_look_at_the_same_time_agree(
    pair: tuple[Workspace, Workspace], keepers: tuple[Gatekeeper, Gatekeeper], registries: Registries
) -> None:
    """Both have seen that nothing stands, and both put a record: one of them is that of both."""
    barriers = [Barrier(RECORD_OF_PARENT) for _ in pair]
    for keeper, barrier in zip(keepers, barriers, strict=True):
        keeper.judge = barrier
    running = [workspace.start("build", "--push") for workspace in pair]
    assert all(barrier.reached.wait(PATIENCE) for barrier in barriers)
    time.sleep(1)  # a run waits for the other as long again as it took itself; no machine is slow by seconds
    for barrier in barriers:
        barrier.released.set()
    for process in running:
        finish(process)
    check_agreement(registries, pair)


def test_a_run_that_was_stopped_in_the_worst_moment_fits_in_itself(
    pair: tuple[Workspace, Workspace],
    keepers: tuple[Gatekeeper, Gatekeeper],
    registries: Registries,
    make_workspace: MakeWorkspace,
    tmp_path: Path,
) -> None:
    """Between looking and putting, for as long as the other needs for all: the two differ, and neither mixes them.

    The next run builds nothing, and takes one of the two as a whole.
    """
    first, second = pair
    stuck = keepers[0].judge = Barrier(RECORD_OF_PARENT)
    held = first.start("build", "--push")
    assert stuck.reached.wait(PATIENCE)
    second.succeed("build", "--push")
    stuck.released.set()
    finish_or_yield(held)
    for workspace in pair:
        check_own_standings(registries, workspace)

    third = clone(second, make_workspace)
    recorder = Recorder(tmp_path, third.environ)
    third.succeed("build", "--push", PATH=recorder.path(third.environ))
    assert [] == recorder.builds()
    assert digests(third) in (digests(first), digests(second))
    check_standings(registries, third.registry)


@pytest.mark.parametrize("moment", ["at once", "solved", "recorded", "built on"])
def test_runs_that_meet_leave_what_fits(
    moment: str,
    pair: tuple[Workspace, Workspace],
    keepers: tuple[Gatekeeper, Gatekeeper],
    registries: Registries,
    make_workspace: MakeWorkspace,
) -> None:
    """However far the first has come when the second starts, and nobody holds either of them.

    Each child stands on the parent of its run; the next run finds all, and publishes what fits together.
    """
    first, second = pair
    patterns = {"solved": SOLVE_OF_PARENT, "recorded": INDEX_OF_PARENT, "built on": RECORD_OF_CHILD}
    running = []
    if moment in patterns:
        barrier = keepers[0].judge = Barrier(patterns[moment])
        barrier.released.set()
        running.append(first.start("build", "--push"))
        assert barrier.reached.wait(PATIENCE)
    else:
        running.append(first.start("build", "--push"))
    running.append(second.start("build", "--push"))
    for process in running:
        finish_or_yield(process)
    for workspace in pair:
        check_own_standings(registries, workspace)

    third = clone(second, make_workspace)
    assert {"build", "graft"}.isdisjoint(actions(third.plan("--push")).values())
    third.succeed("build", "--push")
    check_standings(registries, third.registry)


KILLS = {
    "before the parent is recorded": (RECORD_OF_PARENT, 1, True),
    "between two platforms of the parent": (RECORD_OF_PARENT, 2, True),
    "before the parent is verified": (INDEX_OF_PARENT, 1, False),
    "before a child is recorded": (RECORD_OF_CHILD, 1, False),
    "before the last platform of a child": (RECORD_OF_CHILD, 4, False),
}


class Killer:
    """A judge that kills a run in the place of the given request of a kind, and lets nothing more of it through."""

    def __init__(self, pattern: re.Pattern[str], number: int) -> None:
        self.victim: SimpleQueue[subprocess.Popen[str]] = SimpleQueue()
        self._pattern = pattern
        self._left = number

    def __call__(self, request: str) -> Verdict:
        """Kill, or hand on."""
        self._left -= self._pattern.fullmatch(request) is not None
        if self._left > 0:
            return Verdict.HAND_ON
        if not self.victim.empty():
            process = self.victim.get()
            process.kill()
            process.wait()
        return Verdict.RESET


@pytest.mark.parametrize("moment", KILLS)
def test_a_run_goes_on_where_another_was_killed(
    moment: str,
    keepers: tuple[Gatekeeper, Gatekeeper],
    registries: Registries,
    make_workspace: MakeWorkspace,
    tmp_path: Path,
) -> None:
    """In a fresh clone: what was recorded is taken, what was not is built, and everything fits."""
    pattern, number, is_parent_built = KILLS[moment]
    first = make_workspace(FILES, host=keepers[0].host)
    killer = keepers[0].judge = Killer(pattern, number)
    process = first.start("build", "--push")
    killer.victim.put(process)
    process.communicate(timeout=PATIENCE)
    assert -signal.SIGKILL == process.returncode
    end_processes(first.environ[MARK])
    shutil.rmtree(first.root / ".orchestrate")

    second = clone(first, make_workspace, host=keepers[1].host)
    recorded = private_names(registries, f"{second.registry}/base", "in-")
    recorder = Recorder(tmp_path, second.environ)
    second.succeed("build", "--push", PATH=recorder.path(second.environ))
    builds = [call.argv[-1] for call in recorder.builds()]
    assert is_parent_built == ("base" in builds)
    assert recorded.items() <= private_names(registries, f"{second.registry}/base", "in-").items()
    check_standings(registries, second.registry)
