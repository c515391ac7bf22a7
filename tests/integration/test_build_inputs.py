"""What reaches a build, and what of it is seen afterwards: args, labels, secrets, tags of the commit, attestations."""

from __future__ import annotations

import hashlib
import json
import secrets

import pytest

from tests.integration.conftest import MakeWorkspace
from tests.integration.recorder import Recorder
from tests.integration.registries import Registries
from tests.integration.workspace import Ran, Workspace
from tests.lab import Lab

pytestmark = pytest.mark.integration

TOKEN = secrets.token_hex(16)
FILE_TOKEN = secrets.token_hex(16)
PROJECT = """\
format = 1
[project]
name = "inputs"
[version]
from = "git-tag"
match = "v*"
fallback = "{{ next_patch }}-dev"
[defaults]
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{{ version }}", "sha-{{ git.short_sha }}"]
labels = { "org.example.revision" = { value = "{{ git.sha }}", volatile = true } }
[platforms."*"]
emulation = "allow"
[images.args]
args = { WORD = "both", LEVEL = "all {{ version }}" }
on."linux/arm64".args = { WORD = "arm64 alone" }
[images.secret]
secrets = [{ id = "token", env = "INPUTS_TOKEN" }, { id = "file", src = "token.txt" }]
"""
ATTESTED = """\
[images.attested-{mode}]
context = "args"
args = {{ MARKER = "{mode}" }}
provenance = "{mode}"
"""
FILES = {
    "builds.toml": PROJECT + "".join(ATTESTED.format(mode=mode) for mode in ("off", "min", "max")),
    "args/Dockerfile": 'FROM %BASE%\nARG WORD=none\nARG LEVEL\nRUN echo "$WORD, $LEVEL, $(uname -m)" > /args\n',
    "secret/Dockerfile": (
        "FROM %BASE%\n"
        "RUN --mount=type=secret,id=token --mount=type=secret,id=file"
        " cat /run/secrets/token /run/secrets/file | sha256sum > /sum\n"
    ),
    "token.txt": FILE_TOKEN,
    ".gitignore": "token.txt\n",
}


