from __future__ import annotations

import msgspec
import pytest

from orchestrator.api.events import StepFinished, StepState
from orchestrator.oci.digest import digest_bytes
from orchestrator.plan.model import Destination
from orchestrator.state.summary import BuildResult, ImageResult, RunResult, StepFailure, TagResult
from orchestrator.ui.result import render_failures, render_places, render_result_table
from tests.unit.plan.samples import HEAD, Asked, compile_text

DIGEST = digest_bytes(b"index")


def build(platform: str, state: str, seconds: float | None = None, digest: str | None = None) -> BuildResult:
    """A platform build."""
    return BuildResult(
        id=f"x@{platform}", platform=platform, state=state, seconds=seconds, digest=digest, node="n", mode="native"
    )  # fmt: skip


def image(
    name: str, state: str, *builds: BuildResult, put: tuple[bool, ...] = (), digest: str | None = None
) -> ImageResult:
    """An image."""
    tags = tuple(
        TagResult(ref=f"r/{name}:{number}", moving=False, put=one, previous=None) for number, one in enumerate(put)
    )
    return ImageResult(name=name, state=state, digest=digest, home=f"r/{name}", platforms=builds, tags=tags)


def result(
    *images: ImageResult, destination: str = "push", exit_code: int = 0, failures: tuple[StepFailure, ...] = ()
) -> RunResult:
    """A run of 75 seconds."""
    return RunResult(
        format_version="1.0", project="p", run="r", destination=destination, now="x", exit_code=exit_code,
        started=1000.0, finished=1075.0, images=images, failures=failures,
    )  # fmt: skip


def test_the_table_of_a_release() -> None:
    """Image, platform, state, time, and whole digests: they are what one pastes."""
    released = image(
        "api", "released", build("linux/amd64", "built", 3.25, DIGEST), build("linux/arm64", "built", 61, DIGEST),
        put=(True, True), digest=DIGEST,
    )  # fmt: skip
    failed = image("worker", "failed", build("linux/amd64", "failed", 12.0))
    assert (
        render_result_table(result(released, failed))
        == f"""\
IMAGE   PLATFORM     STATE     TIME   DIGEST
api     index        released         {DIGEST}
        linux/amd64  built     3.2s   {DIGEST}
        linux/arm64  built     1m01s  {DIGEST}
worker  index        failed
        linux/amd64  failed    12s

1 of 2 images verified; 2 of 2 tags put in 1m15s
"""
    )


def test_the_table_says_what_has_the_values_of_an_earlier_build() -> None:
    """Beneath the image, by name."""
    one, other = image("api", "released", build("linux/amd64", "reused")), image("base", "released")
    kept = msgspec.structs.replace(one, keeps=("label revision", "arg \x1b[2J"))
    lines = render_result_table(result(kept, other)).splitlines()
    assert "       keeps label revision, arg \\x1b[2J" == lines[3]
    assert ["api", "base"] == [lines[1].split()[0], lines[4].split()[0]]


def test_a_build_on_this_machine_says_nothing_of_tags() -> None:
    """They are not its business."""
    text = render_result_table(result(image("a", "verified", digest=DIGEST), destination="oci"))
    assert text.endswith("\n1 of 1 image verified in 1m15s\n")


def test_a_failure_is_told_with_its_lines_and_hints() -> None:
    """And which tags stand."""
    failure = StepFailure(
        step="solve:api", image="api", message="exit code: 2", lines=("make\x1b[2J", "Error 2"), hints=("mend it",)
    )
    assert (
        render_failures(result(image("api", "failed"), exit_code=4, failures=(failure,)))
        == """\

failed: solve:api: exit code: 2
  | make
  | Error 2
hint: mend it

no tag was put
"""
    )


def test_tags_that_stand_are_named() -> None:
    """A promotion that was cut off left them."""
    text = render_failures(result(image("api", "verified", put=(True, False), digest=DIGEST), exit_code=5))
    assert "these tags were put:\n  r/api:0\n" in text


def test_a_tag_of_which_nobody_knows_is_named() -> None:
    """It is not said that none was put."""
    api = image("api", "verified", put=(False, False), digest=DIGEST)
    lost = msgspec.structs.replace(api.tags[0], unsure=True)
    text = render_failures(result(msgspec.structs.replace(api, tags=(lost, api.tags[1])), exit_code=5))
    assert "\nwhether these tags were put is not known:\n  r/api:0\n" == text


@pytest.mark.parametrize(
    ("put", "stood", "said"),
    [
        (0, 0, "0 of 4 tags put"),
        (1, 0, "1 of 4 tags put"),
        (4, 0, "4 of 4 tags put"),
        (0, 4, "4 of 4 tags stand"),
        (0, 1, "1 of 4 tags stands"),
        (2, 1, "3 of 4 tags stand, 2 of them put now"),
    ],
)
def test_what_stood_before_was_not_put(put: int, stood: int, said: str) -> None:
    """It is counted, and not as the doing of this release."""
    fresh = TagResult(ref="r/x:1", moving=False, put=True, previous=None)
    same, missing = msgspec.structs.replace(fresh, previous=DIGEST), msgspec.structs.replace(fresh, put=False)
    tags = (*[fresh] * put, *[same] * stood, *[missing] * (4 - put - stood))
    api = msgspec.structs.replace(image("api", "verified", digest=DIGEST), tags=tags)
    assert f"1 of 1 image verified; {said} in 1m15s" == render_result_table(result(api)).splitlines()[-1]


def test_places_are_told() -> None:
    """Layouts are the result of a build into layouts, and only a way to one that is loaded; what failed has none."""
    for destination, expected in (
        (Destination.LAYOUT, "layout: at .orchestrate/oci/a\n"),
        (Destination.LOAD, "loaded: r.example/acme/a:1.0, r.example/acme/a:latest\n"),
        (Destination.STAGE, ""),
    ):
        plan = compile_text(HEAD + "[images.a]\n[images.b]\n", asked=Asked(destination=destination))
        events = [
            StepFinished(step=step.id, state=state, time=0.0, seconds=0.0)
            for step in plan.steps
            for state in [StepState.DONE if step.id.endswith(":a") else StepState.FAILED]
        ]
        assert expected == render_places(plan, events, lambda path: f"at {path}")


def test_success_says_nothing() -> None:
    """Nor does a failure on this machine say anything of tags."""
    assert "" == render_failures(result(image("api", "released", put=(True,))))
    failure = StepFailure(step="s", image="a", message="m", lines=(), hints=())
    assert "\nfailed: s: m\n" == render_failures(result(destination="oci", exit_code=4, failures=(failure,)))


def test_a_failure_is_told_with_its_place_its_log_and_its_command() -> None:
    """Where the user looks: at the end."""
    failure = StepFailure(
        step="solve:api", image="api", message="exit code: 7", lines=("last",), hints=(), place="api/Dockerfile:3",
        excerpt=("   2 |     RUN echo \x1b[2Jx", "   3 | >>> RUN exit 7"), log=".orchestrate/logs/solve-api.log",
        command="orchestrate build api --platform=linux/arm64 -v",
    )  # fmt: skip
    assert (
        render_failures(result(destination="oci", exit_code=4, failures=(failure,)))
        == """\

failed: solve:api: exit code: 7
at api/Dockerfile:3
     2 |     RUN echo x
     3 | >>> RUN exit 7
it printed last:
  | last
log: .orchestrate/logs/solve-api.log
alone: orchestrate build api --platform=linux/arm64 -v
"""
    )
