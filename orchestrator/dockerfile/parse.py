"""`parse`: the text of a Dockerfile -> its stages, on BuildKit's own parser (the package `dockerfile`).

That parser accepts unknown instructions, drops the flags of `ONBUILD COPY --from` and does not report directives;
those are read here. What follows from variables and from the target is for `edges`.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

import dockerfile as buildkit

from orchestrator.diagnostics import Diagnostic, Severity, Span
from orchestrator.dockerfile.directives import Directives, is_official, read_directives
from orchestrator.dockerfile.model import Argument, Dockerfile, Stage, Step, StepName, Use, UseKind
from orchestrator.dockerfile.mounts import MOUNT_FLAG, read_mount
from orchestrator.dockerfile.syntax_errors import find_line

FORMAT: Final = 1
"""Of what `parse` gives: raised with every change of that, for results are kept from one run to the next."""

MAX_BYTES: Final = 1024 * 1024
INSTRUCTIONS: Final = (
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD",
    "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
)  # fmt: skip

_KNOWN: Final = frozenset(INSTRUCTIONS)
_STEPS: Final[Mapping[str, StepName]] = {"ADD": "ADD", "ARG": "ARG", "COPY": "COPY", "ENV": "ENV", "RUN": "RUN"}
_STAGE_NAME: Final = re.compile(r"[a-z][a-z0-9-_.]*\Z")
_ONBUILD: Final = re.compile(r"(?i)\s*ONBUILD\s*")
_FROM_FLAG: Final = "--from"
_WITH_NAME: Final = 3
_SYNTAX_HINT: Final = "correct this instruction; `docker build --check` shows what BuildKit thinks of it"
_SYNTAX_HINTS: Final = {
    "no instructions": "start it with `FROM image`, or `FROM scratch` for an empty one",
    "unterminated heredoc": "close it with its word alone on a line",
    "must have two arguments": "write `NAME=value`",
    "can't find =": "write `NAME=value`, with quotes where the value has spaces",
    "escape token": "write `# escape=\\`, or leave it out",
    "parser directive": "leave the second one out",
    "max allowed size": "break the line with a backslash at its end",
}


class _Command(Protocol):
    """One instruction, as the package `dockerfile` gives it."""

    cmd: str | None
    sub_cmd: str | None
    original: str | None
    start_line: int
    flags: Sequence[str]
    value: Sequence[str]


def parse(text: str, file: str) -> tuple[Dockerfile | None, tuple[Diagnostic, ...]]:
    """Parse a Dockerfile; None where nothing can be made of it. `file` is how diagnostics name it.

    A file for a frontend that is not Docker's own may be in any language: where it cannot be parsed, that is a
    warning, and the result has no stages.
    """
    refusal = _refuse(text, file)
    if refusal is not None:
        return None, (refusal,)
    directives = read_directives(text)
    reader = _Reader(file)
    try:
        commands: Sequence[_Command] = buildkit.parse_string(_escape_first(text, directives))
    except buildkit.GoParseError as error:
        reader.fail_to_parse(find_line(text, str(error)), str(error))
        commands = ()
    reader.read(commands)
    empty = Dockerfile(
        file=file, syntax=directives.syntax, syntax_line=directives.syntax_line, escape=directives.escape
    )
    if reader.diagnostics and not is_official(directives.syntax):
        return empty, (_foreign(directives, file),)
    if not reader.stages:
        return None, tuple(reader.diagnostics)
    parsed = Dockerfile(
        file=file,
        syntax=directives.syntax,
        syntax_line=directives.syntax_line,
        escape=directives.escape,
        arguments=tuple(reader.arguments),
        stages=tuple(reader.stages),
    )
    return parsed, tuple(reader.diagnostics)


def _refuse(text: str, file: str) -> Diagnostic | None:
    """What must not reach the parser: it cuts the text at a NUL, and a lone surrogate aborts the whole process."""
    reason = hint = ""
    if len(text) > MAX_BYTES:
        reason, hint = f"is larger than {MAX_BYTES} bytes", "check that `dockerfile` names the right file"
    elif "\x00" in text:
        reason, hint = "has a NUL character", "save it as text in UTF-8"
    else:
        try:
            encoded = text.encode()
        except UnicodeEncodeError:
            reason, hint = "is not text in UTF-8", "save it as text in UTF-8"
        else:
            if len(encoded) > MAX_BYTES:
                reason, hint = f"is larger than {MAX_BYTES} bytes", "check that `dockerfile` names the right file"
    if not reason:
        return None
    return Diagnostic(
        code="dockerfile-unreadable",
        message=f"Dockerfile `{file}` {reason}",
        place=Span(file=file, line=1),
        hints=(hint,),
    )


def _escape_first(text: str, directives: Directives) -> str:
    """The text with `# escape` as its first line: the parser does not know `# check` and would stop there."""
    if directives.escape_line <= 1:
        return text
    lines = text.split("\n")
    escape = lines[directives.escape_line - 1]
    return "\n".join([escape, *["#"] * (directives.lines - 1), *lines[directives.lines :]])


def _name(command: _Command) -> str:
    """The name of an instruction in upper case; a line of nothing but a continuation has none."""
    return (command.cmd or "").upper()


def _foreign(directives: Directives, file: str) -> Diagnostic:
    return Diagnostic(
        code="dockerfile-frontend",
        message=f"`{file}` is written for the frontend `{directives.syntax}`: no images are inferred from it",
        severity=Severity.WARNING,
        place=Span(file=file, line=directives.syntax_line),
        hints=("name the images that it uses in `contexts`, as `image:NAME` or `docker-image://REFERENCE`",),
    )


class _Reader:
    """Folds instructions into stages."""

    def __init__(self, file: str) -> None:
        self.diagnostics: list[Diagnostic] = []
        self.arguments: list[Argument] = []
        self.stages: list[Stage] = []
        self._file = file
        self._head: Stage | None = None
        self._within: list[Argument] = []
        self._uses: list[Use] = []
        self._steps: list[Step] = []

    def fail(self, line: int, code: str, message: str, *hints: str) -> None:
        """Record an error."""
        place = Span(file=self._file, line=line)
        self.diagnostics.append(Diagnostic(code=code, message=message, place=place, hints=hints))

    def fail_to_parse(self, line: int, message: str) -> None:
        """Record an error of BuildKit's parser."""
        hint = next((hint for part, hint in _SYNTAX_HINTS.items() if part in message), _SYNTAX_HINT)
        sentence = message.removeprefix("Syntax error - ").strip()
        self.fail(line, "dockerfile-syntax", f"syntax error: {sentence}", hint)

    def read(self, commands: Sequence[_Command]) -> None:
        """Read all instructions of a file."""
        for command in commands:
            self._instruction(command)
        self._close()
        if not self.stages and not self.diagnostics:
            hint = "start it with `FROM image`, or `FROM scratch` for an empty one"
            self.fail(1, "dockerfile-no-from", "there is no `FROM` in this Dockerfile", hint)

    def _instruction(self, command: _Command) -> None:
        name = _name(command)
        if name not in _KNOWN:
            self._unknown(command)
        elif name == "FROM":
            self._from(command)
        elif name == "ARG":
            self._argument(command)
        elif self._head is None:
            self.fail(
                command.start_line,
                "dockerfile-syntax",
                f"`{name}` stands before the first `FROM`",
                "only `ARG` and comments may stand there",
            )
        elif name == "ONBUILD":
            self._trigger(command)
        elif name in _STEPS:
            if command.flags:
                self._uses += self._taken(command, command.start_line, None)
            self._step(name, command.value, command)

    def _argument(self, command: _Command) -> None:
        declared = self._declared(command, command.start_line)
        if self._head is None:
            self.arguments += declared
        else:
            self._within += declared
            self._step("ARG", command.value, command)

    def _step(self, name: str, words: Sequence[str], command: _Command, trigger_line: int = 0) -> None:
        """Keep what takes files or sets variables; a `RUN` does only through its mounts."""
        flags = tuple(command.flags)
        if name == "RUN":
            words, flags = (), tuple(flag for flag in flags if flag.startswith(MOUNT_FLAG)) if flags else ()
            if not flags:
                return
        self._steps.append(
            Step(
                name=_STEPS[name],
                words=tuple(words),
                line=trigger_line or command.start_line,
                flags=flags,
                is_trigger=trigger_line > 0,
            )
        )

    def _unknown(self, command: _Command) -> None:
        shown = (command.cmd or "")[:40]
        close = difflib.get_close_matches(shown.upper(), INSTRUCTIONS, 1, 0.6)
        hint = f"did you mean `{close[0]}`?" if close else f"instructions are {', '.join(INSTRUCTIONS)}"
        self.fail(command.start_line, "unknown-instruction", f"unknown instruction `{shown}`", hint)

    def _from(self, command: _Command) -> None:
        self._close()
        words = command.value
        name = ""
        if len(words) == _WITH_NAME and words[1].lower() == "as":
            name = words[2].lower()
            if not _STAGE_NAME.match(name):
                message = f"invalid stage name `{words[2]}`: a letter first, then letters, digits, `-`, `_` and `.`"
                self.fail(command.start_line, "dockerfile-syntax", message, "rename the stage")
        elif len(words) != 1:
            message = f"`FROM` takes one argument or `image AS name`, not {len(words)} words"
            self.fail(command.start_line, "dockerfile-syntax", message, "write `FROM image` or `FROM image AS name`")
        self._head = Stage(
            index=len(self.stages),
            name=name,
            base=words[0] if words else "",
            platform=next((flag[11:] for flag in command.flags if flag.startswith("--platform=")), ""),
            line=command.start_line,
        )

    def _close(self) -> None:
        """Finish the stage that is being read."""
        if self._head is None:
            return
        head = self._head
        self.stages.append(
            Stage(
                index=head.index,
                name=head.name,
                base=head.base,
                platform=head.platform,
                line=head.line,
                arguments=tuple(self._within),
                uses=tuple(self._uses),
                steps=tuple(self._steps),
            )
        )
        self._head, self._within, self._uses, self._steps = None, [], [], []

    def _declared(self, command: _Command, line: int) -> Iterator[Argument]:
        if not command.value:
            self.fail(line, "dockerfile-syntax", "`ARG` needs a name", "write `ARG NAME` or `ARG NAME=default`")
        for word in command.value:
            name, equals, value = word.partition("=")
            if name:
                yield Argument(name=name, value=value if equals else None, line=line)
            else:
                self.fail(line, "dockerfile-syntax", f"`ARG {word}` has no name", "write `ARG NAME=default`")

    def _trigger(self, command: _Command) -> None:
        """An `ONBUILD`, parsed again without that word, as BuildKit does when it executes it.

        Here-documents are left out: no flag stands in one, and the parser does not hand them over. Which sources of
        a `COPY` are such, its words in the first parse tell.
        """
        line = command.start_line
        text = _ONBUILD.sub("", command.original or "", count=1).split("\n", 1)[0].replace("<<", "")
        try:
            triggers: Sequence[_Command] = buildkit.parse_string(text)
        except buildkit.GoParseError as error:
            self.fail_to_parse(line, f"`ONBUILD`: {error}")
            return
        for trigger in triggers:
            name = _name(trigger)
            if name not in _KNOWN or name in {"FROM", "MAINTAINER", "ONBUILD"}:
                hint = "write `COPY`, `RUN` or another instruction that changes the image"
                self.fail(line, "dockerfile-syntax", f"`{name[:40]}` is not allowed after `ONBUILD`", hint)
            elif name == "ARG":
                self._within += self._declared(trigger, line)
                self._step(name, trigger.value, trigger, line)
            elif name in _STEPS:
                self._uses += self._taken(trigger, line, "onbuild")
                self._step(name, command.value if name in {"ADD", "COPY"} else trigger.value, trigger, line)

    def _taken(self, command: _Command, line: int, kind: UseKind | None) -> Iterator[Use]:
        """The stages and images that an instruction takes data from."""
        name = _name(command)
        if name == "COPY":
            for flag in command.flags:
                key, equals, value = flag.partition("=")
                if key == _FROM_FLAG and not equals:
                    self.fail(line, "dockerfile-syntax", "`--from` has no value", "write `--from=stage`")
                elif key == _FROM_FLAG and value:
                    yield Use(kind=kind or "copy", name=value, line=line)
        elif name == "RUN":
            for flag in command.flags:
                if flag.startswith(MOUNT_FLAG):
                    origin = self._mount_origin(flag, line)
                    if origin:
                        yield Use(kind=kind or "mount", name=origin, line=line, is_mount=True)

    def _mount_origin(self, flag: str, line: int) -> str:
        try:
            return read_mount(flag).get("from", "")
        except csv.Error as error:
            self.fail(line, "dockerfile-syntax", f"`{flag[:88]}`: {error}", "check its quotes and commas")
            return ""
