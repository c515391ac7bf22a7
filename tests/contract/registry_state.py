"""Private names as builds leave them, in a fake registry."""

from __future__ import annotations

from orchestrator.model import Model
from orchestrator.oci.assemble import assemble
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.manifest import Manifest
from orchestrator.oci.record import seal
from orchestrator.plan import names
from orchestrator.testing.registry import FakeRegistry
from tests.unit.oci import images

PATH = "acme/api"


class Left(Model):
    """What one build left, by what it is for."""

    image: Digest
    solve: Digest
    record: Digest
    index: Digest
    run: str
    part: str
    final: str
    inputs: str

    @property
    def digests(self) -> set[str]:
        """Its manifests, but for the input manifest."""
        return {self.image, self.solve, self.record, self.index}

    @property
    def names(self) -> set[str]:
        """Its private names."""
        return {self.run, self.part, self.final, self.inputs}


def leave(
    registry: FakeRegistry,
    version: str,
    *tags: str,
    path: str = PATH,
    scope: str = "main",
    image: str = "api",
    lone: bool = False,
) -> Left:
    """Leave what a build of a version does, with public tags, if any; a `lone` image was pushed without an index."""
    built = images.image("linux/amd64", runtime={"Cmd": [version]})
    inputs = digest_bytes(f"inputs of {version}".encode())
    part = images.index(images.entry("linux/amd64", built))
    record = seal(part, inputs=inputs, scope=scope, parents=())
    index = assemble((record,), {})
    left = Left(
        image=registry.put_manifest(path, "", built.manifest),
        solve=built.manifest.digest if lone else part.digest,
        record=record.digest,
        index=index.digest,
        run=names.solve_tag(names.run_id(version.encode()), "solve", image),
        part=names.record_tag(scope, version),
        final=names.final_tag(scope, (version,), b""),
        inputs=names.inputs_tag(inputs),
    )
    puts: dict[str, Manifest] = {
        left.run: built.manifest if lone else part,
        left.part: record,
        left.inputs: images.image("linux/amd64", runtime={"Cmd": ["inputs of", version]}).manifest,
    }
    for tag, manifest in puts.items():
        registry.put_manifest(path, tag, manifest)
    for tag in (left.final, names.last_tag(scope, image), *tags):
        registry.put_manifest(path, tag, index)
    return left
