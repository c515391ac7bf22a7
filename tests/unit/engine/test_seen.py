"""What a run has put or fetched is not fetched again, and is nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.engine.seen import SeenManifests
from orchestrator.errors import RegistryError
from orchestrator.oci.manifest import OCI_INDEX, Manifest
from orchestrator.state.layout import OciLayout

MANIFEST = Manifest(media_type=OCI_INDEX, content=b'{"schemaVersion":2,"manifests":[]}')


def layout(folder: Path, *, holds: bool) -> OciLayout:
    """A layout with or without the manifest."""
    made = OciLayout(folder, below=folder.parent)
    if holds:
        made.put_manifest(MANIFEST.digest, MANIFEST)
    return made


def test_what_was_fetched_is_not_fetched_again(tmp_path: Path) -> None:
    """It may even be gone by now: who has to know asks the store."""
    seen = SeenManifests()
    assert MANIFEST == seen.fetch(layout(tmp_path / "a", holds=True), MANIFEST.digest)
    gone = OciLayout(tmp_path / "a", below=tmp_path)
    gone.keep_only(frozenset())
    assert MANIFEST == seen.fetch(gone, MANIFEST.digest)


def test_what_one_store_holds_says_nothing_about_another(tmp_path: Path) -> None:
    """The other is asked, and has not got it."""
    seen = SeenManifests()
    seen.keep(layout(tmp_path / "a", holds=True), MANIFEST)
    with pytest.raises(RegistryError, match="is gone"):
        seen.fetch(layout(tmp_path / "b", holds=False), MANIFEST.digest)
