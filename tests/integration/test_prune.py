"""Old state goes from a real registry, and nothing that anybody still reaches."""

from __future__ import annotations

import hashlib
import json
import shutil
import urllib.request
from collections.abc import Mapping

import pytest

from tests.integration.conftest import MakeWorkspace
from tests.integration.registries import Registries
from tests.integration.workspace import Workspace
from tests.lab import Lab

pytestmark = pytest.mark.integration

PROJECT = """\
format = 1
[project]
name = "prune"
[version]
from = "git-tag"
match = "v*"
[defaults]
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{{ version }}", { ref = "latest", moving = true }]
[platforms."*"]
emulation = "allow"
[images.base]
[images.app]
tags = ["{{ version }}", "{{ registry }}/public/app:{{ version }}"]
"""
FILES: Mapping[str, str] = {
    "builds.toml": PROJECT,
    # no build of it is like another, so that a second one would be seen
    "base/Dockerfile": "FROM %BASE%\nCOPY seed /seed\nRUN cat /proc/sys/kernel/random/uuid > /random\n",
    "base/seed": "a",
    "app/Dockerfile": "FROM base\nCOPY app /app\n",
    "app/app": "one",
}
NAMES = ("base", "app", "public/app")
ACCEPT = ", ".join(f"application/vnd.oci.image.{kind}.v1+json" for kind in ("index", "manifest"))


def fetch(registry: str, path: str) -> bytes:
    """Read something of the registry, by no code of ours."""
    request = urllib.request.Request(f"http://{registry.partition('/')[0]}/v2/{path}", headers={"Accept": ACCEPT})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        return bytes(answer.read())


def read_all(registry: str, repository: str, locator: str) -> set[str]:
    """The digests of everything behind a reference, all of which can be read and is what it says."""
    name = f"{registry.partition('/')[2]}/{repository}"
    content = fetch(registry, f"{name}/manifests/{locator}")
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert not locator.startswith("sha256:") or digest == locator
    document = json.loads(content)
    found = {digest}
    for child in document.get("manifests", ()):
        found |= read_all(registry, repository, child["digest"])
    blobs = [document["config"], *document["layers"]] if "config" in document else []
    for blob in {each["digest"] for each in blobs}:
        assert f"sha256:{hashlib.sha256(fetch(registry, f'{name}/blobs/{blob}')).hexdigest()}" == blob
        found.add(blob)
    return found


def public(workspace: Workspace, registries: Registries) -> dict[str, set[str]]:
    """All that each public tag reaches."""
    return {
        f"{name}:{tag}": read_all(workspace.registry, name, tag)
        for name in NAMES
        for tag in registries.public(f"{workspace.registry}/{name}")
    }


def private(workspace: Workspace, registries: Registries) -> dict[str, set[str]]:
    """The private names of each repository."""
    return {
        name: set(registries.tags(f"{workspace.registry}/{name}"))
        - set(registries.public(f"{workspace.registry}/{name}"))
        for name in NAMES
    }


def actions(workspace: Workspace, *arguments: str) -> set[str]:
    """What is to become of the images."""
    return {image.action for image in workspace.plan("--push", *arguments).images}


def release(workspace: Workspace, version: str, *arguments: str, **files: str) -> None:
    """Change files, commit, and build that version."""
    workspace.write({f"{name}/{'seed' if name == 'base' else name}": text for name, text in files.items()})
    workspace.commit(f"v{version}")
    workspace.succeed("build", *(arguments or ("--push",)))


def build_often(workspace: Workspace) -> None:
    """Two releases, and between them something that was staged and never released."""
    workspace.succeed("build", "--push")
    release(workspace, "1.2.4", "--stage", base="never released", app="never released")
    release(workspace, "1.2.5", base="b", app="two")


@pytest.fixture
def built(make_workspace: MakeWorkspace) -> Workspace:
    """A repository of which everything was built several times."""
    workspace = make_workspace(FILES)
    build_often(workspace)
    return workspace


