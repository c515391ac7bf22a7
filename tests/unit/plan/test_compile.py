from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api.backend import Node
from orchestrator.oci.platform import Platform
from orchestrator.oci.reference import parse_repository
from orchestrator.plan.compile import Declared, Scope, selected_images
from orchestrator.plan.facts import TagState
from orchestrator.plan.model import (
    Action,
    CopyStep,
    Destination,
    ExportStep,
    GateStep,
    LayoutHome,
    LoadStep,
    Plan,
    PromoteStep,
    RegistryHome,
    VerifyStep,
)
from tests.unit.plan.samples import (
    AMD64,
    ARM64,
    DIGEST,
    HEAD,
    NODE,
    Asked,
    build_of,
    compile_text,
    compile_wired,
    read_project,
    solves_of,
    step_of,
    wire_text,
)

CHAIN = HEAD + '[images.a]\n[images.b]\n[images.c]\nneeds = ["b"]\n[images.d]\n'
FROMS = {"b": "FROM a\n"}
NAMES = "abcdef"
PARENTS = st.fixed_dictionaries({name: st.sets(st.sampled_from(NAMES[:number] or "-")) for number, name in
                                 enumerate(NAMES)})  # fmt: skip


def names(plan: Plan) -> list[str]:
    """The images of a plan."""
    return [image.name for image in plan.images]


def test_a_selection_takes_what_it_needs() -> None:
    """Parents first, each in its wave; the rest of the project is not looked at."""
    plan = compile_text(CHAIN, FROMS, Asked(names=("c",)))
    assert [("a", 1), ("b", 2), ("c", 3)] == [(image.name, image.wave) for image in plan.images]


def test_without_parents_a_selection_is_itself() -> None:
    """And waves are those among what is built."""
    tags = {"r.example/acme/a:1.0": TagState(digest=DIGEST)}
    plan = compile_text(CHAIN, FROMS, Asked(names=("b", "c"), with_parents=False, tags=tags))
    assert [("b", 1), ("c", 2)] == [(image.name, image.wave) for image in plan.images]


def test_platform_builds_need_those_of_their_own_platform() -> None:
    """Order alone is no need of a platform build."""
    plan = compile_text(CHAIN, FROMS)
    assert ("a@linux/arm64",) == build_of(plan, "b@linux/arm64").needs
    assert () == build_of(plan, "c@linux/arm64").needs


def selected(
    text: str, dockerfiles: dict[str, str], names: tuple[str, ...], *platforms: Platform
) -> dict[str, list[str]]:
    """The platforms of each selected image."""
    wired = wire_text(text, dockerfiles)
    assert wired.found == ()
    declared = Declared(project="acme", images=wired.images, edges=wired.edges, order=wired.order(), platforms={})
    scope = Scope(destination=Destination.STAGE, selection=names, platforms=platforms)
    alone = msgspec.structs.replace(scope, with_parents=False)
    assert {image.name for image in selected_images(declared, alone)} <= set(names)
    return {image.name: list(map(str, image.platforms)) for image in selected_images(declared, scope)}


ASSETS = """[images.base]
[images.assets]
platforms = ["linux/amd64"]
[images.app]
contexts = { assets = { image = "assets", platform = "linux/amd64" } }
[images.other]
needs = ["assets"]
"""
ASSET_FILES = {"assets": "FROM base\n", "app": "FROM base\nCOPY --from=assets / /\n"}


def test_a_selected_platform_is_built_of_all_that_is_needed() -> None:
    """And nothing of any other."""
    assert {"base": ["linux/arm64"], "x": ["linux/arm64"]} == selected(
        HEAD + "[images.base]\n[images.x]\n[images.y]\n", {"x": "FROM base\n"}, ("x",), ARM64
    )


def test_data_of_one_platform_is_built_for_that_one_whatever_is_selected() -> None:
    """With what it needs for it; the image that only comes after it does not need it."""
    expected = {"base": ["linux/amd64", "linux/arm64"], "assets": ["linux/amd64"], "app": ["linux/arm64"]}
    assert expected == selected(HEAD + ASSETS, ASSET_FILES, ("app",), ARM64)
    assert {"other": ["linux/arm64"]} == selected(HEAD + ASSETS, ASSET_FILES, ("other",), ARM64)


def test_a_platform_that_the_dockerfile_asks_for_is_built() -> None:
    """`FROM --platform=$BUILDPLATFORM` takes this machine's."""
    text = HEAD + "[images.tool]\n[images.app]\n"
    dockerfile = "FROM --platform=$BUILDPLATFORM tool\n"
    assert {"tool": ["linux/amd64"], "app": ["linux/arm64"]} == selected(text, {"app": dockerfile}, ("app",), ARM64)
    plan = compile_text(text, {"app": dockerfile})
    assert ("tool@linux/amd64",) == build_of(plan, "app@linux/arm64").needs


