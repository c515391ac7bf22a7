"""Finds and reads the files of a project: the root `builds.toml` and what it includes."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from orchestrator.config.decode import decode_bytes, salvage, salvage_included
from orchestrator.config.findings import quote
from orchestrator.config.project import Project, SourceFile, join
from orchestrator.config.rules import SecretsInArgs
from orchestrator.config.schema import BuildFile, IncludedFile
from orchestrator.diagnostics import Diagnostic, KeyPlace
from orchestrator.errors import UsageError
from orchestrator.probe.include import expand, problem_of

FILE_NAME: Final = "builds.toml"
"""What the root file is called unless the command line names another."""

_MOST_BYTES: Final = 64 * 1024 * 1024


def find_build_file(start: Path) -> Path:
    """The `builds.toml` of the folder `start`, or of the nearest folder above it, up to the repository's root.

    Raises:
        UsageError: there is none.
    """
    folder = Path(os.path.realpath(start))
    for candidate in (folder, *folder.parents):
        if os.path.lexists(candidate / FILE_NAME):
            return candidate / FILE_NAME
        if os.path.lexists(candidate / ".git"):
            break
    msg = f"there is no `{FILE_NAME}` in `{start}` or above it"
    raise UsageError(msg, hints=(f"change to the folder of your `{FILE_NAME}`, or name it with `--file PATH`",))


def read_project(path: Path) -> tuple[Project | None, tuple[Diagnostic, ...], Mapping[str, str]]:
    """Read the root file at `path` and the files that it includes, and join them.

    Returns:
        The project, or None where a file cannot be read at all; what is wrong, and where that is an error the project
        is what is left without it; and the texts of all files that could be read, by the name that places give them.
    """
    reading = _Reading(path)
    project = reading.project()
    return project, tuple(reading.findings), reading.texts


class _Reading:
    """One reading of a project: what was read so far, and what is wrong with it."""

    def __init__(self, path: Path) -> None:
        self.findings: list[Diagnostic] = []
        self.texts: dict[str, str] = {}
        self._path = Path(os.path.realpath(path))
        self._folder = Path(os.path.realpath(path.parent))
        self._root = path.name
        self._bytes_left = _MOST_BYTES

    def project(self) -> Project | None:
        """Read everything; None where something is missing from the whole."""
        text = self._text(self._path, self._root, None)
        if text is None:
            return None
        table, findings = salvage(text, self._root)
        self.findings.extend(findings)
        if table is None:
            return None
        secrets_in_args = table.project.secrets_in_args
        included = [self._included(path, place, secrets_in_args) for path, place in self._matches(table)]
        complete = tuple(pair for pair in included if pair is not None)
        if len(complete) < len(included):  # what the missing ones declare would only be reported as unknown
            return None
        root = SourceFile(path=self._root, folder="", text=text)
        project, joined = join(root, table, complete, folder_name=_folder_name(self._folder))
        self.findings.extend(joined)
        return project

    def _matches(self, table: BuildFile) -> Iterator[tuple[str, KeyPlace]]:
        """The paths of the included files, each file once, and what included it; the root file is none of them."""
        seen = {self._path}
        for position, pattern in enumerate(table.include):
            place = KeyPlace(file=self._root, keys=("include", position))
            problem = problem_of(pattern)
            if problem is not None:
                hint = "write a glob relative to this file, such as `teams/*/builds.toml`"
                self._report("include-pattern", f"{quote(pattern)} {problem}", place, hint)
                continue
            matches = expand(self._folder, pattern)
            files = [match for match in matches if not (self._folder / match).is_dir()]
            if not files:
                hint = "name the files, not their folders: `teams/*/builds.toml`" if matches else "correct or remove it"
                self._report("include-nothing", f"{quote(pattern)} matches no file", place, hint)
            for path in files:
                real = Path(os.path.realpath(self._folder / path))
                if real in seen:
                    continue
                seen.add(real)
                yield path, place

    def _included(
        self, path: str, place: KeyPlace, secrets_in_args: SecretsInArgs
    ) -> tuple[SourceFile, IncludedFile] | None:
        real = Path(os.path.realpath(self._folder / path))
        if not path.isprintable():  # nor is a name that is not UTF-8
            self._report("unreadable-file", f"the name of a file cannot be shown: {path!a}", place, "rename the file")
            return None
        if not real.is_relative_to(_repository(self._folder)):
            self._report("include-outside", f"`{path}` leads out of the repository", place, "include a copy of it")
            return None
        text = self._text(real, path, place)
        if text is None:
            return None
        table, findings = salvage_included(text, path, secrets_in_args=secrets_in_args)
        self.findings.extend(findings)
        return None if table is None else (SourceFile(path=path, folder=posixpath.dirname(path), text=text), table)

    def _text(self, path: Path, shown: str, place: KeyPlace | None) -> str | None:
        """The text of a regular file."""
        try:
            with open(path, "rb", opener=_open_at_once) as file:  # `Path.open` takes no opener
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    self._report("unreadable-file", f"`{shown}` is no regular file", place, "name a TOML file")
                    return None
                content = file.read(self._bytes_left + 1)
        except OSError as error:
            reason = (error.strerror or "error").lower()
            self._report("unreadable-file", f"cannot read `{shown}`: {reason}", place, "check its path and permissions")
            return None
        if len(content) > self._bytes_left:
            limit = f"{_MOST_BYTES // 1024 // 1024} MiB"
            self._report("file-too-large", f"`{shown}` brings the project to more than {limit}", place, "split it")
            return None
        self._bytes_left -= len(content)
        text, findings = decode_bytes(content, shown)
        self.findings.extend(findings)
        if text is not None:
            self.texts[shown] = text
        return text

    def _report(self, code: str, message: str, place: KeyPlace | None, hint: str) -> None:
        self.findings.append(Diagnostic(code=code, message=message, place=place, hints=(hint,)))


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for the other end of a pipe, which would hold up the command."""
    return os.open(path, flags | os.O_NONBLOCK)


def _folder_name(folder: Path) -> str:
    return os.fsencode(folder.name).decode("utf-8", "replace") or "project"


def _repository(folder: Path) -> Path:
    """The root of the repository that `folder` is in, or `folder` itself where it is in none."""
    return next((one for one in (folder, *folder.parents) if os.path.lexists(one / ".git")), folder)
