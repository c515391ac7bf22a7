"""What every folder of tests shares: the lab, started once by the first test that asks for it."""

from __future__ import annotations

pytest_plugins = ["tests.lab.conftest_plugin", "tests.lab.accounting"]
