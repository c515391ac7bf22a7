"""Reads what `--metadata-file` says (buildx `build/build.go`, `commands/build.go`)."""

from __future__ import annotations

from typing import Final

import msgspec

from orchestrator.model import Model
from orchestrator.oci.digest import Digest, parse_digest


class Metadata(Model, rename={"digest": "containerimage.digest"}):
    """The part of the metadata that tells the result."""

    digest: str = ""


_METADATA: Final = msgspec.json.Decoder(Metadata)


def parse_metadata(content: bytes) -> Digest:
    """The digest of what was exported.

    Raises:
        ValueError: it is not the metadata of a build that exported an image.
    """
    try:
        metadata = _METADATA.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        msg = f"the metadata file of buildx cannot be read: {error}"
        raise ValueError(msg) from error
    if not metadata.digest:
        msg = "the metadata file of buildx names no digest"
        raise ValueError(msg)
    return parse_digest(metadata.digest)
