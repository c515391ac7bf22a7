"""`build --stage`, then `promote`, perhaps elsewhere; and what keeps a release from overwriting another."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.integration.conftest import MakeWorkspace
from tests.integration.gatekeeper import Gatekeeper, Verdict
from tests.integration.registries import Registries
from tests.integration.workspace import Workspace
from tests.lab import Lab

pytestmark = pytest.mark.integration

FILES = {
    "builds.toml": """\
format = 1
[project]
name = "staged"
[version]
from = "git-tag"
match = "v*"
[defaults]
platforms = ["linux/amd64"]
tags = ["{{ version }}", { ref = "latest", moving = true }, "at-{{ now | date('%Y%m%d%H%M%S') }}"]
[platforms."*"]
emulation = "allow"
[images.base]
platforms = ["linux/amd64", "linux/arm64"]
publish = false
[images.api]
""",
    "base/Dockerfile": "FROM %BASE%\nRUN uname -m > /arch\n",
    "api/Dockerfile": "FROM base\nRUN echo api > /api\n",
}


@pytest.fixture
def workspace(make_workspace: MakeWorkspace) -> Workspace:
    """A parent that is not published and a child with a fixed, a moving and a dated tag."""
    return make_workspace(FILES)


@pytest.fixture
def staged(workspace: Workspace) -> Workspace:
    """The project, staged."""
    workspace.succeed("build", "--stage")
    return workspace


def clone(workspace: Workspace, folder: Path) -> Workspace:
    """Another clone of the repository, with the result of the staged run in it."""
    other = Workspace(folder, workspace.environ, registry=workspace.registry, options=())
    other.root.rmdir()
    workspace.git("clone", "--quiet", str(workspace.root), str(other.root))
    (other.root / ".orchestrate").mkdir()
    shutil.copy(workspace.root / ".orchestrate/result.json", other.root / ".orchestrate")
    return other


def test_only_private_names_stand_after_staging(staged: Workspace, registries: Registries) -> None:
    """Nobody sees a staged image: the repository has private names, among them one with the verified digest."""
    tags = registries.tags(f"{staged.registry}/api")

    assert [] == registries.public(f"{staged.registry}/api")
    assert {staged.digest("api")} == {
        registries.digest(f"{staged.registry}/api:{tag}") for tag in tags if tag.startswith("ok-")
    }
    assert {"base": "verified", "api": "verified"} == staged.states()


def test_promote_puts_the_tags_that_were_planned(staged: Workspace, registries: Registries, tmp_path: Path) -> None:
    """Also from another clone: all tags, the dated one of the staged run's time, on the digest that was verified."""
    planned = sorted(tag.ref.rpartition(":")[2] for tag in staged.image("api").tags)
    other = clone(staged, tmp_path)
    promoted = other.succeed("promote")

    assert planned == registries.public(f"{staged.registry}/api")
    assert {staged.digest("api")} == {registries.digest(f"{staged.registry}/api:{tag}") for tag in planned}
    assert [] == registries.public(f"{staged.registry}/base")
    assert "solve:" not in promoted.stderr
    assert ("released", staged.image("api").platforms) == (other.image("api").state, other.image("api").platforms)
    assert [] == other.left_behind()


def test_promoting_twice_changes_nothing(staged: Workspace, registries: Registries) -> None:
    """The tags stand already with these digests: it says so and ends well."""
    staged.succeed("promote")
    again = staged.succeed("promote")

    assert 3 == again.stderr.count("  stands  ")
    assert staged.digest("api") == registries.digest(f"{staged.registry}/api:1.2.3")


def test_a_tag_that_a_stranger_put_in_between_stops_promote(
    staged: Workspace, registries: Registries, base: str
) -> None:
    """The fixed tag exists with another digest: exit 3, both digests, and not one tag was put."""
    registries.move(base, f"{staged.registry}/api:1.2.3")
    stranger = registries.digest(f"{staged.registry}/api:1.2.3")
    refused = staged.run("promote")

    assert 3 == refused.exit_code
    assert f"`{staged.registry}/api:1.2.3` exists as `{stranger}`" in refused.stderr
    assert staged.digest("api") in refused.stderr
    assert ["1.2.3"] == registries.public(f"{staged.registry}/api")
    assert stranger == registries.digest(f"{staged.registry}/api:1.2.3")


def test_a_stranger_who_comes_after_the_plan_is_seen(
    lab: Lab, make_workspace: MakeWorkspace, registries: Registries, base: str
) -> None:
    """The fixed tag appears between the plan and the promotion: it is read again just before, and not overwritten."""
    with Gatekeeper(lab.registry.host) as gatekeeper:
        workspace = make_workspace(FILES, host=gatekeeper.host)
        theirs = f"{lab.registry.host}/{workspace.folder.name}/api:1.2.3"

        def judge(request: str) -> Verdict:
            if request.startswith("PUT ") and "/manifests/ok-" in request and "/api/" in request:
                registries.move(base, theirs)
            return Verdict.HAND_ON

        gatekeeper.judge = judge
        refused = workspace.run("build", "--push")

    assert 3 == refused.exit_code, refused.output
    assert f"`{workspace.registry}/api:1.2.3` exists as `{base.partition('@')[2]}`" in refused.stderr
    assert workspace.digest("api") in refused.stderr
    assert ["1.2.3"] == registries.public(theirs.removesuffix(":1.2.3"))
    assert base.partition("@")[2] == registries.digest(theirs)


def test_replace_tags_overrules_the_stranger(staged: Workspace, registries: Registries, base: str) -> None:
    """`promote --replace-tags` takes the tag back."""
    registries.move(base, f"{staged.registry}/api:1.2.3")
    staged.succeed("promote", "--replace-tags")

    assert staged.digest("api") == registries.digest(f"{staged.registry}/api:1.2.3")


