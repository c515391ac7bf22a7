"""External images: who uses them, on which platforms, and what the lock says of them."""

from __future__ import annotations

import pytest

from orchestrator.config.lock import Lock, LockedBase, canonical
from orchestrator.diagnostics import KeyPlace, Severity, Span
from orchestrator.oci.digest import digest_bytes
from orchestrator.oci.platform import Platform, parse_platform
from orchestrator.oci.reference import parse_reference
from orchestrator.plan.bases import Base, BaseFacts, BaseKind, check_lock, check_platforms, choose_platform, find_bases
from tests.unit.plan.samples import AMD64, ARM64, HEAD, Wired, codes, expand_text, wire_text

DIGEST = digest_bytes(b"an index")
ONE = f"{HEAD}[images.api]\n"


def bases_of(wired: Wired, host: Platform = AMD64) -> dict[str, Base]:
    """The external images of a project, by reference."""
    return {str(base.reference): base for base in find_bases(wired.images, wired.edges, wired.reader(host), host)}


def external(dockerfile: str, text: str = ONE, *, host: Platform = AMD64) -> dict[str, Base]:
    """The external images of one Dockerfile, that of `api`."""
    return bases_of(wire_text(text, {"api": dockerfile}, host=host), host)


def lock_of(**platforms: str) -> Lock:
    """A lock of images of these names; their platforms are separated by spaces."""
    return Lock(
        bases={
            canonical(parse_reference(name)): LockedBase(
                digest=DIGEST, platforms=tuple(map(parse_platform, listed.split()))
            )
            for name, listed in platforms.items()
        }
    )


def test_everything_that_is_pulled_is_found() -> None:
    """Frontends, bases, copies, mounts and contexts, each with its line."""
    text = f'{HEAD}[images.api]\ncontexts = {{ assets = "docker-image://ghcr.io/acme/assets:2" }}\n'
    found = external(
        "# syntax=docker/dockerfile:1\n"
        "FROM debian:bookworm\n"
        "COPY --from=busybox /bin/sh /sh\n"
        "RUN --mount=type=bind,from=ghcr.io/acme/tools:1,target=/t true\n"
        "COPY --from=assets / /\n",
        text,
    )
    assert {
        "docker.io/docker/dockerfile:1": (BaseKind.SYNTAX, 1),
        "docker.io/library/debian:bookworm": (BaseKind.FROM, 2),
        "docker.io/library/busybox:latest": (BaseKind.COPY, 3),
        "ghcr.io/acme/tools:1": (BaseKind.MOUNT, 4),
    } == {
        name: (base.uses[0].kind, base.uses[0].place.line)
        for name, base in found.items()
        if isinstance(base.uses[0].place, Span)
    }
    assert BaseKind.CONTEXT is found["ghcr.io/acme/assets:2"].uses[0].kind
    assert isinstance(found["ghcr.io/acme/assets:2"].uses[0].place, KeyPlace)
    assert {"api"} == {use.image for base in found.values() for use in base.uses}


@pytest.mark.parametrize(
    ("dockerfile", "contexts"),
    [
        ("FROM scratch\n", ""),
        (f"FROM debian@{DIGEST}\n", ""),
        (f"FROM debian:bookworm@{DIGEST}\n", ""),
        ("FROM base\n", ""),
        ("FROM r.example/acme/base:1.0\n", ""),
        ("FROM scratch AS one\nFROM one\nCOPY --from=one / /\n", ""),
        ("FROM debian:bookworm\n", '"debian:bookworm" = "."'),
        ("FROM debian:latest\n", '"debian" = "oci-layout://layout"'),
        ("FROM debian\n", f'"debian" = "docker-image://debian@{DIGEST}"'),
        ("FROM scratch\n", f'more = "docker-image://debian@{DIGEST}"'),
        (f"# syntax=docker/dockerfile:1@{DIGEST}\nFROM scratch\n", ""),
        ("# syntax=DOCKER/what?\nFROM scratch\n", ""),
        ("FROM node:20 AS unused\nFROM scratch\n", ""),
    ],
)
def test_what_needs_no_pin(dockerfile: str, contexts: str) -> None:
    """Images of this project, stages, digests, and names that a declared context replaces."""
    text = f"{HEAD}[images.base]\n[images.api]\ncontexts = {{ {contexts} }}\n"
    assert {} == external(dockerfile, text)


def test_own_image_that_is_pulled_after_all_is_external() -> None:
    """Without inference nobody hands it over."""
    text = f"{HEAD}[images.base]\n[images.api]\ninfer = false\n"
    assert ["r.example/acme/base:1.0"] == list(external("FROM r.example/acme/base:1.0\n", text))


