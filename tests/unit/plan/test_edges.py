from __future__ import annotations

import pytest

from orchestrator.diagnostics import Diagnostic, KeyPlace, Severity, Span
from orchestrator.plan.collide import check_collisions
from orchestrator.plan.edges import check_replaced_stages, check_single_platform, find_edges
from orchestrator.plan.graph import EdgeKind, order_images
from tests.unit.plan.samples import (
    AMD64,
    ARM64,
    HEAD,
    Wired,
    codes,
    expand_text,
    wire_text,
)

TWO = HEAD + "[images.base]\n[images.app]\n"


def wired(body: str, **dockerfiles: str) -> Wired:
    """The images and edges of a file with this body."""
    return wire_text(HEAD + body, dockerfiles)


@pytest.mark.parametrize(
    ("dockerfile", "kind"),
    [
        ("FROM base\n", "FROM"),
        ("FROM base:latest\n", "FROM"),
        ("ARG B=base\nFROM $B\n", "FROM"),
        ("FROM scratch\nCOPY --from=base / /\n", "COPY --from"),
        ("FROM alpine\nRUN --mount=from=base,target=/b ls\n", "RUN --mount"),
        ("FROM alpine AS x\nFROM base\nCOPY --from=x / /\n", "FROM"),
        ("FROM r.example/acme/base\n", "FROM"),
        ("FROM r.example/acme/base:1.0\n", "FROM"),
        ("FROM r.example/acme/base:something-else\n", "FROM"),
    ],
)
def test_edges_are_inferred(dockerfile: str, kind: str) -> None:
    """From every instruction that takes data, by name and by the repository of a tag."""
    assert [("base", "app", kind)] == wire_text(TWO, {"app": dockerfile}).shown()


@pytest.mark.parametrize(
    "dockerfile",
    [
        "FROM scratch\n",
        "FROM scratch AS base\nFROM base\n",
        "FROM other/base\n",
        "FROM docker.io/acme/base\n",
        "FROM base@sha256:" + "0" * 64 + "\n",
        "FROM alpine AS unused\nCOPY --from=base / /\nFROM alpine\n",
        "FROM $UNSET\n",
    ],
)
def test_edges_are_not_inferred(dockerfile: str) -> None:
    """From stages, other people's images, what somebody pinned, and stages that are not built."""
    assert [] == wire_text(TWO, {"app": dockerfile}).shown()


def test_args_decide_what_a_dockerfile_takes() -> None:
    """An arg of `builds.toml` wins over the default of the Dockerfile."""
    body = '[images.base]\n[images.other]\n[images.app]\nargs = { B = "other" }\n'
    assert [("other", "app", "FROM")] == wired(body, app="ARG B=base\nFROM $B\n").shown()


def test_the_platform_decides_what_a_dockerfile_takes() -> None:
    """`TARGETARCH` has its value, and an edge says for which platforms it holds."""
    body = "[images.base-amd64]\n[images.base-arm64]\n[images.app]\n"
    edges = wired(body, app="ARG TARGETARCH\nFROM base-$TARGETARCH\n").edges
    assert [("base-amd64", (AMD64,)), ("base-arm64", (ARM64,))] == [(edge.parent, edge.platforms) for edge in edges]


def test_inference_can_be_switched_off() -> None:
    """What is declared stays."""
    body = '[images.base]\n[images.app]\ninfer = false\nneeds = ["base"]\n'
    assert [("base", "app", "needs")] == wired(body, app="FROM base\n").shown()


def test_a_declared_context_is_the_edge() -> None:
    """Whatever it is called, it is not inferred a second time."""
    body = '[images.base]\n[images.app]\ncontexts = { "node:20" = "image:base", x = "image:base" }\n'
    found = wired(body, app="FROM node:20\nCOPY --from=x / /\n")
    assert [("base", "app", "contexts"), ("base", "app", "contexts")] == found.shown()
    assert ["node:20", "x"] == [edge.name for edge in found.edges]


def test_a_declared_context_that_is_no_image_hides_the_image_of_its_name() -> None:
    """A folder that is called like an image is what the Dockerfile gets."""
    body = '[images.base]\n[images.app]\ncontexts = { base = "lib" }\n'
    assert [] == wired(body, app="FROM scratch\nCOPY --from=base / /\n").shown()


def test_an_image_that_is_called_like_its_base_does_not_need_itself() -> None:
    """`[images.node]` with `FROM node:20`, and even with `FROM node`."""
    assert [] == wired("[images.node]\n", node="FROM node:20\n").shown()
    assert [] == wired("[images.node]\n", node="FROM node\n").shown()


