"""What stands under private names, and what of it is believed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
import pytest

from orchestrator.oci.assemble import assemble
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.manifest import OCI_MANIFEST, Descriptor, Manifest, PlatformField
from orchestrator.oci.platform import Platform
from orchestrator.oci.record import render_index, seal
from orchestrator.oci.reference import parse_repository
from orchestrator.plan import names
from orchestrator.plan.memory import Memory, Question, Recollection, RememberedPart, Wanted
from orchestrator.plan.model import RegistryHome
from tests.unit.plan.samples import AMD64, ARM64

EXTRA = b"extra"
Stands = dict[Question, Manifest]


def inputs_of(name: str, platform: Platform) -> Digest:
    """The input digest of a platform build."""
    return digest_bytes(f"{name}@{platform}".encode())


def want(name: str, *parents: str, platforms: tuple[Platform, ...] = (AMD64, ARM64)) -> Wanted:
    """An image that stands on others."""
    return Wanted(
        name=name,
        home=RegistryHome(repository=parse_repository(f"r.example/{name}")),
        builds={platform: f"{name}@{platform}" for platform in platforms},
        inputs={platform: inputs_of(name, platform) for platform in platforms},
        parents={platform: tuple(f"{parent}@{platform}" for parent in parents) for platform in platforms},
        extra=EXTRA,
    )


def built(name: str, platform: Platform, content: str = "") -> Manifest:
    """What a solve gives for one platform."""
    image = Descriptor(
        media_type=OCI_MANIFEST,
        digest=digest_bytes(f"image {name} {platform} {content}".encode()),
        size=7,
        platform=PlatformField(architecture=platform.architecture, os=platform.os),
    )
    return render_index((image,), {})


def put_image(
    stands: Stands, image: Wanted, parents: Mapping[str, RememberedPart], *, scope: str = "main", content: str = ""
) -> dict[str, RememberedPart]:
    """Record all platforms of an image and its index; the records by build."""
    found: dict[str, RememberedPart] = {}
    parts = []
    for platform, build in image.builds.items():
        below = tuple(sorted(parents[each].record for each in image.parents[platform]))
        inputs = image.inputs[platform]
        assert inputs
        record = seal(built(image.name, platform, content), inputs=inputs, scope=scope, parents=below)
        key = names.part_key(inputs, below)
        stands[Question(home=image.home, tag=names.record_tag(scope, key))] = record
        manifest = digest_bytes(f"image {image.name} {platform} {content}".encode())
        found[build] = RememberedPart(record=record.digest, manifest=manifest, key=key)
        parts.append(record)
    keys = tuple(part.key for part in found.values())
    index = assemble(tuple(parts), {})
    stands[Question(home=image.home, tag=names.final_tag(scope, keys, image.extra))] = index
    return found


def recall(stands: Stands, *images: Wanted, scopes: tuple[str, ...] = ("main",)) -> tuple[Memory, list[int]]:
    """What is remembered, and how many names were asked for at a time."""
    recollection = Recollection(images, scopes)
    rounds = []
    while questions := recollection.questions():
        rounds.append(len(questions))
        recollection.answer({question: stands.get(question) for question in questions})
    return recollection.memory(), rounds


BASE, APP = want("base"), want("app", "base")


def standing() -> tuple[Stands, dict[str, RememberedPart]]:
    """A base and an image on it, as they were recorded."""
    stands: Stands = {}
    parts = put_image(stands, BASE, {})
    parts |= put_image(stands, APP, parts)
    return stands, parts


def test_what_was_recorded_is_remembered_with_one_question_an_image() -> None:
    """Level by level, since the names of a child follow from the records of its parents."""
    stands, parts = standing()
    memory, rounds = recall(stands, BASE, APP)
    assert (parts, ["app", "base"], [1, 1]) == (memory.parts, sorted(memory.images), rounds)


def test_images_of_one_level_are_asked_for_at_once() -> None:
    """However many there are."""
    stands: Stands = {}
    images = [want(f"i{number}") for number in range(5)]
    for image in images:
        put_image(stands, image, {})
    assert [5] == recall(stands, *images)[1]


def test_nothing_is_remembered_of_nothing() -> None:
    """An index, then the records of its platforms; of a child whose parents are not there nothing is asked."""
    memory, rounds = recall({}, BASE, APP)
    assert (Memory(), [1, 2]) == (memory, rounds)


def test_platforms_are_remembered_one_by_one() -> None:
    """Where the index is not there, as after a platform was added."""
    stands: Stands = {}
    parts = put_image(stands, want("base", platforms=(AMD64,)), {})
    memory, _ = recall(stands, BASE)
    assert (parts, {}) == (memory.parts, memory.images)


def test_a_child_is_not_taken_over_another_parent() -> None:
    """Though that one was made from the same: a rebuild that is not reproducible gives another record."""
    stands, _ = standing()
    again = put_image(stands, BASE, {}, content="another build of the same")
    memory, _ = recall(stands, BASE, APP)
    assert again == memory.parts
    assert {"base"} == set(memory.images)


def test_what_is_not_known_is_not_taken_over() -> None:
    """Nor what stands on it."""
    stands, _ = standing()
    unknown = msgspec.structs.replace(BASE, inputs={AMD64: None, ARM64: None})
    assert (Memory(), []) == recall(stands, unknown, APP)


@pytest.mark.parametrize(("scopes", "found"), [(("pr-1",), 0), (("pr-1", "main"), 4), (("main",), 4)])
def test_only_scopes_that_are_read_are_asked(scopes: tuple[str, ...], found: int) -> None:
    """Each has names of its own."""
    stands, _ = standing()
    assert found == len(recall(stands, BASE, APP, scopes=scopes)[0].parts)


def test_an_index_counts_for_what_else_decides_about_it() -> None:
    """With another test or other annotations it has to be made again; its parts stand."""
    stands, parts = standing()
    other = msgspec.structs.replace(BASE, extra=b"another test")
    memory, _ = recall(stands, other, APP)
    assert (parts, {"app"}) == (memory.parts, set(memory.images))


COMMAND = ("/app", "--version")


def passed(image: Wanted, part: RememberedPart, scope: str = "main") -> Question:
    """The name that a record has since it passed the test."""
    return Question(home=image.home, tag=names.test_tag(scope, part.record, COMMAND))


def test_a_platform_has_passed_its_test_where_its_record_says_so() -> None:
    """By a name, which is looked up only where no verified index of the image stands."""
    stands: Stands = {}
    tested = msgspec.structs.replace(BASE, tests={AMD64: COMMAND, ARM64: COMMAND})
    parts = put_image(stands, tested, {})
    memory, rounds = recall(stands, tested)
    assert (("base@linux/amd64", "base@linux/arm64"), [1]) == (memory.tested, rounds)
    other = msgspec.structs.replace(tested, extra=b"another test")
    assert ((), [1, 2, 2]) == (recall(stands, other)[0].tested, recall(stands, other)[1])
    part = parts["base@linux/arm64"]
    record = next(one for one in stands.values() if one.digest == part.record)
    assert ("base@linux/arm64",) == recall({**stands, passed(other, part): record}, other)[0].tested
    assert () == recall({**stands, passed(other, part, "pr-1"): record}, other)[0].tested


def test_another_record_under_the_name_of_a_passed_test_counts_for_nothing() -> None:
    """Whoever put it there."""
    stands: Stands = {}
    one = msgspec.structs.replace(BASE, tests={AMD64: COMMAND}, extra=b"another test")
    parts = put_image(stands, BASE, {})
    forged = {**stands, passed(one, parts["base@linux/amd64"]): built("base", AMD64)}
    assert () == recall(forged, one)[0].tested


FORGERIES: Mapping[str, Callable[[], Manifest]] = {
    "another input": lambda: seal(built("base", AMD64), inputs=digest_bytes(b"x"), scope="main", parents=()),
    "another scope": lambda: seal(built("base", AMD64), inputs=inputs_of("base", AMD64), scope="pr-1", parents=()),
    "another platform": lambda: seal(built("base", ARM64), inputs=inputs_of("base", AMD64), scope="main", parents=()),
    "other parents": lambda: seal(
        built("base", AMD64), inputs=inputs_of("base", AMD64), scope="main", parents=(digest_bytes(b"p"),)
    ),
    "no record": lambda: built("base", AMD64),
    "an image": lambda: Manifest(media_type=OCI_MANIFEST, content=b'{"schemaVersion":2,"config":{}}'),
    "rubbish": lambda: Manifest(media_type="application/vnd.oci.image.index.v1+json", content=b'{"manifests": 7}'),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_record_is_refused(forgery: str) -> None:
    """What stands under a name has to say of itself what the name promises."""
    one = want("base", platforms=(AMD64,))
    key = names.part_key(inputs_of("base", AMD64), ())
    question = Question(home=one.home, tag=names.record_tag("main", key))
    assert Memory() == recall({question: FORGERIES[forgery]()}, one)[0]


def test_a_forged_index_is_refused() -> None:
    """One of another image, one that lacks a platform, and one of which nobody knows the records."""
    stands, parts = standing()
    keys = tuple(parts[build].key for build in BASE.builds.values())
    question = Question(home=BASE.home, tag=names.final_tag("main", keys, EXTRA))
    records = {
        build: record for question_, record in stands.items() for build, part in parts.items()
        if record.digest == part.record
    }  # fmt: skip
    for forged in (
        assemble((records["app@linux/amd64"], records["app@linux/arm64"]), {}),
        assemble((records["base@linux/amd64"],), {}),
        render_index((), {}),
    ):
        memory, _ = recall({**stands, question: forged}, BASE)
        assert {} == memory.images
        assert set(BASE.builds.values()) == set(memory.parts)
