"""`orchestrate verify`: whether images are what was declared, down to the programs inside."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import click

if TYPE_CHECKING:
    from orchestrator.engine.ports import ImageStore
    from orchestrator.engine.verify import Depth, PlatformReport, VerifyReport
    from orchestrator.oci.platform import Platform
    from orchestrator.oci.reference import Reference, Repository
    from orchestrator.oci.validate import Finding
    from orchestrator.state.layout import OciLayout

Declared: TypeAlias = "Callable[[Reference], tuple[Platform, ...] | None]"
"""The platforms that a project declares for a reference; None: it does not know it."""

Repositories: TypeAlias = "Callable[[Repository], ImageStore]"
"""Opens the store of a repository."""

_LAYOUT: Final = "oci:"
_MAX_NAMED: Final = 20


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

    REF is a reference (ghcr.io/acme/api:1.0) or a layout on disk (oci:DIR, oci:DIR:TAG). Without --platform, the
    builds.toml here says which platforms an image of this project has. Every layer is read once,
    and nothing is unpacked to disk. Judged are files with an ELF header that are programs or shared libraries; objects,
    archives and code of machines that run no containers, such as BPF and GPU kernels, are not.

    Ends with 0 when all is as declared, 6 when not, 5 when a registry fails.
    """
    from orchestrator.cli.insecure import insecure_registries
    from orchestrator.config.select import parse_platform_options
    from orchestrator.engine.verify import Depth
    from orchestrator.process.capture import capture
    from orchestrator.registry import open_stores

    expected = parse_platform_options(platforms) or None
    wanted = Wanted(
        expected=expected,
        depth=Depth.ENTRYPOINT if fast else Depth.FILES,
        ignore=ignore,
        declared=none_declared if expected else _declared_here(),
    )
    with open_stores(os.environ, insecure=insecure_registries(os.environ), capture=capture) as stores:
        verify_references(references, stores.repository, wanted, style=style)