@pytest.fixture(scope="module")
def recorder(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Recorder:
    """Records every `docker` of the project."""
    return Recorder(tmp_path_factory.mktemp("recorder"), lab.environ)


@pytest.fixture(scope="module")
def workspace(lab: Lab, make_workspace: MakeWorkspace, recorder: Recorder) -> Workspace:
    """The project and its secrets."""
    made = make_workspace(FILES)
    made.environ["INPUTS_TOKEN"] = TOKEN
    made.environ["PATH"] = recorder.path(lab.environ)
    return made


@pytest.fixture(scope="module")
def pushed(workspace: Workspace) -> Ran:
    """The project, pushed with everything that builds print."""
    return workspace.succeed("build", "--push", "--verbose")


def test_args_of_one_platform_reach_that_platform_alone(
    workspace: Workspace, pushed: Ran, registries: Registries
) -> None:
    """Two solves, one index: each platform has its own arg, and they share the others."""
    reference = f"{workspace.registry}/args:1.2.3"
    found = [registries.file(reference, platform, "args") for platform in ("linux/amd64", "linux/arm64")]

    assert ["both, all 1.2.3, x86_64", "arm64 alone, all 1.2.3, aarch64"] == found
    assert ["linux/amd64", "linux/arm64"] == list(registries.index(reference).images)
    assert {"solve:args@linux/amd64", "solve:args@linux/arm64"} == {
        line.split()[0]
        for line in pushed.stderr.splitlines()
        if line.startswith("solve:args@") and line.endswith(" started on default")
    }
    assert 2 == len(registries.index(reference).attestations)


@pytest.mark.usefixtures("pushed")
@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64"])
def test_labels_are_in_the_image_config(platform: str, workspace: Workspace, registries: Registries) -> None:
    """A volatile label has the value of this commit in every platform."""
    labels = registries.labels(f"{workspace.registry}/args:1.2.3", platform)

    assert workspace.git("rev-parse", "HEAD") == labels["org.example.revision"]


@pytest.mark.usefixtures("pushed")
def test_secrets_reach_the_build(workspace: Workspace, registries: Registries) -> None:
    """Both secrets were mounted, from the environment and from a file; the image holds what only they add up to."""
    expected = hashlib.sha256((TOKEN + FILE_TOKEN).encode()).hexdigest()
    reference = f"{workspace.registry}/secret:1.2.3"

    assert [f"{expected}  -"] * 2 == [
        registries.file(reference, name, "sum") for name in ("linux/amd64", "linux/arm64")
    ]


def test_secrets_are_seen_nowhere(
    workspace: Workspace, pushed: Ran, registries: Registries, recorder: Recorder
) -> None:
    """Neither value is in what was printed, planned, written or attested, nor in any argv."""
    told = registries.tool(
        "docker", "buildx", "imagetools", "inspect", "--format={{json .}}", f"{workspace.registry}/secret:1.2.3"
    )
    texts = {
        "output": pushed.output,
        "plan": workspace.run("plan", "--format=json").output + workspace.run("plan", "-v", "--force").output,
        "files": "".join(
            path.read_text(errors="replace") for path in (workspace.root / ".orchestrate").rglob("*") if path.is_file()
        ),
        "attestations": told,
        "argv": json.dumps([call.argv for call in recorder.calls()]),
    }

    assert [] == [name for name, text in texts.items() if TOKEN in text or FILE_TOKEN in text]
    assert "--secret=id=token,env=INPUTS_TOKEN" in texts["argv"]
    assert "--secret=id=token,env=INPUTS_TOKEN" in texts["plan"]


@pytest.mark.usefixtures("pushed")
@pytest.mark.parametrize(("mode", "knows"), [("off", []), ("min", [False, False]), ("max", [True, True])])
def test_provenance_says_as_much_as_was_asked_for(
    mode: str, knows: list[bool], workspace: Workspace, registries: Registries
) -> None:
    """`off` leaves none, `min` is silent about the args of the build, `max` has them; one for each platform."""
    reference = f"{workspace.registry}/attested-{mode}:1.2.3"
    told = registries.tool("docker", "buildx", "imagetools", "inspect", "--format={{json .Provenance}}", reference)

    assert len(knows) == len(registries.index(reference).attestations)
    assert knows == ["build-arg:MARKER" in json.dumps(each) for each in (json.loads(told) or {}).values()]


def test_a_dirty_tree_publishes_no_tag_of_its_commit(make_workspace: MakeWorkspace, registries: Registries) -> None:
    """What is built is not what the commit has: the `sha-` tag is left out and that is said; other tags are put."""
    workspace = make_workspace(FILES)
    workspace.write({"args/Dockerfile": (workspace.root / "args/Dockerfile").read_text() + "RUN echo dirty\n"})
    ran = workspace.succeed("build", "--push", "args")

    assert "warning[dirty-sha-tag]" in ran.stderr
    assert f"tag `sha-{workspace.git('rev-parse', '--short=12', 'HEAD')}` is left out" in ran.stderr
    assert [] == [tag for tag in registries.public(f"{workspace.registry}/args") if tag.startswith("sha-")]
    assert registries.public(f"{workspace.registry}/args")


@pytest.mark.parametrize("destination", ["--push", "--oci=out"])
def test_an_image_without_layers_is_an_image(destination: str, make_workspace: MakeWorkspace) -> None:
    """`FROM scratch` and nothing but labels: BuildKit writes its layers as `null`, which is no list and no mistake."""
    workspace = make_workspace({**FILES, "args/Dockerfile": "FROM scratch\nLABEL empty=yes\n"})
    workspace.succeed("build", destination, "args")
    where = f"{workspace.registry}/args:1.2.3" if destination == "--push" else "oci:out/args"

    workspace.succeed("verify", "--platform=linux/amd64,linux/arm64", where)


def test_a_commit_without_a_release_tag_gets_a_development_version(
    make_workspace: MakeWorkspace, registries: Registries
) -> None:
    """Two commits after v1.2.3, on a detached HEAD as in every release job: the fallback makes the version."""
    workspace = make_workspace(FILES)
    workspace.commit()
    workspace.git("checkout", "--quiet", "--detach")
    workspace.succeed("build", "--push", "args")

    sha = workspace.git("rev-parse", "--short=12", "HEAD")
    assert ["1.2.4-dev", f"sha-{sha}"] == registries.public(f"{workspace.registry}/args")
