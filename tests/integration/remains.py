"""What a module of tests leaves on this machine: processes, mounts, control groups, and what Docker has."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.test_nothing_is_left import holdings
from tests.lab import Lab

_NUMBER = re.compile(r"^process [0-9]+ ")
_ENGINES = re.compile(r"^group .*/orc[0-9a-f]{8}(?:/e[0-9]+)?(?:/buildkit)?$")
"""Groups that an engine makes for its first container, and keeps."""

_PATIENCE = 60.0  # seconds; only what stays takes that long: an engine ends what nobody waits for a moment later


@contextmanager
def nothing_left(lab: Lab) -> Iterator[None]:
    """Count before and after, outside of what is tested; what is more has to go away."""
    before = _remains(lab)
    yield
    end = time.monotonic() + _PATIENCE
    while (more := _remains(lab) - before) and time.monotonic() < end:
        time.sleep(0.2)
    assert not more, f"what was not there before: {sorted(more.elements())}"


def _remains(lab: Lab) -> Counter[str]:
    """All that carries the lab's name, processes by their program; and what its engine keeps."""
    lines = traces(lab) if lab.engines else []
    return Counter([*(_NUMBER.sub("process ", line) for line in lines if not _ENGINES.search(line)), *holdings(lab)])


def traces(lab: Lab) -> list[str]:
    """All that there is of a lab on this machine, and what its containers run."""
    argv = [sys.executable, "-m", "tests.lab.traces", lab.name, str(lab.folder)]
    root = Path(__file__).parents[2]
    done = subprocess.run(argv, cwd=root, env={**lab.environ, "PYTHONPATH": str(root)}, capture_output=True, check=True)
    return done.stdout.decode().splitlines()
