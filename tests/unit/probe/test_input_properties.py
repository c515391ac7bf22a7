"""Input digests of whole little projects on a disk: equal exactly where what decides an image is equal."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.model import Model
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.reference import parse_reference
from orchestrator.plan.bases import BaseFacts
from tests.unit.plan.samples import AMD64, ARM64
from tests.unit.probe.test_inputs import digests, read

DEBIAN = parse_reference("docker.io/library/debian:12")
IGNORE = "*.log\nskipped\n!skipped/kept\n"
APP, BASE, OTHER = ("app@linux/amd64", "app@linux/arm64"), ("base@linux/amd64", "base@linux/arm64"), "other@linux/amd64"


class File(Model):
    """A regular file."""

    content: str
    is_executable: bool = False


class Link(Model):
    """A symbolic link."""

    target: str


class Folder(Model):
    """A folder with nothing in it."""


Tree: TypeAlias = Mapping[str, File | Link | Folder]
"""What is in a folder by path; no path leads through another."""


class Declared(Model):
    """All that decides what the images of the project are."""

    app: Tree
    web: Tree
    base: Tree
    args: Mapping[str, str]
    labels: Mapping[str, str]
    comment: str
    debian: str


class Order(Model):
    """All that decides nothing: what is written in which order, when, by whom, and what is ignored."""

    images: Sequence[str] = ("app", "base", "other")
    is_reversed: bool = False
    mtime: int = 1_700_000_000
    is_group_writable: bool = False
    ignored: Mapping[str, str] = {}


_NAMES = st.sampled_from(["a", "b", "x/a", "x/b", "x/y/a", "skipped/kept", "Ä"])
_TREES = st.dictionaries(
    _NAMES,
    st.one_of(
        st.builds(File, content=st.sampled_from(["", "1", "2", "11"]), is_executable=st.booleans()),
        st.builds(Link, target=st.sampled_from(["a", "b", "../elsewhere"])),
        st.just(Folder()),
    ),
    max_size=4,
)
_VALUES = st.dictionaries(st.sampled_from("ABC"), st.sampled_from(["", "1", "2"]), max_size=3)
_FIELDS: Mapping[str, st.SearchStrategy[object]] = {
    "app": _TREES,
    "web": _TREES,
    "base": _TREES,
    "args": _VALUES,
    "labels": _VALUES,
    "comment": st.sampled_from(["", "# one\n", "# two\n"]),
    "debian": st.sampled_from(["one", "two"]),
}
_PROJECTS = st.builds(Declared, **_FIELDS)
_ORDERS = st.builds(
    Order,
    images=st.sampled_from(list(permutations(Order().images))),
    is_reversed=st.booleans(),
    mtime=st.integers(0, 2**32),
    is_group_writable=st.booleans(),
    ignored=st.dictionaries(st.sampled_from(["a.log", "b.log", "skipped/x"]), st.text("ab", max_size=2)),
)


def write_tree(root: Path, tree: Tree, order: Order) -> None:
    """Write what is in a folder, in this order, and then put times and modes on everything."""
    root.mkdir(parents=True, exist_ok=True)
    for name in sorted(tree, reverse=order.is_reversed):
        path, node = root / name, tree[name]
        (path if isinstance(node, Folder) else path.parent).mkdir(parents=True, exist_ok=True)
        if isinstance(node, File):
            path.write_text(node.content, encoding="utf-8")
            path.chmod(0o755 if node.is_executable else 0o644)
        elif isinstance(node, Link):
            path.symlink_to(node.target)
    for path in (root, *root.rglob("*")):
        if order.is_group_writable and not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o022)
        os.utime(path, (order.mtime, order.mtime), follow_symlinks=False)


def write_project(root: Path, declared: Declared, order: Order) -> str:
    """Write the folders of a project; its `builds.toml`."""
    ignored = {name: File(content=text) for name, text in order.ignored.items()}
    base = "FROM debian:12\nCOPY . /base\n"
    app = f"{declared.comment}FROM base\nARG A B C\nCOPY . /app\nCOPY --from=web . /web\n"
    common = {"Dockerfile": File(content=base), ".dockerignore": File(content=IGNORE)}
    write_tree(root / "base", {**declared.base, **common, **ignored}, order)
    write_tree(root / "app", {**declared.app, **common, **ignored, "Dockerfile": File(content=app)}, order)
    write_tree(root / "web", {**declared.web, **ignored, ".dockerignore": File(content=IGNORE)}, order)
    write_tree(root / "other", {"Dockerfile": File(content="FROM scratch\n")}, order)

    def table(values: Mapping[str, str]) -> str:
        said = [f"{name} = {text(values[name])}" for name in sorted(values, reverse=order.is_reversed)]
        return "{ " + ", ".join(said) + " }"

    settings_of_app = [f"args = {table(declared.args)}", f"labels = {table(declared.labels)}", 'contexts.web = "web"']
    keys = {"app": "\n".join(settings_of_app[:: -1 if order.is_reversed else 1])}
    return "".join(f"\n[images.{name}]\n{keys.get(name, '')}\n" for name in order.images)


def text(value: str) -> str:
    """A string of TOML."""
    return msgspec.json.encode(value).decode()


def digests_of(declared: Declared, order: Order) -> dict[str, Digest]:
    """The input digests of a project that is written to an empty folder."""
    with TemporaryDirectory() as folder:
        written = write_project(Path(folder), declared, order)
        facts = BaseFacts(digest=digest_bytes(declared.debian.encode()), triggers={AMD64: (), ARM64: ()})
        inputs = read(Path(folder), written, bases={DEBIAN: facts})
        assert () == inputs.found
        return digests(inputs)


@settings(max_examples=40, deadline=None)
@given(declared=_PROJECTS, one=_ORDERS, other=_ORDERS)
def test_nothing_else_changes_a_digest(declared: Declared, one: Order, other: Order) -> None:
    """No order of keys, images and files, no time, no permission of group and others, and no ignored file."""
    assert digests_of(declared, one) == digests_of(declared, other)


@settings(max_examples=80, deadline=None)
@given(declared=_PROJECTS, data=st.data())
def test_whatever_decides_changes_a_digest(declared: Declared, data: st.DataObject) -> None:
    """Another tree, arg, label, Dockerfile, base or parent is another digest, of all that stands on it and no other."""
    field = data.draw(st.sampled_from(sorted(_FIELDS)))
    changed: Declared = msgspec.structs.replace(declared, **{field: data.draw(_FIELDS[field])})
    before, after = digests_of(declared, Order()), digests_of(changed, data.draw(_ORDERS))
    is_same = seen(declared) == seen(changed)
    is_same_below = (seen(declared)["base"], declared.debian) == (seen(changed)["base"], changed.debian)

    assert [is_same] * 2 == [before[build] == after[build] for build in APP]
    assert [is_same_below] * 2 == [before[build] == after[build] for build in BASE]
    assert before[OTHER] == after[OTHER]


def seen(declared: Declared) -> dict[str, object]:
    """What a build can see; the folders that a path leads through are there whether or not they are named."""
    trees = {name: _spelled(getattr(declared, name)) for name in ("app", "web", "base")}
    return {**msgspec.structs.asdict(declared), **trees}


def _spelled(tree: Tree) -> dict[str, object]:
    parents = {str(parent) for name in tree for parent in Path(name).parents if str(parent) != "."}
    return {**dict.fromkeys(parents, Folder()), **tree}


_CONTENTS = st.lists(st.tuples(st.sampled_from("ab"), st.text("12", min_size=1, max_size=1)), min_size=2, max_size=4)


@settings(max_examples=25, deadline=None)
@given(contents=_CONTENTS)
def test_a_tree_that_goes_back_and_forth_is_always_what_it_is(contents: list[tuple[str, str]]) -> None:
    """Files of one size are changed in place, with their times put back, one run after the other, as fast as it goes.

    What a project says of itself that keeps a stat cache is what one says that never had any.
    """
    tree: Tree = {"a": File(content="0"), "b": File(content="0")}
    empty = Declared(app=tree, web={}, base={}, args={}, labels={}, comment="", debian="one")
    facts = {DEBIAN: BaseFacts(digest=digest_bytes(b"one"), triggers={AMD64: (), ARM64: ()})}
    with TemporaryDirectory() as folder:
        written = write_project(Path(folder), empty, Order())
        read(Path(folder), written, bases=facts)
        for name, content in contents:
            tree = {**tree, name: File(content=content)}
            with (Path(folder) / "app" / name).open("r+") as file:
                file.write(content)
            os.utime(Path(folder) / "app" / name, (Order().mtime, Order().mtime))
            expected = digests_of(msgspec.structs.replace(empty, app=tree), Order())
            assert expected == digests(read(Path(folder), written, bases=facts))
