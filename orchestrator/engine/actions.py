"""What each kind of step does to the stores; blocking, called in threads. Solves are in `engine.solve`."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from orchestrator.engine.copy import copy_tree
from orchestrator.engine.ports import ImageStore, Stores
from orchestrator.engine.results import Results, StepResult
from orchestrator.engine.verify import Depth, verify_image
from orchestrator.errors import RegistryError, VerificationError
from orchestrator.oci.assemble import assemble, children, cut
from orchestrator.oci.digest import Digest
from orchestrator.oci.manifest import Descriptor, ImageConfig, Manifest, parse_config, parse_manifest
from orchestrator.oci.reference import Repository
from orchestrator.plan.model import AssembleStep, CopyStep, Home, LayoutHome, RecordStep, RegistryHome, VerifyStep

_MAX_CONFIG = 8 * 1024 * 1024


class Actions:
    """The steps between a solve and a promotion."""

    def __init__(self, *, root: Path, stores: Stores, results: Results) -> None:
        self._root = root
        self._stores = stores
        self._results = results

    def record(self, step: RecordStep) -> StepResult:
        """Cut one platform out of the solve's index and put it under its private name, all that it names with it."""
        solve = self._results.get(step.solve)
        home = self.open(step.home)
        source = self._stores.layout(self._root / solve.path) if solve.path else home
        root = _fetch(source, self._results.digest(step.solve))
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
        home.put_manifest(step.tag or part.digest, part)
        image = next(child for child in manifests if not child.is_attestation)
        return StepResult(digest=part.digest, manifest=Digest(image.digest))

    def assemble(self, step: AssembleStep) -> StepResult:
        """Make the canonical index and put it under its digest alone."""
        home = self.open(step.home)
        parts = tuple(_fetch(home, self._results.digest(part)) for part in step.parts)
        index = assemble(parts, dict(step.annotations))
        home.put_manifest(index.digest, index)
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
        match step.home:
            case LayoutHome(path=path):
                self._stores.layout(self._root / path).publish(step.tag, digest, owner=step.image)
            case RegistryHome():
                home.put_manifest(step.tag, _fetch(home, digest))
            case _:
                assert_never(step.home)
        return StepResult(digest=digest)

    def copy(self, step: CopyStep) -> StepResult:
        """Copy to another repository, children before the index, and read the digest back from there."""
        digest = self._results.digest(step.index)
        source, target = self.open(step.home), self._stores.repository(step.target)
        copy_tree(source, target, digest)
        target.put_manifest(step.tag, _fetch(source, digest))
        found = target.find(step.tag)
        if found != digest:
            message = f"`{step.target}` holds `{found}` after the copy of `{digest}`"
            raise VerificationError(message, hints=("the registry changes what it is given; do not publish there",))
        return StepResult(digest=digest)

    def open(self, home: Home) -> ImageStore:
        """The store of a home."""
        match home:
            case LayoutHome(path=path):
                return self._stores.layout(self._root / path)
            case RegistryHome(repository=repository):
                return self.repository(repository)
            case _:
                assert_never(home)

    def repository(self, repository: Repository) -> ImageStore:
        """The store of a repository."""
        return self._stores.repository(repository)


def _fetch(store: ImageStore, digest: Digest) -> Manifest:
    manifest = store.fetch_manifest(digest)
    if manifest is None:
        message = f"`{store.name}@{digest}` is gone: it was there a moment ago"
        raise RegistryError(message, hints=("check that nothing cleans the registry up while builds run",))
    return manifest


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
