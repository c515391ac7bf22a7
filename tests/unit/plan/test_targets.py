from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from orchestrator.api.invocation import render_word
from orchestrator.api.solve import BuildArg, Provenance
from orchestrator.api.target import Target
from orchestrator.config.lock import Lock, LockedBase, canonical
from orchestrator.diagnostics import Severity, Span
from orchestrator.oci.reference import parse_reference
from orchestrator.plan.compile import Declared
from orchestrator.plan.targets import Targets, plan_targets
from tests.unit.plan.samples import (
    AMD64,
    ARM64,
    DIGEST,
    EMULATED,
    HEAD,
    codes,
    compile_text,
    solves_of,
    wire_text,
)

TWO = HEAD + "[images.base]\n[images.app]\n"
PINNED = f"docker-image://docker.io/library/busybox@{DIGEST}"


def export(
    text: str,
    dockerfiles: Mapping[str, str] | None = None,
    *names: str,
    locked: tuple[str, ...] = (),
    groups: Mapping[str, tuple[str, ...]] | None = None,
) -> Targets:
    """The targets of a file; `locked` are external images."""
    wired = wire_text(text, dockerfiles)
    bases = {canonical(parse_reference(name)): LockedBase(digest=DIGEST, platforms=(AMD64, ARM64)) for name in locked}
    declared = Declared(
        project="acme",
        images=wired.images,
        edges=wired.edges,
        order=wired.order(),
        platforms={},
        lock=Lock(bases=bases) if locked else None,
    )
    selection = names or tuple(image.name for image in wired.images)
    return plan_targets(declared, selection, wired.reader(), host=AMD64, groups=groups or {})


def contexts(made: Targets) -> dict[str, dict[str, str]]:
    """The named contexts of every target."""
    return {
        target.name: {context.name: render_word(context.value) for context in target.contexts}
        for target in made.targets
    }


def named(made: Targets, name: str) -> Target:
    """One target."""
    return next(target for target in made.targets if target.name == name)


def platforms(made: Targets) -> dict[str, list[str]]:
    """The platforms of every target."""
    return {target.name: [*map(str, target.platforms)] for target in made.targets}


def test_a_parent_is_the_target_that_builds_it() -> None:
    """Parents first, and all of them are in the group `default`."""
    made = export(TWO, {"app": "FROM base\n"})
    assert {"base": {}, "app": {"base": "target:base"}} == contexts(made)
    assert ({"default": ("base", "app")}, ()) == (made.groups, made.found)


def test_a_selection_brings_what_it_needs() -> None:
    """And nothing else; a group that is not whole is left out."""
    text = TWO + "[images.other]\n"
    groups = {"both": ("base", "app"), "part": ("app", "other")}
    made = export(text, {"app": "FROM base\n"}, "app", groups=groups)
    assert {"default": ("base", "app"), "both": ("base", "app")} == made.groups


def test_options_are_those_of_the_solves_of_a_plan() -> None:
    """Every one of them."""
    text = HEAD + EMULATED + '[images.app]\nargs = { A = "1" }\nlabels = { l = "x" }\nprovenance = "max"\nsbom = true\n'
    (target,) = export(text).targets
    solve = solves_of(compile_text(text))["solve:app"].solve
    assert (solve.options, solve.platforms) == (target.options, target.platforms)


def test_tags_are_the_public_ones() -> None:
    """Moving ones, too; what is not published has none."""
    made = export(HEAD + "[images.a]\n[images.b]\npublish = false\n")
    assert [("r.example/acme/a:1.0", "r.example/acme/a:latest"), ()] == [target.tags for target in made.targets]


