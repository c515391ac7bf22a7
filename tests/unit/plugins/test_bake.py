"""The `bake` backend: its child, its file, its reader and what it makes of outcomes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.api import (
    BuildOptions,
    DigestOf,
    FailureKind,
    Invocation,
    LayoutOutput,
    Link,
    LowerRequest,
    NamedContext,
    Node,
    NoOutput,
    Outcome,
    PathOf,
    PushOutput,
    Refusal,
    Solve,
    SolveFailure,
    SolveResult,
    SolveUnknown,
    SourcePin,
    Table,
    render_word,
)
from orchestrator.api.events import BuildWarning, LogLine, VertexProgress
from orchestrator.api.solve import BuildArg, Cache, NetworkMode, Secret, SshAgent
from orchestrator.buildkit.policy import POLICY_VARIABLE
from orchestrator.oci.digest import digest_bytes
from orchestrator.oci.reference import parse_reference
from orchestrator_bake.backend import BakeBackend
from orchestrator_bake.lower import target_names
from tests.unit.buildkit.solves import AMD64, ARM64, encode, status
from tests.unit.buildkit.test_bake import HOSTILE, evaluate

NODE = Node(name="default", platforms=(AMD64,))
BAKE = BakeBackend.configured(Table())
DIGEST = digest_bytes(b"index")
OPTIONS = BuildOptions(context="src", dockerfile="src/Dockerfile")
RUN = 'process "/bin/sh -c false" did not complete successfully: exit code: 1'


def solve(name: str = "x", *, parent: str = "", options: BuildOptions = OPTIONS) -> Solve:
    """A solve that stands on what is made of a parent."""
    late = ("docker-image://r.example/acme/p@", DigestOf(step=f"assemble:{parent}", label=parent))
    return Solve(
        id=f"solve:{name}",
        image=name,
        platforms=(AMD64, ARM64),
        options=options,
        output=PushOutput(reference=parse_reference(f"r.example/acme/{name}:run-1")),
        contexts=(NamedContext(name=parent, value=late),) if parent else (),
    )


def request(*solves: Solve) -> LowerRequest:
    """A request of these, linked where the parent is one of them."""
    images = {each.image for each in solves}
    links = tuple(
        Link(step=each.id, context=context.name, parent=f"solve:{context.name}")
        for each in solves
        for context in each.contexts
        if context.name in images
    )
    return LowerRequest(steps=solves, node=NODE, links=links)


def lower(*solves: Solve) -> Invocation:
    """The one child of a request."""
    lowered = BAKE.lower(request(*solves))
    assert not isinstance(lowered, Refusal), lowered
    (child,) = lowered
    return child


def targets(child: Invocation) -> dict[str, dict[str, object]]:
    """The targets of the file that a child reads, with late values as people read them."""
    found: dict[str, dict[str, object]] = json.loads(render_word(child.writes[0].content))["target"]
    return found


def vertex(name: str, digest: str = "v", **fields: object) -> dict[str, object]:
    """A vertex that has begun."""
    return {"digest": digest, "name": name, "started": "t", **fields}


def test_one_child_does_all_solves() -> None:
    """Of one builder and in the file's targets, which its last words are."""
    child = lower(solve("a"), solve("b", parent="a"))
    assert [
        "docker", "buildx", "bake", "--builder=<builder of default>", "--progress=rawjson",
        "--file=<path of docker-bake.json>", "--metadata-file=<path of metadata.json>", "a", "b",
    ] == [render_word(word) for word in child.argv]  # fmt: skip
    assert (("solve:a", "solve:b"), (("BUILDX_METADATA_PROVENANCE", "disabled"),)) == (child.steps, child.environment)


def test_a_target_asks_for_what_a_build_does() -> None:
    """Its private name, OCI's media types, its platforms one by one, and its attestations."""
    found = targets(lower(solve("a")))["a"]
    assert [
        {"type": "image", "name": "r.example/acme/a:run-1", "push": "true", "store": "false", "oci-mediatypes": "true"}
    ] == found["output"]
    assert ["linux/amd64", "linux/arm64"] == found["platforms"]
    assert [{"type": "provenance", "mode": "min"}, {"type": "sbom", "disabled": True}] == found["attest"]


