"""What the last build of an image for a platform has left, as far as it can be read back."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Final

from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.plan.context import Listing, changed_paths
from orchestrator.plan.inputs import InputManifest

SECONDS: Final = "dev.orchestrate.seconds"
"""Annotation of the artifact of an input manifest: how long the solve took that made an image from it."""

EMULATED: Final = "dev.orchestrate.emulated"
"""Annotation beside it: the platforms of that solve that ran under emulation, with commas; missing where none did."""

_LONGEST: Final = 10_000_000.0
"""Seconds; no build takes four months, and a number that somebody else wrote may be any."""


class Took(Model):
    """How long a solve took; where one of its platforms was emulated, that says nothing of a native solve."""

    seconds: float
    emulated: bool = False


class FileChanges(Model, dict=True):
    """What tells two listings of a context apart: the entries that only the earlier, and only the later one has."""

    before: Listing
    after: Listing

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """The paths of entries that came, went or are another one, in order."""
        return changed_paths(self.before, self.after)


class Past(Model):
    """What is remembered of a platform build.

    Args:
        is_known: whether anything is remembered of the image.
        inputs: the input digest of its last build for this platform; None where it has had none.
        manifest: what that digest is over; None where it is not kept any more.
        changes: the files that are others now, by context; only of contexts of which both listings are known.
        rebuilt: builds that it stands on, and that have been built again since.
        took: how long its solve took, if that was noted.
        problem: why what is remembered could not be read.
        is_silent: because a registry gave no answer; `hints` are what to do about that.
    """

    is_known: bool = False
    inputs: Digest | None = None
    manifest: InputManifest | None = None
    changes: Mapping[str, FileChanges] = {}
    rebuilt: tuple[str, ...] = ()
    took: Took | None = None
    problem: str = ""
    is_silent: bool = False
    hints: tuple[str, ...] = ()


def find_changes(before: Listing, after: Listing) -> FileChanges:
    """What tells these listings apart; both keep their order."""
    earlier, later = set(before.records), set(after.records)
    return FileChanges(
        before=Listing(records=tuple(each for each in before.records if each not in later)),
        after=Listing(records=tuple(each for each in after.records if each not in earlier)),
    )


def note_took(seconds: float, emulated: tuple[str, ...]) -> dict[str, str]:
    """The annotations that say how long a solve took."""
    noted = {SECONDS: f"{seconds:.3f}"}
    return {**noted, EMULATED: ",".join(emulated)} if emulated else noted


def read_took(annotations: Mapping[str, str]) -> Took | None:
    """What annotations say of it, believing nothing; None where that is no duration."""
    try:
        seconds = float(annotations.get(SECONDS, ""))
    except ValueError:
        return None
    if not 0 <= seconds <= _LONGEST:  # which is not so of `nan` either
        return None
    return Took(seconds=seconds, emulated=annotations.get(EMULATED, "") != "")
