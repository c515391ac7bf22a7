"""What the engine itself takes of a context, beside what is listed of it: every file of every case, with its content.

Most cases are named contexts of a few builds, since each of those is filtered by the `.dockerignore` in it and a build
of its own would cost them half a second.
"""

from __future__ import annotations

import hashlib
import io
import os
import socket
import stat
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.dockerfile.ignore import IgnoreError, IgnoreRules, ignore_candidates, parse_ignore
from orchestrator.plan.context import Entry, Kind, Listing
from orchestrator.state.context import walk
from orchestrator.state.statcache import open_stat_cache
from tests.lab import Lab

pytestmark = pytest.mark.integration

FILES = (
    "#hash", "!bang", ".env", ".git/HEAD", ".git/refs/heads/main", "1", "12", "Dockerfile", "LICENSE", "README.md",
    "[x]", "a", "a.b", "aXb", "aab", "ab", "ab{2}", "abc", "b", "b$", "back\\slash", "build/out.o", "build/keep/this",
    "c^d", "docs/a/b.md", "docs/a/c.txt", "docs/index.md", "foo-bar", "foo/bar/baz.txt", "foo/bar/qux.md",
    "foo/keep.txt", "foo/x", "foobar/x", "line\nbreak", "logs/x.log", "main.go", "main_test.go",
    "node_modules/m/index.js", "pkg/node_modules/n/index.js", "pkg/node_modules/n/keep.txt", "sp ace",
    "src/deep/er/keep.me", "src/deep/er/x.pyc", "src/main.py", "src/main.pyc", "sub/.env", "sub/a", "sub/b/a", "x|y",
    "é", "über/ä",
)  # fmt: skip
LINKS = {"link": "foo/x", "foo/dangling": "nowhere", "folder": "docs", "absolute": "/foo/x"}
EMPTY_FOLDERS = ("empty", "foo/empty", "logs/old")

