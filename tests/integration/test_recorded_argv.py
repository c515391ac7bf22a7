"""What `plan` prints is what `build` starts, word for word; recorded outside of our own process."""

from __future__ import annotations

import re

import pytest

from orchestrator.plan.document import PlanDocument
from tests.integration.conftest import MakeWorkspace
from tests.integration.recorder import Call, Recorder
from tests.integration.workspace import Workspace
from tests.lab import Lab

pytestmark = pytest.mark.integration

PROJECT = """\
format = 1
[project]
name = "recorded"
[version]
from = "git-tag"
match = "v*"
[defaults]
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{{ version }}"]
[platforms."*"]
emulation = "allow"

[images.base]
test = { run = ["test", "-s", "/base"] }
[images.assets]
platforms = ["linux/amd64"]
publish = false
[images.app]
contexts = { assets = { image = "assets", platform = "linux/amd64" } }
args = { SPACED = "two words, and a comma", EMPTY = "" }
labels = { "org.example.quoted" = 'a "quote"' }
secrets = [{ id = "token", env = "RECORDED_TOKEN" }]
on."linux/arm64".args = { MARCH = "armv8-a" }
[images.staged]
dockerfile-inline = "FROM base AS base\\nRUN test -e /base && echo mine > /mine\\nFROM base\\nRUN test -e /mine"
context = "app"
"""
FILES = {
    "builds.toml": PROJECT,
    "base/Dockerfile": "FROM %BASE%\nRUN uname -m > /base\n",
    "assets/Dockerfile": (
        "FROM base AS made\nRUN mkdir /out && echo assets > /out/a\nFROM scratch\nCOPY --from=made /out /out\n"
    ),
    "app/Dockerfile": (
        "FROM base\nARG MARCH=none\nARG SPACED\n"
        'RUN --mount=type=secret,id=token test -s /run/secrets/token && echo "$SPACED $MARCH" > /args\n'
        "COPY --from=assets /out /out\n"
    ),
}
LATE = re.compile(r"<(digest|path|builder) of ([^>]*)>")


class Recorded:
    """A plan, and the builds that were recorded while it was run."""

    def __init__(self, workspace: Workspace, recorder: Recorder, *destination: str) -> None:
        self.plan: PlanDocument = workspace.plan(*destination)
        before = len(recorder.builds())
        workspace.succeed("build", *destination)
        self.calls: list[Call] = recorder.builds()[before:]
        self.digests = {image.name: str(image.digest) for image in workspace.result().images}
        self.digests |= {
            build.id: str(build.digest) for image in workspace.result().images for build in image.platforms
        }

    def planned(self) -> list[list[str]]:
        """The argv of every planned build."""
        return [list(argv) for step in self.plan.steps for argv in step.argv if argv[1:3] == ("buildx", "build")]

    def filled(self, word: str) -> re.Pattern[str]:
        """What a planned word has to be once the late values in it are known."""
        pattern, end = "", 0
        for late in LATE.finditer(word):
            pattern += re.escape(word[end : late.start()]) + self._value(late[1], late[2])
            end = late.end()
        return re.compile(pattern + re.escape(word[end:]))

    def _value(self, kind: str, name: str) -> str:
        if name.startswith("the record of "):
            return r"sha256:[0-9a-f]{64}"  # a private name, which no result tells
        if kind == "digest":
            return re.escape(self.digests[name])
        if kind == "builder":
            return "default"
        return re.escape(".orchestrate/run-") + r"[^/]+/[^/]+/\d+/\d+/" + re.escape(name)

    def matches(self, planned: list[str], recorded: list[str]) -> bool:
        """Whether a recorded argv is this planned one."""
        return len(planned) == len(recorded) and all(
            self.filled(word).fullmatch(found) for word, found in zip(planned, recorded, strict=True)
        )


@pytest.fixture(scope="module")
def workspace(make_workspace: MakeWorkspace) -> Workspace:
    """The project, with what it takes from the environment."""
    made = make_workspace(FILES)
    made.environ["RECORDED_TOKEN"] = "hush-4711"  # noqa: S105 (a secret that only this test knows)
    made.environ["BUILDX_BUILDER"] = "nobody"
    made.environ["BUILDKIT_PROGRESS"] = "plain"
    made.environ["SOURCE_DATE_EPOCH"] = "1"
    return made