def test_several_platforms_may_be_selected() -> None:
    """Those that an image has of them."""
    expected = {"base": ["linux/amd64", "linux/arm64"]}
    assert expected == selected(HEAD + ASSETS, ASSET_FILES, ("base",), ARM64, AMD64)


def test_homes_are_repositories_or_layouts() -> None:
    """By how far the results go."""
    pushed = step_of(compile_text(CHAIN), "verify:a")
    local = step_of(compile_text(CHAIN, asked=Asked(destination=Destination.LAYOUT)), "verify:a")
    assert isinstance(pushed, VerifyStep)
    assert isinstance(local, VerifyStep)
    assert isinstance(pushed.home, RegistryHome)
    assert LayoutHome(path=".orchestrate/state/a") == local.home


def test_one_repository_may_be_the_home_of_all() -> None:
    """Then results are copied to the repositories of the images before they get their tags."""
    plan = compile_text(CHAIN, asked=Asked(state=parse_repository("r.example/state")))
    homes = {str(step.home) for step in plan.steps if isinstance(step, VerifyStep)}
    copies = {step.image: str(step.target) for step in plan.steps if isinstance(step, CopyStep)}
    assert {"r.example/state"} == homes
    assert {image.name: f"r.example/acme/{image.name}" for image in plan.images} == copies
    assert {"r.example/state"} == {image.place for image in plan.images}


def test_an_image_without_a_registry_stays_on_this_machine() -> None:
    """Also where others are pushed."""
    text = HEAD + "[images.x]\nrepository = \"{{ '' }}\"\n"
    step = step_of(compile_text(text, asked=Asked(destination=Destination.STAGE)), "verify:x")
    assert isinstance(step, VerifyStep)
    assert isinstance(step.home, LayoutHome)


def test_a_layout_without_tags_has_a_name_all_the_same() -> None:
    """Other tools look for one."""
    plan = compile_text(HEAD + "[images.x]\ntags = []\n", asked=Asked(destination=Destination.LAYOUT))
    step = step_of(plan, "export:x")
    assert isinstance(step, ExportStep)
    assert ("latest", ".orchestrate/oci/x", "oci:.orchestrate/oci/x") == (
        step.tag, step.target.path, plan.images[0].place
    )  # fmt: skip


def test_all_or_nothing_in_public() -> None:
    """No tag before every verification and copy, parents first, moving tags after all fixed ones."""
    text = HEAD + '[images.a]\ntags = ["1", "docker.io/acme/a:1", { ref = "latest", moving = true }]\n[images.b]\n'
    plan = compile_text(text, {"b": "FROM a\n"})
    gate, moving = step_of(plan, "gate:release"), step_of(plan, "gate:moving")
    assert isinstance(gate, GateStep)
    assert ("verify:a", "verify:b", "copy:a:docker.io/acme/a") == gate.needs
    assert ("gate:release", "promote:a", "promote:b") == moving.needs
    assert ("gate:release", "promote:a") == step_of(plan, "promote:b").needs
    assert ("gate:moving", "promote-moving:a") == step_of(plan, "promote-moving:b").needs


def moves(plan: Plan) -> dict[str, list[str]]:
    """What every promotion puts."""
    return {
        step.id: [str(move.reference) for move in step.moves] for step in plan.steps if isinstance(step, PromoteStep)
    }


def test_fixed_and_moving_tags_are_put_apart() -> None:
    """Each in its own step, with what the plan saw there."""
    tags = {"r.example/acme/a:latest": TagState(digest=DIGEST)}
    plan = compile_text(CHAIN, asked=Asked(names=("a",), tags=tags))
    assert {"promote:a": ["r.example/acme/a:1.0"], "promote-moving:a": ["r.example/acme/a:latest"]} == moves(plan)
    step = step_of(plan, "promote-moving:a")
    assert isinstance(step, PromoteStep)
    assert [(True, DIGEST, True)] == [(move.replace, move.expected, move.moving) for move in step.moves]


def test_what_is_not_published_is_built_and_verified_only() -> None:
    """Its children are promoted without it."""
    plan = compile_text(HEAD + "[images.a]\npublish = false\n[images.b]\n", {"b": "FROM a\n"})
    assert ["promote:b", "promote-moving:b"] == list(moves(plan))
    assert ("gate:release",) == step_of(plan, "promote:b").needs
    assert "verify:a" in step_of(plan, "gate:release").needs


def test_staging_ends_with_the_verification() -> None:
    """Nothing is copied and nothing is tagged."""
    plan = compile_text(CHAIN, asked=Asked(destination=Destination.STAGE))
    assert {"solve", "record", "assemble", "verify"} == {step.id.partition(":")[0] for step in plan.steps}


def test_another_repository_gets_a_copy() -> None:
    """Once, however many tags it has there."""
    text = HEAD + '[images.a]\ntags = ["1", "docker.io/acme/a:1", "docker.io/acme/a:2"]\n'
    copies = [step for step in compile_text(text).steps if isinstance(step, CopyStep)]
    assert ["docker.io/acme/a"] == [str(step.target) for step in copies]