CASES = {
    "no-patterns": "",
    "comments-and-blanks": "# a\n\n   \n\t# b is a pattern\n#b\n",
    "byte-order-mark": "\ufeffa\nb\n",
    "byte-order-mark-before-a-comment": "\ufeff# a\nb\n",
    "carriage-returns": "a\r\nfoo\r\n",
    "no-break-spaces": "\u00a0a\u2003\n",
    "last-line-without-end": "a\nb",
    "spaces-around": "   a  \n\tfoo/x\t\n",
    "space-within": "sp ace\n",
    "leading-slash": "/a\n/foo/x\n/sub/\n",
    "space-behind-the-slash": "/ a\n!/ b\n",
    "trailing-slash": "foo/\na/\n",
    "double-slashes": "foo//x\n//b\n",
    "dots": "./a\nfoo/./x\nfoo/../b\n",
    "out-of-the-context": "../a\n/../b\nfoo/../../sub\n",
    "dot-alone": ".\n",
    "slash-alone": "/\n",
    "dot-dot-alone": "..\n",
    "whole-names-only": "fo\noo\nfoo/ba\n",
    "case-matters": "A\nreadme.md\n",
    "a-folder-takes-all": "foo\ndocs/a\n",
    "only-at-the-top": "x\n.env\n",
    "star": "*\n",
    "star-suffix": "*.md\n",
    "star-prefix": "foo*\n",
    "star-within": "a*b\n",
    "star-takes-dots": "*env\n",
    "star-is-one-level": "*/x\n",
    "star-folder": "foo/*\n",
    "star-twice": "*/*/*.md\n",
    "question-mark": "?\na?c\nsub/?\n",
    "question-mark-is-no-slash": "foo?x\n",
    "class": "[ab]\n[a-c]?b\n",
    "class-negated": "[^a]\n",
    "class-with-exclamation-mark": "[!a]\n",
    "class-takes-a-slash": "foo[^x]x\n",
    "class-of-a-bracket": "[[]x]\n",
    "class-with-escapes": "[\\^\\]]*\nc[\\^]d\n",
    "class-with-a-star": "b[*]\n[?]\n",
    "class-by-name": "[[:digit:]]*\n",
    "class-behind-a-star": "b*[-$]\n",
    "escapes": "\\a\nsp\\ ace\n\\#hash\n",
    "escape-of-a-backslash": "back\\\\slash\n",
    "escape-of-a-letter-is-a-class": "\\d\nmain\\.go\n",
    "backslash-at-the-end": "b*\\\n",
    "escaped-exclamation-mark": "\\!bang\n",
    "escaped-star": "a\\*\n",
    "double-star-folder": "**/node_modules\n",
    "double-star-file": "**/a\n",
    "double-star-suffix": "**/*.pyc\n",
    "double-star-without-slash": "**.md\n**x\n",
    "double-star-without-slash-and-wildcard": "**.m?\n",
    "double-star-alone": "**\n",
    "double-star-twice": "**/**\n",
    "double-star-at-the-end": "foo/**\ndocs/a/**\n",
    "double-star-glued-to-a-name": "foo**\n",
    "double-star-within": "foo/**/x\nsrc/**/*.pyc\n",
    "double-star-within-and-none": "sub/**/a\n",
    "double-star-between": "**/node_modules/**\n",
    "triple-star": "***/x\n",
    "double-star-dots": "**/.env\n**/.*\n",
    "double-star-cleaned-away": "**/../a\n",
    "line-breaks-in-names": "line*\n",
    "double-star-and-line-breaks": "**/br*\n*reak\n",
    "letters-of-other-alphabets": "é\nüber/?\n",
    "regular-expression-in-text": "ab{2}\nx|y\nc^d\nb$\na.b\n",
    "regular-expression-beside-a-star": "ab{2}*\n*x|y\n",
    "repetition": "a{1,2}b*\n",
    "anchor": "c^d*\n^a?\n",
    "negation": "*\n!a\n",
    "negation-first": "!a\n*\n",
    "negation-twice": "*\n!a\na\n!a\n",
    "negation-with-space": "*\n!  a\n",
    "negation-with-slash": "*\n!/foo/x\n!foo/bar/\n",
    "negation-in-a-folder": "foo\n!foo/x\n",
    "negation-deep": "src\n!src/deep/er/keep.me\n",
    "negation-of-a-folder": "*\n!foo\nfoo/bar\n",
    "negation-with-star": "build/*\n!build/keep\n",
    "negation-with-wildcard": "**/*.md\n!*.md\n!docs/*/*.md\n",
    "negation-with-double-star": "*\n!**/*.md\n",
    "negation-below-node-modules": "**/node_modules\n!pkg/node_modules/n/keep.txt\n",
    "negation-of-something-missing": "foo\n!foo/missing\n",
    "negation-of-an-empty-folder": "*\n!foo/empty\n!empty\n",
    "negation-of-a-link": "*\n!link\n!folder/index.md\n",
    "negated-exclamation-mark": "*\n!!bang\n",
    "excluded-again-below": "docs\n!docs\ndocs/a\n!docs/a/c.txt\n",
    "folder-excluded-by-its-content": "docs/**\n!docs/a/b.md\n",
    "pattern-that-did-not-count-above": "foo\n!foo/x\n**/foo\n",
    "pattern-that-was-not-tried-above": "**/x\n!foo\n",
    "empty-because-asked-twice": "sub\n!sub/a\nsub/b\n!sub/b/a\n**/sub\n",
    "git": ".git\n",
    "git-but-its-head": ".git/*\n!.git/HEAD\n",
    "link": "link\n",
    "through-a-link": "folder/index.md\n",
    "ignore-file-and-dockerfile": ".dockerignore\nDockerfile\n",
    "everyday": (
        "# everyday\n.git\n.env\n**/.env\n**/node_modules\n**/__pycache__\n**/*.py[co]\nbuild/\n!build/keep\n*.md\n"
        "!README.md\nlogs/*.log\n"
    ),
}  # fmt: skip
BATCH = 25
REFUSED = (
    "[",
    "a[",
    "[a",
    "[]a]",
    "[a-]",
    "a\\",
    "*[-a]",
    "!",
    "!/",
    "[z-a]",
    "*{2}",
    "\\o",
    "\\p*",
    "[[:no:]]",
    "b*[a",
)


def write_tree(root: Path, ignore: str) -> Path:
    """A folder with everything that cases ask for."""
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"content of {name}")
    for name in EMPTY_FOLDERS:
        (root / name).mkdir(parents=True)
    for name, target in LINKS.items():
        (root / name).symlink_to(target)
    (root / "src/main.py").chmod(0o755)
    (root / ".dockerignore").write_text(ignore)
    return root