def test_old_names_go_and_nothing_public(built: Workspace, registries: Registries) -> None:
    """Every manifest and blob of a public tag can be read, and there is nothing to build."""
    reached, before = public(built, registries), private(built, registries)
    assert {"base:1.2.3", "base:1.2.5", "base:latest", "app:1.2.3", "app:1.2.5", "public/app:1.2.3"} < set(reached)
    shown = built.succeed("prune")
    assert "nothing is deleted without `--yes`\n" == shown.stderr
    assert before == private(built, registries)
    done = built.succeed("prune", "--yes").stdout
    assert done.startswith(shown.stdout)
    assert "still there" not in done
    after = private(built, registries)
    gone = {tag for name in NAMES for tag in before[name] - after[name]}
    assert gone == {line.split()[1] for line in shown.stdout.splitlines() if line.startswith("  ")}
    assert {"run", "in", "ok", "im"} == {tag.partition("-")[0] for tag in gone}
    assert not [tag for name in NAMES for tag in after[name] if tag.startswith("run-")]
    assert reached == public(built, registries)
    shutil.rmtree(built.root / ".orchestrate")
    assert {"reuse"} == actions(built)
    assert "0 names, 0 manifests go" in built.succeed("prune", "--yes").stdout


def test_what_is_left_can_be_built_upon(built: Workspace, registries: Registries) -> None:
    """A parent that stands is taken over by the next release; the past is known as it was."""
    built.git("checkout", "--quiet", "v1.2.3")
    before = actions(built, "--allow-downgrade")
    built.git("checkout", "--quiet", "main")
    built.succeed("prune", "--yes")
    shutil.rmtree(built.root / ".orchestrate")
    built.git("checkout", "--quiet", "v1.2.3")
    assert before == actions(built, "--allow-downgrade")
    assert "build" not in before
    built.git("checkout", "--quiet", "main")
    built.write({"app/app": "three"})
    built.commit("v1.2.6")
    assert {"base": "retag", "app": "build"} == {image.name: image.action for image in built.plan("--push").images}
    built.succeed("build", "--push")
    assert "base:1.2.6" in public(built, registries)


def test_a_staged_release_can_be_promoted(make_workspace: MakeWorkspace, registries: Registries) -> None:
    """In its home, and where it was copied to."""
    workspace = make_workspace(FILES)
    workspace.succeed("build", "--stage")
    workspace.succeed("prune", "--yes")
    workspace.succeed("promote")
    assert {"base:1.2.3", "base:latest", "app:1.2.3", "public/app:1.2.3"} == set(public(workspace, registries))


def test_a_scope_is_forgotten(make_workspace: MakeWorkspace, registries: Registries) -> None:
    """It alone, and only when that is asked for."""
    workspace = make_workspace({**FILES, "builds.toml": PROJECT + '[state]\nread = ["main"]\n'})
    workspace.succeed("build", "--push")
    workspace.write({"app/app": "of a pull request"})
    workspace.succeed("build", "--stage", "--state-scope=pr-7")
    workspace.succeed("prune", "--yes")
    scope = ("--state-scope=pr-7", "--replace-tags")
    assert {"reuse", "retag"} == actions(workspace, *scope)
    reached = public(workspace, registries)
    shown = workspace.succeed("prune", "--yes", "--scope=pr-7").stdout
    assert "app, scope pr-7" in shown
    assert {"reuse", "build"} == actions(workspace, *scope)
    assert reached == public(workspace, registries)


def test_a_registry_that_deletes_nothing(lab: Lab, make_workspace: MakeWorkspace, registries: Registries) -> None:
    """It says so once, all names are printed, and nothing is lost."""
    workspace = make_workspace(FILES, host=lab.new_registry(deletes=False).host)
    build_often(workspace)
    reached, before = public(workspace, registries), private(workspace, registries)
    ran = workspace.run("prune", "--yes")
    assert 5 == ran.exit_code
    assert 1 == ran.stderr.count("answered 405")
    _, _, told = ran.stdout.partition("the registry refuses to delete them\n")
    printed = {line.strip().rpartition(":")[2] for line in told.splitlines()}
    assert {tag for name in NAMES for tag in before[name] if tag.startswith("run-")} < printed
    assert (reached, before) == (public(workspace, registries), private(workspace, registries))
    assert {"reuse"} == actions(workspace)
