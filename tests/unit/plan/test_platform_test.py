"""Platform tests as steps: what runs, where, after what, and what waits for it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api.backend import Mode, Node
from orchestrator.api.invocation import DigestOf, render_word
from orchestrator.api.solve import NoOutput, Provenance
from orchestrator.oci.digest import digest_bytes
from orchestrator.plan import model
from orchestrator.plan.binding import bind_nodes
from orchestrator.plan.lower import lower_plan
from orchestrator.plan.memory import Memory, RememberedPart
from orchestrator.plan.model import Action, Destination, Plan, VerifyStep
from orchestrator.plan.part import builds_to_do, builds_to_test, choose_builds, part_of, remaining, split
from orchestrator.plan.place import ConfiguredBackend
from orchestrator.plan.platform_test import render_dockerfile
from tests.unit.plan.samples import AMD64, ARM64, EMULATED, HEAD, NODE, QEMU, Asked, build_of, compile_text, step_of

TEXT = (
    HEAD
    + EMULATED
    + """[images.app]
timeout = "90s"
retries = 1
test = { run = ["/app", "--version"] }
[images.child]
"""
)
FILES = {"child": "FROM app\n"}
BUILDS = ("app@linux/amd64", "app@linux/arm64")
TESTS = ("test:app@linux/amd64", "test:app@linux/arm64")


def stands(*builds: str) -> dict[str, RememberedPart]:
    """These builds, as if they stood."""
    return {
        build: RememberedPart(record=digest_bytes(build.encode()), manifest=digest_bytes(b"image"), key=build)
        for build in builds
    }


def plan(memory: Memory | None = None, text: str = TEXT, asked: Asked | None = None) -> Plan:
    """The plan of two images, of which the first is tested."""
    return compile_text(text, FILES, Asked(memory=memory or Memory()) if asked is None else asked)


def planned(of: Plan) -> dict[str, model.TestStep]:
    """The tests by id."""
    return {step.id: step for step in of.steps if isinstance(step, model.TestStep)}


def one_test(name: str, of: Plan) -> model.TestStep:
    """One of them."""
    return planned(of)[name]


def test_each_platform_is_tested_where_it_is_built() -> None:
    """As soon as it is recorded, without waiting for the others."""
    found = planned(plan())
    assert TESTS == tuple(found)
    assert [
        (("record:app@linux/amd64",), "default", Mode.NATIVE),
        (("record:app@linux/arm64",), "default", Mode.EMULATED),
    ] == [(step.needs, step.node, step.mode) for step in found.values()]


def test_a_test_is_a_build_that_keeps_nothing() -> None:
    """Of the record, an index of one platform; never from a cache, with the limits of its image."""
    solve = one_test(TESTS[1], plan()).solve
    assert ((ARM64,), NoOutput(), True, Provenance.OFF) == (
        solve.platforms, solve.output, solve.options.no_cache, solve.options.provenance,
    )  # fmt: skip
    assert 'FROM subject\nRUN ["/app", "--version"]\n' == solve.options.dockerfile_inline
    (context,) = solve.contexts
    late = DigestOf(step="record:app@linux/arm64", label="the record of app@linux/arm64")
    assert ("subject", ("docker-image://r.example/acme/app@", late)) == (context.name, context.value)
    assert (90.0, 1) == (solve.timeout, solve.retries)


def test_in_a_layout_the_record_is_taken_from_there() -> None:
    """Where nothing is pushed."""
    (context,) = one_test(TESTS[0], plan(asked=Asked(destination=Destination.LAYOUT))).solve.contexts
    assert render_word(context.value).startswith("oci-layout://.orchestrate/state/app@<digest of the record of app")


def test_the_verification_waits_for_the_tests_and_children_do_not() -> None:
    """So that only what has passed gets a name by which it is taken over, and its tags."""
    made = plan()
    verify = step_of(made, "verify:app")
    assert isinstance(verify, VerifyStep)
    assert ("assemble:app", *TESTS) == verify.needs
    assert ("assemble:app",) == step_of(made, "solve:child").needs


def test_only_the_platforms_that_are_named_are_tested() -> None:
    """Of those that are built here."""
    text = TEXT.replace('"--version"]', '"--version"], platforms = ["linux/arm64"]')
    assert (TESTS[1],) == tuple(planned(plan(text=text)))
    assert () == tuple(planned(plan(text=text, asked=Asked(platforms=(AMD64,), destination=Destination.STAGE))))


def test_what_stands_is_tested_without_a_build() -> None:
    """Where its test has not passed: by a digest that is known, on a node that could have built it."""
    made = plan(Memory(parts=stands(*BUILDS)))
    step = one_test(TESTS[0], made)
    assert ((), "default") == (step.needs, step.node)
    (context,) = step.solve.contexts
    assert f"docker-image://r.example/acme/app@{digest_bytes(BUILDS[0].encode())}" == context.value
    assert Action.REUSE is build_of(made, BUILDS[0]).action
    assert not made.blocked


def test_what_has_passed_is_not_tested_again() -> None:
    """Neither a platform, nor an image whose verified index stands."""
    parts = stands(*BUILDS)
    assert (TESTS[1],) == tuple(planned(plan(Memory(parts=parts, tested=(BUILDS[0],)))))
    assert () == tuple(planned(plan(Memory(parts=parts, images={"app": digest_bytes(b"index")}))))


def test_what_no_node_can_run_cannot_be_tested() -> None:
    """Though it stands: nothing untested is released."""
    node = Node(name="default", platforms=(AMD64,), builder="default")
    memory = Memory(parts=stands(*BUILDS))
    made = plan(asked=Asked(memory=memory, nodes=(node,), names=("app",)))
    assert made.blocked
    assert ["app@linux/arm64"] == [finding.subject for finding in made.diagnostics]
    passed = Memory(parts=stands(*BUILDS), tested=(BUILDS[1],))
    assert not plan(asked=Asked(memory=passed, nodes=(node,), names=("app",))).blocked


def test_another_test_makes_no_other_private_names() -> None:
    """It is no part of what an image is made from."""
    assert plan().run == plan(text=TEXT.replace("--version", "--help")).run


def test_tests_are_lowered_as_builds_are() -> None:
    """One child each, which `plan -v` can print."""
    made = plan()
    chosen: ConfiguredBackend = QEMU
    lowered = lower_plan(made, {"qemu": chosen}, {"qemu": (NODE,)})
    (child,) = lowered.invocations[TESTS[1]]
    argv = [render_word(word) for word in child.argv]
    assert {"--platform=linux/arm64", "--no-cache", "--output=type=cacheonly", "--provenance=false"} <= set(argv)
    assert "." == argv[-1]
    assert not any(word.startswith("--metadata-file") for word in argv)
    assert () == child.collects


def test_a_node_has_to_run_what_it_is_to_test() -> None:
    """Natively or under emulation, as it was planned."""
    made = plan(Memory(parts=stands(*BUILDS, "child@linux/amd64", "child@linux/arm64")))
    native = Node(name="here", platforms=(AMD64, ARM64), builder="here")
    assert "it runs it natively" in bind_nodes(made, {"qemu": (native,)}, {}).unbound[0].message


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1, max_size=5))
def test_a_command_survives_the_dockerfile(words: list[str]) -> None:
    """Word for word, in two lines of ASCII without anything that begins a heredoc or ends a line."""
    dockerfile = render_dockerfile(tuple(words))
    start, run, end = dockerfile.split("\n")
    assert ("FROM subject", "", True) == (start, end, dockerfile.isascii())
    assert "<" not in run
    assert words == json.loads(run.removeprefix("RUN "))


@pytest.mark.parametrize("tested", [(), (BUILDS[0],)])
def test_what_is_left_of_a_plan_is_without_passed_tests(tested: tuple[str, ...]) -> None:
    """And with those that have not passed, though all is built."""
    made = plan()
    done = stands(*builds_to_do(made))
    assert set(BUILDS) - set(tested) == set(builds_to_test(remaining(made, done, tested)))


def test_a_part_tests_what_it_builds() -> None:
    """And nothing else; one that is built already is tested alone."""
    made = plan()
    first = part_of(made, ["app@linux/amd64"], {})
    assert ["solve:app@linux/amd64", "record:app@linux/amd64", TESTS[0]] == [step.id for step in first.steps]
    again = part_of(made, ["app@linux/amd64"], stands("app@linux/amd64"))
    assert [TESTS[0]] == [step.id for step in again.steps]
    assert "record:app@linux/amd64" in {known.step for known in again.known}
    passed = part_of(made, ["app@linux/amd64"], stands("app@linux/amd64"), ["app@linux/amd64"])
    assert () == passed.steps


def test_what_is_only_tested_is_in_a_part_too() -> None:
    """On the node where it is to be tested; nothing waits for it."""
    made = plan(Memory(parts=stands(*BUILDS)))
    assert (*BUILDS, "child@linux/amd64", "child@linux/arm64") == builds_to_do(made)
    assert ("app@linux/arm64",) == choose_builds(made, ["app@linux/arm64"])
    parts = {part.name: part for part in split(made)}
    assert ("app@linux/arm64", "child@linux/arm64") == parts["linux/arm64 on default"].builds
    assert [(), ()] == [part.waits_for for part in parts.values()]
