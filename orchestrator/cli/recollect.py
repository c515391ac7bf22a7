"""What a plan needs to know of the past: what builds are made from now, and what of that registries hold already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from orchestrator.cli.insecure import insecure_registries
from orchestrator.diagnostics import Diagnostic
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.oci.reference import Reference
from orchestrator.plan.bases import BaseFacts, find_bases
from orchestrator.plan.compile import Declared
from orchestrator.plan.context import Listing
from orchestrator.plan.edges import DockerfileReader
from orchestrator.plan.facts import RunFacts, StateRules
from orchestrator.plan.image import Image, build_id
from orchestrator.plan.inputs import InputManifest
from orchestrator.plan.memory import Memory, want_images
from orchestrator.plan.place import Placements
from orchestrator.plan.sights import Outside, build_platforms
from orchestrator.plan.standing import pinned_bases
from orchestrator.probe.bases import resolve_bases
from orchestrator.probe.history import Unremembered, explain
from orchestrator.probe.inputs import read_inputs
from orchestrator.probe.memory import recall
from orchestrator.process.capture import capture
from orchestrator.registry import open_stores
from orchestrator.registry.patience import Patience

PATIENCE: Final = Patience(attempts=3, connect_timeout=5.0, read_timeout=20.0)
"""A plan that has to wait for a registry that is down is worse than one that says so."""


class Recollected(Model):
    """What was found out: the facts that were given, and all that was learned; `texts` are of files with findings."""

    facts: RunFacts
    listings: Mapping[Digest, Listing]
    found: tuple[Diagnostic, ...]
    texts: Mapping[str, str]


class Asked(Model):
    """What to find out about: the images of a plan, parents first, and where they are built.

    `takes_over`: what stands may be taken, rather than only be named.
    """

    root: Path
    images: tuple[Image, ...]
    dockerfiles: Mapping[str, Digest]
    placed: Placements
    published: Mapping[str, Reference]
    rules: StateRules
    takes_over: bool


def recollect(
    asked: Asked, declared: Declared, facts: RunFacts, reader: DockerfileReader, environment: Mapping[str, str]
) -> Recollected:
    """Find out what images are made from, and what of that stands in their registries.

    Raises:
        PlanBlockedError: a file of a context does not stop changing.
    """
    insecure = insecure_registries(environment)
    with open_stores(environment, insecure=insecure, capture=capture, patience=PATIENCE) as stores:
        bases = (
            *find_bases(asked.images, declared.edges, reader, facts.host),
            *pinned_bases(asked.images, declared.edges, reader, asked.published),
        )
        known, found = resolve_bases(bases, declared.lock, root=asked.root, open_store=stores.repository)
        inputs = read_inputs(
            Outside(images=asked.images, reader=reader, bases=known, published=asked.published, host=facts.host),
            declared.edges,
            root=asked.root,
            dockerfiles=asked.dockerfiles,
            built_on=build_platforms(asked.placed, facts.nodes, facts.host),
        )
        facts = msgspec.structs.replace(
            facts,
            bases=_digests(known),
            inputs=inputs.manifests,
            listings=frozenset(inputs.listings),
            state=msgspec.structs.replace(asked.rules, asked=True),
        )
        silent: tuple[Diagnostic, ...] = ()
        if asked.takes_over:
            open_to = {build: one for build, one in facts.inputs.items() if _owner(build) not in asked.rules.forced}
            wanted = want_images(asked.images, declared.edges, open_to)
            memory, silent = recall(wanted, asked.rules.reads, stores.repository)
            missing = dict(_unremembered(asked.images, open_to, memory))
            reasons = explain(missing, inputs.listings, asked.rules.reads, stores.repository)
            facts = msgspec.structs.replace(facts, memory=memory, reasons=reasons)
    return Recollected(
        facts=facts, listings=inputs.listings, found=(*found, *inputs.found, *silent), texts=inputs.texts
    )


def _owner(build: str) -> str:
    """The image of a platform build, by its id."""
    return build.partition("@")[0]


def _digests(facts: Mapping[Reference, BaseFacts]) -> dict[Reference, Digest]:
    """The digests of those that are known by a tag; the others have theirs already."""
    return {reference: one.digest for reference, one in facts.items() if not reference.digest}


def _unremembered(
    images: tuple[Image, ...], manifests: Mapping[str, InputManifest], memory: Memory
) -> Iterator[tuple[str, Unremembered]]:
    for image in images:
        for platform in image.platforms if image.repository else ():
            build = build_id(image.name, platform)
            manifest = manifests.get(build)
            if build not in memory.parts and manifest is not None and not manifest.unknown and image.repository:
                yield (
                    build,
                    Unremembered(image=image.name, platform=platform, repository=image.repository, manifest=manifest),
                )