@pytest.mark.parametrize(
    ("tags", "names_"),
    [('["1"]', ("r.example/acme/a:1",)), ("[]", ("a:latest",))],
)
def test_this_machines_platform_is_loaded(tags: str, names_: tuple[str, ...]) -> None:
    """Of what was selected, not of what it needs; under its tags."""
    text = HEAD + f"[images.base]\n[images.a]\ntags = {tags}\n"
    plan = compile_text(text, {"a": "FROM base\n"}, Asked(names=("a",), destination=Destination.LOAD))
    assert [("load:a", AMD64, names_)] == [
        (step.id, step.platform, step.names) for step in plan.steps if isinstance(step, LoadStep)
    ]


def test_an_image_that_this_machine_cannot_run_is_not_loaded() -> None:
    """It has no platform for it."""
    text = HEAD + '[images.a]\nplatforms = ["linux/arm64"]\n'
    steps = compile_text(text, asked=Asked(destination=Destination.LOAD)).steps
    assert not any(isinstance(step, LoadStep) for step in steps)


def test_a_loaded_image_without_a_registry_is_called_by_its_name() -> None:
    """As Docker would call what was built here."""
    text = HEAD.replace('registry = "r.example/acme"', "")
    wired = wire_text(text + "[images.a]\nrepository = \"{{ '' }}\"\n")
    plan = compile_wired(wired, read_project(text), Asked(destination=Destination.LOAD))
    assert ("a:1.0", "a:latest") == getattr(step_of(plan, "load:a"), "names", ())


def test_a_blocked_image_has_no_steps() -> None:
    """It is in the plan with its reasons."""
    text = HEAD + '[images.a]\n[images.b]\nplatforms = ["linux/s390x"]\n'
    plan = compile_text(text)
    assert [Action.BUILD, Action.BLOCKED] == [image.action for image in plan.images]
    assert not any(step.image == "b" for step in plan.steps)


def test_platforms_that_differ_are_solved_apart_and_the_plan_says_why() -> None:
    """Those that do not differ stay together."""
    text = HEAD + '[images.a]\nplatforms = ["linux/amd64", "linux/arm64", "linux/amd64/v3"]\n'
    text += 'on."linux/arm64".args = { A = "b" }\n'
    node = msgspec.structs.replace(NODE, platforms=(AMD64, Platform(os="linux", architecture="amd64", variant="v3")))
    solves = solves_of(compile_text(text, asked=Asked(nodes=(node,))))
    assert ["solve:a@linux/amd64,linux/amd64/v3", "solve:a@linux/arm64"] == list(solves)
    assert {"its platforms differ in `args`"} == {step.because for step in solves.values()}


def test_an_image_in_one_solve_needs_no_reason() -> None:
    """As nothing is unusual."""
    assert "" == solves_of(compile_text(CHAIN))["solve:a"].because


def test_the_run_is_a_function_of_what_is_built() -> None:
    """Not of where: a plan made without an engine has the private names of that which was run."""
    text = HEAD + "[images.a]\n[images.b]\n"
    one = compile_text(text, {"b": "FROM a\n"})
    nobody = Node(name="default", platforms=(), provisional=True)
    assert one.run == compile_text(text, {"b": "FROM a\n"}, Asked(nodes=(nobody,))).run
    assert one.run != compile_text(text).run
    assert one.run != compile_text(text + 'args = { A = "b" }\n', {"b": "FROM a\n"}).run
    assert one.run != compile_text(text + 'annotations = { A = "b" }\n', {"b": "FROM a\n"}).run
    assert one.run != compile_text(text, {"b": "FROM a\n"}, Asked(names=("a",))).run


@given(parents=PARENTS, chosen=st.sets(st.sampled_from(NAMES), min_size=1))
def test_steps_are_a_graph_in_order(parents: dict[str, set[str]], chosen: set[str]) -> None:
    """Every step comes after all that it needs, ids are unique, and each selected image is promoted."""
    text = HEAD + "".join(f"[images.{name}]\n" for name in NAMES)
    files = {
        name: "FROM scratch\n" + "".join(f"COPY --from={parent} / /\n" for parent in sorted(needs - {"-"}))
        for name, needs in parents.items()
    }
    plan = compile_text(text, files, Asked(names=tuple(sorted(chosen))))
    seen: set[str] = set()
    for step in plan.steps:
        assert set(step.needs) <= seen
        assert step.id not in seen
        seen.add(step.id)
    assert chosen <= set(names(plan))
    assert {f"promote:{name}" for name in names(plan)} <= seen


@given(parents=PARENTS)
def test_a_plan_is_a_function(parents: dict[str, set[str]]) -> None:
    """The same declarations and facts give equal plans, steps in the same order."""
    text = HEAD + "".join(f"[images.{name}]\nneeds = {sorted(needs - {'-'})}\n" for name, needs in parents.items())
    text = text.replace("'", '"')
    assert compile_text(text) == compile_text(text)
