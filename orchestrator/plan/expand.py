"""From declarations to images: matrix, inheritance, templates and tags applied; every finding at its place."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec import UNSET, structs

from orchestrator.config.assign import Assignment
from orchestrator.config.duration import parse_duration
from orchestrator.config.layers import Effective, effective, folder_of, on_platform, place_of
from orchestrator.config.project import DeclaredImage, Project
from orchestrator.config.schema import BuildTable, ImageTable, Scalar
from orchestrator.diagnostics import Diagnostic, KeyPlace
from orchestrator.model import Model
from orchestrator.oci.platform import Platform, parse_platform
from orchestrator.plan.grants import Grants
from orchestrator.plan.image import Image, PlatformTest, Variant
from orchestrator.plan.matrix import Combination, combinations
from orchestrator.plan.options import RenderedBuild, render_build
from orchestrator.plan.scope import Scope, spell
from orchestrator.plan.tagging import render_repository, render_tags
from orchestrator.plan.versions import version_rule
from orchestrator.tags.errors import Absent, TemplateError
from orchestrator.tags.render import Renderer
from orchestrator.tags.values import Values, Version, git_value, mapping_value, version_value
from orchestrator.tags.version import VersionFacts, VersionRule, match_of, resolve_version

NAME_RULE = "lower-case letters, digits, `-` and `_`, at most 128"


class Given(Model):
    """What the expansion takes besides the declarations."""

    facts: VersionFacts
    now: datetime
    variables: Mapping[str, Scalar]
    assignments: tuple[Assignment, ...] = ()
    registry: str | None = None
    grants: Grants = Grants()


class Expansion(Model):
    """All images in the order of declaration, and the names of each family that a matrix made."""

    images: tuple[Image, ...]
    families: Mapping[str, tuple[str, ...]]


def expand(project: Project, given: Given) -> tuple[Expansion, tuple[Diagnostic, ...]]:
    """Expand every image; an image with a finding is expanded as far as it goes."""
    return _Expander(project, given).expand()


class _Expander:
    """One expansion: the caches that make it cheap, and the list of findings."""

    def __init__(self, project: Project, given: Given) -> None:
        self._project = project
        self._given = given
        self._renderer = Renderer()
        self._found: list[Diagnostic] = []
        self._versions: dict[VersionRule | None, Version | Absent] = {}
        self._variables = mapping_value("vars", given.variables)

    def expand(self) -> tuple[Expansion, tuple[Diagnostic, ...]]:
        images: dict[str, Image] = {}
        families: dict[str, tuple[str, ...]] = {}
        for declared in self._project.images:
            members: list[str] = []
            for combination in combinations(declared.table):
                name = self._name(declared, combination)
                if name is None or self._is_taken(name, declared, images):
                    continue
                images[name] = self._image(declared, name, combination)
                members.append(name)
            if declared.table.matrix is not UNSET:
                families[declared.name] = tuple(members)
        return Expansion(images=tuple(images.values()), families=families), tuple(self._found)

    def _name(self, declared: DeclaredImage, combination: Combination) -> str | None:
        if declared.table.name is UNSET or not combination:
            return declared.name
        merged = effective(self._project, declared, self._given.assignments)
        scope = self._scope(merged, None, combination)
        before = scope.count
        text = scope.text(declared.table.name, "name")
        if scope.count > before:
            return None
        if not _is_name(text):
            keys = _illegal_value(declared.table, combination) or ("name",)
            message = f"`{declared.table.name}` gives `{text}`: names are {NAME_RULE}"
            scope.report("image-name", message, *keys, hints=("write the value otherwise, or the name without it",))
            return None
        return text

    def _is_taken(self, name: str, declared: DeclaredImage, images: Mapping[str, Image]) -> bool:
        if name not in images:
            return False
        other = images[name]
        merged = effective(self._project, declared, self._given.assignments)
        key = "name" if declared.table.name is not UNSET else "matrix"
        same_family = other.family == declared.name
        self._found.append(
            Diagnostic(
                code="duplicate-image",
                message=f"two images are called `{name}`",
                place=place_of(merged, (key,)),
                subject=name,
                related=() if same_family else (other.place("name"),),
                hints=("use every axis of the matrix in `name`" if same_family else "give one of them another name",),
            )
        )
        return True

    def _scope(self, merged: Effective, name: str | None, combination: Combination) -> Scope:
        rule = self._rule(merged)
        values = Values(
            now=self._given.now,
            version=version_value(self._version(rule)),
            git=git_value(self._given.facts.git, match_of(rule)),
            vars=self._variables,
        )
        if self._given.registry is not None:
            values = structs.replace(values, registry=self._given.registry)
        if name is not None:
            values = structs.replace(values, image=name)
        if combination:
            values = structs.replace(values, matrix=mapping_value("matrix", combination))
        return Scope(
            renderer=self._renderer, values=values, effective=merged, grants=self._given.grants, found=self._found
        )

    def _rule(self, merged: Effective) -> VersionRule | None:
        """The image's own version, else the project's."""
        own = merged.table.version
        table = self._project.root.version if own is UNSET else own
        if table is UNSET:
            return None
        try:
            return version_rule(
                table, "" if own is UNSET else folder_of(merged, ("version",)), self._project.root.version
            )
        except TemplateError as error:
            place = place_of(merged, ("version",)) if own is not UNSET else _root_version(self._project)
            finding = Diagnostic(code="version", message=error.message, place=place, hints=error.hints)
            if finding not in self._found:
                self._found.append(finding)
            return None

    def _version(self, rule: VersionRule | None) -> Version | Absent:
        if rule not in self._versions:
            values = Values(now=self._given.now, vars=self._variables)
            self._versions[rule] = resolve_version(rule, self._given.facts, renderer=self._renderer, values=values)
        return self._versions[rule]

    def _image(self, declared: DeclaredImage, name: str, combination: Combination) -> Image:
        merged = effective(self._project, declared, self._given.assignments, name=name)
        scope = self._scope(merged, name, combination)
        table = merged.table
        repository = render_repository(table, scope, registry=self._given.registry)
        tags = render_tags(table, scope, repository=repository, git=self._given.facts.git)
        version = self._version(self._rule(merged))
        version_text = None if isinstance(version, Absent) else version.text
        variants = self._variants(merged, scope, declared.name)
        return Image(
            name=name,
            family=declared.name,
            effective=merged,
            variants=variants,
            repository=repository,
            tags=tags,
            annotations=_annotations(table, scope),
            version=version_text,
            publish=table.publish is not False,
            needs=tuple(scope.text(need, "needs", position) for position, need in enumerate(table.needs or ())),
            infer=table.infer is not False,
            test=_test(table, scope, tuple(variant.platform for variant in variants)),
            timeout=parse_duration(table.timeout) if table.timeout else None,
            retries=2 if table.retries is UNSET else table.retries,
            backend=table.backend or None,
            description=table.description or "",
        )

    def _variants(self, merged: Effective, scope: Scope, family: str) -> tuple[Variant, ...]:
        table = merged.table
        platforms = self._platforms(merged, scope)
        shared: RenderedBuild | None = None
        variants = []
        for platform in platforms:
            if table.on is UNSET and shared is not None:
                variants.append(_variant(platform, shared))
                continue
            build = on_platform(merged, platform)
            rendered = render_build(build, table, scope.on(platform), family=family)
            variants.append(_variant(platform, rendered))
            if table.on is UNSET and not _mentions_platform(build):
                shared = rendered
        return tuple(variants)

    def _platforms(self, merged: Effective, scope: Scope) -> tuple[Platform, ...]:
        if not merged.table.platforms:
            table = '`[defaults]` with `platforms = ["linux/amd64", "linux/arm64"]`'
            root, own = self._project.files[0].path, merged.image.file
            hint = f"say them, for all images: {table}"
            if own != root:
                hint = (
                    f"say them in `{own}`: {table} there; the defaults of `{root}` are not those of files it includes"
                )
            scope.report("no-platforms", f"`{scope.subject}` has no platforms", "platforms", hints=(hint,))
            return ()
        return tuple(dict.fromkeys(parse_platform(text) for text in merged.table.platforms))


def _root_version(project: Project) -> KeyPlace:
    return KeyPlace(file=project.files[0].path, keys=("version",), on_key=True)


def _variant(platform: Platform, rendered: RenderedBuild) -> Variant:
    return Variant(platform=platform, options=rendered.options, contexts=rendered.contexts)


def _illegal_value(table: ImageTable, combination: Combination) -> tuple[str | int, ...]:
    """Where the value of the matrix stands that no name can hold; empty where none is to blame."""
    for axis, values in (table.matrix or {}).items():
        if not _is_name(spell(combination[axis])):
            return ("matrix", axis, values.index(combination[axis]))
    return ()


def _is_name(text: str) -> bool:
    return 0 < len(text) <= 128 and all(letter in "abcdefghijklmnopqrstuvwxyz0123456789-_" for letter in text)  # noqa: PLR2004 (`NAME_RULE`)


def _mentions_platform(build: BuildTable) -> bool:
    """Whether a template in it may use `platform`; a false alarm costs a little time, nothing else."""
    return b"platform" in msgspec.json.encode(build)


def _annotations(table: ImageTable, scope: Scope) -> tuple[tuple[str, str], ...]:
    """The annotations of the index."""
    declared = (table.annotations or {}).items()
    return tuple((name, scope.value(value, "annotations", name)[0]) for name, value in declared)


def _test(table: ImageTable, scope: Scope, platforms: tuple[Platform, ...]) -> PlatformTest | None:
    if table.test is UNSET:
        return None
    chosen = platforms
    if table.test.platforms is not UNSET:
        chosen = tuple(parse_platform(text) for text in table.test.platforms)
        for position, platform in enumerate(chosen):
            if platform not in platforms:
                scope.report(
                    "test-platform",
                    f"`{scope.subject}` is tested on `{platform}`, for which it is not built",
                    "test",
                    "platforms",
                    position,
                    hints=(f"it is built for {', '.join(f'`{known}`' for known in platforms)}",),
                )
    run = tuple(scope.text(word, "test", "run", position) for position, word in enumerate(table.test.run))
    return PlatformTest(run=run, platforms=chosen)
