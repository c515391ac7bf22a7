"""The wheel, as a user installs it: built from a copy of the sources, into an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
BUILD_FILE = """\
format = 1
[project]
name = "acme"
registry = "registry.example.org/acme"
[version]
value = "1.0.0"
[images.api]
context = "."
platforms = ["linux/amd64"]
tags = ["{{ version }}"]
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, source)
    for name in ("orchestrator", "plugins"):
        shutil.copytree(PROJECT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    run(sys.executable, "-m", "build", "--wheel", "--outdir", str(source / "dist"), str(source))
    (made,) = (source / "dist").glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a fresh environment that has the wheel and what it needs, and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", str(folder))
    run(str(folder / "bin/python"), "-m", "pip", "install", "--quiet", str(wheel))
    return folder / "bin"


def run(*argv: str, cwd: Path | None = None) -> str:
    """Run a command, which has to succeed, without our own sources on its path; returns its stdout."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(argv, cwd=cwd, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def test_wheel_has_every_package_and_its_entry_point(wheel: Path) -> None:
    """All packages that `pyproject.toml` names as plugins are in it, each with the marker of typed packages."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    packages = {"orchestrator", *project["entry-points"]["orchestrator"].values()}
    names = zipfile.ZipFile(wheel).namelist()
    entry_points = next(name for name in names if name.endswith("dist-info/entry_points.txt"))
    text = zipfile.ZipFile(wheel).read(entry_points).decode()

    assert packages == {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert packages == {name.partition("/")[0] for name in names if name.endswith("/py.typed")}
    assert [] == [plugin for plugin in project["entry-points"]["orchestrator"] if f"{plugin} = " not in text]


def test_installed_command_says_its_version(installed: Path) -> None:
    """`orchestrate --version` works from the wheel alone."""
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]

    assert f"orchestrate, version {version}\n" == run(str(installed / "orchestrate"), "--version")


def test_installed_command_has_help(installed: Path) -> None:
    """`orchestrate --help` lists the commands."""
    assert "plan" in run(str(installed / "orchestrate"), "--help")


def test_installed_command_makes_a_report(installed: Path, tmp_path: Path) -> None:
    """Template, style and program of its page are in the wheel."""
    (tmp_path / "builds.toml").touch()
    (tmp_path / ".orchestrate").mkdir()
    begun = '{"type":"run-started","run":"r","time":1,"project":"p","destination":"oci","steps":[],"images":[]}'
    (tmp_path / ".orchestrate/journal.jsonl").write_text(f'{{"format":1}}\n{begun}\n')

    run(str(installed / "orchestrate"), "report", "--output=report.html", cwd=tmp_path)
    assert "class Timeline" in (tmp_path / "report.html").read_text()


def test_installed_command_plans(installed: Path, tmp_path: Path) -> None:
    """`orchestrate plan` finds its backends through the entry points of the wheel."""
    (tmp_path / "builds.toml").write_text(BUILD_FILE)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY builds.toml /\n")

    assert "Plan: 1 to build, 0 blocked;" in run(str(installed / "orchestrate"), "plan", "--offline", cwd=tmp_path)
