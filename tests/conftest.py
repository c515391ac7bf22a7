"""What every folder of tests shares: the lab, started once by the first test that asks for it."""

from __future__ import annotations

from hypothesis import settings

pytest_plugins = ["tests.lab.conftest_plugin", "tests.lab.accounting"]

# a slow or busy machine is no failure
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