def test_platforms_that_differ_are_targets_of_their_own() -> None:
    """With tags of their own, because bake does not join them; children stand on the one of their platform."""
    text = TWO.replace("[images.app]", 'on."linux/arm64".args = { A = "1" }\n[images.app]')
    made = export(text, {"app": "FROM base\n"})
    assert {
        "base-linux-amd64": {},
        "base-linux-arm64": {},
        "app-linux-amd64": {"base": "target:base-linux-amd64"},
        "app-linux-arm64": {"base": "target:base-linux-arm64"},
    } == contexts(made)
    assert "r.example/acme/base:1.0-linux-amd64" == made.targets[0].tags[0]
    assert ("base-linux-amd64", "base-linux-arm64") == made.groups["base"]
    assert ["bake-split", "bake-split"] == codes(made.found)
    assert "differ in `args`" in made.found[0].message
    assert (
        "imagetools create --tag r.example/acme/base:1.0 r.example/acme/base:1.0-linux-amd64"
        in (made.found[0].hints[0])
    )


def test_parts_without_tags_have_nothing_to_join() -> None:
    """The warning has no command then."""
    made = export(HEAD + '[images.a]\npublish = false\non."linux/arm64".args = { A = "1" }\n')
    assert [()] == [finding.hints for finding in made.found]


def test_data_of_one_platform_is_a_target_of_that_platform() -> None:
    """It is built for that alone, exports nothing, and is in no group."""
    text = TWO + 'contexts = { data = { image = "base", platform = "linux/amd64" } }\n'
    made = export(text, {"app": "FROM scratch\nCOPY --from=data / /\n"})
    assert {"data": "target:base-linux-amd64"} == contexts(made)["app"]
    assert ["linux/amd64"] == platforms(made)["base-linux-amd64"]
    alone = named(made, "base-linux-amd64")
    assert ((), Provenance.OFF) == (alone.tags, alone.options.provenance)
    assert ("base", "app") == made.groups["default"]


def test_data_of_the_only_platform_needs_no_other_target() -> None:
    """The image's own is one of that platform."""
    text = HEAD + '[images.base]\nplatforms = ["linux/amd64"]\n[images.app]\n'
    text += 'contexts = { data = { image = "base", platform = "linux/amd64" } }\n'
    made = export(text, {"app": "FROM scratch\nCOPY --from=data / /\n"})
    assert ["base", "app"] == [target.name for target in made.targets]


def test_a_parent_that_lacks_a_platform_of_the_child() -> None:
    """Its Dockerfile asks for another one; bake refuses several of these on several others, so they are apart."""
    text = HEAD + '[images.base]\n[images.app]\nplatforms = ["linux/arm64", "linux/arm/v7"]\n'
    made = export(text, {"app": "FROM --platform=linux/amd64 base\n"})
    assert ["linux/arm64"] == platforms(made)["app-linux-arm64"]
    assert ["linux/arm/v7"] == platforms(made)["app-linux-arm-v7"]


def test_a_parent_of_two_platforms_at_once_is_an_error() -> None:
    """Where these are two targets."""
    text = TWO.replace("[images.app]", 'on."linux/arm64".args = { A = "1" }\n[images.app]')
    made = export(text, {"app": "FROM --platform=linux/amd64 base AS tools\nFROM base\nCOPY --from=tools / /\n"})
    found = [finding for finding in made.found if finding.severity is Severity.ERROR]
    assert [("bake-split", "app")] == [(finding.code, finding.subject) for finding in found]


def test_the_name_of_an_image_is_not_taken_by_a_part_of_another() -> None:
    """Which is called otherwise."""
    made = export(HEAD + '[images.x]\non."linux/arm64".args = { A = "1" }\n[images.x-linux-arm64]\n')
    assert ["x-linux-amd64", "x-linux-arm64_", "x-linux-arm64"] == [target.name for target in made.targets]


def test_an_image_that_is_called_default() -> None:
    """As one of a matrix can be: its target is not, since a group of that name hides it."""
    text = HEAD + '[images.m]\nname = "{{ matrix.a }}"\nmatrix = { a = ["default"] }\n[images.app]\n'
    made = export(text, {"app": "FROM default\n"})
    assert {"default_": {}, "app": {"default": "target:default_"}} == contexts(made)


