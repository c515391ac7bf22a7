from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.dockerfile.wildcard import WildcardError
from orchestrator.plan.context import EMPTY, Entry, Kind, Listing, changed_paths, parse_listing, record


def listing(*entries: Entry) -> Listing:
    """A listing of these entries."""
    return Listing(records=tuple(sorted(map(record, entries))))


def file(path: str, content: str = "", mode: int = 0o644) -> Entry:
    """A file."""
    return Entry(path=path, kind=Kind.FILE, mode=mode, content=hashlib.sha256(content.encode()).hexdigest())


def tree(*paths: str) -> Listing:
    """Files at these paths, and the folders that they are in; `a -> b` is a link."""
    entries: dict[str, Entry] = {}
    for path in paths:
        name, _, target = path.partition(" -> ")
        parts = name.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            entries[folder] = Entry(path=folder, kind=Kind.FOLDER, mode=0o755)
        entries[name] = Entry(path=name, kind=Kind.LINK, content=target) if target else file(name)
    return listing(*entries.values())


def paths(found: Listing) -> list[str]:
    """The paths of all entries, in order."""
    return [entry.path for entry in found.entries]


def test_the_digest_is_that_of_the_documented_text() -> None:
    """Written down here once more: whoever changes it changes every digest that there is."""
    entries = (
        Entry(path="bin", kind=Kind.FOLDER, mode=0o2775),
        Entry(path="bin/run", kind=Kind.FILE, mode=0o777, content=EMPTY),
        Entry(path="bin/sh", kind=Kind.LINK, mode=0o777, content="run"),
        Entry(path="null", kind=Kind.DEVICE, mode=0o666, content="1:3"),
        Entry(path="pipe", kind=Kind.FIFO, mode=0o600),
        Entry(path="\udcff", kind=Kind.FOLDER, mode=0o755),
    )
    text = (
        b"orchestrator context 1\n"
        b"bin\0d2755\0\0"
        b"bin/run\0f0755\0e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\0"
        b"bin/sh\0l0000\0run\0"
        b"null\0c0644\x001:3\0"
        b"pipe\0p0600\0\0"
        b"\xff\0d0755\0\0"
    )

    assert text == listing(*entries).text
    assert "sha256:" + hashlib.sha256(text).hexdigest() == listing(*entries).digest


def test_nothing_has_a_digest_too() -> None:
    """An empty context is one."""
    assert "sha256:" + hashlib.sha256(b"orchestrator context 1\n").hexdigest() == Listing().digest
    assert [] == list(Listing().entries)


names = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=4).filter(
    lambda name: name not in {".", ".."}
)
all_paths = st.lists(names, min_size=1, max_size=3).map("/".join)
contents = st.text(max_size=3).map(lambda text: hashlib.sha256(text.encode()).hexdigest())
modes = st.integers(0, 0o7777).map(lambda mode: mode & 0o7755)
entries_of_any_kind = st.one_of(
    st.builds(Entry, path=all_paths, kind=st.just(Kind.FILE), mode=modes, content=contents),
    st.builds(Entry, path=all_paths, kind=st.sampled_from([Kind.FOLDER, Kind.FIFO]), mode=modes),
    st.builds(Entry, path=all_paths, kind=st.just(Kind.LINK), content=names),
)
listings = st.dictionaries(all_paths, entries_of_any_kind, max_size=6).map(
    lambda found: [
        Entry(path=path, kind=each.kind, mode=each.mode, content=each.content) for path, each in found.items()
    ]
)


@given(listings)
def test_entries_come_back_as_they_were(entries: list[Entry]) -> None:
    """From records, and from text that was kept."""
    made = listing(*entries)
    expected = sorted(entries, key=lambda entry: entry.path.encode())

    assert expected == list(made.entries)
    assert made == parse_listing(made.text)


@given(listings, listings)
def test_other_entries_have_another_text(ones: list[Entry], others: list[Entry]) -> None:
    """It can be read in one way only."""
    one, other = listing(*ones), listing(*others)

    assert (one.records == other.records) == (one.text == other.text)


