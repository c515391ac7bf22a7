"""`orchestrate verify`: whether images are what was declared, down to the programs inside."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click

if TYPE_CHECKING:
    from orchestrator.engine.ports import ImageStore, Stores
    from orchestrator.engine.verify import Depth, PlatformReport, VerifyReport
    from orchestrator.oci.platform import Platform
    from orchestrator.oci.reference import Reference
    from orchestrator.oci.validate import Finding
    from orchestrator.state.layout import OciLayout

Declared: TypeAlias = "Callable[[Reference], tuple[Platform, ...] | None]"
"""The platforms that a project declares for a reference; None: it does not know it."""

_LAYOUT = "oci:"


def none_declared(reference: Reference) -> tuple[Platform, ...] | None:
    """What is known without a project: nothing."""
    del reference
    return None


@click.command(name="verify")
@click.argument("references", metavar="REF...", nargs=-1, required=True)
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="PLATFORM[,...]",
    help="Exactly these platforms, no more and no less; repeatable. Without it, those that each image names.",
)
@click.option("--fast", is_flag=True, help="Look into images no further than the program that starts.")
@click.option(
    "--ignore",
    multiple=True,
    metavar="GLOB",
    help="Paths in images that are data, though they look like programs: '/usr/share/qemu/*'.",
)
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print what was found.",
)
def command(
    *, references: tuple[str, ...], platforms: tuple[str, ...], fast: bool, ignore: tuple[str, ...], style: str
) -> None:
    """Check images: the declared platforms, and the right architecture in every program inside.

    REF is a reference (ghcr.io/acme/api:1.0) or a layout on disk (oci:DIR, oci:DIR:TAG). Every layer is read once,
    and nothing is unpacked to disk. Judged are files with an ELF header that are programs or shared libraries; objects,
    archives and code of machines that run no containers, such as BPF and GPU kernels, are not.

    Ends with 0 when all is as declared, 6 when not, 5 when a registry fails.
    """
    from orchestrator.cli.prepare import insecure_registries  # noqa: PLC0415  # a command loads what it needs
    from orchestrator.config.select import parse_platform_options  # noqa: PLC0415  # as above
    from orchestrator.engine.verify import Depth  # noqa: PLC0415  # as above
    from orchestrator.process.capture import capture  # noqa: PLC0415  # as above
    from orchestrator.registry import open_stores  # noqa: PLC0415  # as above

    expected = parse_platform_options(platforms) or None
    depth = Depth.ENTRYPOINT if fast else Depth.FILES
    with open_stores(os.environ, insecure=insecure_registries(os.environ), capture=capture) as stores:
        verify_references(references, stores, depth=depth, expected=expected, ignore=ignore, style=style)
