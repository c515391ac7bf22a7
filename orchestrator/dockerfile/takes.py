"""`taken`: which files of which local context a build can see, as far as its Dockerfile proves it.

The rules are BuildKit's (dockerfile2llb/convert.go, convert_copy.go, convert_runmount.go). The answer may be too much,
never too little: whatever is not certain is `WHOLE`.
"""

from __future__ import annotations

import csv
import posixpath
import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Final, Literal, TypeAlias, assert_never

from orchestrator.diagnostics import Diagnostic, Severity, Span
from orchestrator.dockerfile.environment import Environment
from orchestrator.dockerfile.model import Dockerfile, Stage, Step
from orchestrator.dockerfile.mounts import read_mount
from orchestrator.dockerfile.remote import Remote, parse_remote
from orchestrator.dockerfile.scope import Scope, global_scope
from orchestrator.dockerfile.stages import (
    base_stages,
    context_key,
    find_origin,
    find_target,
    last_named,
    reachable_stages,
)
from orchestrator.model import Model
from orchestrator.oci.platform import Platform


class Whole(Enum):
    """All files of a context."""

    WHOLE = "whole"


WHOLE: Final = Whole.WHOLE
MAIN: Final = ""

Paths: TypeAlias = Whole | tuple[str, ...]
Triggers: TypeAlias = AbstractSet[str] | Literal["unknown"]

# frontends whose rules are known: the builder's own, the newest, and releases since 1.4, which brought here-documents
_FRONTEND: Final = re.compile(
    r"(?:docker\.io/)?docker/dockerfile(?:-upstream)?"
    r"(?::(?:latest|labs|master(?:-labs)?|1(?:\.(?:[4-9]|[1-9][0-9]+)(?:\.[0-9]+)?)?(?:-labs)?)(?:@.*)?)?\Z"
)
_FRONTEND_ARGUMENT: Final = "BUILDKIT_SYNTAX"
_SCAN_ARGUMENT: Final = "BUILDKIT_SBOM_SCAN_CONTEXT"
_BUILD_PLATFORM: Final = re.compile(r"\bBUILD(?:PLATFORM|OS|OSVERSION|ARCH|VARIANT)\b")
_FLAGS: Final = {
    "ADD": frozenset({"chown", "chmod", "link", "keep-git-dir", "checksum", "exclude", "unpack"}),
    "COPY": frozenset({"chown", "chmod", "link", "from", "parents", "exclude"}),
}
_HEREDOC: Final = re.compile(r"[0-9]*<<-?(['\"]?)[A-Za-z0-9_.-]+\1\Z")
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_WILDCARD: Final = re.compile(r"[*?[\]]")
_NO_FILES: Final = frozenset({"secret", "ssh", "tmpfs"})
_SCRATCH: Final = "scratch"
_PIVOT: Final = "/./"
_MAX_SHOWN: Final = 200


