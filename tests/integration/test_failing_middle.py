"""One of twenty images fails: what needs it is skipped, the rest is finished, and tagged where that is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import pytest

from tests.integration.conftest import MakeWorkspace
from tests.integration.registries import Registries
from tests.integration.remains import nothing_left
from tests.integration.workspace import Ran, Workspace
from tests.lab import Lab

pytestmark = pytest.mark.integration

COUNT: Final = 20
FAILING: Final = "i3"
"""Image n stands on image (n - 1) // 2."""
SKIPPED: Final = {"i7", "i8", "i15", "i16", "i17", "i18"}
FINISHED: Final = {f"i{number}" for number in range(COUNT)} - SKIPPED - {FAILING}
HEAD: Final = """\
format = 1
version = "1.0.0"
[project]
name = "twenty"
[defaults]
platforms = ["linux/amd64"]
tags = ["{{ version }}", { ref = "latest", moving = true }]
"""


@pytest.fixture(scope="module", autouse=True)
def tidy(lab: Lab) -> Iterator[None]:
    """Nothing stays: no process, mount, container or file."""
    with nothing_left(lab):
        yield


@pytest.fixture
def twenty(make_workspace: MakeWorkspace) -> Workspace:
    """Twenty images below one root; the fourth of them does not build."""
    files: dict[str, str] = {"builds.toml": HEAD + "".join(f"[images.i{number}]\n" for number in range(COUNT))}
    for number in range(COUNT):
        parent = f"i{(number - 1) // 2}" if number else "%BASE%"
        command = "echo broken; exit 3" if f"i{number}" == FAILING else f"echo {number} > /i{number}"
        files[f"i{number}/Dockerfile"] = f"FROM {parent}\nRUN {command}\n"
    return make_workspace(files)


def public(workspace: Workspace, registries: Registries) -> Mapping[str, list[str]]:
    """The public tags of the images that have some."""
    found = {f"i{number}": registries.public(f"{workspace.registry}/i{number}") for number in range(COUNT)}
    return {name: tags for name, tags in found.items() if tags}


def check_agreement(ran: Ran, workspace: Workspace, finished: str) -> None:
    """The exit code, the table and `result.json` say the same."""
    result = workspace.result()
    states = {image.name: image.state for image in result.images}
    assert 4 == ran.exit_code == result.exit_code
    assert {FAILING: "failed"} | dict.fromkeys(SKIPPED, "skipped") | dict.fromkeys(FINISHED, finished) == states
    rows = [line.split() for line in ran.stdout.splitlines()]
    assert states == {row[0]: row[2] for row in rows if len(row) > 2 and row[1] == "index"}
    (failure,) = result.failures
    assert (f"solve:{FAILING}", f"{FAILING}/Dockerfile:2") == (failure.step, failure.place)
    errors = [line for line in ran.stderr.splitlines() if line.startswith("error: ")]
    assert [f"error: step `solve:{FAILING}` failed"] == errors
    assert any(line.endswith("broken") for line in failure.lines)


def test_the_rest_is_finished_and_no_tag_moves(twenty: Workspace, registries: Registries) -> None:
    """All or nothing, unless said otherwise; and what is mended builds only what had not been built."""
    ran = twenty.run("build", "--push")
    check_agreement(ran, twenty, "verified")
    assert {} == public(twenty, registries)
    assert "no tag was put" in ran.stderr

    twenty.write({f"{FAILING}/Dockerfile": "FROM i1\nRUN echo mended > /i3\n"})
    twenty.succeed("build", "--push")
    built = {image.name for image in twenty.result().images for build in image.platforms if build.state == "built"}
    assert SKIPPED | {FAILING} == built
    assert COUNT == len(public(twenty, registries))


def test_what_is_finished_can_be_published(twenty: Workspace, registries: Registries) -> None:
    """Each with all its tags; the exit code still says that something failed."""
    ran = twenty.run("build", "--push", "--keep-going", "--publish=finished")
    check_agreement(ran, twenty, "released")
    assert {name: ["1.0.0", "latest"] for name in FINISHED} == public(twenty, registries)


def test_fail_fast_stops(twenty: Workspace, registries: Registries) -> None:
    """What had begun is ended, nothing else begins, no tag moves."""
    ran = twenty.run("build", "--push", "--fail-fast", "--jobs=1")
    result = twenty.result()
    assert (4, {}) == (ran.exit_code, public(twenty, registries))
    states = [image.state for image in result.images]
    assert {"failed", "skipped", "verified"} >= set(states)
    assert states.count("skipped") > len(SKIPPED)
