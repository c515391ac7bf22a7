"""Layers as trees: merged as a container sees them, whatever the archive holds."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.oci.digest import digest_bytes
from orchestrator.oci.elf import ElfHeader, read_header
from orchestrator.oci.filesystem import (
    MAX_DEPTH,
    File,
    FileSystem,
    Folder,
    Found,
    LowerLayerNeededError,
    Symlink,
    merge,
    read_layer,
)
from orchestrator.oci.script import Script
from orchestrator.oci.unpack import Budget, LayerError
from tests.unit.oci.parts import ELF_AMD64, ELF_ARM64, Entry, folder, hard_link, layer, symlink, tar

if sys.version_info >= (3, 14):
    from compression.zstd import compress as compress_zstd
else:
    from backports.zstd import compress as compress_zstd

Flat = dict[str, str]


def read(*layers: bytes) -> FileSystem:
    """The file system of these layers, bottom first."""
    root = Folder()
    for content in reversed(layers):
        root = merge(root, read_layer(io.BytesIO(content), Budget()).root)
    return FileSystem(root, Budget(), complete=True)


def paths(files: FileSystem) -> list[str]:
    """The paths of all files."""
    return [path for path, _ in files.files()]


def flatten(root: Folder) -> Flat:
    """Every path with what is there."""
    flat: Flat = {}
    pending: list[tuple[str, File | Folder | Symlink]] = [("", root)]
    while pending:
        path, node = pending.pop()
        match node:
            case Folder(children=children):
                flat[path] = "folder"
                pending += [(f"{path}/{name}", child) for name, child in children.items()]
            case Symlink(target=target):
                flat[path] = f"-> {target}"
            case File(program=program):
                flat[path] = f"file {program.interpreter if isinstance(program, Script) else program}"
    del flat[""]
    return flat


def test_upper_wins() -> None:
    """A file of an upper layer replaces that of a lower one, and the rest stays."""
    files = read(layer(Entry(path="a", content=ELF_AMD64), Entry(path="b")), layer(Entry(path="a", content=ELF_ARM64)))
    assert [("/a", File(program=read_header(ELF_ARM64))), ("/b", File())] == list(files.files())


def test_whiteout() -> None:
    """A whiteout removes what lower layers have, a folder with all in it, and leaves its own layer alone."""
    lower = layer(Entry(path="d/x"), Entry(path="keep"), Entry(path="again"))
    upper = layer(Entry(path=".wh.d"), Entry(path=".wh.again"), Entry(path="again"))
    assert paths(read(lower, upper)) == ["/again", "/keep"]


def test_whiteout_below_a_new_folder() -> None:
    """A folder that was removed and made again in a later layer shows nothing of the first."""
    assert paths(read(layer(Entry(path="d/old")), layer(Entry(path=".wh.d")), layer(Entry(path="d/new")))) == ["/d/new"]


@pytest.mark.parametrize("order", [1, -1])
def test_opaque(order: int) -> None:
    """An opaque folder hides all that lower layers have in it, wherever in its layer the mark stands."""
    upper = (Entry(path="d/new"), Entry(path="d/.wh..wh..opq"))[::order]
    assert paths(read(layer(Entry(path="d/old"), Entry(path="d/e/old")), layer(*upper))) == ["/d/new"]


def test_file_between_folders() -> None:
    """A file that stood between hides the folder of a lower layer, though a folder is there again."""
    layers = layer(Entry(path="d/old")), layer(Entry(path="d")), layer(Entry(path="d/new"))
    assert paths(read(*layers)) == ["/d/new"]


def test_reserved_names() -> None:
    """Names that aufs reserves are no files."""
    assert paths(read(layer(Entry(path=".wh..wh.plnk/1.2"), Entry(path=".wh..wh.aufs"), Entry(path="a")))) == ["/a"]


@pytest.mark.parametrize("name", [".wh.", "d/.wh..", "d/.wh..."])
def test_whiteout_of_nothing(name: str) -> None:
    """A whiteout that would hide the folder itself or its parent is refused."""
    with pytest.raises(LayerError, match="whiteout of nothing"):
        read(layer(Entry(path=name)))


@pytest.mark.parametrize("name", ["./bin/a", "/bin/a", "bin//a", "bin/./a", "x/../bin/a"])
def test_spellings_of_a_path(name: str) -> None:
    """However a path is written, it is the same file."""
    assert paths(read(tar(Entry(path=name)))) == ["/bin/a"]


def test_path_out_of_the_image() -> None:
    """A path that leaves the image is refused."""
    with pytest.raises(LayerError, match=r"out of the image: `\.\./\.\./etc/passwd`"):
        read(layer(Entry(path="../../etc/passwd")))


def test_hard_link() -> None:
    """A hard link is the file that it names, and keeps it when that is replaced."""
    entries = Entry(path="a", content=ELF_ARM64), hard_link("b", "./a"), Entry(path="a", content=ELF_AMD64)
    files = dict(read(layer(*entries)).files())
    assert [read_header(ELF_AMD64), read_header(ELF_ARM64)] == [files["/a"].program, files["/b"].program]


def test_hard_link_to_a_lower_layer() -> None:
    """A hard link to a file that its layer lacks leads to that of a lower layer."""
    files = read(layer(Entry(path="usr/a", content=ELF_ARM64)), layer(hard_link("b", "usr/a")))
    assert Found(path="/usr/a", node=File(program=read_header(ELF_ARM64))) == files.find("/b")


def test_path_through_a_symlink_of_its_layer() -> None:
    """An entry below a symbolic link of the same layer is where the link leads, but never out of the image."""
    assert paths(
        read(
            layer(symlink("bin", "usr/bin"), Entry(path="bin/a"), symlink("x", "../../usr/bin"), Entry(path="x/b")),
        )
    ) == ["/usr/bin/a", "/usr/bin/b"]


def test_path_through_a_symlink_of_a_lower_layer() -> None:
    """A folder hides a symbolic link of a lower layer, as in overlayfs."""
    files = read(layer(Entry(path="usr/bin/a"), symlink("bin", "usr/bin")), layer(Entry(path="bin/b")))
    assert paths(files) == ["/bin/b", "/usr/bin/a"]
    assert files.find("/bin/a") is None


def test_devices() -> None:
    """Devices and fifos take their paths, and have nothing in them."""
    entries = Entry(path="null", kind=tarfile.CHRTYPE), Entry(path="pipe", kind=tarfile.FIFOTYPE)
    lower = layer(Entry(path="pipe", content=ELF_AMD64))
    assert {"/null": File(), "/pipe": File()} == dict(read(lower, layer(*entries)).files())


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/bin/sh", "/usr/bin/busybox"),
        ("bin/../bin/sh", "/usr/bin/busybox"),
        ("/host", "/usr/bin/busybox"),
        ("/usr/bin", "/usr/bin"),
        ("/../..", "/"),
        ("/loop", None),
        ("/dangling", None),
        ("/usr/bin/busybox/x", None),
    ],
)
def test_find(path: str, expected: str | None) -> None:
    """Paths are followed through links in the image's own root; loops and dead ends lead nowhere."""
    entries = (
        Entry(path="usr/bin/busybox"), symlink("bin", "usr/bin"), symlink("usr/bin/sh", "busybox"),
        symlink("host", "../../../../usr/bin/sh"), symlink("loop", "loop"), symlink("dangling", "/etc/nothing"),
    )  # fmt: skip
    found = read(layer(*entries)).find(path)
    assert expected == (found.path if found else None)


