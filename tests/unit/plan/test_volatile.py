"""Volatile args and labels: what keeps old values, and what is built for new ones."""

from __future__ import annotations

import msgspec

from orchestrator.api.solve import BuildArg, BuildOptions
from orchestrator.plan.model import Action, PlatformBuild, Reason
from orchestrator.plan.volatile import forced_all, forced_volatile, kept_by_image, kept_names, volatile_names
from tests.unit.plan.samples import HEAD, compile_text, images_of

TEXT = (
    HEAD
    + """[images.plain]
labels = { fixed = "x" }
[images.api]
labels = { revision = { value = "r", volatile = true }, fixed = "x" }
on."linux/arm64".args = { BUILT = { value = "now", volatile = true } }
"""
)


def builds(*actions: Action) -> tuple[PlatformBuild, ...]:
    """The platform builds of `api`, with these actions."""
    planned = [build for build in compile_text(TEXT).builds if build.image == "api"]
    return tuple(
        msgspec.structs.replace(build, action=action) for build, action in zip(planned, actions, strict=True)
    )  # fmt: skip


def test_names_are_those_of_labels_and_args() -> None:
    """Each once, and never a value."""
    options = BuildOptions(
        context=".",
        dockerfile="Dockerfile",
        args=(BuildArg(name="A", value="1", volatile=True), BuildArg(name="B", value="2")),
        labels=(BuildArg(name="l", value="3", volatile=True), BuildArg(name="l", value="4", volatile=True)),
    )
    assert ("label l", "arg A") == volatile_names(options)


def test_only_what_is_taken_over_keeps_something() -> None:
    """Each platform what it declares."""
    assert () == kept_names(builds(Action.BUILD, Action.BUILD))
    assert ("label revision",) == kept_names(builds(Action.REUSE, Action.BUILD))
    assert ("label revision", "arg BUILT") == kept_names(builds(Action.REUSE, Action.REUSE))
    assert {"api": ("label revision",)} == kept_by_image(builds(Action.REUSE, Action.BLOCKED))


def test_what_is_selected_and_volatile_is_built_for_new_values() -> None:
    """The reason names them."""
    images = images_of(TEXT).values()
    names = ("label revision", "arg BUILT")
    reason = Reason(
        code="forced", message="volatile values asked for anew: label revision, arg BUILT", items=names
    )  # fmt: skip
    assert {"api": reason} == forced_volatile(images, ("api", "plain"))
    assert {} == forced_volatile(images, ("plain",))


def test_all_that_is_selected_may_be_forced() -> None:
    """Whatever it declares."""
    assert {"a": Reason(code="forced", message="asked for")} == forced_all(("a",))
