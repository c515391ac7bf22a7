from __future__ import annotations

import json

import jsonschema
import msgspec
import pytest

from orchestrator.api.backend import Refusal
from orchestrator.diagnostics import Diagnostic, Severity, Span
from orchestrator.plan.document import (
    PlanDocument,
    build_document,
    diagnostic_document,
    plan_schema,
    render_document,
    render_place,
    summarise,
)
from orchestrator.plan.facts import TagState
from orchestrator.plan.lower import Lowered, lower_plan, lower_request
from orchestrator.plan.model import Destination, Plan
from orchestrator.plugins import configure, find_backends
from tests.unit.plan.samples import DIGEST, EMULATED, HEAD, NODE, QEMU, Asked, compile_text, solves_of

TEXT = HEAD + '[images.base]\n[images.app]\ntest = { run = ["/app"] }\n[images.far]\nplatforms = ["linux/s390x"]\n'
FILES = {"app": "FROM base\n"}
PLAN = compile_text(TEXT, FILES, Asked(tags={"r.example/acme/app:latest": TagState(digest=DIGEST)}))


def lowered(plan: Plan) -> Lowered:
    """The invocations of a plan."""
    return lower_plan(plan, {"qemu": QEMU}, {"qemu": (NODE,)})


def document(plan: Plan = PLAN) -> PlanDocument:
    """The document of a plan."""
    return build_document(plan, lowered(plan), plan.diagnostics)


def test_a_document_fits_its_schema() -> None:
    """Checked by a validator that we did not write."""
    schema = plan_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(json.loads(render_document(document())))


@pytest.mark.parametrize("key", ["format_version", "images", "builds", "steps", "diagnostics", "summary"])
def test_the_schema_demands_the_keys_that_programs_rely_on(key: str) -> None:
    """One that is missing is an error."""
    tree = json.loads(render_document(document()))
    del tree[key]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(plan_schema()).validate(tree)


def test_the_bytes_are_a_function_of_the_inputs() -> None:
    """Made twice from the text on, and read back as the same document."""
    content = render_document(document())
    assert content == render_document(document(compile_text(TEXT, FILES, Asked(
        tags={"r.example/acme/app:latest": TagState(digest=DIGEST)}))))  # fmt: skip
    assert content.endswith(b"}\n")
    assert document() == msgspec.json.decode(content, type=PlanDocument)


def test_an_image_tells_its_tags() -> None:
    """Whole references, whether they move, and what they point at now."""
    app = next(image for image in document().images if image.name == "app")
    assert [("r.example/acme/app:1.0", False, None), ("r.example/acme/app:latest", True, DIGEST)] == [
        (tag.ref, tag.moving, tag.current) for tag in app.tags
    ]
    assert ("r.example/acme/app", ("linux/amd64", "linux/arm64"), "build") == (
        app.repository,
        app.platforms,
        app.action,
    )
    assert [("base", "FROM", "app/Dockerfile:1:1")] == [(edge.image, edge.kind, edge.place) for edge in app.edges]
    assert app.test is not None
    assert ("/app",) == app.test.run


def test_a_build_tells_where_it_runs_and_why() -> None:
    """Reasons are objects with a code; a blocked one has no placement."""
    builds = {build.id: build for build in document().builds}
    base = builds["app@linux/arm64"]
    assert (2, ("base@linux/arm64",), "build", ["new"]) == (
        base.wave, base.needs, base.action, [reason.code for reason in base.reasons],
    )  # fmt: skip
    assert base.placement is not None
    assert ("qemu", "default", "emulated", False) == (
        base.placement.backend, base.placement.node, base.placement.mode, base.placement.provisional,
    )  # fmt: skip
    assert ("blocked", None) == (builds["far@linux/s390x"].action, builds["far@linux/s390x"].placement)


def test_a_step_tells_the_argv_of_its_children() -> None:
    """With what only the run can know in angle brackets, and the tags that a promotion puts."""
    steps = {step.id: step for step in document().steps}
    (argv,) = steps["solve:app"].argv
    assert ("docker", "buildx", "build", "--builder=<builder of default>") == argv[:4]
    assert "--build-context=base=docker-image://r.example/acme/base@<digest of base>" in argv
    assert ("BUILDX_METADATA_PROVENANCE=disabled",) == steps["solve:app"].environment
    assert ("r.example/acme/app:1.0",) == steps["promote:app"].tags
    assert () == steps["verify:app"].argv