def test_a_parent_in_the_request_is_a_target_and_another_a_digest() -> None:
    """That nobody knows yet, in a text that HCL evaluates."""
    child = lower(solve("a"), solve("b", parent="a"), solve("c", parent="far"))
    found = targets(child)
    assert {"a": "target:a"} == found["b"]["contexts"]
    assert {"far": "docker-image://r.example/acme/p@<digest of far>"} == found["c"]["contexts"]
    assert DigestOf(step="assemble:far", label="far") in child.writes[0].content
    assert DigestOf(step="assemble:a", label="a") not in child.writes[0].content


@given(HOSTILE, HOSTILE)
def test_every_text_means_itself(text: str, folder: str) -> None:
    """Wherever it stands, beside late values too."""
    late = DigestOf(step="s", label="p")
    options = BuildOptions(context=".", dockerfile="Dockerfile", args=(BuildArg(name="A", value=text),))
    made = replace(
        solve("a", options=options), contexts=(NamedContext(name="x", value=(f"oci-layout://{folder}@", late)),)
    )
    lowered = BAKE.lower(request(made))
    if isinstance(lowered, Refusal):
        assert "bake-text" == lowered.code
        return
    found = targets(lowered[0])["a"]
    assert {"A": text} == {key: evaluate(value) for key, value in found.get("args", {"A": ""}).items()}  # type: ignore[attr-defined]  # it is what a dict of JSON holds
    assert [f"oci-layout://{folder}@<digest of p>"] == [evaluate(value) for value in found["contexts"].values()]  # type: ignore[attr-defined]  # as above


def test_what_unicode_composes_is_refused() -> None:
    """HCL would join the letter and its accent, and the image would be another one."""
    options = BuildOptions(context=".", dockerfile="Dockerfile", args=(BuildArg(name="A", value="e\u0301"),))
    found = BAKE.lower(request(solve("a", options=options)))
    assert isinstance(found, Refusal)
    assert ("bake-text", "or `--backend qemu`") == (found.code, found.hints[-1])


def test_names_of_targets_are_those_of_images() -> None:
    """With platforms where an image has several; never the name of a group that bake has."""
    tests = tuple(
        replace(solve("a"), id=f"test:a@{platform}", platforms=(platform,), output=NoOutput())
        for platform in (AMD64, ARM64)
    )
    others = (solve("default"), solve("a-linux-amd64"))
    assert ["a-linux-amd64_", "a-linux-arm64", "default-linux-amd64-linux-arm64", "a-linux-amd64"] == [
        *target_names((*tests, *others)).values()
    ]


def test_layouts_are_written_into_folders_of_their_own() -> None:
    """One for each target, and the results say which."""
    solves = tuple(replace(solve(name), output=LayoutOutput(name="layout")) for name in "ab")
    child = lower(*solves)
    assert ("layout-a", "layout-b") == child.folders
    assert [{"type": "oci", "tar": "false", "dest": "<path of layout-b>"}] == targets(child)["b"]["output"]
    assert PathOf(name="layout-b") in child.writes[0].content
    metadata = json.dumps({name: {"containerimage.digest": DIGEST} for name in "ab"}).encode()
    done = Outcome(
        exit_code=0, files=(("metadata.json", metadata),), paths=(("layout-a", "/run/a"), ("layout-b", "/run/b"))
    )
    assert {
        "solve:a": SolveResult(digest=DIGEST, path="/run/a"), "solve:b": SolveResult(digest=DIGEST, path="/run/b"),
    } == BAKE.results(request(*solves), (done,))  # fmt: skip


def test_tests_keep_nothing() -> None:
    """Neither in the registry nor in a metadata file: success is all there is."""
    test = replace(solve("a"), output=NoOutput())
    child = lower(test)
    assert ([{"type": "cacheonly"}], ()) == (targets(child)["a"]["output"], child.collects)
    assert not any("metadata" in render_word(word) for word in child.argv)
    assert {"solve:a": SolveResult()} == BAKE.results(request(test), (Outcome(exit_code=0),))


