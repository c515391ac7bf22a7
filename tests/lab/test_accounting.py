from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import available

PROJECT = Path(__file__).resolve().parents[2]
FILE = """\
import pytest

def test_unit():
    pass

@pytest.mark.integration
def test_engine():
    pass

@pytest.mark.integration
def test_other_engine():
    pytest.skip("no engine")
"""


def run(folder: Path, *arguments: str) -> tuple[int, list[str]]:
    """Run the file's tests with the plugin on a worker; the exit code and the lines."""
    (folder / "test_file.py").write_text(FILE)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = integration: needs an engine\n")
    argv = [sys.executable, "-m", "pytest", "-p", "tests.lab.accounting", "-n", "1", f"--rootdir={folder}", str(folder)]
    done = subprocess.run([*argv, *arguments], cwd=PROJECT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()


def test_counts_what_ran(tmp_path: Path) -> None:
    """One line says how the integration tests ended; unit tests are not counted."""
    code, lines = run(tmp_path)

    assert 0 == code
    assert "integration tests: 1 passed, 1 skipped" in lines


def test_summary_of_pytest_stays_the_last_line(tmp_path: Path) -> None:
    """Whoever reads only the last line sees what pytest says."""
    _, lines = run(tmp_path)

    assert "2 passed, 1 skipped in" in lines[-1]


@pytest.mark.parametrize("selected", ["unit", "other_engine"])
def test_required_but_none_ran(selected: str, tmp_path: Path) -> None:
    """Where integration tests are required, a run without a single one that passed fails."""
    code, lines = run(tmp_path, "--require-integration", "-k", selected)

    assert 1 == code
    assert "--require-integration: no integration test ran" in lines


def test_required_and_none_may_be_skipped(tmp_path: Path) -> None:
    """One that was skipped fails the run where a lab can be had, and only there."""
    code, lines = run(tmp_path, "--require-integration")
    complaint = "--require-integration: integration tests were skipped, though a lab can be had here"

    assert (available() is None) == (code == 1) == (complaint in lines)


def test_required_and_all_ran(tmp_path: Path) -> None:
    """A run in which all of them passed is a success."""
    code, lines = run(tmp_path, "--require-integration", "-k", "not other_engine")

    assert 0 == code
    assert "integration tests: 1 passed, 0 skipped" in lines
