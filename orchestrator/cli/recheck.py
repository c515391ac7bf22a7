"""Looks once more at what a solve was made from when it is done: what changed meanwhile is never recorded.

The engine is sent files while it builds, and not what was hashed when it was planned. What came out under the name of
other files would be taken over by every later plan, on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from msgspec import structs

from orchestrator.cli.prepare import Prepared
from orchestrator.errors import PlanBlockedError
from orchestrator.oci.digest import digest_bytes
from orchestrator.plan.compile import published_parents, selected_images
from orchestrator.plan.image import Image, build_id
from orchestrator.plan.inputs import UNKNOWN, InputManifest
from orchestrator.plan.model import SolveStep
from orchestrator.plan.sights import Outside, build_platforms
from orchestrator.plan.stale import stale_inputs
from orchestrator.probe.inputs import Ground
from orchestrator.probe.regular import read_regular
from orchestrator.probe.sources import MAX_DOCKERFILE
from orchestrator.state.statcache import HeldCache


def make_input_check(prepared: Prepared) -> Callable[[SolveStep], None]:
    """The check of one solve, for threads; it raises PlanBlockedError where something has changed."""
    return _InputCheck(prepared)


class _InputCheck:
    """What the checks of a run have in common: however many images there are, one costs what its own files cost."""

    def __init__(self, prepared: Prepared) -> None:
        loaded, facts = prepared.loaded, prepared.facts
        images = selected_images(loaded.declared, prepared.scope)
        published = published_parents(loaded.declared, images, facts)
        self._root = loaded.root
        self._then = facts.inputs
        self._listings = prepared.listings
        self._images = {image.name: image for image in images}
        self._dockerfiles = frozenset(loaded.dockerfiles)
        self._cache = HeldCache(loaded.root)
        self._ground = Ground(
            Outside(images=images, reader=loaded.reader, bases=facts.bases, published=published, host=facts.host),
            loaded.declared.edges,
            root=loaded.root,
            built_on=build_platforms(prepared.placed, facts.nodes, facts.host),
        )

    def __call__(self, step: SolveStep) -> None:
        builds = (build_id(step.image, platform) for platform in step.solve.platforms)
        then = {build: self._then[build] for build in builds if build in self._then}
        if not then:
            return
        image = self._images[step.image]
        dockerfiles = {path: digest_bytes(content) for path, content in self._read_dockerfiles(image)}
        seen = self._ground.read((image,), dockerfiles, self._cache.look())
        now = {build: _with_files(old, seen.manifests[build]) for build, old in then.items()}
        changed = tuple(stale_inputs(then, now, self._listings, seen.listings))
        if changed:
            message = f"{changed[0].message}, while it was built"
            raise PlanBlockedError(message, hints=("nothing of it is taken: run it again",))

    def _read_dockerfiles(self, image: Image) -> Iterator[tuple[str, bytes]]:
        """The Dockerfiles of an image that were read when it was planned, as they are now."""
        for path in {variant.options.dockerfile for variant in image.variants} & self._dockerfiles:
            content = read_regular(str(self._root / path), MAX_DOCKERFILE + 1)
            if content is not None:
                yield path, content


def _with_files(then: InputManifest, now: InputManifest) -> InputManifest:
    """What it is made from with the files of now; of the rest, nothing can have changed since."""
    before: Mapping[str, str] = dict(then.contexts)
    contexts = tuple((name, UNKNOWN if before.get(name) == UNKNOWN else value) for name, value in now.contexts)
    return structs.replace(then, contexts=contexts, dockerfile=now.dockerfile)
