"""Private names that a stranger has pointed elsewhere: what stands there has to say what its name promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import pytest

from tests.integration.conftest import MakeWorkspace
from tests.integration.family import (
    AMD64,
    ARM64,
    FILES,
    Json,
    actions,
    check_standings,
    codes,
    private_names,
    put_manifest,
    raw_manifest,
    records,
)
from tests.integration.registries import Registries
from tests.integration.workspace import Workspace

pytestmark = pytest.mark.integration

Forge: TypeAlias = Callable[[Json, Json], Json]
"""Makes what a stranger puts, of the record of a platform build and that of the other platform."""
ELSEWHERE = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def built(make_workspace: MakeWorkspace) -> Workspace:
    """A family that was pushed."""
    workspace = make_workspace(FILES)
    workspace.succeed("build", "--push")
    return workspace


def saying(**annotations: str) -> Forge:
    """A record that says something else of itself."""
    return lambda record, _: {**record, "annotations": {**annotations_of(record), **annotations}}


def annotations_of(manifest: Json) -> Mapping[str, object]:
    """The annotations of a manifest or of a descriptor."""
    annotations = manifest["annotations"]
    assert isinstance(annotations, dict)
    return annotations


def made_of_something_else(record: Json, other: Json) -> Json:
    """A record of which each image says that it was made from something else."""
    del other
    return {**record, "manifests": [with_input(child) for child in children(record)]}


def with_input(child: Json) -> Json:
    """The descriptor of an image that was made from something else."""
    annotations = annotations_of(child)
    known = "dev.orchestrate.input" in annotations
    return {**child, "annotations": {**annotations, "dev.orchestrate.input": ELSEWHERE}} if known else child


def children(index: Json) -> list[Json]:
    """The descriptors in an index."""
    manifests = index["manifests"]
    assert isinstance(manifests, list)
    return manifests


FORGERIES: Mapping[str, Forge] = {
    "another scope": saying(**{"dev.orchestrate.scope": "pr-1"}),
    "another parent": saying(**{"dev.orchestrate.parents": ELSEWHERE}),
    "no parent": saying(**{"dev.orchestrate.parents": ""}),
    "another input": made_of_something_else,
    "another platform": lambda _, other: other,
    "no record": lambda record, _: {**record, "annotations": {}},
    "two platforms": lambda record, other: {**record, "manifests": [*children(record), *children(other)]},
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_record_is_refused(built: Workspace, registries: Registries, forgery: str) -> None:
    """That platform is built, and no other; then the right record stands under the name again."""
    repository = f"{built.registry}/left"
    digests = records(registries, built.registry, "left")
    (name,) = (tag for tag, digest in private_names(registries, repository, "in-").items() if digest == digests[AMD64])
    record, other = (raw_manifest(registries, f"{repository}@{digests[platform]}") for platform in (AMD64, ARM64))
    put_manifest(repository, name, FORGERIES[forgery](record, other))
    for tag in private_names(registries, repository, "ok-"):
        put_manifest(repository, tag, record)

    built_now = ["left@linux/amd64"]
    assert built_now == [build for build, action in actions(built.plan("--push")).items() if action == "build"]
    built.succeed("build", "--push")
    check_standings(registries, built.registry)
    assert records(registries, built.registry, "left")[AMD64] == registries.digest(f"{repository}:{name}")
    assert {"reuse"} == set(actions(built.plan("--push")).values())


def indexes(record: Json, final: Json, other: Json) -> dict[str, Json]:
    """What may stand under the name of a verified index though it is none of this image."""
    images = [child for child in children(final) if "dev.orchestrate.record" in annotations_of(child)]
    return {
        "a record": record,
        "one platform": {**final, "manifests": images[:1]},
        "another image": other,
        "another input": {**final, "manifests": [with_input(child) for child in children(final)]},
    }


@pytest.mark.parametrize("forgery", ["a record", "one platform", "another image", "another input"])
def test_a_forged_index_is_refused(built: Workspace, registries: Registries, forgery: str) -> None:
    """It is put together again from the records, which stand; nothing is built."""
    repository = f"{built.registry}/base"
    final = raw_manifest(registries, f"{repository}:latest")
    record = raw_manifest(registries, f"{repository}@{records(registries, built.registry, 'base')[AMD64]}")
    registries.move(f"{built.registry}/left:latest", f"{repository}:other")
    other = raw_manifest(registries, f"{built.registry}/left:latest")
    before = registries.digest(f"{repository}:latest")
    (name,) = private_names(registries, repository, "ok-")
    put_manifest(repository, name, indexes(record, final, other)[forgery])

    assert {"reuse"} == set(actions(built.plan("--push")).values())
    built.succeed("build", "--push")
    assert (before, before) == tuple(registries.digest(f"{repository}:{tag}") for tag in ("latest", name))


def test_a_forged_input_manifest_explains_nothing(built: Workspace, registries: Registries) -> None:
    """Reasons are made of what hashes to its name; what is built does not depend on it."""
    repository = f"{built.registry}/left"
    source = next(iter(private_names(registries, f"{built.registry}/right", "im-")))
    for name in private_names(registries, repository, "im-"):
        registries.move(f"{built.registry}/right:{source}", f"{repository}:{name}")
    built.write({"left/app": "two"})
    assert {"left@linux/amd64": ["new"], "left@linux/arm64": ["new"]} == codes(built.plan("--push"))
    built.succeed("build", "--push")
    check_standings(registries, built.registry)
