"""What builds see of folders, registries and other images; nothing is read here."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from orchestrator.api.backend import Mode, Node
from orchestrator.dockerfile.takes import WHOLE, Paths
from orchestrator.oci.digest import digest_bytes
from orchestrator.oci.platform import Platform, parse_platform
from orchestrator.oci.reference import Reference, parse_reference
from orchestrator.plan.bases import BaseFacts
from orchestrator.plan.inputs import FRONTEND, UNREAD
from orchestrator.plan.model import PlannedPlacement
from orchestrator.plan.place import Placements
from orchestrator.plan.sights import FolderSight, Outside, Parents, Seer, Sight, build_platforms, node_platforms
from orchestrator.plan.standing import edges_by_child, pinned_bases
from tests.unit.plan.samples import AMD64, ARM64, HEAD, Wired, wire_text

ONE, OTHER = digest_bytes(b"one"), digest_bytes(b"other")
DEBIAN = parse_reference("docker.io/library/debian:12")
PLAIN = {DEBIAN: BaseFacts(digest=ONE, triggers={AMD64: (), ARM64: ()})}
APP = '[images.app]\ncontext = "app"\n'
BASE = '[images.base]\ncontext = "base"\n'


def look(  # noqa: PLR0913 (what decides)
    text: str,
    dockerfiles: Mapping[str, str],
    *,
    platform: Platform = AMD64,
    bases: Mapping[Reference, BaseFacts] = PLAIN,
    published: Mapping[str, Reference] | None = None,
    without: tuple[str, ...] = (),
    build_platform: Platform = AMD64,
) -> tuple[Sight, Parents]:
    """What `app` sees; `without` are images that are not in the plan."""
    wired = wire_text(HEAD + text, dockerfiles)
    return look_wired(
        wired, platform=platform, bases=bases, published=published, without=without, build_platform=build_platform
    )


def look_wired(
    wired: Wired,
    *,
    platform: Platform = AMD64,
    bases: Mapping[Reference, BaseFacts] = PLAIN,
    published: Mapping[str, Reference] | None = None,
    without: tuple[str, ...] = (),
    build_platform: Platform = AMD64,
) -> tuple[Sight, Parents]:
    """As `look`, of images that are wired already."""
    images = tuple(image for image in wired.images if image.name not in without)
    outside = Outside(images=images, reader=wired.reader(), bases=bases, published=published or {}, host=AMD64)
    image = next(image for image in images if image.name == "app")
    variant = next(variant for variant in image.variants if variant.platform == platform)
    edges = tuple(edge for edge in edges_by_child(wired.edges).get("app", ()) if variant.platform in edge.platforms)
    seer = Seer(outside)
    return seer.see(image, variant, edges, build_platform), seer.find_parents(variant, edges, build_platform)


def main_paths(sight: Sight) -> Paths | None:
    """What is seen of the main context; nothing at all where it is not there."""
    return next((folder.paths for folder in sight.folders if folder.key == ""), ())


def test_files_that_are_taken() -> None:
    """The main context with its ignore files, the Dockerfile's own first."""
    sight, parents = look(APP, {"app": "FROM debian:12\nCOPY a b/ /\n"})
    expected = FolderSight(
        key="", path="app", ignores=("app/Dockerfile.dockerignore", "app/.dockerignore"), paths=("a", "b")
    )
    assert Sight(folders=(expected,), images={"debian:12": ONE}) == sight
    assert Parents() == parents


def test_context_of_which_nothing_is_taken_is_not_there() -> None:
    """No file of it can change the image."""
    sight, _ = look(APP, {"app": "FROM debian:12\nRUN true\n"})
    assert () == sight.folders


def test_inline_dockerfile_has_the_context_s_ignore_file_alone() -> None:
    """There is nothing beside it."""
    sight, _ = look(APP + "dockerfile-inline = '''\nFROM debian:12\nCOPY . /\n'''\n", {})
    assert [("app/.dockerignore",)] == [folder.ignores for folder in sight.folders]


def test_named_context() -> None:
    """One has its own ignore file; one that is not used does not count."""
    text = APP + '[images.app.contexts]\nassets = "web"\nunused = "other"\n'
    sight, _ = look(text, {"app": "FROM debian:12\nCOPY --from=assets a /\n"})
    assert (FolderSight(key="assets", path="web", ignores=("web/.dockerignore",), paths=("a",)),) == sight.folders


def test_platforms_that_see_the_same_share_it() -> None:
    """It is one object, so that work on it is done once."""
    wired = wire_text(HEAD + APP, {"app": "FROM debian:12\nCOPY . /\n"})
    image = wired.images[0]
    seer = Seer(Outside(images=wired.images, reader=wired.reader(), bases=PLAIN, published={}, host=AMD64))
    first, second = (seer.see(image, variant, (), AMD64) for variant in image.variants)
    assert first is second