def test_a_repository_of_two_images_is_nobodys() -> None:
    """A tag tells them apart; a bare repository does not."""
    body = '[images.a]\nrepository = "r.example/one"\ntags = ["a"]\n'
    body += '[images.b]\nrepository = "r.example/one"\ntags = ["b"]\n[images.app]\n'
    assert [("b", "app", "FROM")] == wired(body, app="FROM r.example/one:b\n").shown()
    assert [] == wired(body, app="FROM r.example/one:c\n").shown()


def test_needs_may_name_a_family() -> None:
    """All of its images come first, and none of them needs itself."""
    body = (
        '[images.db]\nname = "db{{ matrix.v }}"\nmatrix = { v = [1, 2] }\nneeds = ["db"]\n[images.x]\nneeds = ["db"]\n'
    )
    expected = {("db1", "db2"), ("db2", "db1"), ("db1", "x"), ("db2", "x")}
    assert expected == {(parent, child) for parent, child, _ in wired(body).shown()}


def test_an_edge_stands_where_it_is_written() -> None:
    """In the Dockerfile, or at its key."""
    body = '[images.base]\n[images.app]\n[images.last]\nneeds = ["app"]\n'
    edges = wired(body, app="FROM scratch\nCOPY --from=base / /\n").edges
    assert [Span(file="app/Dockerfile", line=2), KeyPlace(file="builds.toml", keys=("images", "last", "needs", 0))] == [
        edge.place for edge in edges
    ]


def test_one_edge_serves_all_platforms() -> None:
    """It is found once, with the platforms for which it holds."""
    (edge,) = wire_text(TWO, {"app": "FROM base\n"}).edges
    assert (AMD64, ARM64) == edge.platforms


def test_a_stage_of_the_name_is_noted() -> None:
    """`FROM base AS base`: a named context would replace the stage."""
    (edge,) = wire_text(TWO, {"app": "FROM scratch AS a\nFROM base AS base\n"}).edges
    assert (Span(file="app/Dockerfile", line=2), "base") == (edge.stage, edge.source)


def test_an_inline_dockerfile_is_read() -> None:
    """Its lines are its own."""
    body = '[images.base]\n[images.app]\ndockerfile-inline = "FROM base"\n'
    (edge,) = wired(body).edges
    assert Span(file="app/Dockerfile (inline)", line=1) == edge.place


def test_a_dockerfile_that_cannot_be_read_here_has_no_edges() -> None:
    """It is somewhere else, or is none: the declared edges are all there is."""
    body = '[images.base]\n[images.app]\ncontext = "https://e.example/x.git"\ncontexts = { base = "image:base" }\n'
    assert [("base", "app", "contexts")] == wired(body).shown()
    broken = wired("[images.base]\n[images.app]\n", app="RUN --mount=type=bind")
    assert [] == broken.shown()
    assert broken.found


def test_a_platform_that_the_parent_lacks_is_told() -> None:
    """At the line that takes it, with both ways out."""
    body = '[images.base]\nplatforms = ["linux/amd64"]\n[images.app]\n'
    (finding,) = wired(body, app="FROM base\n").found
    assert ("platform-not-offered", "app") == (finding.code, finding.subject)
    assert "`app` needs `base` on `linux/arm64`, which is built for `linux/amd64` only" == finding.message
    assert Span(file="app/Dockerfile", line=1) == finding.place
    assert 2 == len(finding.hints)


def test_order_alone_needs_no_platform() -> None:
    """`needs` carries no data."""
    assert () == wired('[images.a]\nplatforms = ["linux/amd64"]\n[images.b]\nneeds = ["a"]\n').found


@pytest.mark.parametrize(("platform", "expected"), [("linux/amd64", []), ("linux/s390x", ["platform-not-offered"])])
def test_data_of_one_platform_has_to_be_there(platform: str, expected: list[str]) -> None:
    """That one, and no other."""
    body = '[images.a]\nplatforms = ["linux/amd64"]\n[images.b]\n'
    body += f'contexts = {{ a = {{ image = "a", platform = "{platform}" }} }}\n'
    assert expected == codes(wired(body, b="FROM scratch\nCOPY --from=a / /\n").found)


