"""How a run is shown while a real engine builds: on a pseudo-terminal, to programs, and at the end."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec
import pytest

from orchestrator.api.events import FailedAt, LogLine, RunFinished
from orchestrator.ui.jsonl import Problem, StreamLine
from tests.integration.conftest import MakeWorkspace
from tests.integration.workspace import Workspace
from tests.unit.ui.terminal import FakeTerminal

pytestmark = pytest.mark.integration

PROJECT = """\
format = 1
[project]
name = "shown"
[defaults]
platforms = ["linux/amd64"]
tags = ["1"]
[images.good]
no-cache = true
[images.broken]
retries = 0
[images.child]
"""
FILES = {
    "builds.toml": PROJECT,
    "good/Dockerfile": "FROM %BASE%\nRUN echo ::stop-commands::x && printf '\\033[31mred ##[add-mask]y\\033[0m\\n'\n",
    "broken/Dockerfile": "FROM %BASE%\n# why\nRUN echo one line && \\\n    exit 7\nRUN echo never\n",
    "child/Dockerfile": "FROM broken\nRUN true\n",
}
STUCK = {
    "builds.toml": PROJECT.replace("[images.broken]\nretries = 0\n[images.child]\n", ""),
    "good/Dockerfile": "FROM %BASE%\nRUN echo waiting && sleep 600\n",
}
EXCERPT = (
    "   2 |     # why",
    "   3 | >>> RUN echo one line && \\",
    "   4 | >>>     exit 7",
    "   5 |     RUN echo never",
)


_FRAME_END = b"\x1b[?7h"


class OnTerminal:
    """A command on a terminal of a size, and what is seen there."""

    def __init__(self, process: subprocess.Popen[bytes], master: int, width: int, height: int) -> None:
        self.process = process
        self.screen = FakeTerminal(width, height)
        self._master = master
        self._seen = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        rest = b""
        with suppress(OSError):  # the command has ended
            while content := os.read(self._master, 1 << 16):
                # a frame comes in one write, though not in one read
                whole, end, rest = (rest + content).rpartition(_FRAME_END)
                self._feed(whole + end)
        self._feed(rest)

    def _feed(self, content: bytes) -> None:
        with self._seen:
            self.screen.feed(content.decode())
            self._seen.notify_all()

    def wait_for(self, text: str) -> list[str]:
        """Wait until this is seen; the whole screen then."""
        with self._seen:
            assert self._seen.wait_for(lambda: any(text in line for line in self.screen.all), 120), self.screen.all
            return list(self.screen.screen)

    def end(self) -> int:
        """Wait until it has ended; its exit code."""
        code = self.process.wait(120)
        self._reader.join(60)
        return code


@contextmanager
def on_terminal(workspace: Workspace, *arguments: str, width: int = 80, height: int = 24) -> Iterator[OnTerminal]:
    """Start a command on a terminal."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    environ = {**workspace.environ, "TMPDIR": str(workspace.folder / "tmp"), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    environ = {name: value for name, value in environ.items() if name not in {"CI", "GITHUB_ACTIONS"}}
    process = subprocess.Popen(
        workspace.command(*arguments), cwd=workspace.root, env=environ, stdin=slave, stdout=slave, stderr=slave,
        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 (as a shell does)
    )  # fmt: skip
    os.close(slave)
    shown = OnTerminal(process, master, width, height)
    try:
        yield shown
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        shown.end()
        os.close(master)


@pytest.fixture(scope="module")
def project(make_workspace: MakeWorkspace) -> Workspace:
    """A project with a failure in it."""
    return make_workspace(FILES)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 12)])
def test_on_a_terminal_only_what_ended_stays(project: Workspace, width: int, height: int) -> None:
    """The last frame is gone when the table comes; the failure is told in its place, and again at the end."""
    with on_terminal(project, "build", "--force", width=width, height=height) as shown:
        assert 4 == shown.end()
    text = "\n".join(shown.screen.all)
    assert shown.screen.wraps
    assert "solve:good  done in " in text
    assert "solve:broken  FAILED in " in text
    assert "builds, " not in text
    assert "started" not in text
    end = text[text.index("failed: solve:broken") :]
    assert "at broken/Dockerfile:3" in end


def test_ctrl_c_leaves_the_terminal_as_it_was(make_workspace: MakeWorkspace) -> None:
    """While it runs there is a line for it and a bar; the key ends the run, and takes them away."""
    with on_terminal(make_workspace(STUCK), "build") as shown:
        frame = shown.wait_for("RUN echo waiting")
        assert " good@linux/amd64 " == frame[-2][:18]
        assert "0/1 build, 1 running" in frame[-1]
        os.write(shown._master, b"\x03")
        assert 130 == shown.end()
    text = "\n".join(shown.screen.all)
    assert shown.screen.wraps
    assert "1 running" not in text
    assert "error: interrupted" in text


def test_a_failure_is_told_whole_at_the_end(project: Workspace) -> None:
    """The line of the Dockerfile, what was printed last, the log, and a command that does it again."""
    failed = project.run("build", "--force")
    (failure,) = project.result().failures
    log = project.root / ".orchestrate/logs/solve-broken.log"

    assert ("broken/Dockerfile:3", EXCERPT, ("one line",)) == (failure.place, failure.excerpt, failure.lines)
    assert ("orchestrate build broken -v", ".orchestrate/logs/solve-broken.log") == (failure.command, failure.log)
    end = failed.stderr[failed.stderr.index("failed: solve:broken") :].splitlines()
    assert [
        "at broken/Dockerfile:3", *(f"  {line}" for line in EXCERPT), "it printed last:", "  | one line", f"log: {log}",
        "alone: orchestrate build broken -v",
    ] == end[1:10]  # fmt: skip
    assert log.read_text().startswith("==== [2/3] RUN echo one line")
    assert "red ##[add-mask]y" in (project.root / ".orchestrate/logs/solve-good.log").read_text().splitlines()

    again = project.run("build", "broken", "-v")
    assert (4, True) == (again.exit_code, "solve:broken  | one line" in again.stderr)


def test_programs_get_json_alone(project: Workspace) -> None:
    """Every line is one of the documented kinds; hostile text is in it, as text."""
    failed = project.run("build", "--force", "--progress=json")
    lines = [msgspec.json.decode(line, type=StreamLine) for line in failed.stderr.splitlines()]

    assert "::stop-commands::x" in [line.text for line in lines if isinstance(line, LogLine)]
    assert [("Dockerfile", 3)] == [(line.file, line.line) for line in lines if isinstance(line, FailedAt)]
    assert any(isinstance(line, RunFinished) for line in lines)
    assert isinstance(lines[-1], Problem)
    assert "IMAGE" in failed.stdout


def test_in_github_actions_builds_command_nothing(project: Workspace) -> None:
    """What they print is in groups; the failure is an annotation at its line, and the summary has the table."""
    summary = project.folder / "summary.md"
    failed = project.run(
        "build", "--force", GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary), GITHUB_WORKSPACE=str(project.root)
    )
    lines = failed.output.splitlines()
    commands = [line for line in lines if line.lstrip().startswith("::") or "##[" in line]

    error = "::error file=broken/Dockerfile,line=3,title=broken@linux/amd64 failed::"
    assert ["::endgroup::", "::endgroup::", error, "::group::broken", "::group::good"] == sorted(
        error if command.startswith(error) else command.partition("@")[0] for command in commands
    )
    assert "| ::stop-commands::x" in lines
    assert "| red ## [add-mask]y" in lines
    assert "| broken | failed |" in summary.read_text()