def test_undecided() -> None:
    """What upper layers do not decide is asked of lower ones; what they hide is not."""
    upper = read_layer(io.BytesIO(layer(Entry(path=".wh.gone"), Entry(path="d/.wh..wh..opq"))), Budget()).root
    files = FileSystem(upper, Budget(), complete=False)
    assert (files.find("/gone"), files.find("/d/x")) == (None, None)
    with pytest.raises(LowerLayerNeededError):
        files.find("/other")


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_long_names(form: int) -> None:
    """Names longer than a header's field are read in every format."""
    folders = "/".join(["folder"] * 20)
    content = tar(Entry(path=f"{folders}/name"), symlink(f"{folders}/link", "name"), form=form)
    found = read(content).find(f"{folders}/link")
    assert found is not None
    assert f"/{folders}/name" == found.path


def test_long_link_targets() -> None:
    """Targets longer than a header's field are read, GNU's and pax's."""
    target = "/".join([".."] * 60) + "/a"
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        found = read(tar(Entry(path="a"), symlink("b", target), form=form)).find("/b")
        assert Found(path="/a", node=File()) == found


def test_names_that_are_no_unicode() -> None:
    """A name of any bytes is kept, so that it can be named."""
    content = tar(Entry(path="caf\udce9"), form=tarfile.GNU_FORMAT)
    assert paths(read(content)) == ["/caf\udce9"]


