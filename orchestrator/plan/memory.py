"""What earlier runs have built: which private names to look up, and what is believed of what stands there.

A name is a hint, never a proof: what stands under it has to say itself that it was made from the same, for the same
platforms, by a scope that may be read, over the same parents.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.oci.manifest import Manifest
from orchestrator.oci.platform import Platform
from orchestrator.oci.record import Part, read_parts, read_record
from orchestrator.plan import names
from orchestrator.plan.graph import Edge
from orchestrator.plan.image import Image, build_id
from orchestrator.plan.inputs import InputManifest
from orchestrator.plan.model import Home


class RememberedPart(Model):
    """A platform build that stands in its registry: its record, the image in it, and the key that it is known by."""

    record: Digest
    manifest: Digest
    key: str


class Memory(Model):
    """What stands already: platform builds by id, and by image the verified index of all its platforms.

    `tested` are the builds that have passed the test that is declared for them, sorted.
    """

    parts: Mapping[str, RememberedPart] = {}
    images: Mapping[str, Digest] = {}
    tested: tuple[str, ...] = ()


NOTHING: Final = Memory()


class Wanted(Model):
    """One image as it is looked for.

    `builds` are the ids of its platform builds by platform, `inputs` their input digests (None: not known, so nothing
    of them may be taken over), `parents` by platform the ids of the builds that they stand on, `extra` what besides
    the parts decides whether its index is right. `tests` are the commands that platforms have to pass.
    """

    name: str
    home: Home
    builds: Mapping[Platform, str]
    inputs: Mapping[Platform, Digest | None]
    parents: Mapping[Platform, tuple[str, ...]]
    extra: bytes
    tests: Mapping[Platform, tuple[str, ...]] = {}


def final_extra(image: Image) -> bytes:
    """What besides its parts decides whether an index is right: its annotations, and the test that it has passed.

    Its name does, too: images that are made from the same may share a repository, and each has tags of its own.
    """
    test = (image.test.run, tuple(map(str, image.test.platforms))) if image.test else None
    return msgspec.json.encode((image.name, image.annotations, test))


def parent_builds(edges: Iterable[Edge], planned: Collection[str], platform: Platform) -> tuple[str, ...]:
    """The platform builds of this plan that one of these platforms is built from."""
    found = (
        build_id(edge.parent, edge.of_parent(platform))
        for edge in edges
        if edge.parent in planned and edge.kind.carries_data and platform in edge.platforms
    )
    return tuple(dict.fromkeys(found))


def want_images(
    images: tuple[Image, ...],
    edges: Iterable[Edge],
    inputs: Mapping[str, InputManifest],
    homes: Mapping[str, Home],
) -> Iterator[Wanted]:
    """The images of a plan that may stand in their homes, parents first; one that has none stands nowhere."""
    by_child: dict[str, list[Edge]] = {}
    for edge in edges:
        by_child.setdefault(edge.child, []).append(edge)
    planned = {image.name for image in images}
    for image in images:
        home = homes.get(image.name)
        if home is None:
            continue
        builds = {platform: build_id(image.name, platform) for platform in image.platforms}
        own = by_child.get(image.name, ())
        yield Wanted(
            name=image.name,
            home=home,
            builds=builds,
            inputs={platform: _known_digest(inputs.get(build)) for platform, build in builds.items()},
            parents={platform: parent_builds(own, planned, platform) for platform in builds},
            extra=final_extra(image),
            tests=dict.fromkeys(image.test.platforms, image.test.run) if image.test else {},
        )


def _known_digest(manifest: InputManifest | None) -> Digest | None:
    return None if manifest is None or manifest.unknown else manifest.digest


class RecordOf(Model):
    """What the name of a record promises; `parents` are sorted."""

    platform: Platform
    inputs: Digest
    scope: str
    parents: tuple[Digest, ...]

    def is_in(self, manifest: Manifest) -> bool:
        """Whether what stands under the name says the same of itself."""
        try:
            record = read_record(manifest)
        except ValueError:
            return False
        said = RecordOf(
            platform=record.part.platform, inputs=record.part.inputs, scope=record.scope, parents=record.parents
        )
        return said == self


class Question(Model):
    """A private name to be looked up."""

    home: Home
    tag: str


class Recollection:
    """Asks level by level: the names of a child follow from the records of its parents.

    `questions` and `answer` take turns until there is no question left.
    """

    def __init__(self, wanted: Iterable[Wanted], scopes: tuple[str, ...]) -> None:
        self._scopes = scopes
        self._waiting = {image.name: image for image in wanted}
        self._parts: dict[str, RememberedPart] = {}
        self._images: dict[str, Digest] = {}
        self._tested: set[str] = set()
        self._missing: set[str] = set()
        self._asked: dict[Question, Manifest | None] = {}

    def questions(self) -> tuple[Question, ...]:
        """What has to be known next."""
        open_: dict[Question, None] = {}
        for image in self._ready():
            keys = self._keys(image)
            finals = self._final_questions(image, keys)
            unknown = self._unasked(finals)
            if not unknown and not self._takes_final(image, finals):
                records = (each for platform in keys for each in self._record_questions(image, keys[platform]))
                unknown = self._unasked(records) or self._unasked(self._all_test_questions(image, keys))
            if unknown:
                open_.update(dict.fromkeys(unknown))
            else:
                self._settle(image, keys)
        return tuple(open_) or (self.questions() if any(True for _ in self._ready()) else ())

    def answer(self, answers: Mapping[Question, Manifest | None]) -> None:
        """What stands under these names; None where nothing does, or nobody could tell."""
        self._asked.update(answers)

    def memory(self) -> Memory:
        """What was found."""
        return Memory(parts=self._parts, images=self._images, tested=tuple(sorted(self._tested)))

    def _unasked(self, questions: Iterable[Question]) -> list[Question]:
        return [question for question in questions if question not in self._asked]

    def _ready(self) -> Iterator[Wanted]:
        """Images of whose parents everything is known that can be."""
        for image in list(self._waiting.values()):
            needed = (build for builds in image.parents.values() for build in builds)
            if all(build in self._parts or build in self._missing for build in needed):
                yield image

    def _keys(self, image: Wanted) -> dict[Platform, str]:
        """The keys of the platform builds that may be there: those over parents that are."""
        keys = {}
        for platform, inputs in image.inputs.items():
            parents = image.parents[platform]
            if inputs is not None and all(parent in self._parts for parent in parents):
                keys[platform] = names.part_key(inputs, (self._parts[parent].record for parent in parents))
        return keys

    def _final_questions(self, image: Wanted, keys: Mapping[Platform, str]) -> tuple[Question, ...]:
        if len(keys) != len(image.builds):
            return ()
        return tuple(
            Question(home=image.home, tag=names.final_tag(scope, keys.values(), image.extra)) for scope in self._scopes
        )

    def _record_questions(self, image: Wanted, key: str) -> tuple[Question, ...]:
        return tuple(Question(home=image.home, tag=names.record_tag(scope, key)) for scope in self._scopes)

    def _all_test_questions(self, image: Wanted, keys: Mapping[Platform, str]) -> Iterator[Question]:
        for platform, key in keys.items():
            found = self._record(image, platform, key)
            if found:
                yield from self._test_questions(image, platform, found)

    def _test_questions(self, image: Wanted, platform: Platform, part: RememberedPart) -> Iterator[Question]:
        for scope in self._scopes if platform in image.tests else ():
            yield Question(home=image.home, tag=names.test_tag(scope, part.record, image.tests[platform]))

    def _has_passed(self, image: Wanted, platform: Platform, part: RememberedPart) -> bool:
        """Whether the record stands under a name that it got when it passed this test."""
        answers = map(self._asked.get, self._test_questions(image, platform, part))
        return any(answer is not None and answer.digest == part.record for answer in answers)

    def _takes_final(self, image: Wanted, finals: tuple[Question, ...]) -> bool:
        return any(self._final(image, question) for question in finals)

    def _final(self, image: Wanted, question: Question) -> tuple[Part, ...]:
        """The parts of a verified index, if it is one of this image."""
        manifest = self._asked.get(question)
        if manifest is None:
            return ()
        try:
            parts = read_parts(manifest)
        except ValueError:
            return ()
        said = {part.platform: part.inputs for part in parts if part.record}
        return parts if said == dict(image.inputs) and len(parts) == len(said) else ()

    def _settle(self, image: Wanted, keys: Mapping[Platform, str]) -> None:
        """Everything was asked about an image: take over what stands."""
        del self._waiting[image.name]
        for question in self._final_questions(image, keys):
            parts = self._final(image, question)
            manifest = self._asked.get(question)
            if parts and manifest:
                self._images[image.name] = manifest.digest
                self._tested.update(image.builds[platform] for platform in image.tests if platform in image.builds)
                for part in parts:
                    if part.record:
                        self._parts[image.builds[part.platform]] = RememberedPart(
                            record=part.record, manifest=part.manifest, key=keys[part.platform]
                        )
                return
        for platform, build in image.builds.items():
            found = self._record(image, platform, keys[platform]) if platform in keys else None
            if found is None:
                self._missing.add(build)
                continue
            self._parts[build] = found
            if self._has_passed(image, platform, found):
                self._tested.add(build)

    def _record(self, image: Wanted, platform: Platform, key: str) -> RememberedPart | None:
        parents = sorted(self._parts[parent].record for parent in image.parents[platform])
        for scope, question in zip(self._scopes, self._record_questions(image, key), strict=True):
            manifest = self._asked.get(question)
            inputs = image.inputs[platform]
            if manifest is None or inputs is None:
                continue
            expected = RecordOf(platform=platform, inputs=inputs, scope=scope, parents=tuple(parents))
            if expected.is_in(manifest):
                part = read_record(manifest).part
                return RememberedPart(record=manifest.digest, manifest=part.manifest, key=key)
        return None