def _declared_here() -> Declared:
    """What the `builds.toml` around this folder declares, by tag and by home repository; nothing without one."""
    from orchestrator.cli.options import ProjectOptions
    from orchestrator.cli.prepare import Preparation
    from orchestrator.errors import ConfigurationError, UsageError
    from orchestrator.oci.reference import Reference
    from orchestrator.ui.text import print_note

    try:
        loaded = Preparation(ProjectOptions(offline=True), os.environ).load()
    except UsageError:
        return none_declared
    except ConfigurationError as error:
        print_note(f"note: the builds.toml here is not looked at, {error.message}")
        return none_declared
    platforms: dict[Reference | Repository, tuple[Platform, ...]] = {}
    for image in loaded.expansion.images:
        for tag in image.tags:
            if tag.reference:
                platforms.setdefault(tag.reference, image.platforms)
        if image.repository:
            platforms.setdefault(image.repository, image.platforms)

    def declared(reference: Reference) -> tuple[Platform, ...] | None:
        exact = platforms.get(Reference(repository=reference.repository, tag=reference.tag))
        return exact or platforms.get(reference.repository)

    return declared


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What references are held against: `expected`, else what `declared` knows, else what the image itself names."""

    depth: Depth
    expected: tuple[Platform, ...] | None = None
    ignore: tuple[str, ...] = ()
    declared: Declared = none_declared


def verify_references(references: tuple[str, ...], repositories: Repositories, wanted: Wanted, *, style: str) -> None:
    """Verify one after the other, and print each as soon as it is known (JSON: all of them in the end).

    Raises:
        UsageError: a reference is none, before anything is asked.
        RegistryError: a store refuses, fails or cannot be reached.
        VerificationError: an image is not what was declared.
    """
    from orchestrator.errors import VerificationError
    from orchestrator.ui.text import count, print_result

    opened = [(text, _open(text, repositories)) for text in references]
    reports = []
    for text, (store, locator, reference) in opened:
        report = _verify(store, locator, reference, wanted)
        reports.append((text, report))
        if style == "text":
            print_result(render_text(text, report))
    if style == "json":
        print_result(render_json(tuple(reports)))
    failed = [report for _, report in reports if not report.ok]
    if failed:
        hints = dict.fromkeys(hint for report in failed for finding in report.all_findings for hint in finding.hints)
        if any(_is_file(finding) for report in failed for finding in report.all_findings):
            hints["build the file for the platform of its image; `--ignore PATH` is for data that is never run"] = None
        message = f"{len(failed)} of {count(len(reports), 'image')} not as declared"
        raise VerificationError(message, hints=tuple(hints))


def _is_file(finding: Finding) -> bool:
    return finding.where.startswith("/")


def _verify(store: ImageStore, locator: str, reference: Reference | None, wanted: Wanted) -> VerifyReport:
    from orchestrator.engine.verify import verify_image

    expected = wanted.expected
    if expected is None and reference is not None:
        expected = wanted.declared(reference)
    return verify_image(store, locator, expected, wanted.depth, ignore=wanted.ignore)


def _open(text: str, repositories: Repositories) -> tuple[ImageStore, str, Reference | None]:
    """The store of a reference and the locator in it; nothing of a registry is asked yet."""
    from orchestrator.errors import UsageError
    from orchestrator.oci.reference import parse_reference
    from orchestrator.state.layout import OciLayout

    if text.startswith(_LAYOUT):
        folder, tag = _split_layout(text.removeprefix(_LAYOUT))
        layout = OciLayout(folder)
        return layout, tag or _only_root(layout), None
    try:
        reference = parse_reference(text)
    except ValueError as error:
        hint = "write it as `ghcr.io/acme/api:1.0`, or `oci:DIR[:TAG]` for an OCI layout on disk"
        raise UsageError(str(error), hints=(hint,)) from error
    return repositories(reference.repository), reference.locator, reference


def _split_layout(text: str) -> tuple[Path, str]:
    """`DIR`, `DIR:TAG` or `DIR@DIGEST`; a folder may have a colon in its name, then it has to be there."""
    if Path(text).is_dir():
        return Path(text), ""
    for mark in ("@", ":"):
        folder, found, locator = text.partition("@") if mark == "@" else text.rpartition(":")
        if found and folder and "/" not in locator:
            return Path(folder), locator
    return Path(text), ""


def _only_root(layout: OciLayout) -> str:
    """The digest of the one image of a layout."""
    from orchestrator.errors import UsageError

    roots = {root.digest for root in layout.roots()}
    if len(roots) == 1:
        return roots.pop()
    if not roots:
        message = f"there is no image in `{layout.name}`"
        raise UsageError(message, hints=("name a folder with an `index.json`, such as `orchestrate build` writes",))
    tags = ", ".join(f"`{layout.name}:{tag}`" for tag in sorted(set(layout.tags()))[:_MAX_NAMED])
    message = f"there are {len(roots)} images in `{layout.name}`"
    raise UsageError(message, hints=(f"name one of them: {tags}" if tags else "name one by `@sha256:…`",))


def render_text(reference: str, report: VerifyReport) -> str:
    """One line for the index, one for each platform, then the findings."""
    from orchestrator.ui.text import count, table

    rows = (
        []
        if _is_lone(report)
        else [_row("index", report.index_ok, count(len(report.platforms), "platform"), report.digest)]
    )
    rows += [_row(str(each.platform), each.ok, _seen(each), each.digest) for each in report.platforms]
    findings = [f"  {_word(finding)}{finding}" for finding in report.all_findings]
    return "\n".join((reference, *table(rows, indent="  "), *findings, ""))


def _is_lone(report: VerifyReport) -> bool:
    return [each.digest for each in report.platforms] == [report.digest]


def _row(name: str, ok: bool, seen: str, digest: str | None) -> tuple[str, ...]:  # noqa: FBT001  # a cell of a table
    return name, "ok" if ok else "FAILED", seen, digest or "-"


def _seen(report: PlatformReport) -> str:
    from orchestrator.ui.text import count

    return f"{count(report.files, 'file')}, {count(report.programs, 'program')}"


def _word(finding: Finding) -> str:
    from orchestrator.diagnostics import Severity

    return "note: " if finding.severity is Severity.WARNING else ""


def render_json(reports: tuple[tuple[str, VerifyReport], ...]) -> str:
    """All of it, in the order of the command line."""
    import msgspec

    document = {
        "format_version": 1,
        "ok": all(report.ok for _, report in reports),
        "images": [
            {
                "reference": reference,
                "digest": report.digest,
                "depth": report.depth.value,
                "ok": report.ok,
                "findings": report.findings,
                "platforms": [
                    {
                        "platform": str(each.platform),
                        "digest": each.digest,
                        "ok": each.ok,
                        "files": each.files,
                        "programs": each.programs,
                        "findings": each.findings,
                    }
                    for each in report.platforms
                ],
            }
            for reference, report in reports
        ],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"