@pytest.mark.parametrize(
    ("dockerfile", "expected"),
    [
        ("FROM --platform=$BUILDPLATFORM base\n", []),
        ("FROM --platform=linux/amd64 base\n", []),
        ("FROM --platform=linux/arm64 base\n", ["platform-not-offered"]),
        ("FROM --platform=$TARGETPLATFORM base\n", ["platform-not-offered"]),
    ],
)
def test_a_dockerfile_may_ask_for_another_platform(dockerfile: str, expected: list[str]) -> None:
    """A parent of the building machine's platform is enough where that is what is asked for."""
    body = '[images.base]\nplatforms = ["linux/amd64"]\n[images.app]\n'
    assert expected == list(dict.fromkeys(codes(wired(body, app=dockerfile).found)))


def test_another_node_may_have_another_build_platform() -> None:
    """What this machine is decides nothing where the parent is built for the platform itself."""
    body = '[images.base]\nplatforms = ["linux/arm64"]\n[images.app]\nplatforms = ["linux/arm64"]\n'
    found = wired(body, app="FROM --platform=$BUILDPLATFORM base\n")
    assert ((), None) == (found.found, found.edges[0].asked)


def test_a_declared_context_may_be_asked_for_with_a_platform() -> None:
    """As long as all that use it agree."""
    body = '[images.base]\nplatforms = ["linux/amd64"]\n[images.app]\ncontexts = { t = "image:base" }\n'
    assert AMD64 == wired(body, app="FROM --platform=$BUILDPLATFORM t\n").edges[-1].of_parent(ARM64)
    mixed = wired(body, app="FROM --platform=$BUILDPLATFORM t\nCOPY --from=t / /\n")
    assert ["platform-not-offered"] == codes(mixed.found)


def test_the_target_is_found_wrong_where_it_is_written() -> None:
    """Not in the Dockerfile, whose stage is named beside; once for all platforms."""
    (finding,) = wired('[images.app]\ntarget = "relase"\n', app="FROM scratch AS release\n").found
    assert ("unknown-target", "app") == (finding.code, finding.subject)
    assert KeyPlace(file="builds.toml", keys=("images", "app", "target")) == finding.place
    assert (Span(file="app/Dockerfile", line=1),) == finding.related


def single(body: str, dockerfile: str) -> tuple[Diagnostic, ...]:
    """What is wrong with data of one platform in an image `b`."""
    found = wired(f"[images.a]\n[images.b]\n{body}\n", b=dockerfile)
    return tuple(check_single_platform(found.images, found.reader(), found.edges))


ONE = 'contexts = { a = { image = "a", platform = "linux/amd64" } }'


def test_data_of_one_platform_is_no_base() -> None:
    """An image for arm64 on a base for amd64 would be built without a word."""
    (finding,) = single(ONE, "FROM a\n")
    assert "`b` would stand on `a` of `linux/amd64` for `linux/arm64` too" == finding.message
    assert Span(file="b/Dockerfile", line=1) == finding.place


@pytest.mark.parametrize(
    ("body", "dockerfile"),
    [
        (ONE, "FROM scratch\nCOPY --from=a / /\nRUN --mount=from=a ls\n"),
        (ONE, "FROM --platform=linux/amd64 a AS x\nFROM scratch\nCOPY --from=x / /\n"),
        (f'platforms = ["linux/amd64"]\n{ONE}', "FROM a\n"),
        (f'on."linux/amd64".{ONE}', "FROM a\n"),
    ],
)
def test_data_of_one_platform_is_right_for_that_platform(body: str, dockerfile: str) -> None:
    """And for copies of whatever platform."""
    assert () == single(body, dockerfile)


def test_a_context_is_compared_as_buildkit_compares_names() -> None:
    """`node:latest` and `node` are one."""
    body = 'contexts = { "node:latest" = { image = "a", platform = "linux/amd64" } }'
    assert ["single-platform-base"] == codes(single(body, "FROM node\n"))


def test_a_context_that_replaces_a_stage_is_a_warning() -> None:
    """Its instructions would not run; once for all platforms, and not where the name is pulled."""
    found = wired('[images.a]\n[images.b]\ncontexts = { stage = "lib" }\n', b="FROM scratch AS stage\nFROM stage\n")
    (finding,) = check_replaced_stages(found.images, found.reader())
    assert ("stage-replaced", Severity.WARNING) == (finding.code, finding.severity)
    pulled = wired('[images.b]\ncontexts = { base = "docker-image://x" }\n', b="FROM base AS base\n")
    assert () == tuple(check_replaced_stages(pulled.images, pulled.reader()))