CHANGES = {
    "args": ("[images.api]", "[images.api]\nargs = { NEW = '1' }"),
    "labels": ("[images.api]", "[images.api]\nlabels = { new = '1' }"),
    "annotations": ("[images.api]", "[images.api]\nannotations = { new = '1' }"),
    "platforms": ("[images.api]", '[images.api]\nplatforms = ["linux/amd64", "linux/arm64"]'),
    "repository": ("[images.api]", '[images.api]\nrepository = "{{ registry }}/elsewhere"'),
    "tags": ('"{{ version }}",', '"{{ version }}", "another",'),
    "moving": ("moving = true", "moving = false"),
    "images": ("[images.api]", "[images.renamed]\ncontext = 'api'"),
}


def test_what_changed_since_staging_is_not_promoted(staged: Workspace, registries: Registries) -> None:
    """Whatever is declared otherwise than when it was staged: no tag and why not; put back, the promotion goes on."""
    text = (staged.root / "builds.toml").read_text()
    refused = {}
    for change, (old, new) in CHANGES.items():
        assert old in text
        staged.write({"builds.toml": text.replace(old, new)})
        refused[change] = staged.run("promote")

    assert dict.fromkeys(CHANGES, 3) == {change: ran.exit_code for change, ran in refused.items()}
    assert [] == [ran.stderr for ran in refused.values() if "staged" not in ran.stderr or "hint: " not in ran.stderr]
    assert f"`{staged.registry}/api:another`" in refused["tags"].stderr
    assert [] == registries.public(f"{staged.registry}/api") + registries.public(f"{staged.registry}/elsewhere")

    staged.write({"builds.toml": text})
    staged.succeed("promote")


def test_another_version_is_not_promoted(staged: Workspace, registries: Registries) -> None:
    """A newer git tag on the same commit gives other image tags than those that were staged: exit 3, and which."""
    staged.git("tag", "v1.3.0", "v1.2.3")
    refused = staged.run("promote")

    assert 3 == refused.exit_code
    assert f"`api` is to be tagged `{staged.registry}/api:1.3.0`" in refused.stderr
    assert [] == registries.public(f"{staged.registry}/api")


def test_a_result_that_staged_nothing_is_refused(workspace: Workspace) -> None:
    """The result of a build into layouts cannot be promoted; nor one that is not there, or broken."""
    missing = workspace.run("promote")
    workspace.succeed("build", "--oci=out", "base")
    layouts = workspace.run("promote")
    (workspace.root / ".orchestrate/result.json").write_text('{"format_version": "1.0", "images": [[[[')
    broken = workspace.run("promote")

    assert [2, 3, 2] == [missing.exit_code, layouts.exit_code, broken.exit_code]
    assert "run `orchestrate build --stage`" in missing.stderr
    assert "left nothing in a registry" in layouts.stderr
    assert "not a result of a run" in broken.stderr


def test_what_was_staged_is_verified_again(staged: Workspace, registries: Registries, base: str) -> None:
    """A result whose digest is that of another image is found out by its content: exit 6, no tag."""
    registries.move(f"{base.partition('@')[0]}", f"{staged.registry}/api:run-smuggled")
    other = registries.digest(f"{staged.registry}/api:run-smuggled", "linux/arm64")
    path = staged.root / ".orchestrate/result.json"
    path.write_text(path.read_text().replace(staged.digest("api"), other))
    refused = staged.run("promote")

    assert 6 == refused.exit_code, refused.output
    assert [] == registries.public(f"{staged.registry}/api")


def test_the_same_version_again_needs_to_be_told(make_workspace: MakeWorkspace, registries: Registries) -> None:
    """A second push of one version stops with the tag's digest; `--replace-tags` is how to mean it."""
    workspace = make_workspace(
        {**FILES, "builds.toml": FILES["builds.toml"].replace(', "at-', ', "x-').replace("%M", "")}
    )
    workspace.succeed("build", "--push")
    first = workspace.digest("api")
    workspace.write({"api/Dockerfile": "FROM base\nRUN echo other > /api\n"})
    workspace.commit("v1.2.3")
    refused = workspace.run("build", "--push")

    assert 3 == refused.exit_code
    assert "error[tag-exists]" in refused.stderr
    assert f"`{workspace.registry}/api:1.2.3` exists as `{first}`, and a new build has another digest" in refused.stderr
    assert "solve:" not in refused.stderr

    workspace.succeed("build", "--push", "--replace-tags")
    assert first != workspace.digest("api") == registries.digest(f"{workspace.registry}/api:1.2.3")
    assert workspace.digest("api") == registries.digest(f"{workspace.registry}/api:latest")


def test_a_moving_tag_does_not_go_down(make_workspace: MakeWorkspace, registries: Registries) -> None:
    """A lower version may be published, but takes `latest` along only with `--allow-downgrade`."""
    workspace = make_workspace(FILES, tag="v2.0.0")
    workspace.succeed("build", "--push")
    workspace.git("tag", "--delete", "v2.0.0")
    workspace.commit("v1.9.0")
    refused = workspace.run("build", "--push")

    assert 3 == refused.exit_code
    assert "error[downgrade]" in refused.stderr
    assert (
        f"`{workspace.registry}/api:latest` is at version 2.0.0, this plan would move it down to 1.9.0"
        in refused.stderr
    )
    assert "solve:" not in refused.stderr

    workspace.succeed("build", "--push", "--allow-downgrade")
    assert workspace.digest("api") == registries.digest(f"{workspace.registry}/api:latest")