class Taken(Model):
    """What a build takes.

    Attributes:
        contexts: by the key of a named context, which is empty for the main one, what the build can see of it: WHOLE,
            or patterns without a leading slash, sorted. A pattern is one of Go's `path.Match` (`*`, `?` and `[a-z]`
            within a component, `**` is `*`, nothing is escaped). It stands for what it matches and all beneath that;
            where a component of a match is a symbolic link, also for the link and what it leads to, with the context
            as root. Keys may be those of images: `COPY --from=NAME` does not tell.
        is_everything: all of every context may be seen, those that are not in `contexts` included.
        uses_build_platform: whether the result may depend on the platform that builds.
        remotes: what `ADD` fetches and nothing pins, without credentials.
        diagnostics: a warning for each of them.
    """

    contexts: Mapping[str, Paths] = {}
    is_everything: bool = False
    uses_build_platform: bool = False
    remotes: tuple[str, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    def paths(self, key: str) -> Paths:
        """What the build can see of the context with this key; the main one's is `MAIN`."""
        return WHOLE if self.is_everything else self.contexts.get(key, ())


_EVERYTHING: Final = Taken(is_everything=True, uses_build_platform=True)


def taken(  # noqa: PLR0913 (each decides; `external_uses` takes the first of them by the same names)
    dockerfile: Dockerfile,
    *,
    arguments: Mapping[str, str],
    target: str,
    platform: Platform,
    build_platform: Platform,
    triggers: Triggers,
    contexts: AbstractSet[str],
) -> Taken:
    """What building `target` (the last stage where it is empty) for `platform` takes.

    Args:
        dockerfile: as `parse` gives it.
        arguments: the build args.
        target: the name of a stage.
        platform: what is built.
        build_platform: the platform of the machine that builds.
        triggers: the keys of those external bases whose images have `ONBUILD` triggers, or may have some. What they
            do is unknown.
        contexts: the keys of the named contexts of this build: one whose key is a stage's replaces that stage, and
            with it what is known of its variables and triggers.
    """
    if "windows" in {platform.os, build_platform.os} or not has_known_rules(dockerfile, arguments):
        return _EVERYTHING
    scope, problems = global_scope(
        dockerfile, arguments=arguments, target=target, platform=platform, build_platform=build_platform
    )
    wanted = find_target(dockerfile, target)
    if problems or isinstance(wanted, Diagnostic):
        return _EVERYTHING
    tracer = _Tracer(dockerfile, scope, arguments)
    return tracer.trace(wanted, triggers, contexts)


def has_known_rules(dockerfile: Dockerfile, arguments: Mapping[str, str]) -> bool:
    """Whether the frontend is one that is known here; the argument beats the line in the file."""
    syntax = arguments.get(_FRONTEND_ARGUMENT) or dockerfile.syntax
    known = syntax is None or _FRONTEND.match(syntax.strip().split(" ", 1)[0]) is not None
    return known and bool(dockerfile.stages)


class _Tracer:
    """Executes the instructions of all stages that are reached, as far as files and variables go."""

    def __init__(self, dockerfile: Dockerfile, scope: Scope, arguments: Mapping[str, str]) -> None:
        self._dockerfile = dockerfile
        self._stages = dockerfile.stages
        self._scope = scope
        self._arguments = arguments
        self._words = [scope.word(stage.base) for stage in self._stages]
        self._bases = base_stages(self._stages, [word.text for word in self._words])
        self._named = last_named(self._stages)
        self._environments: dict[int, Environment] = {}
        self._paths: dict[str, set[str] | None] = {}
        self._remotes: dict[tuple[int, str], Remote] = {}
        self._is_everything = False
        self._has_triggers = False

    def trace(self, target: int, triggers: Triggers, contexts: AbstractSet[str]) -> Taken:
        """Follow the target to all that it needs."""
        needs = {stage.index: tuple(self._needs(stage)) for stage in self._stages}
        reached = [self._stages[index] for index in sorted(reachable_stages(target, needs))]
        for stage in reached:
            if context_key(stage.name) in contexts:
                self._is_everything = self._has_triggers = True
            environment = self._begin(stage, triggers)
            self._environments[stage.index] = environment
            for step in self._steps(stage):
                self._execute(step, environment)
        declared = (argument.name for argument in self._dockerfile.arguments)
        if _SCAN_ARGUMENT in self._arguments or _SCAN_ARGUMENT in declared:
            self._take(MAIN, None)
        return Taken(
            contexts={key: WHOLE if paths is None else tuple(sorted(paths)) for key, paths in self._paths.items()},
            is_everything=self._is_everything,
            uses_build_platform=self._has_triggers or any(map(self._asks_build_platform, (None, *reached))),
            remotes=tuple(dict.fromkeys(remote.url for remote in self._remotes.values())),
            diagnostics=tuple(
                _warn(self._dockerfile.file, line, remote) for (line, _), remote in self._remotes.items()
            ),
        )

    def _needs(self, stage: Stage) -> Iterator[int]:
        """The stages that a stage starts and takes from."""
        base = self._bases[stage.index]
        if base is not None:
            yield base
        uses = [use for use in stage.uses if use.kind != "onbuild"]
        uses += [use for use in self._stages[base].uses if use.kind == "onbuild"] if base is not None else []
        for use in uses:
            origin = find_origin(use.name, self._named, is_mount=use.is_mount)
            if isinstance(origin, int) and 0 <= origin < len(self._stages):
                yield origin

    def _steps(self, stage: Stage) -> Iterator[Step]:
        """What a stage executes: the triggers of the stage that it stands on, then its own instructions."""
        base = self._bases[stage.index]
        if base is not None:
            yield from (step for step in self._stages[base].steps if step.is_trigger)
        yield from (step for step in stage.steps if not step.is_trigger)

    def _begin(self, stage: Stage, triggers: Triggers) -> Environment:
        """What a stage starts from; a base may be a named local context, which is then taken as it is."""
        base = self._bases[stage.index]
        word = self._words[stage.index]
        if base is not None:
            return self._environments[base].inherit()
        is_scratch = word.text == _SCRATCH and not word.problem
        if not is_scratch:
            key = context_key(word.text)
            if word.problem or not key:
                self._is_everything = True
            elif triggers == "unknown" or key in triggers:
                self._is_everything = self._has_triggers = True
            self._take(key, None)
        return Environment(escape=self._dockerfile.escape, is_open=not is_scratch)

    def _execute(self, step: Step, environment: Environment) -> None:
        match step.name:
            case "ENV":
                environment.set_env(step.words)
            case "ARG":
                environment.declare(step.words, self._scope, self._arguments)
                if any(word.startswith(_SCAN_ARGUMENT) for word in step.words):
                    self._take(MAIN, None)
            case "RUN":
                for flag in step.flags:
                    self._mount(flag, environment)
            case "COPY" | "ADD":
                self._copy(step, environment)
            case _:
                assert_never(step.name)

    def _copy(self, step: Step, environment: Environment) -> None:
        flags = {name: value for name, _, value in (flag.removeprefix("--").partition("=") for flag in step.flags)}
        key = self._key(flags.get("from", ""), is_mount=False)
        if not flags.keys() <= _FLAGS[step.name] or flags.get("parents", "") not in {"", "true"}:
            self._take(key, None)
        checksum = environment.expand(flags.get("checksum", "")) or ""
        for word in step.words[:-1]:
            if _HEREDOC.match(word):
                continue
            source = environment.expand(word)
            shown = word.strip("\"'") if source is None else source
            is_known_git = "keep-git-dir" in flags
            remote = parse_remote(shown, checksum=checksum, is_known_git=is_known_git) if step.name == "ADD" else None
            if remote is not None and not remote.is_pinned:
                self._remotes[step.line, remote.url] = remote
            if remote is None or remote.may_be_local:
                for pattern in _patterns(source, has_parents="parents" in flags):
                    self._take(key, pattern)

    def _mount(self, flag: str, environment: Environment) -> None:
        """A mount sees one path of a context; it knows no wildcards, and takes all where it names no path."""
        try:
            fields = read_mount(flag)
        except csv.Error:
            self._is_everything = True
            return
        kind = (environment.expand(fields.get("type", "bind")) or "").lower()
        origin = fields.get("from", "")
        if kind in _NO_FILES or (kind == "cache" and not origin):
            return
        written = [fields[name] for name in ("source", "src") if name in fields]
        source = environment.expand(written[0]) if len(written) == 1 else None
        pattern = None if source is None or _WILDCARD.search(source) else _clean(source)
        self._take(self._key(origin, is_mount=True), pattern)

    def _key(self, name: str, *, is_mount: bool) -> str | None:
        """The context that a `from=` means, the main one where it is empty; None where it is a stage or `scratch`."""
        if not name:
            return MAIN
        origin = find_origin(name, self._named, is_mount=is_mount)
        if isinstance(origin, int):
            self._is_everything |= not 0 <= origin < len(self._stages)
            return None
        if origin == _SCRATCH:
            return None
        key = context_key(origin)
        self._is_everything |= not key
        return key

    def _take(self, key: str | None, pattern: str | None) -> None:
        """Take a pattern of a context, all of it where there is none."""
        if key is None:
            return
        before = self._paths.setdefault(key, set())
        if pattern is None:
            self._paths[key] = None
        elif before is not None:
            before.add(pattern)

    def _asks_build_platform(self, stage: Stage | None) -> bool:
        """Whether a stage, or what stands before all of them, may depend on the platform that builds.

        A `RUN` sees it only through an `ARG`. A platform of one component is completed as the builder's.
        """
        if stage is None:
            words = [word for argument in self._dockerfile.arguments for word in (argument.name, argument.value or "")]
        else:
            words = [stage.base, stage.platform]
            words += [word for step in stage.steps for word in (*step.words, *step.flags)]
            if stage.platform and "/" not in self._scope.word(stage.platform).text:
                return True
        return any(_BUILD_PLATFORM.search(word) for word in words)


def _patterns(source: str | None, *, has_parents: bool) -> tuple[str | None, ...]:
    if source is None:
        return (None,)
    return _clean_with_parents(source) if has_parents else (_clean(source),)


def _clean(source: str) -> str | None:
    """A source below the root of its context; None where that is the root, or a path as Windows writes it."""
    if "\\" in source or _DRIVE.match(source):
        return None
    return posixpath.normpath("/" + source).lstrip("/") or None


def _clean_with_parents(source: str) -> tuple[str | None, ...]:
    """A source of `COPY --parents`, and its topmost folder, as the folders above what is copied are made, too.

    What follows `/./` is rooted there, in some versions; its patterns are those of `.dockerignore`, where `**` is any
    number of folders.
    """
    if "\\" in source or ".." in source.split("/"):
        return (None,)
    clean = _clean("/".join(_clean(part) or "" for part in source.split(_PIVOT, 1)))
    topmost = (clean or "").partition("/")[0]
    if not topmost or "**" in topmost or "[" in topmost or topmost.startswith("!"):
        return (None,)
    return clean, topmost


def _warn(file: str, line: int, remote: Remote) -> Diagnostic:
    url = remote.url[:_MAX_SHOWN]
    hint = f"write `ADD --checksum=sha256:… {url}`"
    if remote.is_git:
        hint = "name the full commit of 40 digits: `--checksum=<commit>`, or `#<commit>` at the end of the URL"
    return Diagnostic(
        code="remote-add",
        message=f"nothing pins what `ADD {url}` fetches: when it changes, nobody notices",
        severity=Severity.WARNING,
        place=Span(file=file, line=line),
        hints=(hint,),
    )
