"""Looks once more at what a solve was made from when it is done: what changed meanwhile is never recorded.

The engine is sent files while it builds, and not what was hashed when it was planned. What came out under the name of
other files would be taken over by every later plan, on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from threading import Lock

from msgspec import structs

from orchestrator.cli.load import Loaded
from orchestrator.cli.prepare import Prepared
from orchestrator.cli.recollect import Asked, look
from orchestrator.errors import PlanBlockedError
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.plan.compile import published_parents, selected_images
from orchestrator.plan.image import build_id
from orchestrator.plan.inputs import UNKNOWN, InputManifest
from orchestrator.plan.model import SolveStep
from orchestrator.plan.stale import stale_inputs
from orchestrator.probe.regular import read_regular
from orchestrator.probe.sources import MAX_DOCKERFILE


def make_input_check(prepared: Prepared) -> Callable[[SolveStep], None]:
    """The check of one solve, for threads; it raises PlanBlockedError where something has changed."""
    loaded, facts = prepared.loaded, prepared.facts
    images = selected_images(loaded.declared, prepared.scope)
    published = published_parents(loaded.declared, images, facts)
    alone = Lock()  # one walk after the other: they share the stat cache

    def check(step: SolveStep) -> None:
        builds = (build_id(step.image, platform) for platform in step.solve.platforms)
        then = {build: facts.inputs[build] for build in builds if build in facts.inputs}
        if not then:
            return
        with alone:
            asked = Asked(
                root=loaded.root,
                images=images,
                dockerfiles=_read_dockerfiles(loaded, step.image),
                placed=prepared.placed,
                published=published,
                rules=facts.state,
                takes_over=False,
            )
            seen = look(asked, loaded.declared, facts, loaded.reader, only=frozenset({step.image}))
        now = {build: _with_files(old, seen.manifests[build]) for build, old in then.items()}
        changed = tuple(stale_inputs(then, now, prepared.listings, seen.listings))
        if changed:
            message = f"{changed[0].message}, while it was built"
            raise PlanBlockedError(message, hints=("nothing of it is taken: run it again",))

    return check


def _read_dockerfiles(loaded: Loaded, name: str) -> dict[str, Digest]:
    return {path: digest_bytes(content) for path, content in _dockerfiles(loaded, name)}


def _dockerfiles(loaded: Loaded, name: str) -> Iterator[tuple[str, bytes]]:
    """The Dockerfiles of an image that were read when it was planned, as they are now."""
    image = next(image for image in loaded.declared.images if image.name == name)
    for path in {variant.options.dockerfile for variant in image.variants} & loaded.dockerfiles.keys():
        content = read_regular(str(loaded.root / path), MAX_DOCKERFILE + 1)
        if content is not None:
            yield path, content


def _with_files(then: InputManifest, now: InputManifest) -> InputManifest:
    """What it is made from with the files of now; of the rest, nothing can have changed since."""
    before: Mapping[str, str] = dict(then.contexts)
    contexts = tuple((name, UNKNOWN if before.get(name) == UNKNOWN else value) for name, value in now.contexts)
    return structs.replace(then, contexts=contexts, dockerfile=now.dockerfile)
