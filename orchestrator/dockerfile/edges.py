"""`external_uses`: the images that a Dockerfile takes data from, for one target and one platform.

The rules are BuildKit's (frontend/dockerfile/dockerfile2llb/convert.go): the words of a `FROM` are expanded in the
global scope, `COPY --from` and mounts are not expanded at all, and the triggers of a stage are executed by the
stages that start from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from orchestrator.diagnostics import Diagnostic, Severity, Span
from orchestrator.dockerfile.model import Dockerfile, Stage, Use, UseKind
from orchestrator.dockerfile.scope import Scope, Word, global_scope
from orchestrator.dockerfile.stages import (
    base_stages,
    context_key,
    find_origin,
    find_target,
    last_named,
    reachable_stages,
    stage_number,
)
from orchestrator.dockerfile.substitute import SubstitutionError, expand
from orchestrator.model import Model
from orchestrator.oci.platform import KNOWN_OS, Platform, parse_platform
from orchestrator.oci.reference import familiar, parse_reference

_SCRATCH: Final = "scratch"
_VARIABLE: Final = re.compile(r"\$.")

_Origin: TypeAlias = int | str | None


class ImageUse(Model):
    """An image that a build takes data from.

    Attributes:
        name: the name after substitution.
        key: the name by which BuildKit looks up a named context.
        kind: the instruction.
        line: where it is used.
        stage_line: the line of a stage of this build whose name is the same key: a named context would replace
            that stage too, in silence, so the image has to be pinned by a source policy.
        platform: what `--platform` says; None means the platform that is built.
        uses_build_platform: whether the name or the platform comes from the platform that builds.
    """

    name: str
    key: str
    kind: UseKind
    line: int
    stage_line: int | None = None
    platform: Platform | None = None
    uses_build_platform: bool = False


def external_uses(
    dockerfile: Dockerfile,
    *,
    arguments: Mapping[str, str],
    target: str,
    platform: Platform,
    build_platform: Platform,
) -> tuple[tuple[ImageUse, ...], tuple[Diagnostic, ...]]:
    """The images that building `target` (the last stage where it is empty) uses, in the order of the file.

    Stages of the Dockerfile itself and `scratch` are none. A name with a variable that has no value is a warning.
    """
    if not dockerfile.stages:
        return (), ()
    scope, problems = global_scope(
        dockerfile, arguments=arguments, target=target, platform=platform, build_platform=build_platform
    )
    resolver = _Resolver(dockerfile, scope, build_platform)
    for line, problem in problems:
        resolver.report(line, "dockerfile-substitution", problem, "correct the default of this `ARG`")
    wanted = find_target(dockerfile, target)
    if isinstance(wanted, Diagnostic):
        return (), (*resolver.diagnostics, wanted)
    return resolver.resolve(wanted), tuple(resolver.diagnostics)


class _Resolver:
    """One Dockerfile with one scope."""

    def __init__(self, dockerfile: Dockerfile, scope: Scope, build_platform: Platform) -> None:
        self.diagnostics: list[Diagnostic] = []
        self._file = dockerfile.file
        self._stages = dockerfile.stages
        self._escape = dockerfile.escape
        self._named = last_named(dockerfile.stages)
        self._scope = scope
        self._build_platform = build_platform

    def report(self, line: int, code: str, message: str, hint: str, *, severity: Severity = Severity.ERROR) -> None:
        """Record a finding."""
        place = Span(file=self._file, line=line)
        self.diagnostics.append(
            Diagnostic(code=code, message=message, severity=severity, place=place, hints=(hint,)),
        )

    def resolve(self, target: int) -> tuple[ImageUse, ...]:
        """Follow the target to everything that it needs."""
        words = [self._scope.word(stage.base) for stage in self._stages]
        bases = base_stages(self._stages, [word.text for word in words])
        taken = {stage.index: tuple(self._taken(stage, bases[stage.index])) for stage in self._stages}
        needs = {
            stage.index: [
                origin for origin in (bases[stage.index], *(origin for _, origin in taken[stage.index]))
                if isinstance(origin, int)
            ]
            for stage in self._stages
        }  # fmt: skip
        reached = reachable_stages(target, needs)
        keys = {
            context_key(self._stages[index].name): self._stages[index].line for index in sorted(reached, reverse=True)
        }
        uses: list[ImageUse] = []
        for stage, word, base in zip(self._stages, words, bases, strict=True):
            own = [self._base(stage, word)] if base is None else []
            own += [self._image(use, origin) for use, origin in taken[stage.index] if isinstance(origin, str)]
            if stage.index in reached:
                uses += [use for use in own if use is not None]
        return tuple(_with_stage_line(use, keys) for use in uses)

    def _taken(self, stage: Stage, base: int | None) -> Iterator[tuple[Use, _Origin]]:
        """What the instructions of a stage take: another stage by number, an image by name, None if neither."""
        inherited = () if base is None else self._stages[base].uses
        for use in inherited:
            if use.kind == "onbuild":
                yield use, self._origin(use, stage)
        for use in stage.uses:
            if use.kind != "onbuild":
                yield use, self._origin(use, stage)

    def _origin(self, use: Use, stage: Stage) -> _Origin:
        if self._has_variable(use):
            self.report(
                use.line,
                "dockerfile-substitution",
                f"BuildKit does not expand variables in `from={use.name}`",
                f"add a stage, `FROM {use.name} AS name` with the `ARG` before the first `FROM`, and take from `name`",
            )
            return None
        named = find_origin(use.name, self._named, is_mount=use.is_mount)
        if isinstance(named, str):
            return named
        if not 0 <= named < len(self._stages):
            last = len(self._stages) - 1
            self.report(
                use.line, "unknown-stage", f"no stage number {use.name}", f"stages are numbered from 0 to {last}"
            )
            return None
        if named >= stage.index and not use.is_mount:
            self.report(
                use.line,
                "unknown-stage",
                f"`COPY --from={use.name}` names a stage that is not built before this one",
                "move that stage up: a stage copies from earlier stages only",
            )
            return None
        return named

    def _has_variable(self, use: Use) -> bool:
        if use.is_mount:
            return _VARIABLE.search(use.name) is not None
        try:
            return expand(use.name, {}, escape=self._escape).text != use.name
        except SubstitutionError:
            return True

    def _base(self, stage: Stage, word: Word) -> ImageUse | None:
        """The image that a stage starts from."""
        platform = self._scope.word(stage.platform)
        for part in (word, platform):
            if part.problem:
                hint = "correct the variables of this `FROM`"
                self.report(stage.line, "dockerfile-substitution", part.problem, hint)
                return None
        if word.text == _SCRATCH:
            return None
        use = self._checked(Use(kind="from", name=word.text, line=stage.line), word.unset)
        if use is None:
            return None
        return ImageUse(
            name=use.name,
            key=use.key,
            kind="from",
            line=stage.line,
            platform=self._platform(stage, platform),
            uses_build_platform=word.from_build_platform or platform.from_build_platform,
        )

    def _image(self, use: Use, name: str) -> ImageUse | None:
        """The image that a `COPY --from` or a mount names."""
        if name == _SCRATCH:
            return None
        if use.is_mount and stage_number(name) is not None:
            hint = "give the stage a name with `FROM … AS name`, and write `from=name`"
            message = f"`from={name}` in a mount is an image, not the number of a stage"
            self.report(use.line, "dockerfile-mount", message, hint, severity=Severity.WARNING)
        return self._checked(use, ())

    def _checked(self, use: Use, unset: tuple[str, ...]) -> ImageUse | None:
        try:
            key = familiar(parse_reference(use.name))
        except ValueError as error:
            if not unset:
                message = f"`{use.name}` is no image reference: {error}" if use.name else "`FROM` has no image"
                hint = "write `[registry/]name[:tag]`, or the name of an earlier stage in lower case"
                self.report(use.line, "bad-image-reference", message, hint)
                return None
            names = ", ".join(f"`{name}`" for name in unset)
            self.report(
                use.line,
                "cannot-infer",
                f"the image of this `FROM` cannot be inferred: no value for {names}",
                f"write `ARG {unset[0]}=default` before the first `FROM`; `args.{unset[0]}` then overrides it",
                severity=Severity.WARNING,
            )
            return None
        return ImageUse(name=use.name, key=key, kind=use.kind, line=use.line)

    def _platform(self, stage: Stage, word: Word) -> Platform | None:
        """What `--platform` means; one component alone is completed as BuildKit's machine would."""
        if not stage.platform:
            return None
        text = word.text
        if "/" not in text:
            machine = self._build_platform
            text = f"{text}/{machine.architecture}" if text in KNOWN_OS else f"{machine.os}/{text}"
        try:
            return parse_platform(text)
        except ValueError as error:
            hint = "write `os/architecture`, `$BUILDPLATFORM` or `$TARGETPLATFORM`"
            self.report(stage.line, "bad-platform", f"`--platform={stage.platform}`: {error}", hint)
            return None


def _with_stage_line(use: ImageUse, keys: Mapping[str, int]) -> ImageUse:
    line = keys.get(use.key)
    if line is None:
        return use
    return ImageUse(
        name=use.name,
        key=use.key,
        kind=use.kind,
        line=use.line,
        stage_line=line,
        platform=use.platform,
        uses_build_platform=use.uses_build_platform,
    )