@given(st.permutations([file("a"), file("b/c"), file("é"), Entry(path="b", kind=Kind.FOLDER, mode=0o755)]))
def test_the_order_of_entries_does_not_count(entries: list[Entry]) -> None:
    """They are ordered by what they are."""
    assert listing(*entries).digest == listing(*entries[::-1]).digest


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"orchestrator context 2\n",
        b"orchestrator context 1\na\0d0755\0",
        b"orchestrator context 1\na\0d0755\0\0b",
        b"orchestrator context 1\nb\0d0755\0\0a\0d0755\0\0",
        b"orchestrator context 1\na\0d0755\0\0a\0d0755\0\0",
        b"orchestrator context 1\n\0d0755\0\0",
        b"orchestrator context 1\n/a\0d0755\0\0",
        b"orchestrator context 1\na//b\0d0755\0\0",
        b"orchestrator context 1\na/../b\0d0755\0\0",
        b"orchestrator context 1\n..\0d0755\0\0",
        b"orchestrator context 1\na/.\0d0755\0\0",
        b"orchestrator context 1\na/\0d0755\0\0",
        b"orchestrator context 1\na\0x0755\0\0",
        b"orchestrator context 1\na\0d0955\0\0",
        b"orchestrator context 1\na\0f0644\0abc\0",
        b"orchestrator context 1\na\0l0777\0b\0",
        b"orchestrator context 1\na\0l0000\0\0",
        b"orchestrator context 1\na\0c0644\x001\0",
    ],
)
def test_a_text_that_no_listing_has_is_refused(text: bytes) -> None:
    """It may come from anywhere."""
    with pytest.raises(ValueError, match="listing of a context"):
        parse_listing(text)


@pytest.mark.parametrize("name", ["...", ".a", "..a", "a..", ".../x", " ", "\n"])
def test_strange_names_are_names(name: str) -> None:
    """Only `.` and `..` are none."""
    assert [name] == paths(parse_listing(listing(file(name)).text))


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    """And what is read is what the text says."""
    text = b"orchestrator context 1\n" + content
    try:
        read = parse_listing(text)
    except ValueError:
        return
    assert text == read.text
    assert len(read.records) == len(list(read.entries))


def test_changes_are_named_by_their_paths() -> None:
    """Those that came, went, or are another now."""
    before = listing(file("same"), file("gone"), file("edited", "1"), file("made executable"), file("replaced"))
    after = listing(
        file("same"),
        file("edited", "2"),
        file("made executable", mode=0o755),
        Entry(path="replaced", kind=Kind.LINK, content="same"),
        file("new"),
    )

    assert ("edited", "gone", "made executable", "new", "replaced") == changed_paths(before, after)
    assert () == changed_paths(before, before)


TREE = tree(
    "a", "a-b", "app/main.go", "app/main_test.go", "app/vendor/lib/x.go", "app.go", "docs/a.md", "docs/b/c.md",
    "go.mod", "go.sum", "[x]", "é/ü",
)  # fmt: skip


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a", ["a"]),
        ("/a", ["a"]),
        ("../a", ["a"]),
        ("./docs/../a", ["a"]),
        ("app", ["app", "app/main.go", "app/main_test.go", "app/vendor", "app/vendor/lib", "app/vendor/lib/x.go"]),
        ("app/", ["app", "app/main.go", "app/main_test.go", "app/vendor", "app/vendor/lib", "app/vendor/lib/x.go"]),
        ("app/vendor", ["app/vendor", "app/vendor/lib", "app/vendor/lib/x.go"]),
        ("app/main.go", ["app/main.go"]),
        ("app/main.go/x", []),
        ("go.*", ["go.mod", "go.sum"]),
        ("go.mo?", ["go.mod"]),
        ("a*b", ["a-b"]),
        ("*.go", ["app.go"]),
        ("*/*.go", ["app/main.go", "app/main_test.go"]),
        ("app/*[^t].go", ["app/main.go"]),
        ("app[/.]go", ["app.go"]),
        ("app[^x]main.go", ["app/main.go"]),
        ("[[]x]", ["[x]"]),
        ("doc?/b", ["docs/b", "docs/b/c.md"]),
        ("?/*", ["é/ü"]),
        ("missing", []),
        ("missing/*", []),
        ("*.missing", []),
        ("**", paths(TREE)),
        ("app/main\\.go", []),
        ("app/mai?\\.go", ["app/main.go"]),
    ],
)
def test_a_source_takes_what_copy_takes(source: str, expected: list[str]) -> None:
    """A folder with all that is in it; folders on the way are left out."""
    assert expected == paths(TREE.only([source]))


