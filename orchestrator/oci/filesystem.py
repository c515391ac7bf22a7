"""The file system of an image: its layers as trees, merged as a container sees them (image-spec, layer.md).

Layers are lexical, as overlayfs has them: a folder of a layer hides a file or a symbolic link of a lower one. Within a
layer, entries are applied in order and later ones replace earlier ones; a path through a symbolic link of the same
layer goes where the link goes, never out of the image. Trees hold names, link targets and what `read_header` or
`read_script` made of a file; a layer's content is never kept, and nothing is written anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.oci.elf import ElfHeader, read_header
from orchestrator.oci.script import Script, read_script
from orchestrator.oci.tar import Kind, Member, read_members
from orchestrator.oci.unpack import Budget, ByteStream, LayerError, unpacked

MAX_DEPTH: Final = 400
"""Folders in folders; below Python's own limit of recursion."""
MAX_PATH: Final = 4096
"""PATH_MAX of Linux."""
MAX_LINKS: Final = 40
"""How many symbolic links the kernel follows in one path (MAXSYMLINKS)."""

_WHITEOUT: Final = ".wh."
_RESERVED: Final = ".wh..wh."
_OPAQUE: Final = ".wh..wh..opq"


class File(Model):
    """A regular file, a device or a fifo; `program` is what its first bytes say."""

    program: ElfHeader | Script | None = None


class Symlink(Model):
    """A symbolic link."""

    target: str


@dataclass(slots=True)
class Folder:
    """A folder of one layer or of several merged ones; changed only while its layer is read.

    `hidden` are names of which nothing of lower layers shows, `opaque` says so of all names.
    """

    children: dict[str, Node] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    opaque: bool = False


Node: TypeAlias = File | Symlink | Folder


class Layer(Model):
    """One layer as read: its tree, and the digest of its unpacked bytes."""

    root: Folder
    diff_id: Digest


def read_layer(stream: ByteStream, budget: Budget) -> Layer:
    """Read a layer to its end, once.

    Raises:
        LayerError: it cannot be unpacked, is no tar archive, leaves the image, or is more than the budget allows.
    """
    tree = _LayerTree(budget)
    with unpacked(stream, budget) as source:
        for member in read_members(source):
            tree.add(member)
        return Layer(root=tree.root, diff_id=source.finish())


class _LayerTree:
    """The tree of one layer while its members arrive."""

    def __init__(self, budget: Budget) -> None:
        self.root = Folder()
        self._budget = budget
        self._files: dict[ElfHeader | Script | None, File] = {}

    def add(self, member: Member) -> None:
        """Apply one member."""
        parts = _split(member.path)
        if not parts or any(part.startswith(_WHITEOUT) for part in parts[:-1]):
            return
        self._budget.take_entry(parts[-1], member.target)
        folder, name = self._enter(parts[:-1]), parts[-1]
        if name.startswith(_WHITEOUT):
            _hide(folder, name, member.path)
        elif member.kind is not Kind.FOLDER:
            folder.children[name] = self._node(member)
        elif not isinstance(folder.children.get(name), Folder):
            folder.children[name] = Folder()

    def _node(self, member: Member) -> Node:
        match member.kind:
            case Kind.SYMLINK:
                return Symlink(target=_check_length(member.target))
            case Kind.HARD_LINK:
                return self._linked(member.target)
            case _:
                program = read_header(member.prefix) or read_script(member.prefix)
                return self._files.setdefault(program, File(program=program))

    def _linked(self, target: str) -> Node:
        """The file that a hard link names; of a lower layer it is not known yet, and is found like a symlink's."""
        *parents, name = _split(target) or [""]
        folder = FileSystem(self.root, self._budget, complete=True).find("/".join(parents))
        node = folder.node.children.get(name) if folder and isinstance(folder.node, Folder) else None
        return Symlink(target="/".join(("", *parents, name))) if node is None or isinstance(node, Folder) else node

    def _enter(self, parts: list[str]) -> Folder:
        """The folder at a path of this layer, made where there is none (so also over a file)."""
        stack = [self.root]
        pending = parts[::-1]
        links = 0
        while pending:
            name = pending.pop()
            node = stack[-1].children.get(name)
            if name == "..":
                del stack[max(1, len(stack) - 1) :]
            elif isinstance(node, Symlink):
                links += 1
                self._budget.take_entry(node.target)
                if links > MAX_LINKS:
                    msg = f"the layer has a loop of symbolic links at `{name}`"
                    raise LayerError(msg)
                if node.target.startswith("/"):
                    del stack[1:]
                pending += _components(node.target)[::-1]
            else:
                stack.append(node if isinstance(node, Folder) else self._make(stack, name))
        return stack[-1]

    def _make(self, stack: list[Folder], name: str) -> Folder:
        if len(stack) > MAX_DEPTH:
            msg = f"the layer has more than {MAX_DEPTH} folders in each other"
            raise LayerError(msg)
        self._budget.take_entry(name)
        folder = stack[-1].children[name] = Folder()
        return folder