def test_a_context_of_one_platform_that_replaces_a_stage_is_seen() -> None:
    """Also where it is not the first one."""
    body = '[images.b]\non."linux/arm64".contexts = { stage = "lib" }\n'
    found = wired(body, b="FROM scratch AS stage\nFROM stage\n")
    (finding,) = check_replaced_stages(found.images, found.reader())
    assert KeyPlace(file="builds.toml", keys=("images", "b", "on", "linux/arm64", "contexts", "stage")) == finding.place


def test_what_cannot_be_read_replaces_nothing() -> None:
    """A Dockerfile elsewhere is its authors' business."""
    body = '[images.b]\ncontext = "https://e.example/x.git"\n[images.a]\n'
    body += 'context = "https://e.example/y.git"\ncontexts = { b = { image = "b", platform = "linux/amd64" } }\n'
    found = wired(body)
    assert () == tuple(check_replaced_stages(found.images, found.reader()))
    assert () == tuple(check_single_platform(found.images, found.reader(), found.edges))


def test_a_cycle_through_dockerfiles_is_the_path_that_it_is() -> None:
    """With every line on the way."""
    found = wired(
        "[images.a]\n[images.b]\n[images.c]\n", a="FROM c\n", b="FROM a\n", c="FROM scratch\nCOPY --from=b / /\n"
    )
    cycle = order_images(("a", "b", "c"), found.edges)
    assert isinstance(cycle, Diagnostic)
    assert "images need each other in a circle: a -> b -> c -> a" == cycle.message
    assert Span(file="b/Dockerfile", line=1) == cycle.place
    assert (Span(file="c/Dockerfile", line=2), Span(file="a/Dockerfile", line=1)) == cycle.related
    assert "`c` takes `b` (COPY --from)" in cycle.hints[0]


def test_a_dockerfile_is_parsed_once_for_all_images() -> None:
    """And its findings are told once."""
    body = '[images.a]\ncontext = "x"\n[images.b]\ncontext = "x"\n'
    assert ["cannot-infer"] == codes(wired(body, x="FROM $NOBODY\n").found)


def test_edges_of_images_in_another_order_are_the_same() -> None:
    """Only their own order is that of the declarations."""
    one, other = wired("[images.a]\n[images.b]\n", b="FROM a\n"), wired("[images.b]\n[images.a]\n", b="FROM a\n")
    assert one.shown() == other.shown()


def test_unknown_parents_make_no_edge() -> None:
    """They are told at their names, whoever wrote these: a template or an assignment may have."""
    expansion, _ = expand_text(HEAD + '[images.a]\nneeds = ["x"]\ncontexts = { y = "image:y" }\n')
    found = wire_text(HEAD + "[images.a]\n")
    edges, told = find_edges(expansion.images, found.reader(), {})
    assert () == edges
    assert [("unknown-image", "there is no image `x`"), ("unknown-image", "there is no image `y`")] == [
        (finding.code, finding.message) for finding in told
    ]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ('[images.a]\ntags = ["x/y:1"]\n[images.b]\ntags = ["z", "x/y:1"]\n', ("images", "b", "tags", 1)),
        ('[images.a]\n[images.b]\nrepository = "r.example/acme/a"\n', ("images", "b", "repository")),
    ],
)
def test_two_images_with_one_tag_collide(body: str, place: tuple[str | int, ...]) -> None:
    """At the second one's tag; where both share the template, at the repository that should differ."""
    (finding, *_) = check_collisions(wired(body).images)
    assert ("tag-collision", KeyPlace(file="builds.toml", keys=place)) == (finding.code, finding.place)


def test_tags_that_are_never_put_do_not_collide() -> None:
    """Of images that are not published, without a registry, or twice in one image."""
    body = '[images.a]\ntags = ["x/y:1"]\n[images.b]\npublish = false\ntags = ["x/y:1"]\n'
    assert [] == list(check_collisions(wired(body).images))
    text = 'format = 1\n[defaults]\nplatforms = ["linux/amd64"]\ntags = ["1"]\n[images.a]\n[images.b]\n'
    expansion, _ = expand_text(text, registry=None)
    assert [] == list(check_collisions(expansion.images))


def test_kinds_are_called_as_they_are_written() -> None:
    """So that a reader finds them in the file."""
    assert ["contexts", "needs", "FROM", "COPY --from", "RUN --mount"] == [kind.value for kind in EdgeKind]


def test_what_is_taken_twice_is_one_edge() -> None:
    """Two copies from one image are one need, for each platform once."""
    (edge,) = wire_text(TWO, {"app": "FROM scratch\nCOPY --from=base a a\nCOPY --from=base b b\n"}).edges
    assert (Span(file="app/Dockerfile", line=2), (AMD64, ARM64)) == (edge.place, edge.platforms)
