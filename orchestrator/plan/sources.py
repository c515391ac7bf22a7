"""Which files a plan looks at, and what is wrong with those that are not there."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.diagnostics import Diagnostic
from orchestrator.model import Model
from orchestrator.plan.facts import FolderState, SourceFacts
from orchestrator.plan.grants import Grants
from orchestrator.plan.image import Image, LocalContext, Variant
from orchestrator.plan.options import is_remote


class NeededSources(Model):
    """The folders and Dockerfiles that all images together name, each once."""

    folders: tuple[str, ...]
    dockerfiles: tuple[str, ...]


def needed_sources(images: tuple[Image, ...]) -> NeededSources:
    """What the probe has to look at."""
    folders: dict[str, None] = {}
    dockerfiles: dict[str, None] = {}
    for image in images:
        for variant in image.variants:
            folders.update(dict.fromkeys(path for _, path in _folders(variant)))
            if _reads_dockerfile(variant):
                dockerfiles[variant.options.dockerfile] = None
    return NeededSources(folders=tuple(folders), dockerfiles=tuple(dockerfiles))


def check_sources(images: tuple[Image, ...], facts: SourceFacts, grants: Grants) -> Iterator[Diagnostic]:
    """Every missing folder and Dockerfile, once an image; and those that a link leads out of the repository."""
    for image in images:
        seen: set[str] = set()
        for variant in image.variants:
            for keys, path in _folders(variant):
                if path not in seen:
                    seen.add(path)
                    yield from _check_folder(image, keys, path, facts, grants)
            path = variant.options.dockerfile
            if _reads_dockerfile(variant) and path not in seen:
                seen.add(path)
                if facts.folders.get(variant.options.context) is FolderState.FOLDER:
                    yield from _check_dockerfile(image, path, facts, grants)


def _folders(variant: Variant) -> Iterator[tuple[tuple[str, ...], str]]:
    if not is_remote(variant.options.context):
        yield ("context",), variant.options.context
    for context in variant.contexts:
        if isinstance(context.source, LocalContext):
            yield ("contexts", context.name), context.source.path


def _reads_dockerfile(variant: Variant) -> bool:
    return variant.options.dockerfile_inline is None and not is_remote(variant.options.context)


def _check_folder(
    image: Image, keys: tuple[str, ...], path: str, facts: SourceFacts, grants: Grants
) -> Iterator[Diagnostic]:
    state = facts.folders[path]
    what = f"context `{keys[1]}`" if len(keys) > 1 else "context"
    if state is FolderState.FOLDER:
        if path in facts.outside:
            yield from _leads_outside(image, keys, path, grants)
        return
    problem = "does not exist" if state is FolderState.MISSING else "is not a folder"
    yield Diagnostic(
        code="missing-context",
        message=f"{what} `{path}` of `{image.name}` {problem}",
        place=image.place(*keys),
        subject=image.name,
        hints=(f'create it, or say another one with `{".".join(keys)} = "…"` (relative to this file)',),
    )


def _check_dockerfile(image: Image, path: str, facts: SourceFacts, grants: Grants) -> Iterator[Diagnostic]:
    if facts.dockerfiles[path] is not None:
        if path in facts.outside:
            yield from _leads_outside(image, ("dockerfile",), path, grants)
        return
    yield Diagnostic(
        code="missing-dockerfile",
        message=f"Dockerfile `{path}` of `{image.name}` is not there, or is no file that can be read",
        place=image.place("dockerfile"),
        subject=image.name,
        hints=("`dockerfile` is relative to `context`",),
    )


def _leads_outside(image: Image, keys: tuple[str, ...], path: str, grants: Grants) -> Iterator[Diagnostic]:
    if path in grants.folders:
        return
    yield Diagnostic(
        code="outside-repository",
        message=f"`{path}` of `{image.name}` is a link that leads out of the repository",
        place=image.place(*keys),
        subject=image.name,
        hints=(f"if you trust this file, grant it with `--allow read={path}`",),
    )
