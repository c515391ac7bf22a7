from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from orchestrator.api.backend import Capabilities
from orchestrator.api.invocation import render_word
from orchestrator.api.solve import BuildArg, Solve, SourcePin
from orchestrator.config.lock import Lock, LockedBase, canonical
from orchestrator.diagnostics import KeyPlace, Span
from orchestrator.oci.reference import parse_reference
from orchestrator.plan.facts import TagState
from orchestrator.plan.model import Destination
from tests.unit.plan.samples import (
    AMD64,
    ARM64,
    DIGEST,
    EMULATED,
    HEAD,
    QEMU,
    Asked,
    codes,
    compile_text,
    solves_of,
    step_of,
)

TWO = HEAD + "[images.base]\n[images.app]\n"
LAYOUT = Asked(destination=Destination.LAYOUT)
SAME = {"app": "FROM base AS base\nRUN true\n"}
WITHOUT = QEMU.__class__(name="qemu", backend=QEMU.backend, capabilities=Capabilities(emulation=True))


def solve(text: str, dockerfile: str, asked: Asked | None = None) -> Solve:
    """The solve of the image `app`."""
    plan = compile_text(text, {"app": dockerfile}, asked)
    assert [] == codes(plan.diagnostics)
    return solves_of(plan)["solve:app"].solve


def handed(wanted: Solve) -> list[tuple[str, str]]:
    """Its named contexts as people read them."""
    return [(context.name, render_word(context.value)) for context in wanted.contexts]


def test_a_parent_is_a_named_context_pinned_by_the_digest_of_its_index() -> None:
    """In the registry where it was staged."""
    expected = [("base", "docker-image://r.example/acme/base@<digest of base>")]
    assert expected == handed(solve(TWO, "FROM base\n"))


def test_without_a_registry_a_parent_is_a_layout() -> None:
    """By the same digest."""
    expected = [("base", "oci-layout://.orchestrate/state/base@<digest of base>")]
    assert expected == handed(solve(TWO, "FROM base\n", LAYOUT))


def test_a_parent_is_handed_over_once() -> None:
    """However many instructions take from it."""
    assert 1 == len(handed(solve(TWO, "FROM base\nCOPY --from=base / /\nRUN --mount=from=base ls\n")))


def test_data_of_one_platform_is_pinned_by_its_manifest() -> None:
    """And its solve waits for that record, not for the index."""
    text = TWO + 'contexts = { data = { image = "base", platform = "linux/amd64" } }\n'
    plan = compile_text(text, {"app": "FROM scratch\nCOPY --from=data / /\n"})
    step = solves_of(plan)["solve:app"]
    assert [("data", "docker-image://r.example/acme/base@<digest of base@linux/amd64>")] == handed(step.solve)
    assert ("assemble:base", "record:base@linux/amd64") == step.needs


def test_a_parent_whose_name_is_a_stage_is_pinned_by_policy() -> None:
    """`FROM base AS base`: the source is replaced, the stage is kept."""
    wanted = solve(TWO, SAME["app"])
    assert () == wanted.contexts
    assert [
        ("docker-image://docker.io/library/base:latest", "docker-image://r.example/acme/base@<digest of base>")
    ] == [(pin.source, render_word(pin.value)) for pin in wanted.pins]


@pytest.mark.parametrize("asked", [LAYOUT, Asked(backend=WITHOUT)], ids=["layout", "no policies"])
def test_a_parent_whose_name_is_a_stage_is_refused_where_it_cannot_be_pinned(asked: Asked) -> None:
    """With both lines and what to do, once for all platforms."""
    plan = compile_text(TWO, SAME, asked)
    assert ["stage-name"] == codes(plan.diagnostics)
    (finding,) = plan.diagnostics
    assert (Span(file="app/Dockerfile", line=1), (Span(file="app/Dockerfile", line=1),)) == (
        finding.place,
        finding.related,
    )
    assert plan.blocked


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("node:20", "docker-image://docker.io/library/node:20"),
        ("node", "docker-image://docker.io/library/node:latest"),
        (f"node:20@{DIGEST}", f"docker-image://docker.io/library/node@{DIGEST}"),
    ],
)
def test_a_pinned_base_whose_name_is_a_stage_is_pinned_by_policy(target: str, expected: str) -> None:
    """`FROM node AS node` over a declared image."""
    text = HEAD + f'[images.app]\ncontexts = {{ node = "docker-image://{target}" }}\n'
    (pin,) = solve(text, "FROM node AS node\n").pins
    assert ("docker-image://docker.io/library/node:latest", expected) == (pin.source, pin.value)


