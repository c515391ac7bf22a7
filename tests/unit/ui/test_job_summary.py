"""The summary of a job."""

from __future__ import annotations

import pytest

from orchestrator.state.summary import StepFailure
from orchestrator.ui.summary import render_job_summary
from tests.unit.ui.test_result import DIGEST, build, image, result


def test_the_summary_is_a_table_and_what_failed() -> None:
    """In Markdown."""
    released = image("api", "released", build("linux/amd64", "built", 3.0), put=(True, False), digest=DIGEST)
    failed = image("web", "failed", build("linux/arm64", "failed"))
    failure = StepFailure(
        step="solve:web", image="web", message="exit code: 7", lines=("last",), hints=("mend it",),
        place="web/Dockerfile:3", excerpt=("   3 | >>> RUN x",), command="orchestrate build web -v",
        log=".orchestrate/logs/solve-web.log",
    )  # fmt: skip
    assert (
        render_job_summary(result(released, failed, failures=(failure,)), ("look there",))
        == f"""\
### p: 1 of 2 images verified

| image | state | platforms | tags | digest |
|---|---|---|---|---|
| api | released | linux/amd64 built 3.0s | 0, 1 | {DIGEST} |
| web | failed | linux/arm64 failed |  |  |

**solve:web failed at web/Dockerfile:3**

    exit code: 7
       3 | >>> RUN x
    last

Log: .orchestrate/logs/solve-web.log

- mend it

Alone:

    orchestrate build web -v

- look there

""".replace("0, 1", "0")
    )


def test_text_of_others_is_text() -> None:
    """It ends no cell, no line and no block of code, and is no HTML."""
    hostile = "a|b`<img src=x>[x](y)\n# x"
    text = render_job_summary(result(image(hostile, "failed"), failures=(
        StepFailure(step=hostile, image="x", message=hostile, lines=("```", "<b>"), hints=()),
    )))  # fmt: skip
    outside = [line for line in text.splitlines() if not line.startswith("    ")]
    assert not any("<" in line or "`<" in line for line in outside)
    assert "a\\|b\\`&lt;img src=x&gt;\\[x\\](y)# x" in text
    assert ["    ```", "    <b>"] == text.splitlines()[-3:-1]


def test_a_summary_is_bounded() -> None:
    """GitHub takes no more than 1 MiB."""
    failure = StepFailure(step="s", image="x", message="m" * 100, lines=("l" * 400,) * 20, hints=())
    text = render_job_summary(result(*(image(f"image-{n}", "failed") for n in range(5000)), failures=(failure,) * 500))
    assert len(text) < 1024 * 1024
    assert "4000 more" in text
    assert "480 more failed." in text


@pytest.mark.parametrize("letter", ["x", "|", "<", "€"])
def test_nothing_that_is_long_makes_a_summary_too_long(letter: str) -> None:
    """Neither a line of a failure nor a name, a tag or a hint; whatever it is written as."""
    long = letter * 100_000
    failure = StepFailure(
        step=long, image=long, message=long, lines=(long,) * 200, hints=(long,) * 200, place=long,
        excerpt=(long,) * 200, command=long, log=long,
    )  # fmt: skip
    images = tuple(image(long, long, *[build(long, "built")] * 3, put=(True,) * 9, digest=long) for _ in range(60))
    text = render_job_summary(result(*images, failures=(failure,) * 20), (long,) * 20)
    assert len(text.encode()) < 1024 * 1024
    assert "more failed." in text


def test_a_long_line_is_cut() -> None:
    """The end of it is in the log."""
    failure = StepFailure(step="s", image="x", message="m" * 401, lines=("l" * 400,), hints=())
    assert ["    " + "m" * 400 + "…", "    " + "l" * 400] == [
        line for line in render_job_summary(result(failures=(failure,))).splitlines() if line.startswith("    ")
    ]
