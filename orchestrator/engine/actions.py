"""What each kind of step does to the stores; blocking, called in threads. Solves are in `engine.solve`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import assert_never

from msgspec.structs import replace

from orchestrator.api.events import PlatformSize
from orchestrator.api.invocation import StepId
from orchestrator.api.solve import PushOutput
from orchestrator.engine.copy import copy_tree
from orchestrator.engine.inputs import InputKeeper
from orchestrator.engine.ports import ImageStore, Layout, Stores
from orchestrator.engine.results import Results, StepResult
from orchestrator.engine.seen import SeenManifests
from orchestrator.engine.verify import Depth, verify_image
from orchestrator.errors import RegistryError, VerificationError
from orchestrator.oci.assemble import assemble, children, cut
from orchestrator.oci.digest import Digest
from orchestrator.oci.manifest import Descriptor, ImageConfig, Manifest, parse_config, parse_manifest
from orchestrator.oci.record import read_record, seal
from orchestrator.oci.reference import Repository
from orchestrator.plan import names
from orchestrator.plan.context import Listing
from orchestrator.plan.memory import RecordOf
from orchestrator.plan.model import (
    AssembleStep,
    CopyStep,
    ExportStep,
    Home,
    LayoutHome,
    RecordKey,
    RecordStep,
    RegistryHome,
    SolveStep,
    TestStep,
    VerifyStep,
)
from orchestrator.plan.past import note_took
from orchestrator.plan.retain import kept_names

_MAX_CONFIG = 8 * 1024 * 1024
_SHORTEST_WAIT = 0.1
"""Seconds."""


class Actions:
    """The steps between a solve and a promotion; `emulated` are the platforms that run under emulation, by solve."""

    def __init__(
        self,
        *,
        root: Path,
        stores: Stores,
        results: Results,
        listings: Mapping[Digest, Listing],
        emulated: Mapping[StepId, tuple[str, ...]],
    ) -> None:
        self._root = root
        self._emulated = emulated
        self._inputs = InputKeeper(listings)
        self._seen = SeenManifests()
        self._stores = stores
        self._results = results

    def act(self, step: RecordStep | AssembleStep | VerifyStep | CopyStep | ExportStep) -> StepResult:
        """Do what a step says."""
        match step:
            case RecordStep():
                return self.record(step)
            case AssembleStep():
                return self.assemble(step)
            case VerifyStep():
                return self.verify(step)
            case CopyStep():
                return self.copy(step)
            case ExportStep():
                return self.export(step)
            case _:
                assert_never(step)

    def record(self, step: RecordStep) -> StepResult:
        """Cut one platform out of the solve's index and put it under its private name, all that it names with it.

        What stands there by now is taken instead: another run was faster.
        """
        found = self._results.find(step.id)
        if found.digest:
            return found
        solve = self._results.get(step.solve)
        home = self.open(step.home)
        source = self._stores.layout(self._root / solve.path) if solve.path else home
        root = self._seen.fetch(source, self._results.digest(step.solve))
        try:
            part = cut(root, step.platform, configs=_configs(source, root))
        except ValueError as error:
            message = f"`{step.image}@{step.platform}`: {error}"
            raise VerificationError(
                message, hints=("look at what the builder pushed, or use another builder",)
            ) from error
        manifests = children(part)
        if source is not home:
            for child in manifests:
                copy_tree(source, home, Digest(child.digest))
        image = next(child for child in manifests if not child.is_attestation)
        notes = note_took(solve.seconds, self._emulated.get(step.solve, ()))
        self._inputs.keep(home, step.key, notes, replaces=step.replaces)
        agreed = self._agree(step, home, part, Digest(image.digest))
        return replace(agreed, taken=agreed.manifest != image.digest)

    def _agree(self, step: RecordStep, home: ImageStore, part: Manifest, image: Digest) -> StepResult:
        """Put a record so that of runs that make the same at the same time all take one of theirs.

        No registry puts what is not there yet and nothing else. So whoever has put a record waits for as long as
        another may need between looking and putting, and takes what stands then (Fischer's algorithm). In a layout
        there is no other run.
        """
        started = time.monotonic()
        standing = self.recall(step)
        if standing:
            return standing
        key = step.key
        parents, name = self._identify(key)
        record = seal(part, inputs=key.inputs, scope=key.scope, parents=parents)
        home.put_manifest(names.record_tag(key.scope, name), record)
        self._seen.keep(home, record)
        if not step.replaces and isinstance(step.home, RegistryHome):
            time.sleep(max(_SHORTEST_WAIT, 2 * (time.monotonic() - started)))
        return self.recall(step) or StepResult(digest=record.digest, manifest=image, key=name)

    def recall(self, step: RecordStep) -> StepResult | None:
        """The record of this platform build that stands by now, if there is one."""
        if step.replaces:
            return None
        parents, key = self._identify(step.key)
        home = self.open(step.home)
        record = home.fetch_manifest(names.record_tag(step.key.scope, key))
        expected = RecordOf(platform=step.platform, inputs=step.key.inputs, scope=step.key.scope, parents=parents)
        if record is None or not expected.is_in(record):
            return None
        self._seen.keep(home, record)
        return StepResult(digest=record.digest, manifest=read_record(record).part.manifest, key=key)

    def _identify(self, key: RecordKey) -> tuple[tuple[Digest, ...], str]:
        """The records that a platform build stands on, and what it is known by."""
        parents = tuple(sorted(map(self._results.digest, key.parents)))
        return parents, names.part_key(key.inputs, parents)

    def has_passed(self, step: TestStep) -> bool:
        """Whether the record of a platform is known to have passed this test."""
        record = self._results.digest(step.record)
        return self.open(step.home).find(names.test_tag(step.scope, record, step.command)) == record

    def note_passed(self, step: TestStep) -> StepResult:
        """Give the record of a platform the name by which it is known to have passed this test."""
        home = self.open(step.home)
        record = self._seen.fetch(home, self._results.digest(step.record))
        home.put_manifest(names.test_tag(step.scope, record.digest, step.command), record)
        return StepResult()

    def heed(self, step: SolveStep | TestStep) -> None:
        """Ask the registry that a push of BuildKit failed at; returns when it answers.

        A builder does not tell for how long a registry wants to be left alone, and our own requests wait that long.
        """
        if isinstance(step.solve.output, PushOutput):
            reference = step.solve.output.reference
            with suppress(RegistryError):  # it is asked again by the push
                self.repository(reference.repository).find(reference.tag)

    def assemble(self, step: AssembleStep) -> StepResult:
        """Make the canonical index and put it under its digest alone."""
        home = self.open(step.home)
        parts = tuple(self._seen.fetch(home, self._results.digest(part)) for part in step.parts)
        index = assemble(parts, dict(step.annotations))
        home.put_manifest(index.digest, index)
        self._seen.keep(home, index)
        return StepResult(digest=index.digest)

    def verify(self, step: VerifyStep) -> StepResult:
        """Read the index back, hold it against the declaration, and put its private name."""
        digest = self._results.digest(step.index)
        home = self.open(step.home)
        report = verify_image(home, digest, step.platforms, Depth.STRUCTURE)
        if not report.ok:
            first, *others = (str(finding) for finding in report.all_findings)
            more = f" (and {len(others)} more)" if others else ""
            message = f"`{step.image}` is not what was declared: {first}{more}"
            raise VerificationError(message, hints=(f"look at it: `orchestrate verify {home.name}@{digest}`",))
        self._remember(step, home, self._seen.fetch(home, digest))
        if isinstance(step.home, LayoutHome):
            self._forget(self._layout(step.home))
        sized = ((str(one.platform), one.size) for one in report.platforms)
        sizes = tuple(PlatformSize(platform=platform, size=size) for platform, size in sized if size is not None)
        return StepResult(digest=digest, sizes=sizes)

    def export(self, step: ExportStep) -> StepResult:
        """Give a verified index to the layout that was asked for, by hard links where the disk has them."""
        digest = self._results.digest(step.index)
        source, target = self._layout(step.home), self._layout(step.target)
        target.take(digest, source)
        target.publish(step.tag, digest, owner=step.image)
        return StepResult(digest=digest)

    def _forget(self, layout: Layout) -> None:
        """Remove what no last verified index leads to: nobody else looks after what is on this disk."""
        standing = {tag: manifest for tag in layout.tags() if (manifest := layout.fetch_manifest(tag))}
        layout.keep_only(kept_names(standing))

    def _remember(self, step: VerifyStep, home: ImageStore, index: Manifest) -> None:
        """Put the private name of an index of which all parts are known to stand on the parents of this plan.

        Raises:
            VerificationError: a part is not the one that was recorded, or stands on another parent.
        """
        keys = tuple(self._results.find(part).key for part in step.parts)
        if not all(keys):
            return
        for part, key, parents in zip(step.parts, keys, step.parents, strict=True):
            record = read_record(self._seen.fetch(home, self._results.digest(part)))
            expected = tuple(sorted(map(self._results.digest, parents)))
            if record.parents != expected or names.part_key(record.part.inputs, expected) != key:
                message = f"`{part}` stands on other parents than those of this plan"
                raise VerificationError(message, hints=("run it again: it is built anew then",))
        home.put_manifest(names.final_tag(step.scope, keys, step.extra.encode()), index)
        home.put_manifest(names.last_tag(step.scope, step.image), index)

    def copy(self, step: CopyStep) -> StepResult:
        """Copy to another repository, children before the index, and read the digest back from there."""
        digest = self._results.digest(step.index)
        source, target = self.open(step.home), self._stores.repository(step.target)
        copy_tree(source, target, digest)
        tag = names.copy_tag(digest)
        target.put_manifest(tag, self._seen.fetch(source, digest))
        found = target.find(tag)
        if found != digest:
            message = f"`{step.target}` holds `{found}` after the copy of `{digest}`"
            raise VerificationError(message, hints=("the registry changes what it is given; do not publish there",))
        return StepResult(digest=digest)

    def open(self, home: Home) -> ImageStore:
        """The store of a home."""
        match home:
            case LayoutHome():
                return self._layout(home)
            case RegistryHome(repository=repository):
                return self.repository(repository)
            case _:
                assert_never(home)

    def _layout(self, home: LayoutHome) -> Layout:
        return self._stores.layout(self._root / home.path)

    def repository(self, repository: Repository) -> ImageStore:
        """The store of a repository."""
        return self._stores.repository(repository)


def _configs(store: ImageStore, root: Manifest) -> dict[Digest, ImageConfig]:
    """The config of a lone manifest, whose platform nothing else says."""
    if root.is_index:
        return {}
    manifest = parse_manifest(root.content)
    return {root.digest: parse_config(_read_blob(store, manifest.config))}


def _read_blob(store: ImageStore, descriptor: Descriptor) -> bytes:
    if descriptor.size > _MAX_CONFIG:
        message = f"image config of {descriptor.size} bytes in `{store.name}`"
        raise VerificationError(message)
    with store.open_blob(descriptor) as stream:
        return stream.read()
