"""`OldTree`: the files of a commit that declarations are made of, laid out in a folder of their own to be read as any.

Only what is asked for is written, and links as links. Nothing of the repository is started, no filter and no hook, and
no path of a commit leads out of the folder: it may have been made by anybody.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, NamedTuple

from orchestrator.config.decode import decode_bytes, salvage
from orchestrator.errors import UsageError
from orchestrator.probe.git import OWN_FOLDER
from orchestrator.probe.regular import read_regular
from orchestrator.probe.revision import GitReader, Revision
from orchestrator.state.beneath import Durability, Missing, open_folder, write_whole

MAX_FILE: Final = 64 * 1024 * 1024
MAX_FILES: Final = 50_000
MAX_TOTAL: Final = 128 * 1024 * 1024

_LINK: Final = b"120000"
_MOST_LINKS: Final = 40
_LONGEST_TARGET: Final = 4096
_ENTRY: Final = re.compile(rb"([0-7]{6}) [a-z]+ ([0-9a-f]{40}(?:[0-9a-f]{24})?)\t(.+)\Z", re.DOTALL)
_FORBIDDEN: Final = frozenset({"", ".", "..", ".git", OWN_FOLDER})
_ANY: Final = "**"


class _Entry(NamedTuple):
    """A file of the commit: its mode and its object."""

    mode: bytes
    name: str


class OldTree:
    """The files of one commit, as far as they were laid out in `folder`."""

    def __init__(self, git: GitReader, revision: Revision, folder: Path) -> None:
        """List the commit, and lay out its links.

        Raises:
            OrchestratorError: git cannot be asked, fails, or the commit has more links than anybody has.
        """
        self.folder = folder
        self._git = git
        self._revision = revision
        self._entries = dict(_entries(git.read("ls-tree", "-r", "-z", "--full-tree", revision.commit)))
        links = [path for path, entry in self._entries.items() if entry.mode == _LINK]
        if len(links) > MAX_FILES:
            message = f"`{revision.short}` has more than {MAX_FILES:,} symbolic links"
            raise UsageError(message, hints=("compare with another commit",))
        self._links = {
            path: os.fsdecode(target)
            for path, target in self._contents(links, _LONGEST_TARGET).items()
            if target and b"\0" not in target
        }
        for link, leads_to in self._links.items():
            self._write_link(link, leads_to)
        # the folder is then taken for the root of a repository, as the real one is
        with open_folder(self.folder, (".git",), Missing.CREATE):
            pass

    def lay_out_project(self, file: str, *beside: str) -> bool:
        """Lay out a root file, what it may include, and the files `beside`; False where there was no such file."""
        self.lay_out((file, *beside))
        content = read_regular(str(self.folder / file), MAX_FILE + 1) if self._resolve(file) is not None else None
        if content is None:
            return False
        text, _ = decode_bytes(content, file)
        table, _ = (None, ()) if text is None else salvage(text, file)
        names = {pattern.rstrip("/").rpartition("/")[2] for pattern in (table.include if table else ())}
        self.lay_out(path for path in self._entries if any(_may_match(path, name) for name in names))
        return True

    def lay_out(self, paths: Iterable[str]) -> None:
        """Lay out files, and what links of these names lead to; what was not there is left out.

        Raises:
            UsageError: it is more than anybody declares.
        """
        found = dict.fromkeys(resolved for path in paths if (resolved := self._resolve(path)) is not None)
        if len(found) > MAX_FILES:
            message = f"`{self._revision.short}` has more than {MAX_FILES:,} files that `include` may mean"
            raise UsageError(message, hints=("name files rather than `*`: `teams/*/builds.toml`",))
        plain = [path for path in found if path in self._entries and self._entries[path].mode[:2] == b"10"]
        for path, content in self._contents(plain, MAX_FILE).items():
            self._write(path, content)

    def lay_out_known(self, paths: Iterable[str]) -> None:
        """As `lay_out`, and what git did not know then as it is now: made by others, or in a submodule.

        Raises:
            UsageError: as `lay_out`.
        """
        paths = tuple(paths)
        self.lay_out(paths)
        for path in dict.fromkeys(map(self._resolve, paths)):
            if path is not None and path not in self._entries:
                content = read_regular(os.path.join(self._revision.top, path), MAX_FILE)  # noqa: PTH118 (text)
                if content is not None:
                    self._write(path, content)

    def lay_out_folders(self, paths: Iterable[str]) -> None:
        """Make folders. Git knows of none without files, so one that it does not know may have been there."""
        for path in paths:
            resolved = self._resolve(path)
            if resolved is not None and _is_fit(resolved):
                with suppress(OSError), open_folder(self.folder, _parts(resolved), Missing.CREATE):
                    pass

    def _resolve(self, path: str) -> str | None:
        """Where a path leads in the commit; None where that is out of it, or round and round."""
        if path.startswith("/"):
            return None
        resolved: list[str] = []
        left = path.split("/")[::-1]
        followed = 0
        while left:
            part = left.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                if not resolved:
                    return None
                resolved.pop()
                continue
            target = self._links.get("/".join((*resolved, part)))
            if target is None:
                resolved.append(part)
                continue
            followed += 1
            if target.startswith("/") or followed > _MOST_LINKS:
                return None
            left += target.split("/")[::-1]
        return "/".join(resolved)

    def _contents(self, paths: Iterable[str], limit: int) -> dict[str, bytes]:
        """What is in these files; larger ones are left out.

        Raises:
            OrchestratorError: git cannot say.
        """
        wanted = {path: self._entries[path].name for path in paths}
        if not wanted:
            return {}
        names = dict.fromkeys(wanted.values())
        sizes = self._git.read("cat-file", "--batch-check=%(objectsize)", stdin=_lines(names)).split(b"\n")
        small = {name: int(size) for name, size in zip(names, sizes, strict=False) if _is_small(size, limit)}
        if sum(small.values()) > MAX_TOTAL:
            message = f"the declarations of `{self._revision.short}` have more than {MAX_TOTAL // 1024 // 1024} MiB"
            raise UsageError(message, hints=("name files rather than `*` in `include`",))
        output = self._git.read("cat-file", "--batch=%(objectname)", stdin=_lines(small)) if small else b""
        contents: dict[str, bytes] = {}
        at = 0
        for name, size in small.items():
            at += len(name) + 1
            contents[name] = output[at : at + size]
            at += size + 1
        return {path: contents[name] for path, name in wanted.items() if name in contents}

    def _write(self, path: str, content: bytes) -> None:
        """Write a file; where the commit has something else in its way, or no disk takes its name, it is left out."""
        *folders, name = path.split("/")
        if _is_fit(path):
            with suppress(OSError), open_folder(self.folder, tuple(folders), Missing.CREATE) as folder:
                write_whole(name, folder, lambda file: file.write(content), Durability.LAZY)

    def _write_link(self, path: str, target: str) -> None:
        *folders, name = path.split("/")
        if _is_fit(path):
            with suppress(OSError), open_folder(self.folder, tuple(folders), Missing.CREATE) as folder:
                os.symlink(target, name, dir_fd=folder)


def _entries(output: bytes) -> Iterator[tuple[str, _Entry]]:
    for line in output.split(b"\0"):
        match = _ENTRY.match(line)
        if match:
            yield os.fsdecode(match[3]), _Entry(match[1], match[2].decode())


def _may_match(path: str, name: str) -> bool:
    """Whether a glob whose last part is `name` may match a path."""
    return name == _ANY or fnmatchcase(posixpath.basename(path), name)


def _is_small(size: bytes, limit: int) -> bool:
    return size.isdigit() and int(size) <= limit


def _lines(names: Iterable[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()


def _is_fit(path: str) -> bool:
    """Whether a path of a commit may be written: git lets nobody commit others, but its objects can be made by hand."""
    return _FORBIDDEN.isdisjoint(path.split("/"))


def _parts(path: str) -> tuple[str, ...]:
    return tuple(path.split("/")) if path else ()