def test_bake_is_granted_what_the_solves_have_and_nothing_else() -> None:
    """Each once: entitlements, the network, agents, and paths out of the folder that it runs in."""
    options = BuildOptions(
        context="../above", dockerfile="Dockerfile", entitlements=("security.insecure",), network=NetworkMode.HOST,
        ssh=(SshAgent(id="default"), SshAgent(id="k", paths=("/keys/k", "own/key"))),
        secrets=(Secret(id="s", src="/etc/token"), Secret(id="e", env="TOKEN")),
        cache_from=(Cache(type="local", attributes=(("src", "/cache"),)), Cache(type="registry", attributes=())),
        cache_to=(Cache(type="local", attributes=(("dest", "/new"),)),),
    )  # fmt: skip
    contexts = (
        NamedContext(name="far", value="/far"), NamedContext(name="near", value="near"),
        NamedContext(name="layout", value="oci-layout:///base@sha256:x"),
        NamedContext(name="image", value="docker-image://r.example/x"), NamedContext(name="git", value="https://x/y"),
    )  # fmt: skip
    child = lower(replace(solve("a", options=options), contexts=contexts), solve("b"))
    asked = [render_word(word).removeprefix("--allow=") for word in child.argv if "--allow" in render_word(word)]
    assert [
        "security.insecure", "network.host", "ssh", "fs.read=../above", "fs.read=/far", "fs.read=/base",
        "fs.read=/etc/token", "fs.read=/keys/k", "fs.read=/cache", "fs.write=/new",
    ] == asked  # fmt: skip
    assert ("TOKEN",) == child.inherits
    assert not [word for word in lower(solve("a")).argv if "--allow" in render_word(word)]


def test_a_policy_is_for_one_solve_alone() -> None:
    """Bake has one for all of its targets."""
    pinned = replace(solve("a"), pins=(SourcePin(source="docker-image://x", value="docker-image://y"),))
    assert POLICY_VARIABLE in dict(lower(pinned).environment)
    found = BAKE.lower(request(pinned, solve("b")))
    assert isinstance(found, Refusal)
    assert "bake-policy" == found.code


def test_a_time_limit_is_of_one_solve_alone() -> None:
    """The host puts nothing beside it."""
    assert 9.0 == lower(replace(solve("a"), timeout=9.0)).timeout
    assert lower(solve("a"), solve("b")).timeout is None


def test_progress_is_of_the_target_before_the_name() -> None:
    """Which is not shown; what is of no target is nobody's."""
    reader = BAKE.reader(lower(solve("a"), solve("b")))
    lines = (
        status(vertexes=[vertex("[internal] load local bake definitions", "i")]),
        status(vertexes=[vertex("[b linux/amd64 1/2] RUN x", "v"), vertex("[a] exporting to image", "w")]),
        status(logs=[{"vertex": "v", "data": encode("hello\n")}], warnings=[{"vertex": "v", "short": encode("hm")}]),
    )
    assert [
        VertexProgress(step="solve:b", vertex="v", name="[linux/amd64 1/2] RUN x", state="started"),
        VertexProgress(step="solve:a", vertex="w", name="exporting to image", state="started"),
        LogLine(step="solve:b", vertex="v", stream="stdout", text="hello"),
        BuildWarning(step="solve:b", message="hm"),
    ] == [event for line in lines for event in reader.feed("stderr", line)]


def test_a_shared_vertex_is_of_the_parent() -> None:
    """Whoever names it last: it is told once."""
    reader = BAKE.reader(lower(solve("a"), solve("b", parent="a")))
    lines = (
        status(vertexes=[{"digest": "v", "name": "[b 1/2] RUN x"}]),
        status(vertexes=[{"digest": "v", "name": "[a 1/2] RUN x"}]),
        status(vertexes=[vertex("[b 1/2] RUN x")]),
        status(vertexes=[vertex("[a 1/2] RUN x")]),
    )
    assert [VertexProgress(step="solve:a", vertex="v", name="[1/2] RUN x", state="started")] == [
        event for line in lines for event in reader.feed("stderr", line)
    ]


def test_one_target_has_no_prefix() -> None:
    """All that is told is of its step."""
    reader = BAKE.reader(lower(solve("a")))
    (event,) = reader.feed("stderr", status(vertexes=[vertex("[internal] load build definition")]))
    assert ("solve:a", "[internal] load build definition") == (event.step, getattr(event, "name", ""))


def failed(*lines: str) -> Outcome:
    """A bake that failed and said this."""
    return Outcome(exit_code=1, stderr="\n".join(lines))