def test_platforms_that_see_different_files() -> None:
    """A source may name the platform."""
    files = {"app": "FROM debian:12\nARG TARGETARCH\nCOPY bin-$TARGETARCH /\n"}
    assert ("bin-amd64",) == main_paths(look(APP, files)[0])
    assert ("bin-arm64",) == main_paths(look(APP, files, platform=ARM64)[0])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"https://github.com/acme/x.git#{'a' * 40}", f"https://github.com/acme/x.git#{'a' * 40}"),
        (f"https://user:word@h.example/x.git#{'a' * 40}:sub", f"https://h.example/x.git#{'a' * 40}:sub"),
        (f"https://github.com/acme/x.git#{'a' * 39}", None),
        ("https://github.com/acme/x.git#main", None),
        ("ssh://git@h.example/x", None),
        (f"https://h.example/x.tar.gz#{'a' * 40}", None),
    ],
)
def test_remote_context(value: str, expected: str | None) -> None:
    """A full commit pins what git brings; nothing pins what a web server gives. Credentials are not kept."""
    sight, _ = look(APP + f'contexts.x = "{value}"\n', {"app": "FROM debian:12\nCOPY --from=x . /\n"})
    assert {"x": expected} == sight.remotes


def test_remote_context_that_is_not_used_is_not_there() -> None:
    """It is not fetched either."""
    sight, _ = look(APP + 'contexts.x = "https://h.example/x.tar"\n', {"app": "FROM debian:12\n"})
    assert {} == sight.remotes


def test_needs_hand_nothing_over() -> None:
    """They are for the order alone."""
    sight, parents = look(APP + 'needs = ["base"]\n' + BASE, {"app": "FROM debian:12\n", "base": "FROM debian:12\n"})
    assert (Sight(images={"debian:12": ONE}), Parents()) == (sight, parents)


def test_remote_main_context_has_its_dockerfile_in_it() -> None:
    """Which images that takes is not known, and a file of its name on this disk is another one."""
    url = f"https://github.com/acme/x.git#{'a' * 40}"
    text = f'[images.app]\ncontext = "{url}"\n[images.here]\ncontext = "."\n'
    wired = wire_text(HEAD + text, {".": "FROM debian:12\n"})
    reader_texts = {**wired.dockerfiles, "Dockerfile": "FROM debian:12\n"}
    sight, _ = look_wired(
        Wired(images=wired.images, edges=wired.edges, found=(), families=wired.families, dockerfiles=reader_texts)
    )
    assert {"": url} == sight.remotes
    assert {UNREAD: None} == sight.images
    assert sight.uses_build_platform


def test_declared_images() -> None:
    """By the digest that is written, else by that of the tag; an OCI layout without one is to be looked at."""
    text = (
        APP + "[images.app.contexts]\n"
        f'a = "docker-image://ghcr.io/x/a@{OTHER}"\nb = "docker-image://debian:12"\nc = "oci-layout://c@{OTHER}"\n'
        'd = "oci-layout://d"\nunused = "docker-image://debian:11"\n'
    )
    sight, _ = look(text, {"app": "FROM debian:12\n" + "".join(f"COPY --from={key} x /\n" for key in "abcd")})
    assert {"debian:12": ONE, "a": OTHER, "b": ONE, "c": OTHER, "d": None} == sight.images
    assert {"d": "d"} == sight.layouts


def test_frontend_and_digests_are_images() -> None:
    """What reads the Dockerfile, and what is written with a digest, by the name that people know."""
    frontend = parse_reference("docker.io/docker/dockerfile:1")
    bases = {**PLAIN, frontend: BaseFacts(digest=OTHER)}
    text = f"# syntax=docker/dockerfile:1\nFROM debian:12\nCOPY --from=busybox:1@{OTHER} x /\n"
    sight, _ = look(APP, {"app": text}, bases=bases)
    assert {FRONTEND: OTHER, "debian:12": ONE, "busybox:1": OTHER} == sight.images


def test_parents_are_platform_builds() -> None:
    """Each platform stands on its own."""
    files = {"app": "FROM base\nCOPY a /\n", "base": "FROM debian:12\n"}
    assert Parents(builds={"base": "base@linux/arm64"}) == look(APP + BASE, files, platform=ARM64)[1]
    sight, _ = look(APP + BASE, files)
    assert {} == sight.images
    assert ("a",) == main_paths(sight)


def test_data_of_one_platform() -> None:
    """It is that build for every platform."""
    text = APP + 'contexts.data = { image = "base", platform = "linux/amd64" }\n' + BASE
    files = {"app": "FROM debian:12\nCOPY --from=data x /\n", "base": "FROM debian:12\n"}
    expected = Parents(builds={"data": "base@linux/amd64"})
    assert expected == look(text, files, platform=ARM64)[1]
    assert expected == look(text, files, platform=ARM64, build_platform=ARM64)[1]


