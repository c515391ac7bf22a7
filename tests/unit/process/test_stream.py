from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.process.capture import ToolMissingError, capture
from orchestrator.process.ended import Ended
from orchestrator.process.group import group_alive
from orchestrator.process.stream import Stream, stream

_ENVIRONMENT = {"PATH": os.environ["PATH"]}
_QUICK = (0.2, 0.2)
# A child that ignores what it is asked to ignore, tells its pid, and has a child of its own.
_STUBBORN = "trap '' {signals}; sleep 1000 & echo $$; while :; do sleep 0.05; done"


class Heard:
    """Collects lines, and may do something when the first one comes."""

    def __init__(self, at_first: Callable[[], None] = lambda: None) -> None:
        self.lines: list[tuple[Stream, str]] = []
        self._at_first = at_first

    def __call__(self, name: Stream, line: str) -> None:
        """Keep the line."""
        self.lines.append((name, line))
        if len(self.lines) == 1:
            self._at_first()


def _run(
    *argv: str, heard: Heard | None = None, timeout: float | None = None, grace: tuple[float, float] = _QUICK
) -> Ended:
    return asyncio.run(
        stream(argv, cwd=Path.cwd(), env=_ENVIRONMENT, on_line=heard or Heard(), timeout=timeout, grace=grace)
    )


def _cancelled(script: str, *, times: int = 1, grace: tuple[float, float] = _QUICK) -> list[tuple[Stream, str]]:
    """Run a script, cancel it as soon as it prints a line, and hand back what it printed."""

    async def main() -> list[tuple[Stream, str]]:
        started = asyncio.Event()
        heard = Heard(started.set)
        task = asyncio.create_task(
            stream(("sh", "-c", script), cwd=Path.cwd(), env=_ENVIRONMENT, on_line=heard, timeout=None, grace=grace)
        )
        await started.wait()
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        return heard.lines

    return asyncio.run(main())


def test_every_line_is_told_with_its_stream_in_order() -> None:
    """Both streams are read at once."""
    heard = Heard()
    ended = _run("sh", "-c", "for i in 1 2 3; do echo o$i; echo e$i >&2; done; printf last; exit 5", heard=heard)
    assert Ended(exit_code=5) == ended
    assert [line for name, line in heard.lines if name == "stdout"] == ["o1", "o2", "o3", "last"]
    assert [line for name, line in heard.lines if name == "stderr"] == ["e1", "e2", "e3"]


def test_a_signal_is_told() -> None:
    """A child that a signal ended has no exit code."""
    assert Ended(signal=signal.SIGKILL) == _run("sh", "-c", "kill -KILL $$")


def test_a_child_cannot_read_our_stdin() -> None:
    """A prompt gets the end of file, so it cannot hang."""
    assert Ended(exit_code=1) == _run("sh", "-c", "read answer")


def test_a_missing_program_is_an_error_with_a_hint() -> None:
    """As for `capture`."""
    with pytest.raises(ToolMissingError, match="`no-such-tool` is not installed"):
        _run("no-such-tool")


def test_the_time_limit_stops_the_child() -> None:
    """The result says that it was we who ended it."""
    assert Ended(signal=signal.SIGINT, timed_out=True) == _run("sleep", "1000", timeout=0.2)


@pytest.mark.parametrize("signals", ["", "INT", "INT TERM"])
def test_a_cancelled_child_is_ended_with_its_group(signals: str) -> None:
    """INT, TERM and KILL follow each other until nobody is left, whatever the child ignores."""
    script = _STUBBORN.format(signals=signals) if signals else "sleep 1000 & echo $$; wait"
    lines = _cancelled(script)
    assert not group_alive(int(lines[0][1]))


def test_a_child_may_tidy_up_when_it_is_stopped() -> None:
    """INT comes first, and what is said after it is still heard."""
    lines = _cancelled("trap 'echo tidy; exit 0' INT; echo $$; while :; do sleep 0.05; done", grace=(60.0, 60.0))
    assert lines[-1] == ("stdout", "tidy")


def test_a_second_cancellation_kills_at_once() -> None:
    """Whoever asks twice does not wait for the ladder; with these waits the test would not end otherwise."""
    lines = _cancelled(_STUBBORN.format(signals="INT TERM"), times=2, grace=(10_000.0, 10_000.0))
    assert not group_alive(int(lines[0][1]))


def test_an_error_of_the_listener_ends_the_child_and_is_raised() -> None:
    """A bug in what reads the lines is not swallowed by the event loop."""

    def fail() -> None:
        msg = "cannot read this"
        raise LookupError(msg)

    heard = Heard(fail)
    with pytest.raises(LookupError, match="cannot read this"):
        _run("sh", "-c", "echo $$; exec sleep 1000", heard=heard)
    assert not group_alive(int(heard.lines[0][1]))


def test_what_a_child_leaves_behind_is_ended() -> None:
    """A background job neither outlives the child nor keeps us waiting."""
    heard = Heard()
    assert Ended(exit_code=0) == _run("sh", "-c", "sleep 1000 & echo $$", heard=heard)
    assert not group_alive(int(heard.lines[0][1]))


def test_a_daemon_that_keeps_the_streams_open_does_not_keep_us() -> None:
    """One that left the group is not ours to end, and its stream is given up."""
    program = "import subprocess as s; p = s.Popen(['sleep', '1000'], start_new_session=True); print(p.pid, flush=True)"
    heard = Heard()
    ended = _run(sys.executable, "-c", program, heard=heard)
    os.kill(int(heard.lines[0][1]), signal.SIGKILL)
    assert Ended(exit_code=0) == ended


def test_a_child_that_closes_its_streams_is_waited_for() -> None:
    """The end of the streams is not the end of the child."""
    program = "import os, time; os.close(1); os.close(2); time.sleep(0.2); os._exit(7)"
    assert Ended(exit_code=7) == _run(sys.executable, "-c", program)


def test_a_line_beyond_the_limit_is_cut_and_the_next_is_heard() -> None:
    """A line over 16 MiB is neither an error nor kept whole."""
    heard = Heard()
    _run("sh", "-c", "head -c 17000000 /dev/zero | tr '\\0' x; echo; echo after", heard=heard)
    assert [len(line) for _, line in heard.lines] == [16 * 1024 * 1024, 5]


def test_much_output_leaves_memory_flat() -> None:
    """50 MB of log cost no more than their longest line; measured in a process of its own."""
    program = """
import asyncio, os, resource
from pathlib import Path
from orchestrator.process.stream import stream
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
seen = 0
def count(name, line):
    global seen
    seen += len(line) + 1
def run(script):
    asyncio.run(stream(("sh", "-c", script), cwd=Path.cwd(), env=dict(os.environ), on_line=count, timeout=None))
run("echo warm")
before, seen = peak(), 0
run("yes 'a line of a build log, as long as they usually are' | head -c 50000000")
print(seen, peak() - before)
"""
    seen, growth = capture((sys.executable, "-c", program), timeout=120.0).stdout.split()
    assert int(seen) in {50_000_000, 50_000_001}
    assert int(growth) < 16_000
