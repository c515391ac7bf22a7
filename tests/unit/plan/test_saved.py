"""A plan in a file: what is frozen comes back as it was, and nothing else is taken for it."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api.backend import Node
from orchestrator.cli.findings import Findings
from orchestrator.cli.options import ProjectOptions
from orchestrator.cli.prepare import Prepared
from orchestrator.cli.saving import overrides_of, save_plan
from orchestrator.errors import UsageError
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.reference import parse_reference
from orchestrator.plan.bases import BaseFacts
from orchestrator.plan.context import Listing
from orchestrator.plan.document import build_document
from orchestrator.plan.facts import RunFacts, StateRules, TagState
from orchestrator.plan.frozen import Frozen, Origin, find_credentials, freeze, thaw_facts, thaw_listings, thaw_origin
from orchestrator.plan.inputs import InputManifest
from orchestrator.plan.memory import Memory, RememberedPart
from orchestrator.plan.model import Reason
from orchestrator.plan.saved import SAVED_FORMAT, SavedPlan, is_saved, parse_saved, render_saved
from orchestrator.tags.facts import NoGit
from orchestrator.tags.version import VersionFacts
from tests.unit.plan.samples import AMD64, ARM64, EMULATED, GIT, HEAD, prepare, write_project

DIGEST = digest_bytes(b"one")
LISTING = Listing(records=(b"app\0f0644\0" + b"0" * 64 + b"\0",))
FACTS = RunFacts(
    nodes={
        "qemu": (
            Node(name="default", platforms=(AMD64,), emulates=(ARM64,), owns=((AMD64, AMD64),), builder="default"),
        )
    },
    host=AMD64,
    tags={"r.example/api:1": TagState(digest=DIGEST, version="1.0"), "r.example/api:2": TagState(unknown="no answer")},
    bases={
        parse_reference("docker.io/library/debian:12"): BaseFacts(
            digest=DIGEST, platforms=(AMD64, ARM64), triggers={AMD64: ("RUN true",), ARM64: ()}
        )
    },
    inputs={"api@linux/amd64": InputManifest(platform="linux/amd64", dockerfile=DIGEST, args=(("A", "b"),))},
    listings=frozenset({LISTING.digest}),
    memory=Memory(
        parts={"base@linux/amd64": RememberedPart(record=DIGEST, manifest=DIGEST, key="k")}, images={"base": DIGEST}
    ),
    replaced={"api@linux/amd64": DIGEST},
    reasons={"api@linux/amd64": (Reason(code="files_changed", message="files changed: `a`", items=("a",)),)},
    state=StateRules(
        scope="pr-1", reads=("pr-1", "main"), forced={"api": Reason(code="forced", message="asked for")}, asked=True
    ),
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """A plan of one image."""
    path = write_project(
        tmp_path_factory.mktemp("project"), HEAD + EMULATED + "[images.api]\n", {"api": "FROM scratch\n"}
    )
    return prepare(path)[1]


def origin(versions: VersionFacts | None = None, assignments: tuple[str, ...] = ()) -> Origin:
    """What of a loading is frozen."""
    return Origin(
        overrides=overrides_of(ProjectOptions(variables={"go-x": "1"}, assignments=assignments), {}),
        now="2026-01-02T03:04:05+00:00",
        versions=versions or VersionFacts(git=GIT, environment={"V": "1"}, files={"VERSION": None}),
        lock=None,
    )


def frozen(prepared: Prepared) -> Frozen:
    """The facts above, frozen."""
    return freeze(origin(), prepared.scope, FACTS, {LISTING.digest: LISTING})


def saved(prepared: Prepared) -> SavedPlan:
    """A plan with them."""
    document = build_document(prepared.plan, prepared.lowered, ())
    return SavedPlan(saved_format=SAVED_FORMAT, orchestrate="1.0", plan=document, frozen=frozen(prepared))


def test_facts_come_back_as_they_were(prepared: Prepared) -> None:
    """Through the bytes of the file; why something is built and how long it took is only told."""
    _, read = parse_saved(render_saved(saved(prepared))[1])
    assert saved(prepared) == read
    assert FACTS == thaw_facts(read.frozen)
    assert {LISTING.digest: LISTING} == thaw_listings(read.frozen)
    assert origin() == thaw_origin(read.frozen)


def test_no_git_comes_back_as_such(prepared: Prepared) -> None:
    """With its reason."""
    versions = VersionFacts(git=NoGit(reason="no repository"), environment={}, files={})
    back = thaw_origin(freeze(origin(versions), prepared.scope, FACTS, {}))
    assert versions == back.versions


def test_the_same_plan_has_the_same_digest(prepared: Prepared) -> None:
    """However its file is laid out, and in whatever order its keys stand."""
    digest, content = render_saved(saved(prepared))
    fields = json.loads(content)
    other = json.dumps(dict(reversed(fields.items()))).encode()
    assert (digest, saved(prepared)) == parse_saved(other)
    assert is_saved(content)
    assert not is_saved(b'{"format_version": "1.0"}')


@given(st.data())
def test_no_changed_value_goes_unseen(prepared: Prepared, data: st.DataObject) -> None:
    """Whatever leaf of the file is another one."""
    fields = json.loads(render_saved(saved(prepared))[1])
    leaves = list(_leaves(fields, ()))
    path = data.draw(st.sampled_from(leaves))
    holder = fields
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = "changed" if holder[path[-1]] != "changed" else "again"
    with pytest.raises(ValueError, match=r"damaged|not a saved plan|of format"):
        parse_saved(json.dumps(fields).encode())


def _leaves(value: object, path: tuple[str | int, ...]) -> list[tuple[str | int, ...]]:
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in _leaves(inner, (*path, key))]
    if isinstance(value, list):
        return [leaf for key, inner in enumerate(value) for leaf in _leaves(inner, (*path, key))]
    return [path]


@given(st.binary(max_size=200))
def test_what_is_no_plan_is_told(content: bytes) -> None:
    """Whatever it is."""
    with pytest.raises(ValueError, match=r"not a saved plan|of format"):
        parse_saved(content)


@pytest.mark.parametrize(
    "change",
    [
        {"host": "linux"},
        {"state": StateRules(scope="../../x")},
        {"replaced": {"a@linux/amd64": Digest("latest")}},
        {"listings": ("sha256:1",)},
        {"nodes": {"qemu": ()}},
        {"memory": Memory(images={"a": Digest("latest")})},
        {"tags": {"r.example/a:1": TagState(digest=Digest("x,y"))}},
    ],
)
def test_nonsense_is_no_fact(prepared: Prepared, change: dict[str, object]) -> None:
    """Digests, platforms and references are parsed anew, since anybody may have written the file."""
    with pytest.raises(ValueError, match=r"."):
        thaw_facts(msgspec.structs.replace(frozen(prepared), **change))


def test_a_listing_is_the_one_that_it_is_called(prepared: Prepared) -> None:
    """Its content is held against its digest."""
    forged = msgspec.structs.replace(frozen(prepared), contents={DIGEST: LISTING.text})
    with pytest.raises(ValueError, match="is another one"):
        thaw_listings(forged)


def test_credentials_are_found_by_their_names(prepared: Prepared) -> None:
    """In vars, assignments and args; nothing that holds one is saved."""
    facts = msgspec.structs.replace(
        FACTS,
        inputs={
            "a@linux/amd64": InputManifest(
                platform="p", dockerfile="d", args=(("NPM_TOKEN", "x"), ("U", "https://a:b@c"))
            )
        },
    )
    found = find_credentials(freeze(origin(assignments=("api.args.DB_PASSWORD=x",)), prepared.scope, facts, {}))
    assert ("--set api.args.DB_PASSWORD", "arg NPM_TOKEN", "arg U") == found


def test_a_plan_is_not_written_over_something_else(prepared: Prepared, tmp_path: Path) -> None:
    """`--out builds.toml` is a slip; a plan is replaced."""
    path = tmp_path / "builds.toml"
    path.write_text("format = 1\n")
    with pytest.raises(UsageError, match="holds something else than a plan"):
        save_plan(prepared, Findings(), ProjectOptions(), {}, path)
    assert "format = 1\n" == path.read_text()
    path.unlink()
    first = save_plan(prepared, Findings(), ProjectOptions(), {}, path)
    assert first == save_plan(prepared, Findings(), ProjectOptions(), {}, path) == parse_saved(path.read_bytes())[0]


def test_what_is_said_is_the_same_wherever_it_is_said() -> None:
    """On the command line or in the environment."""
    said = overrides_of(ProjectOptions(variables={"go-x": "1"}, registry="r.example"), {})
    environment = {"ORCHESTRATE_VAR_GO_X": "1", "ORCHESTRATE_REGISTRY": "r.example", "OTHER": "2"}
    assert said == overrides_of(ProjectOptions(), environment)