def test_context_takes_the_place_of_the_name_that_it_replaces() -> None:
    """What is locked is the image that the context names, for the platforms that the Dockerfile wants."""
    text = f'{HEAD}[images.api]\ncontexts = {{ "debian" = "docker-image://mirror.example/debian:12" }}\n'
    found = external("FROM --platform=linux/s390x debian\n", text)
    assert ["mirror.example/debian:12"] == list(found)
    assert ["linux/s390x"] == [str(platform) for platform in found["mirror.example/debian:12"].platforms]


@pytest.mark.parametrize(
    ("dockerfile", "needed"),
    [
        ("FROM scratch AS data\nRUN true\n", ("linux/amd64", "linux/arm64")),
        ("FROM scratch\n", ()),
    ],
)
def test_context_that_nothing_pulls(dockerfile: str, needed: tuple[str, ...]) -> None:
    """It replaces a stage of its name; where there is none it is handed over, and needed for no platform."""
    text = f'{HEAD}[images.api]\ncontexts = {{ data = "docker-image://ghcr.io/acme/data:1" }}\n'
    assert needed == tuple(map(str, external(dockerfile, text)["ghcr.io/acme/data:1"].platforms))


def test_platforms_are_those_of_the_image() -> None:
    """A base is needed for each platform that is built from it."""
    base = external("FROM debian\n")["docker.io/library/debian:latest"]
    assert (AMD64, ARM64) == base.platforms
    assert [False, False] == [use.on_build_platform for use in base.uses]


@pytest.mark.parametrize("host", [AMD64, ARM64])
def test_build_platform_is_that_of_the_machine(host: Platform) -> None:
    """A stage that runs where the build runs needs that platform, whatever is built; so does the frontend."""
    found = external("# syntax=docker/dockerfile:1\nFROM --platform=$BUILDPLATFORM golang\n", host=host)
    assert {(host,)} == {base.platforms for base in found.values()}
    assert {True} == {use.on_build_platform for base in found.values() for use in base.uses}


def test_name_made_of_the_build_platform_is_needed_for_the_built_one() -> None:
    """`FROM tools-$BUILDARCH` is another name on another machine, but no other platform."""
    found = external("FROM tools:$BUILDARCH\n")
    assert {"docker.io/library/tools:amd64": (AMD64, ARM64)} == {name: base.platforms for name, base in found.items()}


def test_args_and_targets_decide() -> None:
    """Each variant uses what its own args and its own target lead to."""
    text = (
        f'{HEAD}[images.api]\ntarget = "run"\nargs = {{ TAG = "20" }}\n[images.api.on."linux/arm64".args]\nTAG = "22"\n'
    )
    found = external("ARG TAG\nFROM node:$TAG AS run\nFROM debian AS other\n", text)
    assert {"docker.io/library/node:20": (AMD64,), "docker.io/library/node:22": (ARM64,)} == {
        name: base.platforms for name, base in found.items()
    }


def test_arg_replaces_the_frontend() -> None:
    """`BUILDKIT_SYNTAX` is stronger than the first line."""
    text = f'{HEAD}[images.api]\nargs = {{ BUILDKIT_SYNTAX = "docker/dockerfile:1.7 check" }}\n'
    found = external("# syntax=docker/dockerfile:1\nFROM scratch\n", text)
    assert ["docker.io/docker/dockerfile:1.7"] == list(found)
    assert isinstance(found["docker.io/docker/dockerfile:1.7"].uses[0].place, KeyPlace)


def test_stage_of_the_same_name_is_told() -> None:
    """A named context would replace that stage, so whoever pins the image has to know."""
    uses = external("FROM debian AS debian\n")["docker.io/library/debian:latest"].uses
    assert [("debian", Span(file="api/Dockerfile", line=1))] * 2 == [(use.key, use.stage) for use in uses]


