"""The ids of steps: a kind and what it is about, such as `record:api@linux/arm64`."""

from __future__ import annotations

from typing import Final

from orchestrator.api.invocation import StepId
from orchestrator.oci.platform import Platform
from orchestrator.oci.reference import Repository

GATE: Final = "gate:release"
MOVING_GATE: Final = "gate:moving"


def solve_id(image: str, platforms: tuple[Platform, ...], *, whole: bool) -> StepId:
    """A solve; its platforms are named where there is another solve for the others."""
    return f"solve:{image}" if whole else f"solve:{image}@{','.join(map(str, platforms))}"


def record_id(image: str, platform: Platform) -> StepId:
    """The record of one platform."""
    return f"record:{image}@{platform}"


def record_of(build: str) -> StepId:
    """The record of a platform build, by its id."""
    return f"record:{build}"


def build_of(record: StepId) -> str:
    """The platform build that a record is of, by its id."""
    return record.partition(":")[2]


def test_of(build: str) -> StepId:
    """The test of a platform build, by its id."""
    return f"test:{build}"


def assemble_id(image: str) -> StepId:
    """The index of an image."""
    return f"assemble:{image}"


def verify_id(image: str) -> StepId:
    """The verification of an image."""
    return f"verify:{image}"


def copy_id(image: str, target: Repository) -> StepId:
    """The copy of an image to another repository."""
    return f"copy:{image}:{target}"


def export_id(image: str) -> StepId:
    """The layout of an image where the user asked for it."""
    return f"export:{image}"


def promote_id(image: str) -> StepId:
    """The tags that never move again."""
    return f"promote:{image}"


def moving_id(image: str) -> StepId:
    """The moving tags."""
    return f"promote-moving:{image}"


def load_id(image: str) -> StepId:
    """Into this machine's Docker."""
    return f"load:{image}"
