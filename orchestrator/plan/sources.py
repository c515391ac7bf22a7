"""Which files a plan looks at, and what is wrong with those that are not there."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.api.solve import is_remote
from orchestrator.diagnostics import Diagnostic, KeyPlace
from orchestrator.model import Model
from orchestrator.plan.facts import FolderState, SourceFacts
from orchestrator.plan.grants import Grants
from orchestrator.plan.image import Image, LocalContext, Variant
from orchestrator.plan.options import local_paths


class NeededSources(Model):
    """The folders and Dockerfiles that all images together name, each once."""

    folders: tuple[str, ...]
    dockerfiles: tuple[str, ...]
    others: tuple[str, ...] = ()
    remotes: tuple[str, ...] = ()


def needed_sources(images: tuple[Image, ...]) -> NeededSources:
    """What the probe has to look at."""
    folders: dict[str, None] = {}
    dockerfiles: dict[str, None] = {}
    others: dict[str, None] = {}
    remotes: dict[str, None] = {}
    for image in images:
        for variant in image.variants:
            folders.update(dict.fromkeys(path for _, path in _folders(variant)))
            others.update(dict.fromkeys(path for _, path in local_paths(variant.options, variant.contexts)))
            if _reads_dockerfile(variant):
                dockerfiles[variant.options.dockerfile] = None
            if is_remote(variant.options.context):
                remotes[variant.options.context] = None
    return NeededSources(
        folders=tuple(folders), dockerfiles=tuple(dockerfiles), others=tuple(others), remotes=tuple(remotes)
    )


def check_sources(images: tuple[Image, ...], facts: SourceFacts, grants: Grants) -> Iterator[Diagnostic]:
    """Every missing folder and Dockerfile, once an image; and those that a link leads out of the repository."""
    for image in images:
        seen: set[str] = set()
        for variant in image.variants:
            look = _Look(image, variant, facts, grants)
            for keys, path in _folders(variant):
                if path not in seen:
                    seen.add(path)
                    yield from look.at_folder(keys, path)
            if variant.options.context in facts.shadowed and variant.options.context not in seen:
                seen.add(variant.options.context)
                yield look.at_shadow()
            path = variant.options.dockerfile
            if _reads_dockerfile(variant) and path not in seen:
                seen.add(path)
                if facts.folders.get(variant.options.context) is FolderState.FOLDER:
                    yield from look.at_dockerfile()
            for keys, path in local_paths(variant.options, variant.contexts):
                if path in facts.outside and path not in seen:
                    seen.add(path)
                    yield from look.elsewhere(keys, path)


def _folders(variant: Variant) -> Iterator[tuple[tuple[str, ...], str]]:
    if not is_remote(variant.options.context):
        yield ("context",), variant.options.context
    for context in variant.contexts:
        if isinstance(context.source, LocalContext):
            yield ("contexts", context.name), context.source.path


def _reads_dockerfile(variant: Variant) -> bool:
    return variant.options.dockerfile_inline is None and not is_remote(variant.options.context)


class _Look:
    """A look at what one variant reads from disk."""

    def __init__(self, image: Image, variant: Variant, facts: SourceFacts, grants: Grants) -> None:
        self._image = image
        self._variant = variant
        self._facts = facts
        self._grants = grants

    def at_folder(self, keys: tuple[str, ...], path: str) -> Iterator[Diagnostic]:
        """A context that is no folder, or one elsewhere."""
        state = self._facts.folders[path]
        if state is FolderState.FOLDER:
            if path in self._facts.outside:
                yield from self.elsewhere(keys, path)
            return
        what = f"context `{keys[1]}`" if len(keys) > 1 else "context"
        problem = "does not exist" if state is FolderState.MISSING else "is not a folder"
        yield Diagnostic(
            code="missing-context",
            message=f"{what} `{path}` of `{self._image.name}` {problem}",
            place=self._place(keys),
            subject=self._image.name,
            hints=(f'create it, or say another one with `{".".join(keys)} = "…"` (relative to this file)',),
        )

    def at_shadow(self) -> Diagnostic:
        """A remote context that is a path on disk as well: buildx takes that first, wherever it leads."""
        context = self._variant.options.context
        return Diagnostic(
            code="outside-repository",
            message=f"context `{context}` of `{self._image.name}` is a path on this disk too, which buildx would take",
            place=self._place(("context",)),
            subject=self._image.name,
            hints=(f"remove or rename the folder `{context.partition('/')[0]}`",),
        )

    def at_dockerfile(self) -> Iterator[Diagnostic]:
        """A Dockerfile that is missing, or elsewhere, where its folder is not."""
        options = self._variant.options
        path = options.dockerfile
        if path in self._facts.outside:
            if options.context not in self._facts.outside:
                yield from self.elsewhere(("dockerfile",), path)
            return
        # one that may not be read was told when it was rendered
        if self._facts.dockerfiles[path] is not None or not self._grants.reads(path):
            return
        yield Diagnostic(
            code="missing-dockerfile",
            message=f"Dockerfile `{path}` of `{self._image.name}` is not there, or is no file that can be read",
            place=self._place(("dockerfile",)),
            subject=self._image.name,
            hints=("`dockerfile` is relative to `context`",),
        )

    def elsewhere(self, keys: tuple[str, ...], path: str) -> Iterator[Diagnostic]:
        """A path that a link leads out of the repository, unless that was granted."""
        if self._grants.covers(path):
            return
        yield Diagnostic(
            code="outside-repository",
            message=f"`{path}` of `{self._image.name}` is a link that leads out of the repository",
            place=self._place(keys),
            subject=self._image.name,
            hints=(f"if you trust this file, grant it with `--allow read={path}`",),
        )

    def _place(self, keys: tuple[str, ...]) -> KeyPlace:
        return self._image.place(*keys, platform=self._variant.platform)
