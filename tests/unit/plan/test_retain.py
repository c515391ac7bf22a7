"""Which private names of a local home stay."""

from __future__ import annotations

from orchestrator.oci.assemble import assemble
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.manifest import OCI_MANIFEST, Descriptor, Manifest, PlatformField
from orchestrator.oci.platform import Platform
from orchestrator.oci.record import render_index, seal
from orchestrator.plan import names
from orchestrator.plan.retain import kept_names
from tests.unit.plan.samples import AMD64, ARM64

NOTE = Manifest(media_type=OCI_MANIFEST, content=b"{}")


def inputs(platform: Platform, time: int) -> Digest:
    """What a build was made from at some time."""
    return digest_bytes(f"{platform} {time}".encode())


def record(platform: Platform, time: int, scope: str = "main") -> Manifest:
    """The record of that build."""
    image = Descriptor(
        media_type=OCI_MANIFEST,
        digest=digest_bytes(f"image {platform} {time}".encode()),
        size=7,
        platform=PlatformField(architecture=platform.architecture, os=platform.os),
    )
    return seal(render_index((image,), {}), inputs=inputs(platform, time), scope=scope, parents=())


def run(time: int, *platforms: Platform, scope: str = "main") -> dict[str, Manifest]:
    """What a run at some time puts under private names."""
    records = {platform: record(platform, time, scope) for platform in platforms}
    keys = {platform: names.part_key(inputs(platform, time), ()) for platform in platforms}
    index = assemble(tuple(records.values()), {})
    return {
        **{names.record_tag(scope, keys[platform]): one for platform, one in records.items()},
        **{names.inputs_tag(inputs(platform, time)): NOTE for platform in platforms},
        names.final_tag(scope, keys.values(), b""): index,
        names.last_tag(scope, "x"): index,
    }


def test_what_the_last_run_has_left_stays() -> None:
    """All of it."""
    left = run(1, AMD64, ARM64)
    assert left.keys() == kept_names(left)


def test_names_of_passed_tests_stay_with_their_records() -> None:
    """And go with them."""
    first, later = run(1, AMD64), run(2, AMD64)
    old, new = ({names.test_tag("main", one.digest, ("x",)): one} for one in (record(AMD64, 1), record(AMD64, 2)))
    assert {*later, *new} == kept_names({**first, **old, **later, **new})


def test_what_it_has_replaced_goes() -> None:
    """The index, its records and what they were made from."""
    later = run(2, AMD64, ARM64)
    assert later.keys() == kept_names({**run(1, AMD64, ARM64), **later})


def test_each_scope_has_a_last_run() -> None:
    """They have names of their own, and the input manifests in common."""
    both = {**run(1, AMD64), **run(1, AMD64, scope="pr-1")}
    assert both.keys() == kept_names(both)


def test_what_a_run_did_not_build_stays() -> None:
    """The records of the other platform, with what they were made from; the index that had both goes."""
    first, later = run(1, AMD64, ARM64), run(2, ARM64)
    other = {
        names.record_tag("main", names.part_key(inputs(AMD64, 1), ())),
        names.inputs_tag(inputs(AMD64, 1)),
    }
    assert {*later, *other} == kept_names({**first, **later})


def test_what_no_run_has_finished_stays_until_one_has() -> None:
    """The next one may take it."""
    unfinished = {name: one for name, one in run(1, AMD64).items() if names.is_record(name)}
    assert unfinished.keys() == kept_names(unfinished)
    assert run(2, AMD64).keys() == kept_names({**unfinished, **run(2, AMD64)})


def test_what_cannot_be_read_counts_for_nobody() -> None:
    """A name of ours over something else."""
    assert frozenset({"at-1"}) == kept_names({"at-1": NOTE, "ok-1": record(AMD64, 1), "x": record(AMD64, 1)})
