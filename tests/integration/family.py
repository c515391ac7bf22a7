"""A parent of which no two builds are alike, two children that copy what tells them apart, and where they stand."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from orchestrator.model import Model
from orchestrator.plan.document import PlanDocument
from tests.integration.conftest import MakeWorkspace
from tests.integration.registries import Registries
from tests.integration.workspace import Workspace

PROJECT = """\
format = 1
[project]
name = "family"
[version]
value = "1.0.0"
[defaults]
platforms = ["linux/amd64", "linux/arm64"]
tags = [{ ref = "latest", moving = true }]
[platforms."*"]
emulation = "allow"
[images.base]
no-cache = true
[images.left]
[images.right]
"""
FILES: Mapping[str, str] = {
    "builds.toml": PROJECT,
    "base/Dockerfile": "FROM %BASE%\nRUN cat /proc/sys/kernel/random/uuid > /random\n",
    "left/Dockerfile": "FROM base\nCOPY app /app\nRUN cp /random /copied\n",
    "left/app": "one",
    "right/Dockerfile": "FROM base\nRUN cp /random /copied\n",
}
ONE_PLATFORM: Mapping[str, str] = {
    **FILES, "builds.toml": PROJECT.replace('["linux/amd64", "linux/arm64"]', '["linux/amd64"]')
}  # fmt: skip
AMD64, ARM64 = "linux/amd64", "linux/arm64"
CHILDREN = ("left", "right")
Json: TypeAlias = Mapping[str, object]
_INDEX = "application/vnd.oci.image.index.v1+json"


class Standing(Model):
    """Where one platform of a child stands: what it copied, and what its record says that it was built on."""

    copied: str
    parent: str


def clone(workspace: Workspace, make_workspace: MakeWorkspace, *, host: str = "") -> Workspace:
    """A clone on another path that publishes to the same place, by another address of the registry if one is given."""
    made = make_workspace({})
    shutil.rmtree(made.root)
    workspace.git("clone", "--quiet", str(workspace.root), str(made.root))
    made.registry = f"{host}/{workspace.registry.partition('/')[2]}" if host else workspace.registry
    made.environ["ORCHESTRATE_REGISTRY"] = made.registry
    return made


def actions(plan: PlanDocument) -> dict[str, str]:
    """What is to become of each platform build."""
    return {build.id: build.action for build in plan.builds}


def codes(plan: PlanDocument) -> dict[str, list[str]]:
    """Why each platform build that is built is."""
    return {build.id: [why.code for why in build.reasons] for build in plan.builds if build.action == "build"}


def seed(registries: Registries, registry: str, platform: str, locator: str = ":latest") -> str:
    """What tells a build of the parent from every other."""
    return registries.file(f"{registry}/base{locator}", platform, "random")


def records(registries: Registries, registry: str, image: str, locator: str = ":latest") -> dict[str, str]:
    """The digests of the records that an index says it was put together from, by platform."""
    index = registries.index(f"{registry}/{image}{locator}")
    return {
        str(entry.platform): entry.annotations["dev.orchestrate.record"]
        for entry in index.manifests
        if entry.attests is None
    }


def standings(registries: Registries, registry: str, image: str, locator: str = ":latest") -> dict[str, Standing]:
    """Where each platform of a child stands, as files and records in the registry tell it."""
    found = {}
    for platform, record in records(registries, registry, image, locator).items():
        told = registries.index(f"{registry}/{image}@{record}").annotations["dev.orchestrate.parents"]
        copied = registries.file(f"{registry}/{image}{locator}", platform, "copied")
        found[platform] = Standing(copied=copied, parent=told)
    return found


def expected_standings(registries: Registries, registry: str, locator: str = ":latest") -> dict[str, Standing]:
    """Where each platform of each child has to stand: on this parent."""
    return {
        platform: Standing(copied=seed(registries, registry, platform, locator), parent=record)
        for platform, record in records(registries, registry, "base", locator).items()
    }


def check_standings(registries: Registries, registry: str) -> None:
    """Each platform of each child that is published stands on the parent that is published."""
    expected = expected_standings(registries, registry)
    assert dict.fromkeys(CHILDREN, expected) == {child: standings(registries, registry, child) for child in CHILDREN}


def private_names(registries: Registries, repository: str, *kinds: str) -> dict[str, str]:
    """The digests of the private names of these kinds in a repository."""
    tags = [tag for tag in registries.tags(repository) if tag.startswith(kinds)]
    return {tag: registries.digest(f"{repository}:{tag}") for tag in tags}


def put_manifest(repository: str, name: str, content: Json) -> None:
    """Put an index under a name, as a stranger might who may push."""
    host, _, path = repository.partition("/")
    request = urllib.request.Request(
        f"http://{host}/v2/{path}/manifests/{name}",
        data=json.dumps(content).encode(),
        headers={"Content-Type": str(content.get("mediaType", _INDEX))},
        method="PUT",
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        assert answer.status == 201


def raw_manifest(registries: Registries, reference: str) -> Json:
    """What stands there, to be changed."""
    return msgspec.json.decode(registries.tool("crane", "manifest", "--insecure", reference), type=dict[str, object])


def delete(registries: Registries, repository: str, digest: str) -> None:
    """Delete a manifest, and with it every tag on it."""
    registries.tool("crane", "delete", "--insecure", f"{repository}@{digest}")
