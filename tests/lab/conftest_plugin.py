"""A pytest plugin: the fixture `lab`, one for the whole test session.

Use it with `pytest_plugins = ["tests.lab.conftest_plugin"]`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.availability import available
from tests.lab.borrowed import borrow
from tests.lab.lab import Lab


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A running lab. Where one can be had, failing to start it is an error, never a skip."""
    reason = available()
    started = Lab.start() if reason is None else borrow()
    if started is None:
        pytest.skip(f"no lab: {reason}; and no Docker with a registry answers")
    with started:
        yield started