def start_build(lab: Lab, dockerfile: Path, context: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    """Build, with the file system of the image on stdout."""
    argv = ["docker", "buildx", "build", f"--file={dockerfile}", "--output=type=tar,dest=-", *options, str(context)]
    return subprocess.run(argv, env=lab.environ, capture_output=True, check=False)


def build(lab: Lab, dockerfile: Path, context: Path, *options: str) -> dict[str, Entry]:
    """The entries of the image, by path."""
    done = start_build(lab, dockerfile, context, *options)
    assert 0 == done.returncode, done.stderr.decode()
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        return {member.name: entry_of(archive, member) for member in archive}


def entry_of(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Entry:
    """What a listing should say of it."""
    mode = 0 if member.issym() else member.mode & 0o7755
    kinds = {
        tarfile.DIRTYPE: (Kind.FOLDER, ""),
        tarfile.SYMTYPE: (Kind.LINK, member.linkname),
        tarfile.FIFOTYPE: (Kind.FIFO, ""),
        tarfile.CHRTYPE: (Kind.DEVICE, f"{member.devmajor}:{member.devminor}"),
    }
    if member.type in kinds:
        kind, content = kinds[member.type]
        return Entry(path=member.name, kind=kind, mode=mode, content=content)
    file = archive.extractfile(member)
    assert file is not None
    return Entry(path=member.name, kind=Kind.FILE, mode=mode, content=hashlib.sha256(file.read()).hexdigest())


def below(entries: Mapping[str, Entry], folder: str) -> set[tuple[str, Kind, int, str]]:
    """The entries in one folder of an image, relative to it."""
    start = f"{folder}/" if folder else ""
    found = (entry for path, entry in entries.items() if path.startswith(start))
    return {(entry.path.removeprefix(start), entry.kind, entry.mode, entry.content) for entry in found}


def listed(listing: Listing) -> set[tuple[str, Kind, int, str]]:
    """The entries of a listing, to be compared with those."""
    return {(entry.path, entry.kind, entry.mode, entry.content) for entry in listing.entries}


def list_context(root: Path, rules: IgnoreRules, project: Path) -> Listing:
    """The listing of a context."""
    with open_stat_cache(project) as cache:
        return walk(root, rules, cache)


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each case."""
    folder = tmp_path_factory.mktemp("contexts")
    for name, ignore in CASES.items():
        (folder / name).mkdir()
        write_tree(folder / name, ignore)
    return {name: folder / name for name in CASES}


@pytest.fixture(scope="module")
def images(lab: Lab, contexts: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Entry]:
    """What the engine makes of all cases: `COPY --from=case . /case/`."""
    found: dict[str, Entry] = {}
    names = list(contexts)
    for first in range(0, len(names), BATCH):
        batch = names[first : first + BATCH]
        folder = tmp_path_factory.mktemp("batch")
        (folder / "Dockerfile").write_text(
            "FROM scratch\n" + "".join(f"COPY --from={name} . /{name}/\n" for name in batch)
        )
        options = (f"--build-context={name}={contexts[name]}" for name in batch)
        found |= build(lab, folder / "Dockerfile", folder, *options)
    return found


@pytest.mark.parametrize("name", CASES)
def test_the_files_of_the_image_are_those_that_are_listed(
    name: str, contexts: Mapping[str, Path], images: Mapping[str, Entry], tmp_path: Path
) -> None:
    """All of them, and no others, with their content, their mode and where they lead."""
    listing = list_context(contexts[name], parse_ignore(CASES[name]), tmp_path)

    assert below(images, name) == listed(listing)


def test_there_are_cases_enough() -> None:
    """Sixty were asked for, and none is there twice."""
    assert len(CASES) >= 60
    assert len(CASES) == len(set(CASES.values()))


@pytest.mark.parametrize("pattern", REFUSED)
def test_a_pattern_that_fails_the_build_is_refused(pattern: str, lab: Lab, tmp_path: Path) -> None:
    """Before there is a build."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (tmp_path / ".dockerignore").write_text(f"{pattern}\n")

    assert 0 != start_build(lab, tmp_path / "Dockerfile", tmp_path).returncode
    with pytest.raises(IgnoreError) as caught:
        parse_ignore(f"{pattern}\n")
    assert 1 == caught.value.line


@pytest.mark.parametrize(
    ("beside", "expected"),
    [(None, {"a", "other"}), ("a\n", {".dockerignore", "Dockerfile", "b", "other"}), ("", None), ("*\n", set())],
    ids=["only-the-general-one", "its-own", "its-own-is-empty", "its-own-takes-all"],
)
def test_which_ignore_file_applies(beside: str | None, expected: set[str] | None, lab: Lab, tmp_path: Path) -> None:
    """The one beside the Dockerfile, even if it is empty; both files and the Dockerfile can be ignored themselves."""
    context, folder = tmp_path / "context", tmp_path / "context/build"
    folder.mkdir(parents=True)
    dockerfile = folder / "Dockerfile"
    files = {
        "a": "", "b": "", "other": "", ".dockerignore": "b\n**/Dockerfile\n.dockerignore\nbuild\n",
        "Dockerfile": "", "build/Dockerfile": "FROM scratch\nCOPY . /\n",
    }  # fmt: skip
    for name, text in files.items():
        (context / name).write_text(text)
    if beside is not None:
        (folder / "Dockerfile.dockerignore").write_text(beside + "build\n" * bool(beside))
    candidates = ignore_candidates(str(dockerfile), str(context))
    rules = parse_ignore(next(Path(name).read_text() for name in candidates if Path(name).exists()))
    image = build(lab, dockerfile, context)

    assert below(image, "") == listed(list_context(context, rules, tmp_path))
    assert expected in (None, set(image))


def test_all_kinds_of_entries(lab: Lab, tmp_path: Path) -> None:
    """Links are kept, sockets become empty files, disks become terminals; attributes and owners are lost."""
    context = tmp_path / "context"
    (context / "folder").mkdir(parents=True)
    (context / "folder").chmod(0o2750)
    (context / "file").write_text("content")
    (context / "file").chmod(0o6711)
    (context / "secret").write_text("content")
    (context / "secret").chmod(0o600)
    (context / "hard").hardlink_to(context / "secret")
    (context / "link").symlink_to("../outside")
    os.mkfifo(context / "pipe", 0o640)
    if os.geteuid() == 0:
        os.chown(context / "file", 1234, 1234)
        os.setxattr(context / "file", "security.capability", bytes.fromhex("0100000200040000" + "00" * 12))
        os.mknod(context / "character", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        os.mknod(context / "block", 0o640 | stat.S_IFBLK, os.makedev(7, 300))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(context / "socket"))
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    listing = list_context(context, IgnoreRules(), tmp_path)

    assert below(build(lab, tmp_path / "Dockerfile", context), "") == listed(listing)


SOURCES = (
    "a", "a*", "*.md", "foo", "foo/", "foo/b*", "?", "[ab]", "s*/deep", "*/bar/*", "link", "folder", "folder/index.md",
    "folder/*", "fold*", "folder/a/..", ".", "/", "./src/./main.py", "../a", "foo/../a", "missing*", "foo/missing*",
    "foo[^x]keep.txt", "main.g?", "absolute", "[[]x]", "é*", "empty", "emp*", "node_modules/../a", "chain",
    "up/baz.txt", "foo[/.]x", "up/..", "up/../..", "chain/*",
)  # fmt: skip


def test_the_sources_of_a_copy_take_what_is_listed_for_them(lab: Lab, tmp_path: Path) -> None:
    """Wildcards, folders and links, each source in a folder of its own."""
    context = tmp_path / "context"
    context.mkdir()
    write_tree(context, "")
    (context / "chain").symlink_to("folder")
    (context / "up").symlink_to("src/../foo/bar")
    copies = "".join(f'COPY ["{source}", "/{number}/"]\n' for number, source in enumerate(SOURCES))
    (tmp_path / "Dockerfile").write_text(f"FROM scratch\n{copies}")
    listing = list_context(context, IgnoreRules(), tmp_path)
    image = build(lab, tmp_path / "Dockerfile", context)

    assert {
        source: {content for _, kind, _, content in below(image, str(number)) if kind is Kind.FILE}
        for number, source in enumerate(SOURCES)
    } == {
        source: {entry.content for entry in listing.only([source]).entries if entry.kind is Kind.FILE}
        for source in SOURCES
    }