@pytest.mark.parametrize("form", ["gnu", "posix --sparse-version=0.0", "posix --sparse-version=0.1", "posix"])
def test_sparse_files(tmp_path: Path, form: str) -> None:
    """The start of a sparse file is read where it belongs, in all four of GNU tar's ways to write it."""
    if shutil.which("tar") is None:
        pytest.skip("needs GNU tar")
    with (tmp_path / "tool").open("wb") as file:
        file.write(ELF_ARM64)
        for position in range(1, 40):
            file.seek(position * 128 * 1024)
            file.write(b"x")
    (tmp_path / "plain").write_bytes(ELF_AMD64)
    argv = ["tar", "-C", str(tmp_path), "--sparse", *f"--format={form}".split(), "-cf", "-", "tool", "plain"]
    content = subprocess.run(argv, check=True, capture_output=True).stdout
    assert len(content) < 1024 * 1024
    assert {"/plain": read_header(ELF_AMD64), "/tool": read_header(ELF_ARM64)} == {
        path: file.program for path, file in read(content).files()
    }


def test_compressions() -> None:
    """Layers are gzip, zstd, or neither, in one part or several; the diff id is that of the unpacked bytes."""
    content = tar(Entry(path="a", content=ELF_ARM64), Entry(path="b"))
    packed = [
        content,
        gzip.compress(content),
        gzip.compress(content[:700]) + gzip.compress(content[700:]),
        compress_zstd(content),
        compress_zstd(content[:700]) + b"\x50\x2a\x4d\x18\x04\0\0\0more" + compress_zstd(content[700:]),
    ]
    layers = [read_layer(io.BytesIO(each), Budget()) for each in packed]
    assert {digest_bytes(content)} == {each.diff_id for each in layers}
    assert [paths(FileSystem(each.root, Budget(), complete=True)) for each in layers] == [["/a", "/b"]] * 5


def test_what_follows_the_end() -> None:
    """What follows the end mark is no file, and part of the diff id."""
    content = tar(Entry(path="a")) + bytes(600_000) + tar(Entry(path="b"))
    found = read_layer(io.BytesIO(gzip.compress(content)), Budget())
    assert found.diff_id == digest_bytes(content)
    assert paths(FileSystem(found.root, Budget(), complete=True)) == ["/a"]


def test_other_compressions() -> None:
    """A compression that no layer may have is named."""
    with pytest.raises(LayerError, match="compressed with bzip2"):
        read(bz2.compress(os.urandom(2000)))


WHOLE = layer(Entry(path="a", content=bytes(range(256)) * 40), Entry(path="b"))
PLAIN = tar(Entry(path="a", content=b"x" * 5000), Entry(path="b" * 300))


@pytest.mark.parametrize("content", [WHOLE[:-20], WHOLE[:40], PLAIN[:700], PLAIN[:3000], b"\x1f\x8b\x08", b"hello"])
def test_cut_off(content: bytes) -> None:
    """A layer that is cut off, or is nothing of the kind, is refused."""
    with pytest.raises(LayerError):
        read(content)