def test_a_refusal_is_told_at_its_step() -> None:
    """And nothing is lowered for it."""
    refused = Lowered(invocations={}, refusals={"solve:app": Refusal(code="x", message="not yet")})
    steps = {step.id: step for step in build_document(PLAN, refused, ()).steps}
    assert ("not yet", ()) == (steps["solve:app"].refusal, steps["solve:app"].argv)


def test_the_summary_counts() -> None:
    """What is built, blocked, emulated and published, and what was found."""
    summary = summarise(PLAN, PLAN.diagnostics)
    assert {
        "images": 3, "builds": 5, "build": 4, "blocked": 1, "emulated": 2, "tags": 6, "moving_tags": 3, "waves": 2,
        "errors": 1, "warnings": 0,
    } == msgspec.to_builtins(summary)  # fmt: skip


def test_an_empty_plan_is_a_document_too() -> None:
    """Which is how a command says, for programs, why there is no plan."""
    empty = Plan(project="", destination=Destination.PUSH, run="", images=(), builds=(), steps=(), diagnostics=())
    jsonschema.Draft202012Validator(plan_schema()).validate(json.loads(render_document(document(empty))))
    assert 0 == document(empty).summary.waves


def test_a_diagnostic_has_a_place_where_it_has_one() -> None:
    """Resolved to a line; without one it says nothing."""
    with_place = Diagnostic(code="a", message="m", place=Span(file="f", line=2, column=3), severity=Severity.WARNING)
    assert ("f", 2, 3, "warning") == (
        (shown := diagnostic_document(with_place)).file, shown.line, shown.column, shown.severity,
    )  # fmt: skip
    bare = diagnostic_document(Diagnostic(code="a", message="m"))
    assert (None, None, None) == (bare.file, bare.line, bare.column)
    assert render_place(None) is None


def test_an_image_without_a_registry_is_named_by_tag_alone() -> None:
    """There is no reference to name it by."""
    text = HEAD + '[images.x]\nrepository = "{{ \'\' }}"\ntest = { run = ["a"] }\n'
    (image,) = document(compile_text(text, asked=Asked(destination=Destination.LAYOUT))).images
    assert (None, ["x:1.0", "x:latest"]) == (image.repository, [tag.ref for tag in image.tags])


def test_solves_are_lowered_for_the_node_where_they_were_placed() -> None:
    """The request holds the one solve and its node."""
    solve = solves_of(PLAN)["solve:app"]
    assert ((solve.solve,), NODE) == ((request := lower_request(solve, NODE)).steps, request.node)
    tests = {"test:app@linux/amd64", "test:app@linux/arm64"}
    assert tests | set(solves_of(PLAN)) == set(lowered(PLAN).invocations)


def test_a_backend_may_refuse_to_lower() -> None:
    """Its words are kept for that solve."""
    bake = configure(find_backends().spec("bake"), None)
    nodes = bake.backend.nodes({})
    plan = compile_text(HEAD + EMULATED + "[images.x]\n", asked=Asked(backend=bake, nodes=nodes))
    found = lower_plan(plan, {"bake": bake}, {"bake": nodes})
    assert ({}, {"backend-plans-only"}) == (found.invocations, {refusal.code for refusal in found.refusals.values()})


def test_a_document_has_no_credentials() -> None:
    """Not in an argv, in the command of a test, in a refusal or in a finding."""
    text = (
        HEAD
        + """[images.x]
context = "https://me:hunter2@h/x.git"
contexts = { lib = "https://hunter2@h/lib.git" }
cache-to = [{ type = "s3", secret_access_key = "hunter2" }]
test = { run = ["/x", "--password=hunter2"] }
"""
    )
    plan = compile_text(text)
    url = "https://me:hunter2@h/x"
    found = Diagnostic(code="c", message=f"no `{url}`", hints=(f"drop `{url}`",), subject=url)
    refused = Lowered(
        invocations=lowered(plan).invocations, refusals={"solve:x": Refusal(code="c", message=f"no {url}")}
    )
    content = render_document(build_document(plan, refused, (found,)))
    assert b"hunter2" not in content
    assert b"--build-context=lib=https://***@h/lib.git" in content