def test_locked_images_are_pinned() -> None:
    """Bases, frontends and contexts, under the names by which BuildKit looks them up."""
    text = HEAD + '[images.app]\ncontexts = { "docker.io/library/alpine:latest" = "docker-image://alpine" }\n'
    dockerfile = "# syntax=docker/dockerfile:1\nFROM busybox:latest\nCOPY --from=alpine / /\n"
    made = export(text, {"app": dockerfile}, locked=("busybox", "alpine", "docker/dockerfile:1"))
    assert {"busybox": PINNED, "alpine": PINNED.replace("busybox", "alpine")} == contexts(made)["app"]
    assert (BuildArg(name="BUILDKIT_SYNTAX", value=f"docker.io/docker/dockerfile@{DIGEST}"),) == (
        made.targets[0].options.args
    )


def test_a_parent_with_the_name_of_a_stage_is_an_error() -> None:
    """At the line of the Dockerfile: bake can only replace the stage."""
    made = export(TWO, {"app": "FROM base AS base\nRUN true\n"})
    (found,) = made.found
    assert ("stage-name", Severity.ERROR, Span(file="app/Dockerfile", line=1)) == (
        found.code,
        found.severity,
        msgspec.structs.replace(found.place, column=1, length=1) if isinstance(found.place, Span) else None,
    )
    assert "bake has no source policies" in found.hints[1]


def test_a_locked_image_with_the_name_of_a_stage_is_not_pinned() -> None:
    """It is built all the same, from whatever the tag is by then: a warning."""
    made = export(HEAD + "[images.app]\n", {"app": "FROM busybox AS busybox\n"}, locked=("busybox",))
    assert {"app": {}} == contexts(made)
    assert [("bake-unpinned", Severity.WARNING)] == [(finding.code, finding.severity) for finding in made.found]
    assert "`docker.io/library/busybox:latest` is not pinned" in made.found[0].message


def test_folders_are_never_taken_for_something_else() -> None:
    """Whatever they are called."""
    text = HEAD + '[images.app]\ncontexts = { lib = "./target:x", plain = "libs/x", up = "https://h.example/x.git" }\n'
    assert {"lib": "./target:x", "plain": "libs/x", "up": "https://h.example/x.git"} == contexts(export(text))["app"]


@pytest.mark.parametrize(
    ("table", "part"),
    [
        ('test = { run = ["/x"] }', "bake runs no `test`: `app`"),
        ('needs = ["base"]', "bake keeps no order but that of data: `needs` is left out: `app`"),
        (
            'annotations = { a = "b" }\nprovenance = "off"\nplatforms = ["linux/amd64"]',
            "bake puts no `annotations` where there is no index: `app`",
        ),
    ],
)
def test_what_bake_lacks_is_a_warning(table: str, part: str) -> None:
    """Once, with the images that it is about."""
    assert [(part, Severity.WARNING)] == [(one.message, one.severity) for one in export(f"{TWO}{table}\n").found]


def test_annotations_are_those_of_the_index() -> None:
    """Wherever there is one."""
    assert (("a", "b"),) == export(HEAD + '[images.app]\nannotations = { a = "b" }\n').targets[0].annotations


def test_groups_and_families() -> None:
    """Under their names, but for those of images; of a target that is split they have all parts."""
    text = HEAD + '[images.a]\non."linux/arm64".args = { A = "1" }\n[images.b]\n'
    made = export(text, None, groups={"all": ("a", "b"), "b": ("a",), "default": ("b",), "none": ()})
    assert {
        "default": ("a-linux-amd64", "a-linux-arm64", "b"),
        "a": ("a-linux-amd64", "a-linux-arm64"),
        "all": ("a-linux-amd64", "a-linux-arm64", "b"),
    } == made.groups