@pytest.mark.parametrize("budget", [Budget(unpacked_bytes=9_999), Budget(entries=2), Budget(name_characters=4)])
def test_budget(budget: Budget) -> None:
    """Bytes, entries and names beyond the budget end the reading with the limit."""
    content = layer(Entry(path="aa", content=bytes(8000)), Entry(path="bb"), Entry(path="cc"))
    with pytest.raises(LayerError, match="limit of `verify`"):
        read_layer(io.BytesIO(content), budget)


def test_depth() -> None:
    """Folders in folders end somewhere, in one path or by links."""
    with pytest.raises(LayerError, match="folders in each other"):
        read(layer(Entry(path="a/" * (MAX_DEPTH + 1) + "b")))


def test_long_path() -> None:
    """A path longer than the kernel takes is refused."""
    with pytest.raises(LayerError, match="characters, at most 4096"):
        read(layer(Entry(path="a" * 5000)))


def test_loop_in_a_layer() -> None:
    """A path through a loop of links ends with an error."""
    with pytest.raises(LayerError, match="loop of symbolic links"):
        read(layer(symlink("a", "b"), symlink("b", "a"), Entry(path="a/x")))


def test_huge_extended_header() -> None:
    """An extended header is not read into memory, whatever size it claims."""
    header = bytearray(tar(Entry(path="a" * 300))[:512])
    header[124:136] = b"77777777777\0"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(LayerError, match="extended header of 8589934591 bytes"):
        read(bytes(header))


def _changed(at: int, byte: int) -> bytes:
    """A valid archive with one byte changed, and the checksums of headers mended."""
    content = bytearray(tar(Entry(path="a" * 120, content=b"x" * 600), symlink("b", "c" * 120), folder("d/")))
    content[at % len(content)] = byte
    for start in range(0, len(content) - 511, 512):
        block = content[start : start + 512]
        if b"ustar" in block[257:262]:
            block[148:156] = b" " * 8
            content[start + 148 : start + 156] = b"%06o\0 " % sum(block)
    return bytes(content)


@given(st.binary(max_size=2000) | st.builds(_changed, st.integers(0, 6000), st.integers(0, 255)))
def test_hostile_bytes(content: bytes) -> None:
    """Any bytes are a layer or a `LayerError`."""
    with suppress(LayerError):
        read(content)


NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TARGETS = st.lists(st.sampled_from(["a", "b", "c", "..", ""]), min_size=1, max_size=3).map("/".join).filter(bool)
INTERPRETERS = st.sampled_from([b"#!/x\n", b"#!/y\n", b"#!/z\n"])
ENTRIES = (
    st.builds(Entry, path=PATHS, content=INTERPRETERS)
    | PATHS.map(folder)
    | st.builds(symlink, PATHS, TARGETS)
    | st.builds(hard_link, PATHS, PATHS)
    | PATHS.map(lambda path: Entry(path=_beside(path, f".wh.{path.rpartition('/')[2]}")))
    | PATHS.map(lambda path: Entry(path=_beside(path, ".wh..wh..opq")))
)


def _beside(path: str, name: str) -> str:
    return "/".join((*path.split("/")[:-1], name))


class LoopError(Exception):
    """The model met a loop of links."""


class Model:
    """The reference: a plain dict of paths, to which layers are applied from the bottom, as unpackers do."""

    def __init__(self) -> None:
        self.flat: Flat = {}

    def apply(self, entries: list[Entry]) -> None:
        """Unpack a layer for itself, then lay it over what is there: marks first."""
        upper = unpack_alone(entries)
        for path in [path for path, node in upper.items() if node == "opaque"]:
            folder_path = path.rpartition("/")[0]
            self.flat = {key: node for key, node in self.flat.items() if not key.startswith(f"{folder_path}/")}
        for path in [path for path, node in upper.items() if node == "whiteout"]:
            remove(self.flat, _beside(path, path.rpartition("/")[2].removeprefix(".wh.")))
        for path in sorted(upper):
            if upper[path] not in {"opaque", "whiteout"}:
                put(self.flat, path, upper[path])


def remove(flat: Flat, path: str) -> None:
    """Remove a path and all below it."""
    for key in [key for key in flat if key == path or key.startswith(f"{path}/")]:
        del flat[key]


