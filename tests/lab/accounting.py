"""A pytest plugin: says how many integration tests ran.

A test that was skipped looks like one that passed to whoever reads only the last line; hence the count, and
`--require-integration`, with which a run fails that skipped what this machine could have run.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.lab.availability import available

_MARKER = "integration"
_SHOWN = ("passed", "failed", "error", "skipped")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our option."""
    parser.addoption(
        "--require-integration",
        action="store_true",
        help="fail if no integration test ran, or if one was skipped where a lab can be had",
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the count, above the summary line of pytest."""
    counted = _count(terminalreporter)
    if counted:
        wanted = [name for name in _SHOWN if counted[name] or name in ("passed", "skipped")]
        terminalreporter.write_line(f"integration tests: {', '.join(f'{counted[name]} {name}' for name in wanted)}")
    if reason := _missing(terminalreporter):
        terminalreporter.write_line(f"--require-integration: {reason}", red=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if what was required did not happen."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    is_controller = not hasattr(session.config, "workerinput")
    if is_controller and reporter is not None and session.exitstatus == pytest.ExitCode.OK and _missing(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _missing(reporter: pytest.TerminalReporter) -> str:
    """Why the run is not enough; empty if it is, or if nothing was required."""
    if not reporter.config.getoption("--require-integration"):
        return ""
    counted = _count(reporter)
    if not counted["passed"]:
        return "no integration test ran"
    if counted["skipped"] and available() is None:
        return "integration tests were skipped, though a lab can be had here"
    return ""


def _count(reporter: pytest.TerminalReporter) -> Counter[str]:
    """The integration tests by how they ended; the set-up and the end of a passed test are not counted."""
    return Counter(
        name
        for name in _SHOWN
        for report in reporter.stats.get(name, [])
        if isinstance(report, pytest.TestReport) and _MARKER in report.keywords
    )