@pytest.mark.parametrize(
    ("available", "wanted", "chosen"),
    [
        ("linux/amd64 linux/arm64", "linux/arm64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64", "linux/arm64"),
        ("linux/arm64", "linux/arm64/v9", "linux/arm64"),
        ("linux/arm64/v9", "linux/arm64", None),
        ("linux/arm/v5 linux/arm/v6", "linux/arm", "linux/arm/v6"),
        ("linux/arm/v7", "linux/arm/v6", None),
        ("linux/amd64", "linux/amd64/v3", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v2", None),
        ("linux/386", "linux/amd64", None),
        ("linux/arm/v7", "linux/arm64", None),
        ("windows/amd64", "linux/amd64", None),
        ("", "linux/amd64", None),
    ],
)
def test_platform_is_chosen_as_the_engine_does(available: str, wanted: str, chosen: str | None) -> None:
    """The newest variant that runs; never another architecture."""
    found = choose_platform(map(parse_platform, available.split()), parse_platform(wanted))
    assert chosen == (str(found) if found else None)


def test_without_a_lock_nothing_is_missing() -> None:
    """Locking is a choice."""
    assert () == tuple(check_lock(external("FROM debian\n").values(), None))


def test_lock_that_lacks_an_image_is_told_once() -> None:
    """At the first place that uses it; it builds all the same."""
    (finding,) = check_lock(external("FROM scratch\nFROM debian\nRUN true\n").values(), Lock())
    assert ("lock-missing", Severity.WARNING, Span(file="api/Dockerfile", line=2), "api") == (
        finding.code, finding.severity, finding.place, finding.subject,
    )  # fmt: skip


def test_entry_for_nobody_is_told() -> None:
    """At the entry itself."""
    (finding,) = check_lock(external("FROM debian\n").values(), lock_of(debian="linux/amd64", node="linux/amd64"))
    expected = KeyPlace(file="builds.lock", keys=("bases", "docker.io/library/node:latest"), on_key=True)
    assert ("lock-unused", Severity.WARNING, expected) == (finding.code, finding.severity, finding.place)


def test_base_without_a_needed_platform_is_an_error() -> None:
    """With the platforms that it has, at the line that uses it."""
    found = tuple(
        check_platforms(external("FROM debian\n").values(), lock_of(debian="linux/amd64 linux/386"), {}, (AMD64,))
    )
    assert ["base-platform"] == codes(found)
    assert Severity.ERROR is found[0].severity
    expected = "`docker.io/library/debian:latest` has no `linux/arm64`: it has `linux/amd64`, `linux/386`"
    assert expected == found[0].message
    assert Span(file="api/Dockerfile", line=1) == found[0].place
    assert "`orchestrate lock --update 'debian'` looks whether it has it by now" == found[0].hints[-1]


def test_data_of_one_platform_has_a_way_out() -> None:
    """Copied data may be meant for all platforms: a stage can say so."""
    found = tuple(
        check_platforms(external("FROM scratch\nCOPY --from=data / /\n").values(), lock_of(data="linux/amd64"), {}, ())
    )
    assert ["base-platform"] == codes(found)
    assert "`FROM --platform=linux/amd64 data AS …`" in found[0].hints[1]


@pytest.mark.parametrize(
    ("locked", "nodes", "expected"),
    [
        ("linux/amd64", (AMD64,), []),
        ("linux/arm64", (AMD64, ARM64), []),
        ("linux/arm64", (AMD64,), ["base-platform", "base-platform"]),
        ("linux/amd64", (), []),
    ],
)
def test_what_runs_where_the_build_runs_has_to_run_on_some_node(
    locked: str, nodes: tuple[Platform, ...], expected: list[str]
) -> None:
    """The machine that plans need not be the one that builds."""
    bases = external("FROM --platform=$BUILDPLATFORM golang\n").values()
    assert expected == codes(tuple(check_platforms(bases, lock_of(golang=locked), {}, nodes)))


def test_what_is_not_locked_is_not_judged() -> None:
    """Its platforms are not known."""
    assert () == tuple(check_platforms(external("FROM debian\n").values(), Lock(), {}, (AMD64,)))


def test_a_base_that_is_not_locked_has_what_its_registry_says() -> None:
    """Where nobody was asked what it has, nothing is said."""
    bases = external("FROM debian\n").values()
    reference = next(iter(bases)).reference
    for lock in (None, Lock()):
        found = tuple(check_platforms(bases, lock, {reference: BaseFacts(digest=DIGEST, platforms=(AMD64,))}, ()))
        assert ["`docker.io/library/debian:latest` has no `linux/arm64`: it has `linux/amd64`"] == [
            finding.message for finding in found
        ]
        assert ("take another image, or `linux/arm64` from the platforms of `api`",) == found[0].hints
        assert () == tuple(check_platforms(bases, lock, {reference: BaseFacts(digest=DIGEST)}, ()))


def test_context_that_names_no_image_is_a_finding() -> None:
    """A reference that cannot be parsed never gets as far as being locked or pinned."""
    _, found = expand_text(f'{HEAD}[images.api]\ncontexts = {{ debian = "docker-image://Bad Name" }}\n')
    assert {"bad-image-reference"} == set(codes(found))
