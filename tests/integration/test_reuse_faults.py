"""A child is never taken over another parent than the one it was built on, whatever became of that one.

No two builds of the parent are alike, and its children copy what tells them apart.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import MakeWorkspace
from tests.integration.family import (
    AMD64,
    ARM64,
    CHILDREN,
    FILES,
    actions,
    check_standings,
    clone,
    codes,
    delete,
    expected_standings,
    private_names,
    records,
    seed,
    standings,
)
from tests.integration.recorder import Recorder
from tests.integration.registries import Registries
from tests.integration.workspace import Workspace

pytestmark = pytest.mark.integration


@pytest.fixture
def built(make_workspace: MakeWorkspace) -> Workspace:
    """A family that was pushed."""
    workspace = make_workspace(FILES)
    workspace.succeed("build", "--push")
    return workspace


def test_a_forced_parent_takes_its_children_along(built: Workspace, registries: Registries) -> None:
    """It was built from the same, and is another one: a child that stands does not stand on it."""
    before = expected_standings(registries, built.registry)
    built.succeed("build", "--push", "--force", "base")
    assert [] == [one for one in before.values() if one in expected_standings(registries, built.registry).values()]
    assert before == standings(registries, built.registry, "left")

    plan = built.plan("--push")
    assert {"base": "reuse", "left": "build", "right": "build"} == {
        build.partition("@")[0]: action for build, action in actions(plan).items()
    }
    assert {("upstream_rebuilt",)} == {tuple(why) for why in codes(plan).values()}
    built.succeed("build", "--push")
    check_standings(registries, built.registry)


def test_a_run_that_forces_all_stands_on_its_own_parent(built: Workspace, registries: Registries) -> None:
    """And not on the one that the plan found."""
    before = seed(registries, built.registry, AMD64)
    built.succeed("build", "--push", "--force")
    assert before != seed(registries, built.registry, AMD64)
    check_standings(registries, built.registry)


def test_a_pruned_parent_takes_its_children_along(built: Workspace, registries: Registries) -> None:
    """All that was remembered of the parent is gone; what is remembered of its children is of no use then."""
    before = seed(registries, built.registry, AMD64)
    for digest in set(private_names(registries, f"{built.registry}/base", "in-", "ok-").values()):
        delete(registries, f"{built.registry}/base", digest)
    assert {"build"} == set(actions(built.plan("--push")).values())
    built.succeed("build", "--push")
    assert before != seed(registries, built.registry, AMD64)
    check_standings(registries, built.registry)


def test_a_parent_of_which_one_platform_was_pruned(built: Workspace, registries: Registries) -> None:
    """That one is built again, and so are the children on it; those on the other keep their digests."""
    before = {name: registries.index(f"{built.registry}/{name}:latest").images for name in ("base", *CHILDREN)}
    lost = {records(registries, built.registry, "base")[AMD64], registries.digest(f"{built.registry}/base:latest")}
    for digest in lost:
        delete(registries, f"{built.registry}/base", digest)
    names = ("base", *CHILDREN)
    assert {
        f"{name}@{platform}": action for name in names for platform, action in ((AMD64, "build"), (ARM64, "reuse"))
    } == actions(built.plan("--push"))
    built.succeed("build", "--push")
    check_standings(registries, built.registry)
    after = {name: registries.index(f"{built.registry}/{name}:latest").images for name in names}
    assert {name: before[name][ARM64] for name in names} == {name: after[name][ARM64] for name in names}
    assert [] == [name for name in names if before[name][AMD64] == after[name][AMD64]]


def test_an_index_that_was_pruned_is_put_together_again(
    built: Workspace, registries: Registries, tmp_path: Path
) -> None:
    """The same parts give the same digest, so nothing is built, of the children neither."""
    before = {name: registries.digest(f"{built.registry}/{name}:latest") for name in ("base", *CHILDREN)}
    delete(registries, f"{built.registry}/base", before["base"])
    recorder = Recorder(tmp_path, built.environ)
    built.succeed("build", "--push", PATH=recorder.path(built.environ))
    assert [] == recorder.builds()
    assert before == {name: registries.digest(f"{built.registry}/{name}:latest") for name in ("base", *CHILDREN)}


def test_records_that_were_pruned_are_not_missed_while_their_index_stands(
    built: Workspace, registries: Registries, make_workspace: MakeWorkspace
) -> None:
    """A child that is built then still stands on the parent that is published."""
    for digest in records(registries, built.registry, "base").values():
        delete(registries, f"{built.registry}/base", digest)
    other = clone(built, make_workspace)
    other.write({"left/app": "two"})
    assert {"left"} == {build.partition("@")[0] for build in codes(other.plan("--push"))}
    other.succeed("build", "--push")
    check_standings(registries, built.registry)