@pytest.fixture(scope="module")
def recorder(lab: Lab, workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Recorder:
    """Records every `docker` of the project."""
    made = Recorder(tmp_path_factory.mktemp("recorder"), lab.environ)
    workspace.environ["PATH"] = made.path(lab.environ)
    return made


@pytest.fixture(scope="module", params=["--push", "--oci=out"])
def recorded(request: pytest.FixtureRequest, workspace: Workspace, recorder: Recorder) -> Recorded:
    """A plan and its run, with a registry and without."""
    if request.param == "--push":
        return Recorded(workspace, recorder, request.param)
    return Recorded(workspace, recorder, request.param, "base", "assets", "app")


def test_the_recorded_argv_is_the_planned_argv(recorded: Recorded) -> None:
    """Each planned child was started once and nothing else was, equal word for word, late values rightly filled in."""
    planned, calls = recorded.planned(), [call.argv for call in recorded.calls]
    pairs = [[index for index, argv in enumerate(calls) if recorded.matches(wanted, argv)] for wanted in planned]

    assert len(planned) == len(calls)
    assert [] == [wanted for wanted, found in zip(planned, pairs, strict=True) if len(found) != 1]


def test_the_plan_names_late_values_and_no_others(recorded: Recorded) -> None:
    """What the run alone can know stands in angle brackets; every other word is literal already."""
    late = {f"{kind} of {name}" for argv in recorded.planned() for word in argv for kind, name in LATE.findall(word)}

    assert {"digest of base", "digest of assets@linux/amd64", "builder of default", "path of metadata.json"} <= late


def test_secrets_are_in_no_argv(recorded: Recorded) -> None:
    """A secret is named in argv; its value reaches the child through the environment alone."""
    assert [] == [call.argv for call in recorded.calls if any("hush-4711" in word for word in call.argv)]
    assert any("--secret=id=token,env=RECORDED_TOKEN" in call.argv for call in recorded.calls)


def test_what_changes_builds_unseen_is_kept_from_children(recorded: Recorded) -> None:
    """`BUILDX_*`, `BUILDKIT_*` and `SOURCE_DATE_EPOCH` of the user reach no build."""
    dangerous = {"BUILDX_BUILDER", "BUILDKIT_PROGRESS", "SOURCE_DATE_EPOCH"}

    assert [] == [call.argv for call in recorded.calls if dangerous & call.environ.keys()]


def test_platforms_that_differ_get_solves_of_their_own(recorded: Recorded) -> None:
    """`app` has an arg for arm64 alone: two children and why, each for one platform; `base` is one child for both."""
    steps = {step.id: step for step in recorded.plan.steps if step.kind == "solve"}

    assert {"solve:app@linux/amd64", "solve:app@linux/arm64"} == {
        name for name in steps if name.startswith("solve:app")
    }
    assert "its platforms differ in `args`" == steps["solve:app@linux/arm64"].because
    assert "--platform=linux/amd64,linux/arm64" in steps["solve:base"].argv[0]


def test_the_policy_names_the_parent_of_this_run(recorded: Recorded) -> None:
    """The one child whose stage has its parent's name gets the digest by a source policy, not as a context."""
    policies = {call.policy for call in recorded.calls if call.policy}
    staged = [argv for argv in recorded.planned() if any("run-" in word and "staged" in word for word in argv)]

    assert len(staged) == len(policies)
    assert all(recorded.digests["base"] in policy for policy in policies)
    assert [] == [word for argv in staged for word in argv if word.startswith("--build-context=base")]


def test_plan_says_the_same_twice(workspace: Workspace) -> None:
    """The JSON of a plan is the same bytes for the same inputs."""
    first, second = (workspace.run("plan", "--format=json", "--oci=out").stdout for _ in range(2))

    assert first == second


def test_nothing_was_written_beside_the_recording(recorder: Recorder) -> None:
    """No child of ours but probes and builds was started."""
    kinds = {" ".join(word for word in call.argv[1:3] if not word.startswith("-")) for call in recorder.calls()}

    assert {"buildx build", "buildx inspect", "version", "info"} >= kinds