def _hide(folder: Folder, name: str, path: str) -> None:
    """Apply a whiteout. Other reserved names are aufs's own and say nothing about the image."""
    if name == _OPAQUE:
        folder.opaque = True
    elif not name.startswith(_RESERVED):
        hidden = name.removeprefix(_WHITEOUT)
        if hidden in {"", ".", ".."}:
            msg = f"the layer has a whiteout of nothing: `{path}`"
            raise LayerError(msg)
        folder.hidden.add(hidden)


def _components(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in {"", "."}]


def _split(path: str) -> list[str]:
    """The parts of a member's path, cleaned as by Go's `filepath.Clean`, which unpackers use."""
    parts: list[str] = []
    for part in _components(_check_length(path)):
        if part != "..":
            parts.append(part)
        elif not parts:
            msg = f"the layer has a path out of the image: `{path}`"
            raise LayerError(msg)
        else:
            parts.pop()
    return parts


def _check_length(path: str) -> str:
    if len(path) > MAX_PATH:
        msg = f"the layer has a path of {len(path)} characters, at most {MAX_PATH} are allowed: `{path[:60]}…`"
        raise LayerError(msg)
    return path


def merge(upper: Folder, lower: Folder) -> Folder:
    """What shows of two folders at one path; neither is changed, and what only one has is shared with it."""
    if upper.opaque:
        return upper
    merged = Folder(children=dict(upper.children), hidden=upper.hidden | lower.hidden, opaque=lower.opaque)
    for name, node in lower.children.items():
        if name in upper.hidden:
            continue
        above = upper.children.get(name)
        if above is None:
            merged.children[name] = node
        elif isinstance(above, Folder) and isinstance(node, Folder):
            merged.children[name] = merge(above, node)
        elif isinstance(above, Folder):
            merged.hidden.add(name)
    return merged


class LowerLayerNeededError(Exception):
    """What was asked is decided by a layer that was not read yet."""


class Found(Model):
    """What is at a path, links followed: its real path and the node; a path of an image starts with `/`."""

    path: str
    node: File | Folder


class FileSystem:
    """The merged layers of an image, all of them or the upper ones.

    Args:
        root: the merged tree.
        budget: what following links may cost.
        complete: whether no lower layer is left.
    """

    def __init__(self, root: Folder, budget: Budget, *, complete: bool) -> None:
        self.root = root
        self._budget = budget
        self._complete = complete

    def find(self, path: str) -> Found | None:
        """Follow a path from the image's root, symbolic links included; None: nothing is there, or a loop of links.

        Raises:
            LowerLayerNeededError: the layers so far do not decide it.
            LayerError: the budget is used up.
        """
        stack: list[tuple[str, Folder]] = [("", self.root)]
        pending = _components(path)[::-1]
        links = 0
        while pending:
            name = pending.pop()
            if name == "..":
                del stack[max(1, len(stack) - 1) :]
                continue
            match self._child(stack[-1][1], name):
                case Folder() as folder:
                    stack.append((name, folder))
                case Symlink(target=target) if links < MAX_LINKS:
                    links += 1
                    self._budget.take_entry(target)
                    if target.startswith("/"):
                        del stack[1:]
                    pending += _components(target)[::-1]
                case File() as file if not pending:
                    return Found(path=_join(stack, name), node=file)
                case _:
                    return None
        return Found(path=_join(stack), node=stack[-1][1])

    def _child(self, folder: Folder, name: str) -> Node | None:
        node = folder.children.get(name)
        if node is None and not (self._complete or folder.opaque or name in folder.hidden):
            raise LowerLayerNeededError
        return node

    def files(self) -> Iterator[tuple[str, File]]:
        """Every regular file, device and fifo with its path, in the order of their names."""
        pending: list[tuple[str, Node]] = [("", self.root)]
        while pending:
            path, node = pending.pop()
            if isinstance(node, Folder):
                pending += [(f"{path}/{name}", node.children[name]) for name in sorted(node.children, reverse=True)]
            elif isinstance(node, File):
                yield path, node


def _join(stack: list[tuple[str, Folder]], *names: str) -> str:
    return "/" + "/".join((*(name for name, _ in stack[1:]), *names))
