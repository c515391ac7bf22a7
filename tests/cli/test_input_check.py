"""The look at what a solve was made from, when it is done: what it finds, and what it costs in a large project."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from orchestrator.cli.options import PlanOptions, ProjectOptions
from orchestrator.cli.prepare import Preparation
from orchestrator.cli.recheck import make_input_check
from orchestrator.errors import PlanBlockedError
from orchestrator.plan.model import Destination, SolveStep

HEAD = """\
format = 1
version = "1.0.0"
[project]
name = "checked"
[defaults]
platforms = ["linux/amd64", "linux/arm64"]
[backends]
default = "qemu"
"""


class Planned:
    """A project of so many images, planned; images but the first stand on the first."""

    def __init__(self, root: Path, count: int) -> None:
        self.root = root
        for number in range(count):
            folder = root / f"app{number}"
            folder.mkdir(parents=True)
            base = "app0" if number else "scratch"
            (folder / "Dockerfile").write_text(f"FROM {base}\nCOPY file /\n")
            (folder / "file").write_text(f"{number}")
        images = "".join(f"[images.app{number}]\n" for number in range(count))
        (root / "builds.toml").write_text(HEAD + images)
        preparation = Preparation(ProjectOptions(file=root / "builds.toml", offline=True), {})
        prepared = preparation.plan(preparation.load(), PlanOptions(), destination=Destination.LAYOUT)
        self.solves = {step.image: step for step in prepared.plan.steps if isinstance(step, SolveStep)}
        self._check = make_input_check(prepared)

    def check(self, image: str) -> str:
        """What is said of an image that was built just now."""
        try:
            self._check(self.solves[image])
        except PlanBlockedError as error:
            return error.message
        return ""


def test_an_image_whose_files_are_as_they_were_is_taken(tmp_path: Path) -> None:
    """However often somebody looks."""
    planned = Planned(tmp_path, 2)
    assert ["", "", ""] == [planned.check("app1") for _ in range(3)]


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("file", "changed", "files changed: `file`"),
        (".dockerignore", "file\n", "files changed: `file`"),
        ("Dockerfile", "FROM app0\nCOPY file /other\n", "Dockerfile"),
    ],
)
def test_what_changes_while_it_is_built_is_found(path: str, content: str, said: str, tmp_path: Path) -> None:
    """Also after other looks, in which the file was what it had been; of other images nothing is said."""
    planned = Planned(tmp_path, 3)
    assert ["", ""] == [planned.check("app0"), planned.check("app1")]
    (tmp_path / "app1" / path).write_text(content)
    assert ["", ""] == [planned.check("app0"), planned.check("app2")]
    found = planned.check("app1")
    assert said in found
    assert found.endswith(", while it was built")


def test_looks_side_by_side_find_the_same(tmp_path: Path) -> None:
    """They come from threads, as many as there are jobs."""
    planned = Planned(tmp_path, 40)
    changed = {f"app{number}" for number in range(0, 40, 3)}
    for name in changed:
        (tmp_path / name / "file").write_text("changed")
    with ThreadPoolExecutor(8) as pool:
        found = dict(zip(planned.solves, pool.map(planned.check, planned.solves), strict=True))
    assert changed == {name for name, message in found.items() if message}


def calls_in(act: Callable[[], object]) -> int:
    """How many functions are called: what something costs, whatever else the machine does."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    gc.disable()  # who listens to it would be counted
    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(None)
        gc.enable()
    return calls


def test_a_look_costs_the_same_in_a_large_project(tmp_path: Path) -> None:
    """Or a run of a thousand images would look at a million."""
    costs = []
    for count in (4, 60):
        planned = Planned(tmp_path / f"{count}", count)
        planned.check("app1")
        costs.append(calls_in(partial(planned.check, "app3")))
    assert costs[0] == costs[1]