def test_parent_of_two_platforms_has_two_names() -> None:
    """A cross-compiler stands on the machine that builds, its result on the platform that is built."""
    files = {
        "app": "FROM --platform=$BUILDPLATFORM base AS build\nFROM base\nCOPY --from=build x /\n",
        "base": "FROM debian:12\n",
    }
    expected = {"base": "base@linux/arm64", "base@linux/amd64": "base@linux/amd64"}
    assert expected == look(APP + BASE, files, platform=ARM64)[1].builds
    assert {"base": "base@linux/amd64"} == look(APP + BASE, files)[1].builds


def test_platform_of_a_parent_is_that_of_the_node() -> None:
    """`$BUILDPLATFORM` is where the build runs, not where the plan is made."""
    files = {
        "app": "FROM --platform=$BUILDPLATFORM base AS build\nFROM debian:12\nCOPY --from=build x /\n",
        "base": "FROM debian:12\n",
    }
    here, _ = look(APP + BASE, files)
    parents = [
        look(APP + BASE, files, platform=platform, build_platform=build_platform)[1].builds
        for platform in (AMD64, ARM64)
        for build_platform in (AMD64, ARM64)
    ]
    assert here.uses_build_platform
    assert [
        {"base": "base@linux/amd64"},
        {"base@linux/arm64": "base@linux/arm64"},
        {"base@linux/amd64": "base@linux/amd64"},
        {"base": "base@linux/arm64"},
    ] == parents


def test_parent_outside_of_the_plan_is_what_is_published() -> None:
    """Or nothing that is known."""
    files = {"app": "FROM base\nCOPY a /\n", "base": "FROM debian:12\n"}
    published = parse_reference(f"r.example/acme/base@{OTHER}")
    facts = {published: BaseFacts(digest=OTHER, triggers={AMD64: ()})}
    sight, parents = look(APP + BASE, files, without=("base",), published={"base": published}, bases=facts)
    assert Parents(images={"base": OTHER}) == parents
    assert ("a",) == main_paths(sight)
    sight, parents = look(APP + BASE, files, without=("base",))
    assert Parents(images={"base": None}) == parents
    assert main_paths(sight) is None


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (BaseFacts(digest=ONE, triggers={AMD64: ()}), (("a",), False)),
        (BaseFacts(digest=ONE, triggers={AMD64: ("COPY . /src",)}), (WHOLE, True)),
        (BaseFacts(digest=ONE, triggers={ARM64: ()}), (None, None)),
    ],
)
def test_triggers_of_a_base(facts: BaseFacts, expected: tuple[Paths | None, bool | None]) -> None:
    """They may take anything; where nobody knows of them, what is seen is not known either."""
    sight, _ = look(APP, {"app": "FROM debian:12\nCOPY a /\n"}, bases={DEBIAN: facts})
    assert expected == (main_paths(sight), sight.uses_build_platform)


def test_what_unknown_triggers_cannot_change_is_known() -> None:
    """All is taken already."""
    sight, _ = look(APP, {"app": "FROM debian:12\nARG BUILDARCH\nCOPY . /\n"}, bases={})
    assert (WHOLE, True) == (main_paths(sight), sight.uses_build_platform)


def test_unknown_triggers_make_unused_contexts_unknown() -> None:
    """A trigger could take from them; whoever knows finds that they are not used."""
    text = (
        APP + f'[images.app.contexts]\nfolder = "x"\ngit = "git@h:x#{"a" * 40}"\nimage = "docker-image://debian:12"\n'
    )
    sight, _ = look(text, {"app": "FROM debian:12\nCOPY . /\n"}, bases={DEBIAN: BaseFacts(digest=ONE)})
    assert {"": WHOLE, "folder": None} == {folder.key: folder.paths for folder in sight.folders}
    assert {"git": None} == sight.remotes
    assert {"debian:12": ONE, "image": None} == sight.images


def test_triggers_of_a_parent_are_read_from_its_dockerfile() -> None:
    """Its own bases are none of it: triggers are executed once."""
    with_triggers = {DEBIAN: BaseFacts(digest=ONE, triggers={AMD64: ("COPY . /",)})}
    plain = {"app": "FROM base\nCOPY a /\n", "base": "FROM debian:12\n"}
    assert ("a",) == main_paths(look(APP + BASE, plain, bases=with_triggers)[0])
    own = {**plain, "base": "FROM debian:12\nONBUILD COPY b /\n"}
    assert WHOLE == main_paths(look(APP + BASE, own)[0])


