"""The main job on the example: built once, pushed, and looked at with tools that we did not write."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.conftest import MakeWorkspace
from tests.integration.registries import Registries
from tests.integration.workspace import Ran, Workspace
from tests.lab import Lab

pytestmark = pytest.mark.integration

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/monorepo"
MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
PUBLISHED = ("base", "runtime", "db-slim15", "db-slim16", "db-full16", "api", "worker", "gateway")


@pytest.fixture(scope="module")
def monorepo(make_workspace: MakeWorkspace, base_layout: tuple[str, ...]) -> Workspace:
    """The example as a user has it: a clone, committed and tagged."""
    layout, grant = base_layout
    workspace = make_workspace(
        {}, options=(layout.replace('*.contexts."busybox"', 'base.contexts."busybox:stable"'), grant)
    )
    shutil.copytree(EXAMPLE, workspace.root, dirs_exist_ok=True)
    workspace.commit("v1.2.3")
    return workspace


@pytest.fixture(scope="module")
def pushed(monorepo: Workspace) -> Ran:
    """The example, pushed."""
    return monorepo.succeed("build", "--push")


@pytest.fixture(scope="module")
def short_sha(monorepo: Workspace) -> str:
    """The commit as tags have it."""
    return monorepo.git("rev-parse", "HEAD")[:12]


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_tag_points_at_the_digest_of_the_table(
    name: str, monorepo: Workspace, pushed: Ran, registries: Registries, short_sha: str
) -> None:
    """All three tags of every published image stand, with the digest that the result names; the table has it, too."""
    digest = monorepo.digest(name)
    repository = f"{monorepo.registry}/{name}"
    tags = sorted(("1.2.3", f"sha-{short_sha}", "edge"))

    assert tags == registries.public(repository)
    assert [digest] * 3 == [registries.digest(f"{repository}:{tag}") for tag in tags]
    assert digest in pushed.stdout


@pytest.mark.parametrize("name", PUBLISHED)
def test_crane_and_buildx_see_the_platforms_of_the_table(
    name: str, monorepo: Workspace, pushed: Ran, registries: Registries
) -> None:
    """Both see exactly the two platforms, each with the digest of our table."""
    reference = f"{monorepo.registry}/{name}:1.2.3"
    image = monorepo.image(name)
    told = {build.platform: build.digest for build in image.platforms}
    seen = registries.inspected(reference)

    assert list(MACHINES) == list(told)
    assert told == registries.index(reference).images
    assert (image.digest, told) == (seen[0], seen[1].images)
    assert told == {platform: registries.digest(reference, platform) for platform in told}
    assert all(build.digest and build.digest in pushed.stdout for build in image.platforms)


@pytest.mark.usefixtures("pushed")
def test_attestations_are_kept(monorepo: Workspace, registries: Registries) -> None:
    """Each image of the index has its provenance beside it, and buildx reads it."""
    reference = f"{monorepo.registry}/api:1.2.3"
    index = registries.index(reference)
    told = registries.tool("docker", "buildx", "imagetools", "inspect", "--format={{json .Provenance}}", reference)

    assert set(index.images.values()) == set(index.attestations)
    assert set(MACHINES) == set(json.loads(told))
    assert all("SLSA" in provenance for provenance in json.loads(told).values())


@pytest.mark.usefixtures("pushed")
@pytest.mark.parametrize("name", ["base", "runtime", "api", "worker", "db-slim16"])
def test_run_instructions_ran_on_their_platform(name: str, monorepo: Workspace, registries: Registries) -> None:
    """What `uname -m` said while the base was built is in every image above it: no platform got the other's base."""
    found = {
        platform: registries.file(f"{monorepo.registry}/{name}:1.2.3", platform, "etc/built-on")
        for platform in MACHINES
    }

    assert MACHINES == found


@pytest.mark.usefixtures("pushed")
def test_worker_ran_on_its_own_platform(monorepo: Workspace, registries: Registries) -> None:
    """The image on the third level ran its own `RUN` on each platform, too."""
    found = [registries.file(f"{monorepo.registry}/worker:1.2.3", platform, "app/worker") for platform in MACHINES]

    assert [f"worker on {machine}" for machine in MACHINES.values()] == found


@pytest.mark.usefixtures("pushed")
@pytest.mark.parametrize("platform", MACHINES)
def test_data_of_one_platform_is_in_all(platform: str, monorepo: Workspace, registries: Registries) -> None:
    """The web assets are built for amd64 alone and are in the gateway of both platforms; they have no tag."""
    reference = f"{monorepo.registry}/gateway:1.2.3"

    assert (EXAMPLE / "web/index.html").read_text().strip() == registries.file(reference, platform, "srv/index.html")
    assert [] == registries.public(f"{monorepo.registry}/web-assets")


@pytest.mark.usefixtures("pushed")
def test_the_arm64_program_runs_under_emulation(lab: Lab, monorepo: Workspace) -> None:
    """What was pushed for arm64 can be pulled and run."""
    argv = ["docker", "run", "--rm", "--quiet", "--platform=linux/arm64", f"{monorepo.registry}/api:1.2.3"]
    done = subprocess.run(argv, env=lab.environ, capture_output=True, text=True, check=False)

    assert "hello from aarch64" == done.stdout.strip(), done.stderr


@pytest.mark.usefixtures("pushed")
def test_verify_finds_the_images_right(monorepo: Workspace) -> None:
    """Every program in the pushed images is one of its platform."""
    reference = f"{monorepo.registry}/api:1.2.3"

    assert 0 == monorepo.run("verify", "--platform=linux/amd64,linux/arm64", reference).exit_code


@pytest.mark.usefixtures("pushed")
def test_the_same_version_is_not_published_twice(monorepo: Workspace, registries: Registries) -> None:
    """Of other content it stops before anything is built, and names the tag and the digest that it has."""
    before = registries.digest(f"{monorepo.registry}/api:1.2.3")
    again = monorepo.run("build", "--push", "--force", "--result=again.json")

    assert 3 == again.exit_code
    assert "tag-exists" in again.stderr
    assert f"`{monorepo.registry}/api:1.2.3` exists as `{before}`" in again.stderr
    assert "--replace-tags" in again.stderr
    assert "solve:" not in again.stderr
    assert before == registries.digest(f"{monorepo.registry}/api:1.2.3")