@pytest.mark.parametrize("source", [".", "/", "./", "app/..", ""])
def test_the_context_itself_is_all_of_it(source: str) -> None:
    """Its digest needs not be computed once more."""
    assert TREE is TREE.only(["go.mod", source])


def test_several_sources_take_what_each_takes() -> None:
    """Nothing is there twice, and their order does not count."""
    one = TREE.only(["go.*", "app/vendor", "app/v*", "a"])

    assert ["a", "app/vendor", "app/vendor/lib", "app/vendor/lib/x.go", "go.mod", "go.sum"] == paths(one)
    assert one.digest == TREE.only(["a", "app/vendor/", "./go.sum", "go.mod"]).digest


LINKED = tree(
    "real/file", "real/other", "to-folder -> real", "to-file -> real/file", "chain -> to-folder", "absolute -> /real",
    "out -> ../../real/file", "loop -> loop", "dangling -> nowhere", "sub/up -> ../real", "sub/x", "top -> .",
    "through -> to-folder/file",
)  # fmt: skip


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("to-file", ["real/file", "to-file"]),
        ("to-folder", ["real", "real/file", "real/other", "to-folder"]),
        ("to-folder/file", ["real/file", "to-folder"]),
        ("to-folder/f*", ["real/file", "to-folder"]),
        ("to-f*e", ["real/file", "to-file"]),
        ("chain/other", ["chain", "real/other", "to-folder"]),
        ("absolute/file", ["absolute", "real/file"]),
        ("out", ["out", "real/file"]),
        ("loop", ["loop"]),
        ("dangling", ["dangling"]),
        ("loo*", ["loop"]),
        ("sub", ["sub", "sub/up", "sub/x"]),
        ("sub/up/file", ["real/file", "sub/up"]),
        ("sub/*", ["real", "real/file", "real/other", "sub/up", "sub/x"]),
        ("*/file", ["real/file"]),
        ("through", ["real/file", "through", "to-folder"]),
    ],
)
def test_links_are_followed_to_a_source_and_not_below_it(source: str, expected: list[str]) -> None:
    """They count themselves, since the image changes when they lead elsewhere; nothing leads out of the context."""
    assert expected == paths(LINKED.only([source]))


def test_a_link_to_the_context_takes_all_of_it() -> None:
    """A folder that is in itself."""
    assert LINKED is LINKED.only(["top"])


def test_a_source_with_a_mistake_is_refused() -> None:
    """A class that is not closed."""
    with pytest.raises(WildcardError):
        TREE.only(["app/[a"])


def test_the_mode_of_a_folder_on_the_way_does_not_count() -> None:
    """It does where the folder is taken."""
    entries = list(TREE.entries)
    other = listing(
        *(Entry(path=e.path, kind=e.kind, mode=0o700, content=e.content) if e.path == "app" else e for e in entries)
    )

    assert TREE.only(["app/main.go"]).digest == other.only(["app/main.go"]).digest
    assert TREE.only(["app"]).digest != other.only(["app"]).digest


@given(st.lists(st.text("ab/.-", min_size=1, max_size=6), max_size=8), st.text("ab/*?.-", max_size=5))
def test_sources_take_what_trying_each_path_finds(texts: list[str], source: str) -> None:
    """Halving finds neither less nor more than looking at every path."""
    from fnmatch import fnmatchcase  # noqa: PLC0415
    from posixpath import normpath  # noqa: PLC0415

    found = tree(*{name for name in (normpath("/" + text).lstrip("/") for text in texts) if name})
    wanted = normpath("/" + source).lstrip("/").split("/")
    every = paths(found)

    def is_taken(path: str) -> bool:
        parts = path.split("/")[: len(wanted)]
        return wanted == [""] or (len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted)))

    assert [path for path in every if is_taken(path)] == paths(found.only([source]))