@pytest.mark.parametrize(
    ("source", "expected"),
    [("rootfs", ("a",)), ("oci-layout://layout", WHOLE), (f"git@h.example:x#{'a' * 40}", ("a",))],
)
def test_triggers_of_declared_contexts(source: str, expected: Paths) -> None:
    """Files have none; what is in an OCI layout is not looked at, so it may have some."""
    sight, _ = look(APP + f'contexts."debian:12" = "{source}"\n', {"app": "FROM debian:12\nCOPY a /\n"})
    assert expected == main_paths(sight)


def test_folder_that_replaces_a_stage_shows_everything() -> None:
    """What is known of that stage is void."""
    text = APP + 'contexts.build = "x"\n'
    sight, _ = look(text, {"app": "FROM debian:12 AS build\nCOPY a /\nFROM build\n"})
    assert {"": WHOLE, "build": WHOLE} == {folder.key: folder.paths for folder in sight.folders}


def test_image_that_is_pinned_replaces_no_stage() -> None:
    """An everyday Dockerfile: the stage is called like what it stands on."""
    text = APP + 'contexts.debian = "docker-image://debian:12"\n'
    sight, _ = look(text, {"app": "FROM debian AS debian\nCOPY a /\n"})
    assert ("a",) == main_paths(sight)


def test_pinned_bases_are_what_stages_start_from() -> None:
    """By a digest in the Dockerfile or in a context, or as published; `find_bases` knows the rest."""
    text = f'{APP}contexts.x = "docker-image://ghcr.io/x/x:1@{OTHER}"\n{BASE}'
    dockerfile = f"FROM debian:12@{ONE} AS a\nFROM x AS b\nFROM base\nCOPY --from=a y /\nCOPY --from=b y /\n"
    wired = wire_text(HEAD + text, {"app": dockerfile + f"COPY --from=busybox@{ONE} y /\n"})
    published = parse_reference(f"r.example/acme/base@{OTHER}")
    images = tuple(image for image in wired.images if image.name == "app")
    assert 2 == len(pinned_bases(wired.images, wired.edges, wired.reader(), {}))
    found = pinned_bases(images, wired.edges, wired.reader(), {"base": published})
    names = [f"docker.io/library/debian@{ONE}", f"ghcr.io/x/x@{OTHER}", f"r.example/acme/base@{OTHER}"]
    assert names == [str(base.reference) for base in found]
    assert [(AMD64, ARM64)] * 3 == [base.stood_on for base in found]


def test_platforms_that_build() -> None:
    """Those of nodes, else this machine's."""
    nodes = tuple(
        Node(name=name, platforms=platforms, emulates=(), slots=1, builder=name)
        for name, platforms in (("arm", (ARM64, AMD64)), ("silent", ()))
    )
    placed: dict[str, PlannedPlacement | None] = {
        name: PlannedPlacement(backend="native", node=name, mode=Mode.NATIVE) for name in ("arm", "silent")
    }
    placements = Placements(by_build={**placed, "nowhere": None}, policies=frozenset(), found=())
    expected = {"arm": ARM64, "silent": AMD64, "nowhere": AMD64}
    assert expected == build_platforms(placements, {"native": nodes}, AMD64)


def test_a_machine_builds_on_its_own_platform() -> None:
    """Whatever stands first in what was declared for it."""
    arm_v7 = parse_platform("linux/arm/v7")
    placed = PlannedPlacement(backend="native", node="arm", mode=Mode.NATIVE)
    placements = Placements(by_build={"x": placed}, policies=frozenset(), found=())
    node = Node(name="arm", platforms=(arm_v7, ARM64), own=ARM64)
    assert {"x": ARM64} == build_platforms(placements, {"native": (node,)}, AMD64)


def test_a_builder_of_several_machines_builds_each_platform_on_its_own() -> None:
    """What it says of none of them is built on the first."""
    placed = PlannedPlacement(backend="qemu", node="farm", mode=Mode.NATIVE)
    builds = ("x@linux/amd64", "x@linux/arm64", "x@linux/s390x")
    placements = Placements(by_build=dict.fromkeys(builds, placed), policies=frozenset(), found=())
    node = Node(name="farm", platforms=(AMD64, ARM64), owns=((AMD64, AMD64), (ARM64, ARM64)))
    assert [AMD64, ARM64, AMD64] == list(build_platforms(placements, {"qemu": (node,)}, ARM64).values())


def test_a_machine_that_is_declared_for_something_else_is_one_to_build_on() -> None:
    """A stage on the build platform needs a base for it, not for what is declared."""
    arm_v7 = parse_platform("linux/arm/v7")
    nodes = (Node(name="a", platforms=(arm_v7,), own=ARM64), Node(name="b", platforms=(AMD64,)))
    assert (ARM64, arm_v7, AMD64) == node_platforms({"native": nodes})
