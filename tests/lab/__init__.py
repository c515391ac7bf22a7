"""A real lab for integration tests: Docker Engines, registries and emulation on this machine, without a network.

See `Lab.start`; from the command line: `python -m tests.lab run -- COMMAND`. It needs root on a Debian for x86_64, and
once a mirror: what is downloaded stays in `ORCHESTRATE_LAB_CACHE` (`~/.cache/orchestrate-lab`). Nothing is installed.
"""

from __future__ import annotations

from tests.lab.availability import available
from tests.lab.engine import Engine
from tests.lab.failure import LabError, LabUnavailable
from tests.lab.lab import Lab
from tests.lab.registry import Registry

__all__ = ["Engine", "Lab", "LabError", "LabUnavailable", "Registry", "available"]
