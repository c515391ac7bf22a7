"""What of old state goes, by value and by property."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.diagnostics import KeyPlace
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.links import Links
from orchestrator.oci.reference import Repository, parse_repository
from orchestrator.plan import names
from orchestrator.plan.graph import Edge, EdgeKind
from orchestrator.plan.prune import Contents, Rules, decide, make_rules, private_kind, protected
from orchestrator.plan.removal import Kind, Name, Removal
from tests.unit.plan.samples import expand_text

HOME, COPY, OTHER = (parse_repository(f"r.example/{name}") for name in ("api", "public/api", "base"))
INPUTS = digest_bytes(b"inputs")


def d(text: str) -> Digest:
    """A digest of a manifest."""
    return digest_bytes(text.encode())


def key(text: str) -> str:
    """64 hex digits."""
    return d(text).removeprefix("sha256:")


def rules(*targets: Repository, scopes: tuple[str, ...] = (), declared: frozenset[str] = frozenset()) -> Rules:
    """Rules of a project with the images `api` and `base`."""
    return Rules(
        targets=frozenset(targets or (HOME, COPY)),
        related=(HOME, COPY, OTHER),
        homes={HOME: ("api",), OTHER: ("base",)},
        declared={HOME: declared},
        scopes=scopes,
    )


def state(prefix: str, text: str) -> str:
    """A private name."""
    return f"{prefix}-{key(text)}"


GRAPH: Mapping[Digest, Links] = {
    d(index): Links(children=(d(f"image of {index}"),), records=(d(f"record of {index}"),), inputs=(INPUTS,))
    for index in ("old", "new", "last")
} | {
    d(f"record of {index}"): Links(
        children=(d(f"image of {index}"),), records=(d(f"parent of {index}"),), inputs=(INPUTS,), scope="main"
    )
    for index in ("old", "new", "last")
}


def tags_of(*indexes: str) -> dict[str, Digest]:
    """The private names that builds of these indexes leave."""
    found: dict[str, Digest] = {}
    for index in indexes:
        found[state("ok", index)] = d(index)
        found[state("in", index)] = d(f"record of {index}")
        found[names.solve_tag("0" * 16, index, "api")] = d(f"solve of {index}")
    return found


def home(*indexes: str, **public: str) -> Contents:
    """A home repository: private names of these indexes, and tags."""
    tags = {tag.replace("_", "."): d(value) for tag, value in public.items()}
    return Contents(repository=HOME, tags=tags_of(*indexes) | tags)


def gone(removal: Removal) -> set[str]:
    """The names that go."""
    return {name.tag for name in removal.names}


def runs(*indexes: str) -> set[str]:
    """The names under which solves pushed."""
    return {tag for tag in tags_of(*indexes) if tag.startswith("run-")}


@pytest.mark.parametrize(
    ("tag", "kind"),
    [
        (names.solve_tag(names.run_id(b"x"), "step", "api-pg16"), Kind.RUN),
        (names.solve_tag(names.run_id(b"x"), "step", "a" * 100), Kind.RUN),
        (names.record_tag("main", "key"), Kind.RECORD),
        (names.final_tag("main", ("key",), b""), Kind.FINAL),
        (names.test_tag("main", INPUTS, ("x",)), Kind.TEST),
        (names.copy_tag(INPUTS), Kind.FINAL),
        (names.inputs_tag(INPUTS), Kind.INPUTS),
        (names.last_tag("main", "api"), Kind.LAST),
        (names.note_tag("latest"), Kind.NOTE),
        ("latest", None),
        ("run-1", None),
        ("in-house", None),
        (f"ok-{'0' * 63}", None),
        (f"ok-{'0' * 65}", None),
        (f"ok-{'A' * 64}", None),
        (f"x-{names.note_tag('latest')}", None),
    ],
)
def test_private_names_are_known_by_their_shape(tag: str, kind: Kind | None) -> None:
    """Everything else is public."""
    assert kind is private_kind(tag)


def test_what_nothing_needs_goes() -> None:
    """The index, its record, its image, and what the solve pushed; indexes before what is beneath them."""
    (removal,) = decide((home("old", "new", latest="new"),), GRAPH, rules(HOME))
    assert {*tags_of("old"), *runs("new")} == gone(removal)
    assert (
        tuple(sorted((d("old"), d("record of old"), d("solve of old"), d("solve of new")))),
        (d("image of old"),),
    ) == removal.waves
    assert 3 == removal.stay


def test_names_of_passed_tests_go_with_their_records() -> None:
    """And stay with those that stay."""
    passed = {state("te", index): d(f"record of {index}") for index in ("old", "new")}
    contents = home("old", "new", v2_0="new")
    contents = Contents(repository=HOME, tags={**contents.tags, **passed})
    (removal,) = decide((contents,), GRAPH, rules(HOME))
    assert {state("te", "old")} == gone(removal) & passed.keys()


def test_public_names_stay_with_all_that_they_came_from() -> None:
    """With their records and input manifests, in the order of nothing."""
    contents = home("old", v1="old")
    contents = Contents(repository=HOME, tags={**contents.tags, names.inputs_tag(INPUTS): d("manifest of inputs")})
    (removal,) = decide((contents,), GRAPH, rules(HOME))
    assert runs("old") == gone(removal)


def test_input_manifests_go_with_the_last_that_names_them() -> None:
    """They are known by their names, not by digests."""
    contents = Contents(repository=HOME, tags={**tags_of("old"), names.inputs_tag(INPUTS): d("manifest of inputs")})
    (removal,) = decide((contents,), GRAPH, rules(HOME))
    assert contents.tags.keys() == gone(removal)


def test_declared_tags_are_public_whatever_they_look_like() -> None:
    """Nobody is kept from calling a tag like one of ours."""
    tag = state("ok", "x")
    contents = Contents(repository=HOME, tags={tag: d("old")})
    (removal,) = decide((contents,), GRAPH, rules(HOME, declared=frozenset({tag})))
    assert ((), 1) == (removal.names, removal.stay)


def test_last_indexes_of_all_scopes_stay() -> None:
    """Also of images and scopes that nobody here knows."""
    last = {names.last_tag("pr-12", "api"): d("last"), names.last_tag("main", "removed"): d("new")}
    contents = Contents(repository=HOME, tags={**tags_of("last", "new"), **last})
    (removal,) = decide((contents,), GRAPH, rules(HOME))
    assert runs("last", "new") == gone(removal)


def test_a_scope_goes_with_what_it_alone_needs() -> None:
    """What another reaches too stays; the name says of which image and scope it is."""
    last = {
        names.last_tag("pr-12", "api"): d("last"),
        names.last_tag("main", "api"): d("new"),
        names.last_tag("pr-13", "api"): d("new"),
    }
    contents = Contents(repository=HOME, tags={**tags_of("last", "new"), **last})
    (removal,) = decide((contents,), GRAPH, rules(HOME, scopes=("pr-12", "pr-13")))
    assert {*tags_of("last"), *runs("new"), names.last_tag("pr-12", "api"), names.last_tag("pr-13", "api")} == gone(
        removal
    )
    assert d("new") not in removal.digests
    shown = {(name.image, name.scope) for name in removal.names if name.kind is Kind.LAST}
    assert {("api", "pr-12"), ("api", "pr-13")} == shown
    assert {("api", "main")} == {(name.image, name.scope) for name in removal.names if name.kind is Kind.RECORD}


def test_a_scope_stays_where_nothing_may_go() -> None:
    """What stands on a parent in another repository keeps what it stands on."""
    last = {names.last_tag("pr-12", "base"): d("new")}
    contents = (
        Contents(repository=HOME, tags={state("in", "x"): d("parent of new")}),
        Contents(repository=OTHER, tags={**tags_of("new"), **last}),
    )
    (removal,) = decide(contents, GRAPH, rules(HOME, scopes=("pr-12",)))
    assert () == removal.names


def test_notes_stay_with_their_tags() -> None:
    """Two notes may be one manifest: then the one that is old goes alone."""
    tags = {"latest": "new", names.note_tag("latest"): "note", names.note_tag("1.0"): "note", state("mv", "x"): "other"}
    contents = Contents(repository=HOME, tags={tag: d(text) for tag, text in tags.items()})
    (removal,) = decide((contents,), GRAPH, rules(HOME))
    assert {names.note_tag("1.0"), state("mv", "x")} == gone(removal)
    assert {d("other")} == removal.digests


def test_a_lone_manifest_outlives_the_name_of_its_run() -> None:
    """The record reaches it; its name goes alone."""
    solve = names.solve_tag("0" * 16, "s", "api")
    contents = Contents(
        repository=HOME, tags={solve: d("image of new"), "latest": d("new"), state("in", "new"): d("record of new")}
    )
    (removal,) = decide((contents,), GRAPH, rules(HOME))
    assert ({solve}, frozenset()) == (gone(removal), removal.digests)


def test_staged_copies_stay_while_the_original_is_needed() -> None:
    """Nothing in their own repository says so."""
    copies = {names.copy_tag(d(index)): d(index) for index in ("last", "old")}
    contents = (
        Contents(repository=HOME, tags={**tags_of("last", "old"), names.last_tag("main", "api"): d("last")}),
        Contents(repository=COPY, tags=copies),
    )
    _, removal = decide(contents, GRAPH, rules())
    assert {names.copy_tag(d("old"))} == gone(removal)
    assert {d("old"), d("image of old")} == removal.digests


def test_the_parents_of_what_is_released_stay_known() -> None:
    """A parent that is not published itself would be built again, and all that stands on it."""
    contents = (
        Contents(repository=HOME, tags={**tags_of("old"), "v1": d("old")}),
        Contents(repository=OTHER, tags={state("in", "p"): d("parent of old"), state("in", "q"): d("parent of new")}),
    )
    removal = decide(contents, GRAPH, rules(OTHER))[0]
    assert (OTHER, {state("in", "q")}) == (removal.repository, gone(removal))


def test_what_came_since_is_protected() -> None:
    """A tag that was put or moved after the decision, with all beneath; and what is beneath something refused."""
    (removal,) = decide((home("old"),), GRAPH, rules(HOME))
    assert frozenset() == removal.digests & protected(home("old"), GRAPH, removal)
    assert {d("old"), d("image of old"), d("record of old")} == removal.digests & protected(
        home("old", v1="old"), GRAPH, removal
    )
    moved = Contents(repository=HOME, tags={**tags_of("old"), state("in", "old"): d("old")})
    assert {d("old"), d("image of old"), d("record of old")} == removal.digests & protected(moved, GRAPH, removal)
    assert {d("old"), d("image of old")} == removal.digests & protected(home("old"), GRAPH, removal, (d("old"),))


PROJECT = """\
format = 1
[project]
registry = "r.example"
[defaults]
platforms = ["linux/amd64"]
tags = ["1.0"]
[images.base]
[images.api]
needs = ["base"]
tags = ["1.0", "{{ registry }}/shared:api"]
[images.web]
tags = ["{{ registry }}/shared:web"]
[images.alone]
"""


def test_where_to_look() -> None:
    """In what shares a repository with what is selected, and in what is built from it."""
    expansion, _ = expand_text(PROJECT, registry="r.example")
    place = KeyPlace(file="builds.toml", keys=())
    edges = (Edge(parent="base", child="api", kind=EdgeKind.NEEDS, place=place, platforms=()),)
    found = make_rules(expansion.images, edges, ("base",), state=None, scopes=("pr-1",))
    assert ({"r.example/base"}, ["base", "api", "shared"]) == (
        {str(each) for each in found.targets},
        [each.path for each in found.related],
    )
    found = make_rules(expansion.images, edges, ("web",), state=None, scopes=())
    assert {"web", "shared"} == {each.path for each in found.targets}
    assert {"api", "web", "shared"} == {each.path for each in found.related}
    assert {"api", "web"} == found.declared[parse_repository("r.example/shared")]
    assert ("web",) == found.homes[parse_repository("r.example/web")]


def test_where_to_look_with_one_repository_for_state() -> None:
    """All images live there, so all are looked at; only repositories of the selected ones lose something."""
    expansion, _ = expand_text(PROJECT, registry="r.example")
    place = parse_repository("r.example/state")
    found = make_rules(expansion.images, (), ("alone",), state=place, scopes=())
    assert {"state", "alone"} == {each.path for each in found.targets}
    assert {"state", "alone", "base", "api", "web", "shared"} == {each.path for each in found.related}
    assert ("base", "api", "web", "alone") == found.homes[place]


def test_without_a_registry_there_is_nowhere_to_look() -> None:
    """Such images have names, and no repository."""
    expansion, _ = expand_text(PROJECT.replace("{{ registry }}/shared:", ""), registry=None)
    found = make_rules(expansion.images, (), ("api",), state=None, scopes=())
    assert (frozenset(), (), {}, {}) == (found.targets, found.related, found.homes, found.declared)


DIGESTS = [d(str(number)) for number in range(12)]
INPUTS_KNOWN = [d(f"inputs {number}") for number in range(3)]
TAGS = [
    "latest",
    "1.0",
    *(state(prefix, str(number)) for prefix in ("in", "ok", "mv") for number in range(4)),
    *(names.solve_tag("0" * 16, str(number), "api") for number in range(4)),
    *(names.last_tag(scope, "api") for scope in ("main", "pr-1")),
    *map(names.inputs_tag, INPUTS_KNOWN),
    names.note_tag("latest"),
]
some = st.lists(st.sampled_from(DIGESTS), max_size=3, unique=True).map(tuple)
links = st.builds(
    Links, children=some, records=some, inputs=st.lists(st.sampled_from(INPUTS_KNOWN), max_size=2).map(tuple)
)
graphs = st.dictionaries(st.sampled_from(DIGESTS), links)
tag_maps = st.dictionaries(st.sampled_from(TAGS), st.sampled_from(DIGESTS))
scope_lists = st.sampled_from(((), ("main",), ("pr-1",)))


def beneath(graph: Mapping[Digest, Links], digest: Digest, seen: frozenset[Digest] = frozenset()) -> frozenset[Digest]:
    """What a digest reaches through indexes, found in the simplest way."""
    if digest in seen:
        return seen
    seen |= {digest}
    for child in graph[digest].children if digest in graph else ():
        seen |= beneath(graph, child, seen)
    return seen


@given(graphs, tag_maps, tag_maps, tag_maps, scope_lists)
def test_nothing_that_a_tag_reaches_is_deleted(
    graph: Mapping[Digest, Links],
    here: Mapping[str, Digest],
    there: Mapping[str, Digest],
    later: Mapping[str, Digest],
    scopes: tuple[str, ...],
) -> None:
    """Whatever the graph and the tags, those included that were put since; public and last names all stay."""
    contents = (Contents(repository=HOME, tags=here), Contents(repository=COPY, tags=there))
    for removal, tags in zip(decide(contents, graph, rules(scopes=scopes)), (here, there), strict=True):
        left = {tag: digest for tag, digest in tags.items() if tag not in gone(removal)}
        assert len(left) == removal.stay
        assert {tag for tag in tags if private_kind(tag) is None} <= left.keys()
        assert {tag for tag in tags if private_kind(tag) is Kind.LAST and not scopes} <= left.keys()
        reached = {digest for root in left.values() for digest in beneath(graph, root)}
        assert set() == reached & removal.digests
        now = Contents(repository=removal.repository, tags={**tags, **later})
        safe = protected(now, graph, removal)
        staying = {tag: digest for tag, digest in now.tags.items() if (tag, digest) not in leaving(removal)}
        assert set() == {digest for root in staying.values() for digest in beneath(graph, root)} - safe


def leaving(removal: Removal) -> set[tuple[str, Digest]]:
    """The names that go, with their digests."""
    return {(name.tag, name.digest) for name in removal.names}


@given(graphs, tag_maps, scope_lists)
def test_what_is_left_is_not_pruned_again(
    graph: Mapping[Digest, Links], tags: Mapping[str, Digest], scopes: tuple[str, ...]
) -> None:
    """Once is enough."""
    asked = rules(HOME, scopes=scopes)
    (removal,) = decide((Contents(repository=HOME, tags=tags),), graph, asked)
    left = {tag: digest for tag, digest in tags.items() if tag not in gone(removal)}
    (again,) = decide((Contents(repository=HOME, tags=left),), graph, asked)
    assert ((), (), removal.stay) == (again.names, again.waves, again.stay)


@given(graphs, tag_maps)
def test_waves_go_from_above(graph: Mapping[Digest, Links], tags: Mapping[str, Digest]) -> None:
    """What goes later names nothing that has gone before, unless they name each other."""
    acyclic = {
        digest: Links(children=tuple(child for child in each.children if child > digest))
        for digest, each in graph.items()
    }
    (removal,) = decide((Contents(repository=HOME, tags=tags),), acyclic, rules(HOME))
    deleted: set[Digest] = set()
    for wave in removal.waves:
        deleted |= set(wave)
        left = removal.digests - deleted
        assert set() == {child for digest in left for child in acyclic.get(digest, Links()).children} & deleted


def test_a_name_says_little_where_little_is_known() -> None:
    """In a repository that several images share."""
    shared = Rules(targets=frozenset({HOME}), related=(HOME,), homes={HOME: ("api", "web")}, declared={}, scopes=())
    (removal,) = decide((home("old"),), GRAPH, shared)
    assert {
        Kind.RUN: ("api", ""),
        Kind.RECORD: ("", "main"),
        Kind.FINAL: ("", ""),
    } == {name.kind: (name.image, name.scope) for name in removal.names}
    assert Name(tag=state("ok", "old"), digest=d("old"), kind=Kind.FINAL) in removal.names