def test_a_pinned_base_is_refused_where_policies_are_unknown() -> None:
    """At its key, with the stage beside."""
    text = HEAD + '[images.app]\ncontexts = { node = "docker-image://node:20" }\n'
    plan = compile_text(text, {"app": "FROM node AS node\n"}, Asked(backend=WITHOUT))
    (finding,) = plan.diagnostics
    assert "stage-name" == finding.code
    assert KeyPlace(file="builds.toml", keys=("images", "app", "contexts", "node")) == finding.place
    assert (Span(file="app/Dockerfile", line=1),) == finding.related


def test_other_contexts_go_as_they_are() -> None:
    """Folders, URLs, layouts and images that no stage is called like."""
    text = (
        HEAD
        + '[images.app]\ncontexts = { a = "lib", b = "https://e.example/x.git", node = "docker-image://node:20" }\n'
    )
    expected = [("a", "lib"), ("b", "https://e.example/x.git"), ("node", "docker-image://node:20")]
    assert expected == handed(solve(text, "FROM node\n"))


def test_a_parent_that_is_not_built_comes_from_its_registry() -> None:
    """`--no-deps`: the digest that one of its tags stands for."""
    asked = Asked(names=("app",), with_parents=False, tags={"r.example/acme/base:1.0": TagState(digest=DIGEST)})
    assert [("base", f"docker-image://r.example/acme/base@{DIGEST}")] == handed(solve(TWO, "FROM base\n", asked))


def test_a_parent_that_is_nowhere_blocks_the_plan() -> None:
    """Not built, and no tag of it stands."""
    plan = compile_text(TWO, {"app": "FROM base\n"}, Asked(names=("app",), with_parents=False))
    (finding,) = plan.diagnostics
    assert ("parent-missing", Span(file="app/Dockerfile", line=1)) == (finding.code, finding.place)


DROP = "drop `--no-deps`, so that it is built too"


@pytest.mark.parametrize(
    ("more", "tags", "hints"),
    [
        ("", {}, ("drop `--offline`, so that its registry is asked", DROP)),
        ("", {"r.example/acme/base:1.0": TagState()}, (DROP, "or publish `base` first")),
        (
            "",
            {"r.example/acme/base:1.0": TagState(unknown="no answer", hints=("start it",))},
            ("its tags could not be looked up: no answer", "start it", DROP),
        ),
        ("tags = []\n", {}, (DROP,)),
        ("publish = false\n", {"r.example/acme/base:1.0": TagState()}, (DROP,)),
    ],
    ids=["offline", "unpublished", "no answer", "no tags", "private"],
)
def test_what_to_do_about_a_parent_that_is_nowhere(
    more: str, tags: Mapping[str, TagState], hints: tuple[str, ...]
) -> None:
    """It depends on why nothing is known of it: `--offline` is named only where it was given."""
    text = HEAD + f"[images.base]\n{more}[images.app]\n"
    plan = compile_text(text, {"app": "FROM base\n"}, Asked(names=("app",), with_parents=False, tags=tags))
    assert [hints] == [finding.hints for finding in plan.diagnostics if finding.code == "parent-missing"]


def test_one_platform_of_a_parent_that_is_not_built_blocks_the_plan() -> None:
    """An index cannot stand for it: BuildKit would take the child's own platform."""
    text = TWO + 'contexts = { data = { image = "base", platform = "linux/amd64" } }\n'
    asked = Asked(names=("app",), with_parents=False, tags={"r.example/acme/base:1.0": TagState(digest=DIGEST)})
    plan = compile_text(text, {"app": "FROM scratch\nCOPY --from=data / /\n"}, asked)
    assert ["parent-missing"] == codes(plan.diagnostics)


