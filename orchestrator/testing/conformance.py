"""`BackendConformance`: what the host relies on in a backend, as tests that the authors of one inherit.

    from orchestrator.testing.conformance import BackendConformance

    class TestMine(BackendConformance):
        spec = BackendSpec(name="mine", ...)
        table = {"builder": "x"}              # what stands in `[backends.mine]`

        def succeed(self, invocation, digest):
            return Outcome(exit_code=0, files=(("result", digest.encode()),))

A backend that lowers nothing yet (it answers with a `Refusal`) conforms as long as it says so in words.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import chain, product
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, assert_never, get_args

import msgspec

from orchestrator.api.backend import (
    API_VERSION,
    Backend,
    BackendSpec,
    Emulation,
    LowerRequest,
    Mode,
    Placement,
    PlaceRequest,
    Refusal,
    SolveFailure,
    SolveResult,
    SolveUnknown,
)
from orchestrator.api.events import ReaderEvent
from orchestrator.api.invocation import (
    BuilderOf,
    DigestOf,
    FileOf,
    Invocation,
    Late,
    Outcome,
    PathOf,
    Phase,
    Word,
    late_values,
    render_word,
)
from orchestrator.api.solve import (
    LayoutOutput,
    NoOutput,
    Solve,
)
from orchestrator.config.decode import decode_table
from orchestrator.config.shapes import fields
from orchestrator.model import Table
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.platform import KNOWN_ARCHITECTURES, parse_platform
from orchestrator.testing.samples import (
    HOST,
    HOSTILE_LINES,
    SAMPLE_OUTPUTS,
    VARIABLE,
    sample_failures,
    sample_family,
    sample_solves,
)

if TYPE_CHECKING:
    import pytest

DIGEST: Final = digest_bytes(b"the index that a solve gave")
SECRET: Final = "this-is-the-value-of-a-secret"  # noqa: S105 (it is what is looked for)
PLATFORMS: Final = tuple(parse_platform(f"linux/{name}") for name in KNOWN_ARCHITECTURES if name != "wasm")


class BackendConformance:
    """Inherit, set `spec`, and let pytest collect the subclass."""

    spec: ClassVar[BackendSpec]
    table: ClassVar[Mapping[str, object]] = {}

    def succeed(self, invocation: Invocation, digest: Digest) -> Outcome:
        """The outcome of a child that did what it was asked for; buildx's metadata file unless overridden."""
        content = msgspec.json.encode({"containerimage.digest": digest})
        files = tuple((file.name, content) for file in invocation.collects)
        return Outcome(exit_code=0, files=files, paths=tuple((name, f"/run/{name}") for name in invocation.folders))

    def backend(self) -> Backend:
        """The backend, configured anew."""
        return self.spec.factory(self.config())

    def config(self) -> Table:
        """Its configuration."""
        config, found = decode_table(dict(self.table), self.spec.config, "builds.toml", ("backends", self.spec.name))
        assert config is not None, f"`table` does not fit the config class: {found}"
        return config

    def requests(self) -> Iterator[LowerRequest]:
        """Requests with everything that a solve may hold, for each node."""
        for node, solve in product(self.backend().nodes({}), sample_solves()):
            yield LowerRequest(steps=(solve,), node=node)
        if self.spec.capabilities.max_steps > 1:
            for node, output in product(self.backend().nodes({}), SAMPLE_OUTPUTS):
                steps, links = sample_family(output)
                yield LowerRequest(steps=steps, node=node, links=links)

    def lowered(self) -> Iterator[tuple[LowerRequest, tuple[Invocation, ...]]]:
        """The requests that are not refused, with their invocations."""
        for request in self.requests():
            found = self.backend().lower(request)
            if not isinstance(found, Refusal):
                yield request, found

    def test_the_name_is_a_word(self) -> None:
        """It is a key in TOML and a value on the command line."""
        name = self.spec.name
        assert name.isascii(), name
        assert name.replace("-", "").isalnum(), name
        assert self.spec.summary, "a backend says in one line what it is"

    def test_the_api_is_one_of_this_host(self) -> None:
        """Of the same major version, and not newer."""
        assert self.spec.api[0] == API_VERSION[0], self.spec.api
        assert self.spec.api <= API_VERSION, self.spec.api

    def test_the_table_is_described(self) -> None:
        """Every key has a description, and the class has a JSON Schema."""
        assert msgspec.json.schema(self.spec.config)
        for key, field in fields(self.spec.config).items():
            assert field.description, f"`{key}` has no description"

    def test_the_table_has_no_problems(self) -> None:
        """Nor has it any the second time."""
        config = self.config()
        assert tuple(self.spec.check(config)) == tuple(self.spec.check(config)) == ()

    def test_probes_are_children_with_a_time_limit(self) -> None:
        """Each with a name of its own."""
        probes = self.backend().probes()
        assert len({probe.name for probe in probes}) == len(probes), probes
        for probe in probes:
            assert_words(probe.argv)
            assert probe.timeout > 0, probe

    def test_without_answers_the_nodes_are_provisional(self) -> None:
        """They are what the configuration says, the same each time."""
        nodes = self.backend().nodes({})
        assert nodes, "a backend has a node"
        assert nodes == self.backend().nodes({})
        assert len({node.name for node in nodes}) == len(nodes), nodes
        for node in nodes:
            assert node.provisional, node
            assert node.slots > 0, node

    def test_no_answer_raises(self) -> None:
        """Whatever a probe prints, and however it ends."""
        probes = self.backend().probes()
        for line, exit_code in product(HOSTILE_LINES, (0, 1, -9)):
            text = line.encode("utf-8", "replace").decode()
            answer = Outcome(exit_code=exit_code, stdout=text, stderr=text)
            assert self.backend().nodes({probe.name: answer for probe in probes}) is not None

    def test_every_platform_is_placed_or_refused_in_words(self) -> None:
        """On a node of the request; a refusal says what to do."""
        for request in self.place_requests():
            found = self.backend().place(request)
            if isinstance(found, Placement):
                assert found.node in {node.name for node in request.nodes}, found
            else:
                assert_refusal(found)

    def test_placement_is_pure(self) -> None:
        """The same request, the same answer, from another instance too."""
        one, other = self.backend(), self.backend()
        for request in self.place_requests():
            assert one.place(request) == other.place(request) == one.place(request), request

    def test_what_is_forbidden_is_never_emulated(self) -> None:
        """And nothing is called native that the node does not run."""
        for request in self.place_requests():
            found = self.backend().place(request)
            if not isinstance(found, Placement):
                continue
            assert found.mode is Mode.NATIVE or request.emulation is not Emulation.FORBID, (request, found)
            node = next(node for node in request.nodes if node.name == found.node)
            runs = node.platforms or (request.host,)
            assert (request.platform in runs) == (found.mode is Mode.NATIVE), (request, found)

    def place_requests(self) -> Iterator[PlaceRequest]:
        """Every platform under every rule, on the nodes that nobody asked and on one that answered."""
        backend = self.backend()
        guessed = backend.nodes({})
        known = tuple(
            msgspec.structs.replace(node, platforms=node.platforms or (HOST,), provisional=False) for node in guessed
        )
        for platform, emulation, nodes in product(PLATFORMS, Emulation, (guessed, known)):
            yield PlaceRequest(image="api", platform=platform, emulation=emulation, nodes=nodes, host=HOST)

    def test_setup_is_children(self) -> None:
        """Shown by a plan, so the same each time."""
        backend = self.backend()
        nodes = backend.nodes({})
        assert backend.setup(nodes) == backend.setup(nodes)
        for invocation in backend.setup(nodes):
            assert_words(invocation.argv)
            assert invocation.timeout, "a run does not wait for ever for a node"
            assert invocation.phase is Phase.SETUP, invocation
            assert not list(backend.reader(invocation).feed("stderr", "x")), "a child without a step has no events"

    def test_what_is_set_up_is_taken_down(self) -> None:
        """By children with a time limit; a backend that sets nothing up needs no `teardown`."""
        backend = self.backend()
        if not hasattr(backend, "teardown"):
            assert not backend.setup(backend.nodes({}))
            return
        for invocation in backend.teardown(backend.nodes({})):
            assert_words(invocation.argv)
            assert invocation.timeout, "a run does not wait for ever for a node"

    def test_lowering_is_refused_in_words_or_gives_children(self) -> None:
        """At least one child for each request; each is about steps of the request."""
        for request in self.requests():
            found = self.backend().lower(request)
            if isinstance(found, Refusal):
                assert_refusal(found)
                continue
            assert found, request
            for invocation in found:
                assert_words(invocation.argv)
                assert invocation.steps, "a child is about a step"
                assert set(invocation.steps) <= {solve.id for solve in request.steps}, invocation

    def test_lowering_is_pure(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither the environment nor the folder change it, so that a plan is what is run."""
        before = [self.backend().lower(request) for request in self.requests()]
        monkeypatch.chdir(tmp_path)
        for name in ("DOCKER_HOST", "BUILDX_BUILDER", "HOME", "PATH", "TMPDIR"):
            monkeypatch.setenv(name, str(tmp_path))
        assert before == [self.backend().lower(request) for request in self.requests()]
        assert not os.listdir(tmp_path), "lowering wrote a file"  # noqa: PTH208 (whether there is anything)

    def test_late_values_are_those_of_the_request(self) -> None:
        """Digests that its contexts and pins name, its node, and files of the child itself."""
        for request, invocations in self.lowered():
            known = {late for solve in request.steps for word in given_words(solve) for late in late_values(word)}
            for invocation in invocations:
                own = {file.name for file in invocation.writes} | {file.name for file in invocation.collects}
                own |= set(invocation.folders)
                for late in chain.from_iterable(map(late_values, all_words(invocation))):
                    assert is_known(late, known, own, request.node.name, invocation.inherits), late

    def test_no_child_is_told_a_secret(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Secrets are named; whoever needs one is given the name of the variable or the file."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv(VARIABLE, SECRET)
        Path("secret.txt").write_text(SECRET, encoding="utf-8")
        for _, invocations in self.lowered():
            for invocation in invocations:
                for word in all_words(invocation):
                    assert SECRET not in render_word(word), invocation.argv
                assert VARIABLE in invocation.inherits, "a child names the variables of its secrets in `inherits`"

    def test_no_line_raises(self) -> None:
        """Whatever a child prints; events are about its steps."""
        for _, invocations in self.lowered():
            for invocation in invocations:
                reader = self.backend().reader(invocation)
                events = [event for line in HOSTILE_LINES for event in reader.feed("stderr", line)]
                events += [event for line in HOSTILE_LINES for event in reader.feed("stdout", line)]
                for event in events:
                    assert isinstance(event, get_args(ReaderEvent)), event
                    assert event.step in invocation.steps, event

    def test_success_gives_a_digest_for_each_step(self) -> None:
        """And for a layout the folder that it is in; where nothing is kept, success is all there is."""
        for request, invocations in self.lowered():
            outcomes = tuple(self.succeed(invocation, DIGEST) for invocation in invocations)
            results = self.backend().results(request, outcomes)
            for solve in request.steps:
                result = results[solve.id]
                assert isinstance(result, SolveResult), result
                assert isinstance(solve.output, NoOutput) or result.digest == DIGEST, result
                assert bool(result.path) == isinstance(solve.output, LayoutOutput), result

    def test_failure_gives_a_reason_for_each_step(self) -> None:
        """However the child ended, and whatever it printed; success without a result is a failure too.

        Of several solves some may be unknown, but not all.
        """
        for request, invocations in self.lowered():
            for outcome in sample_failures():
                # what follows a child that failed is not started
                results = self.backend().results(request, (outcome,) if invocations else ())
                kept = [solve for solve in request.steps if not isinstance(solve.output, NoOutput)]
                found = [results[solve.id] for solve in (kept if outcome.succeeded else request.steps)]
                failures = [result for result in found if isinstance(result, SolveFailure)]
                unknown = [result for result in found if isinstance(result, SolveUnknown)]
                assert len(found) == len(failures) + len(unknown), found
                assert failures or not found, "something has failed"
                assert all(failure.message for failure in failures), "a failure says why"


def is_known(late: Late, known: set[Late], own: set[str], node: str, inherited: tuple[str, ...]) -> bool:
    """Whether the engine can fill it in: by the request, by the child's own files, by its node, by its variables."""
    match late:
        case DigestOf():
            return late in known
        case PathOf(name=name):
            return name in own
        case BuilderOf(node=other):
            return node == other
        case FileOf(variable=variable):
            return not variable or variable in inherited
        case _:
            assert_never(late)


def assert_words(argv: tuple[Word, ...]) -> None:
    """An argv is a program and words; no word is a whole command line for a shell."""
    assert argv, "an argv has a program"
    for word in argv:
        assert isinstance(word, str | tuple), word
        assert "\0" not in render_word(word), word
    assert not any(render_word(word) in {"sh", "bash", "/bin/sh", "/bin/bash"} for word in argv[:1]), "no shell"


def assert_refusal(refusal: Refusal) -> None:
    """A refusal has a code, one line of text, and says what to do."""
    assert refusal.code, refusal
    assert refusal.message, refusal
    assert "\n" not in refusal.message, refusal
    assert refusal.hints, "a refusal says what to do"


def all_words(invocation: Invocation) -> Iterator[Word]:
    """Everything that a child is told: its argv, what is added to its environment, its files."""
    yield from invocation.argv
    yield from (word for _, word in invocation.environment)
    yield from (file.content for file in invocation.writes)


def given_words(solve: Solve) -> Iterator[Word]:
    """The words of a solve that may hold late values."""
    yield from (context.value for context in solve.contexts)
    yield from (pin.value for pin in solve.pins)
