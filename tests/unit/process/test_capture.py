from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from orchestrator.process.capture import Captured, CaptureError, ToolMissingError, capture
from orchestrator.process.group import group_alive

_LARGE = 3_000_000


def test_both_streams_and_the_exit_code_are_captured() -> None:
    """What the child printed and how it ended is handed back."""
    expected = Captured(exit_code=3, stdout=b"out\n", stderr=b"err\n")
    assert expected == capture(("sh", "-c", "echo out; echo err >&2; exit 3"))


def test_stdin_larger_than_a_pipe_goes_through() -> None:
    """Feeding and reading happen at once, so nobody waits for the other."""
    sent = bytes(range(256)) * (_LARGE // 256)
    assert sent == capture(("cat",), stdin=sent).stdout


def test_a_child_that_does_not_read_is_no_error() -> None:
    """Stdin that nobody wants is dropped."""
    assert capture(("true",), stdin=b"x" * _LARGE).exit_code == 0


def test_a_child_ended_by_a_signal_has_a_negative_exit_code() -> None:
    """As in `subprocess`."""
    assert capture(("sh", "-c", "kill -KILL $$")).exit_code == -signal.SIGKILL


def test_the_environment_is_the_one_given_and_no_other() -> None:
    """Nothing of ours leaks into the child."""
    printed = capture(("env",), env={"PATH": os.environ["PATH"], "ONLY": "this"}).stdout.decode().splitlines()
    assert {"ONLY=this", f"PATH={os.environ['PATH']}"} == set(printed)


def test_the_child_runs_in_the_folder_given(tmp_path: Path) -> None:
    """`cwd` is where it runs."""
    assert str(tmp_path.resolve()) == capture(("pwd", "-P"), cwd=tmp_path).stdout.decode().strip()


def test_a_program_that_is_not_there_is_named_with_a_hint() -> None:
    """The error says what is missing and where it was looked for."""
    with pytest.raises(ToolMissingError) as raised:
        capture(("docker", "version"), env={"PATH": "/nonexistent"})
    assert raised.value.message == "`docker` is not installed, looked for on PATH: `/nonexistent`"
    assert raised.value.hints == ("install Docker: https://docs.docker.com/engine/install/",)
    assert raised.value.exit_code == 2


def test_a_folder_that_is_not_there_is_not_taken_for_a_missing_program(tmp_path: Path) -> None:
    """Both are ENOENT; the message tells them apart."""
    with pytest.raises(ToolMissingError, match="no folder"):
        capture(("true",), cwd=tmp_path / "gone")


def test_a_file_that_is_no_program_is_an_error_not_a_traceback(tmp_path: Path) -> None:
    """EACCES and the like become errors of ours."""
    file = tmp_path / "tool"
    file.write_text("no program")
    with pytest.raises(ToolMissingError, match="cannot be started: permission denied"):
        capture((str(file),))


def test_a_nul_in_an_argument_is_an_error_not_a_traceback() -> None:
    """`subprocess` raises ValueError for it."""
    with pytest.raises(ToolMissingError, match="embedded null byte"):
        capture(("true", "a\0b"))


def test_too_much_output_ends_the_child() -> None:
    """An endless child does not fill the memory."""
    with pytest.raises(CaptureError, match="`yes` printed more than 100000 bytes"):
        capture(("yes",), limit=100_000)


def test_the_time_limit_ends_the_whole_group(tmp_path: Path) -> None:
    """What the child started is ended with it."""
    pid = tmp_path / "pid"
    with pytest.raises(CaptureError, match=r"did not end within 1 seconds"):
        capture(("sh", "-c", f"echo $$ > {pid}; sleep 1000 & sleep 1000"), timeout=1.0)
    assert not group_alive(int(pid.read_text()))


def test_arguments_beyond_the_third_are_never_shown() -> None:
    """They may hold what nobody is to see."""
    with pytest.raises(CaptureError) as raised:
        capture(("sh", "-c", "sleep 1000", "hunter2"), timeout=0.05)
    assert raised.value.message == "`sh -c sleep 1000 …` did not end within 0.05 seconds"


def test_a_grandchild_that_keeps_the_streams_open_is_not_waited_for(tmp_path: Path) -> None:
    """When the child has ended its output is complete, and what it left behind is ended."""
    pid = tmp_path / "pid"
    ended = capture(("sh", "-c", f"echo $$ > {pid}; echo done; sleep 1000 &"), timeout=60.0)
    assert Captured(exit_code=0, stdout=b"done\n", stderr=b"") == ended
    assert not group_alive(int(pid.read_text()))


def test_a_child_that_closes_its_streams_is_waited_for() -> None:
    """The end of the streams is not the end of the child."""
    program = "import os, time; os.close(1); os.close(2); time.sleep(0.2); os._exit(7)"
    assert capture((sys.executable, "-c", program)).exit_code == 7