def test_platforms_with_parents_of_their_own_are_solved_apart() -> None:
    """And the plan says why."""
    text = HEAD + '[images.a]\n[images.b]\n[images.app]\non."linux/arm64".contexts = { a = "image:b" }\n'
    plan = compile_text(text, {"app": "FROM a\n"})
    solves = solves_of(plan)
    assert ["solve:app@linux/amd64", "solve:app@linux/arm64"] == [name for name in solves if ":app" in name]
    assert "its platforms differ in `contexts`" == solves["solve:app@linux/arm64"].because
    assert (ARM64,) == solves["solve:app@linux/arm64"].solve.platforms


def test_a_child_waits_for_the_index_of_its_parent() -> None:
    """Which the engine makes of its records."""
    plan = compile_text(TWO, {"app": "FROM base\n"})
    assert ("assemble:base",) == step_of(plan, "solve:app").needs
    assert ("record:base@linux/amd64", "record:base@linux/arm64") == step_of(plan, "assemble:base").needs


def test_a_plan_is_a_value() -> None:
    """It can be compared, and two of the same are equal."""
    one, other = compile_text(TWO, SAME), compile_text(TWO, SAME)
    assert one == other
    assert msgspec.json.encode(one.steps) == msgspec.json.encode(other.steps)


LOCK = Lock(
    bases={
        canonical(parse_reference(name)): LockedBase(digest=DIGEST, platforms=(AMD64, ARM64))
        for name in ("node:20", "r.example/tools", "docker/dockerfile:1", "golang:1.24")
    }
)


NODE = "docker-image://docker.io/library/node"


def test_what_is_locked_is_handed_over_by_its_digest() -> None:
    """By the name that the Dockerfile uses; what is not in the lock is left to BuildKit."""
    dockerfile = (
        "FROM golang:1.24 AS build\nFROM node:20\nCOPY --from=r.example/tools /x /x\nCOPY --from=other:1 /y /y\n"
    )
    plan = compile_text(HEAD + EMULATED + "[images.a]\n", {"a": dockerfile}, Asked(lock=LOCK))
    (step,) = solves_of(plan).values()
    assert [
        ("node:20", f"docker-image://docker.io/library/node@{DIGEST}"),
        ("r.example/tools", f"docker-image://r.example/tools@{DIGEST}"),
    ] == [(context.name, context.value) for context in step.solve.contexts]


def test_a_stage_of_the_name_of_a_locked_image_is_kept() -> None:
    """By a source policy; without one it is refused, since the stage would be replaced in silence."""
    text = HEAD + EMULATED + '[images.a]\ncontexts = { node = "docker-image://node:20" }\n'
    dockerfiles = {"a": "FROM node AS node\nRUN true\n"}
    plan = compile_text(text, dockerfiles, Asked(lock=LOCK))
    (step,) = solves_of(plan).values()
    assert ((), (SourcePin(source=f"{NODE}:latest", value=f"{NODE}@{DIGEST}"),)) == (
        step.solve.contexts,
        step.solve.pins,
    )
    assert ["stage-name"] == codes(compile_text(text, dockerfiles, Asked(lock=LOCK, backend=WITHOUT)).diagnostics)


def test_a_locked_frontend_is_pinned_by_a_build_arg() -> None:
    """Which wins over the line in the Dockerfile, and over an arg of that name."""
    text = HEAD + EMULATED + '[images.a]\nargs = { A = "1" }\n'
    dockerfile = "# syntax=docker/dockerfile:1\nFROM scratch\n"
    pinned = BuildArg(name="BUILDKIT_SYNTAX", value=f"docker.io/docker/dockerfile@{DIGEST}")
    (step,) = solves_of(compile_text(text, {"a": dockerfile}, Asked(lock=LOCK))).values()
    assert (BuildArg(name="A", value="1"), pinned) == step.solve.options.args
    given = text.replace('A = "1"', 'BUILDKIT_SYNTAX = "docker/dockerfile:1"')
    (step,) = solves_of(compile_text(given, {}, Asked(lock=LOCK))).values()
    assert (pinned,) == step.solve.options.args
