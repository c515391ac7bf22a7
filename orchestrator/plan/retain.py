"""Which private names of a local home stay after an image was verified: what its last indexes lead to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.oci.manifest import Manifest
from orchestrator.oci.record import Part, read_parts
from orchestrator.plan import names


def kept_names(standing: Mapping[str, Manifest]) -> frozenset[str]:
    """The names that stay, of all that stand in the home of one image.

    They are the last verified index of each scope with its records and input manifests, and records of platforms that
    none of these indexes has: those are of the last run that built them. A record keeps the names of passed tests.
    """
    last = {name: index for name, index in standing.items() if names.is_last(name)}
    indexed = [part for index in last.values() for part in _parts(index)]
    platforms = {part.platform for part in indexed}
    indexes, records = {index.digest for index in last.values()}, {part.record for part in indexed}
    kept, inputs = set(last), {part.inputs for part in indexed}
    for name, manifest in standing.items():
        if names.is_record(name) or names.is_test(name):
            parts = tuple(_parts(manifest))
            if manifest.digest in records or not platforms.intersection(part.platform for part in parts):
                kept.add(name)
                inputs.update(part.inputs for part in parts)
        elif manifest.digest in indexes:
            kept.add(name)
    return frozenset(kept.union(map(names.inputs_tag, inputs)) & standing.keys())


def _parts(index: Manifest) -> Iterator[Part]:
    """The platforms of an index of ours; nothing of one that cannot be read, which then counts for nobody."""
    try:
        yield from read_parts(index)
    except ValueError:
        return
