"""What a plan needs to know of the past: what builds are made from now, and what of that registries hold already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from orchestrator.cli.homes import Reached
from orchestrator.cli.registries import OpenStore
from orchestrator.diagnostics import Diagnostic
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.oci.reference import Reference
from orchestrator.plan.bases import find_bases
from orchestrator.plan.compile import Declared
from orchestrator.plan.context import Listing
from orchestrator.plan.edges import DockerfileReader
from orchestrator.plan.facts import RunFacts, StateRules
from orchestrator.plan.graph import Edge
from orchestrator.plan.image import Image, build_id
from orchestrator.plan.inputs import InputManifest
from orchestrator.plan.memory import Memory, parent_builds, want_images
from orchestrator.plan.model import Home
from orchestrator.plan.place import Placements
from orchestrator.plan.reasons import explain
from orchestrator.plan.sights import Outside, build_platforms
from orchestrator.plan.standing import edges_by_child, pinned_bases
from orchestrator.probe.bases import resolve_bases
from orchestrator.probe.history import Unremembered, read_past
from orchestrator.probe.inputs import Inputs, read_inputs
from orchestrator.probe.memory import recall


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
    asked: Asked,
    declared: Declared,
    facts: RunFacts,
    reader: DockerfileReader,
    *,
    open_store: OpenStore | None,
    reached: Reached,
) -> Recollected:
    """Find out what images are made from, and what of that stands in their homes; without registries where None.

    Raises:
        PlanBlockedError: a file of a context does not stop changing.
    """
    bases = (
        *find_bases(asked.images, declared.edges, reader, facts.host),
        *pinned_bases(asked.images, declared.edges, reader, asked.published),
    )
    known, found = resolve_bases(bases, declared.lock, root=asked.root, open_store=open_store)
    facts = msgspec.structs.replace(facts, bases=known)
    inputs = look(asked, declared, facts, reader)
    facts = msgspec.structs.replace(
        facts,
        inputs=inputs.manifests,
        listings=frozenset(inputs.listings),
        state=msgspec.structs.replace(asked.rules, asked=True),
    )
    silent: tuple[Diagnostic, ...] = ()
    if asked.takes_over:
        open_to = {build: one for build, one in facts.inputs.items() if _owner(build) not in asked.rules.forced}
        wanted = want_images(asked.images, declared.edges, open_to, reached.homes)
        memory, silent = recall(wanted, asked.rules.reads, reached.open_home)
        replaced: Mapping[str, Digest] = {}
        if asked.rules.forced:
            everything = want_images(asked.images, declared.edges, facts.inputs, reached.homes)
            stands, _ = recall(everything, asked.rules.reads, reached.open_home)
            replaced = {build: p.record for build, p in stands.parts.items() if _owner(build) in asked.rules.forced}
        missing = dict(_unremembered(asked.images, reached.homes, declared.edges, facts.inputs, memory))
        past = read_past(missing, inputs.listings, asked.rules.reads, reached.open_home)
        reasons = {build: explain(past[build], one.manifest) for build, one in missing.items()}
        facts = msgspec.structs.replace(facts, memory=memory, reasons=reasons, past=past, replaced=replaced)
    return Recollected(
        facts=facts,
        listings=inputs.listings,
        found=(*reached.found, *found, *inputs.found, *silent),
        texts=inputs.texts,
    )


def look(
    asked: Asked,
    declared: Declared,
    facts: RunFacts,
    reader: DockerfileReader,
) -> Inputs:
    """What the images are made from, as it lies on disk, over the external images that the facts tell of.

    Raises:
        PlanBlockedError: a file of a context does not stop changing.
    """
    return read_inputs(
        Outside(images=asked.images, reader=reader, bases=facts.bases, published=asked.published, host=facts.host),
        declared.edges,
        root=asked.root,
        dockerfiles=asked.dockerfiles,
        built_on=build_platforms(asked.placed, facts.nodes, facts.host),
    )


def _owner(build: str) -> str:
    """The image of a platform build, by its id."""
    return build.partition("@")[0]


def _unremembered(
    images: tuple[Image, ...],
    homes: Mapping[str, Home],
    edges: Iterable[Edge],
    manifests: Mapping[str, InputManifest],
    memory: Memory,
) -> Iterator[tuple[str, Unremembered]]:
    planned = {image.name for image in images}
    by_child = edges_by_child(edges)
    for image in images:
        home = homes.get(image.name)
        for platform in image.platforms if home else ():
            build = build_id(image.name, platform)
            manifest = manifests.get(build)
            if build not in memory.parts and manifest is not None and home:
                parents = parent_builds(by_child.get(image.name, ()), planned, platform)
                stands = all(parent in memory.parts for parent in parents)
                yield (
                    build,
                    Unremembered(
                        image=image.name,
                        platform=platform,
                        home=home,
                        manifest=manifest,
                        parents={parent: memory.parts[parent].record for parent in parents} if stands else {},
                    ),
                )