PUSHED = status(statuses=[{"id": f"pushing manifest for r.example/acme/a:run-1@{DIGEST}", "completed": "t"}])
PUSHING = status(statuses=[{"id": f"pushing manifest for r.example/acme/c:run-1@{DIGEST}"}])


def test_after_a_failure_the_progress_says_what_was_pushed() -> None:
    """The failed target has its last lines; of the others nobody knows more than what the child said."""
    child = failed(
        PUSHED,
        PUSHING,
        status(
            vertexes=[vertex("[b linux/amd64 1/2] RUN false")], logs=[{"vertex": "v", "data": encode("last words\n")}]
        ),
        status(
            vertexes=[
                vertex("[b linux/amd64 1/2] RUN false", error=RUN),
                vertex("[c 1/1] RUN y", "w", error="context canceled"),
            ]
        ),
        f"ERROR: target b: failed to solve: {RUN}",
    )
    found = BAKE.results(request(solve("a"), solve("b"), solve("c")), (child,))
    assert {
        "solve:a": SolveUnknown(digest=DIGEST),
        "solve:b": SolveFailure(kind=FailureKind.USER, message=RUN, lines=("last words",)),
        "solve:c": SolveUnknown(),
    } == found


def test_a_failure_is_blamed_on_the_parent_that_has_it() -> None:
    """Bake names whichever of its children hears of it first."""
    child = failed(
        status(vertexes=[{"digest": "v", "name": "[c 1/2] RUN false"}, {"digest": "v", "name": "[a 1/2] RUN false"}]),
        status(vertexes=[vertex("[c 1/2] RUN false", error=RUN)]),
        f"ERROR: target c: failed to solve: {RUN}",
    )
    found = BAKE.results(request(solve("a"), solve("b", parent="a"), solve("c", parent="b")), (child,))
    assert {"solve:a"} == {step for step, each in found.items() if isinstance(each, SolveFailure)}


def test_what_was_only_stopped_has_not_failed() -> None:
    """Exporters have words of their own for that."""
    stopped = "error writing config blob: failed to get status: error getting writer status: EOF"
    child = failed(
        status(vertexes=[vertex("[a] exporting to image", "w", error=stopped)]),
        status(vertexes=[vertex("[b linux/amd64 1/2] RUN false", error=RUN)]),
        f"ERROR: target b: failed to solve: {RUN}",
    )
    assert SolveUnknown() == BAKE.results(request(solve("a"), solve("b")), (child,))["solve:a"]


def test_a_failure_without_a_vertex_is_of_the_target_that_is_named() -> None:
    """A Dockerfile that cannot be read, for one."""
    child = failed("Dockerfile:1", "ERROR: target b: failed to solve: dockerfile parse error on line 1: unknown")
    found = BAKE.results(request(solve("a"), solve("b")), (child,))
    assert SolveUnknown() == found["solve:a"]
    assert isinstance(found["solve:b"], SolveFailure)
    assert (FailureKind.USER, "dockerfile parse error on line 1: unknown") == (
        found["solve:b"].kind, found["solve:b"].message,
    )  # fmt: skip


def test_a_push_that_failed_is_the_registrys() -> None:
    """Of this target, for the reasons that pass."""
    error = "failed to push r.example/acme/b:run-1: unexpected status: 503 Service Unavailable"
    child = failed(
        status(vertexes=[vertex("[b] exporting to image", error=error)]), f"ERROR: target b: failed to solve: {error}"
    )
    found = BAKE.results(request(solve("a"), solve("b")), (child,))["solve:b"]
    assert isinstance(found, SolveFailure)
    assert (FailureKind.TRANSIENT, True) == (found.kind, found.by_registry)


@pytest.mark.parametrize("text", ["", "ERROR: no builder found", "ERROR: target nobody: x"])
def test_a_failure_of_the_run_is_of_all(text: str) -> None:
    """Nobody's in particular."""
    found = BAKE.results(request(solve("a"), solve("b")), (failed(text),))
    assert {SolveFailure} == {type(each) for each in found.values()}


@given(st.text(max_size=60))
def test_no_metadata_raises(text: str) -> None:
    """Whatever the file holds, it is a result or a failure."""
    done = Outcome(exit_code=0, files=(("metadata.json", text.encode("utf-8", "replace")),))
    assert isinstance(BAKE.results(request(solve("a")), (done,))["solve:a"], SolveFailure)