def put(flat: Flat, path: str, node: str) -> None:
    """Put a node at a path: a folder joins a folder, everything else replaces what is there."""
    if not (node == "folder" == flat.get(path)):
        remove(flat, path)
    flat[path] = node


def unpack_alone(entries: list[Entry]) -> Flat:
    """One layer unpacked into an empty root."""
    flat: Flat = {}
    for entry in entries:
        parent, _, name = f"/{entry.path}".rpartition("/")
        path = f"{enter(flat, parent)}/{name}"
        if name.startswith(".wh."):
            flat[path] = "opaque" if name.endswith("opq") else "whiteout"
        elif entry.kind == tarfile.LNKTYPE:
            put(flat, path, linked(flat, entry.target))
        elif entry.kind == tarfile.SYMTYPE:
            put(flat, path, f"-> {entry.target}")
        else:
            kind = "folder" if entry.kind == tarfile.DIRTYPE else f"file {entry.content[2:4].decode()}"
            put(flat, path, kind)
    return flat


def linked(flat: Flat, target: str) -> str:
    """What a hard link becomes."""
    parent, _, name = f"/{target}".rpartition("/")
    try:
        real = resolve(flat, parent)
    except LoopError:
        real = None
    node = None if real is None else flat.get(f"{real}/{name}")
    return f"-> /{target}" if node in {None, "folder"} else str(node)


def enter(flat: Flat, path: str) -> str:
    """The real path of a folder, its parts made where there are none."""
    here, todo, links = "", [part for part in path.split("/") if part], 0
    while todo:
        part = todo.pop(0)
        if part == "..":
            here = here.rpartition("/")[0]
            continue
        node = flat.get(f"{here}/{part}", "")
        if node.startswith("-> "):
            links += 1
            if links > 40:
                raise LoopError
            here = "" if node.startswith("-> /") else here
            todo = [each for each in node[3:].split("/") if each] + todo
            continue
        here = f"{here}/{part}"
        put(flat, here, "folder")
    return here


def resolve(flat: Flat, path: str) -> str | None:
    """The real path of what is there, links followed; None: nothing."""
    here, todo, links = "", [part for part in path.split("/") if part], 0
    while todo:
        part = todo.pop(0)
        if part == "..":
            here = here.rpartition("/")[0]
            continue
        if here and flat.get(here) != "folder":
            return None
        node = flat.get(f"{here}/{part}")
        if node is None or node in {"opaque", "whiteout"}:
            return None
        if node.startswith("-> "):
            links += 1
            if links > 40:
                raise LoopError
            here = "" if node.startswith("-> /") else here
            todo = [each for each in node[3:].split("/") if each] + todo
            continue
        if node.startswith("file") and todo:
            return None
        here = f"{here}/{part}"
    return here


@settings(max_examples=200)
@given(layers=st.lists(st.lists(ENTRIES, max_size=6), max_size=4), path=PATHS)
def test_equals_the_model(layers: list[list[Entry]], path: str) -> None:
    """Merging from the top gives the same as applying layers from the bottom to a plain dict of paths."""
    model = Model()
    try:
        for entries in layers:
            model.apply(entries)
    except LoopError:
        with pytest.raises(LayerError, match="loop"):
            read(*(tar(*entries) for entries in layers))
        return
    files = read(*(tar(*entries) for entries in layers))
    assert model.flat == flatten(files.root)
    try:
        expected = resolve(model.flat, path)
    except LoopError:
        expected = None
    found = files.find(path)
    assert expected == (found and (found.path if found.path != "/" else ""))


def test_kept_of_a_file() -> None:
    """Of a file, its ELF header or its `#!` line is kept, and nothing else."""
    content = layer(Entry(path="elf", content=ELF_ARM64 + bytes(1000)), Entry(path="run", content=b"#! /bin/sh -e \nx"))
    files = dict(read(content).files())
    assert isinstance(files["/elf"].program, ElfHeader)
    assert Script(interpreter="/bin/sh", argument="-e") == files["/run"].program
