"""Tags that two images would fight over."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.diagnostics import Diagnostic
from orchestrator.plan.image import Image, Tag


def check_collisions(images: tuple[Image, ...]) -> Iterator[Diagnostic]:
    """One finding for every tag that a second image wants too."""
    owners: dict[str, tuple[Image, Tag]] = {}
    for image in images:
        for tag in image.tags if image.publish else ():
            if tag.reference is None:
                continue
            reference = str(tag.reference)
            owner, other = owners.setdefault(reference, (image, tag))
            if owner.name == image.name:
                continue
            place, related = image.place("tags", tag.position), owner.place("tags", other.position)
            if place == related and owner.repository == image.repository:
                # one template for both: it is the repository that should differ
                place = image.place("repository")
            yield Diagnostic(
                code="tag-collision",
                message=f"`{owner.name}` and `{image.name}` both put the tag `{reference}`",
                place=place,
                subject=image.name,
                related=(related,),
                hints=("give each image a repository or tags of its own, for example with `{{ image }}`",),
            )
