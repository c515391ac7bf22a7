"""What platform builds are made from, read from a disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.diagnostics import Severity, Span
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.platform import Platform
from orchestrator.oci.reference import Reference, parse_reference
from orchestrator.plan.bases import BaseFacts
from orchestrator.plan.edges import DockerfileReader, find_edges
from orchestrator.plan.grants import Grants
from orchestrator.plan.graph import Order, order_images
from orchestrator.plan.inputs import InputManifest
from orchestrator.plan.sights import Outside
from orchestrator.plan.sources import needed_sources
from orchestrator.probe.inputs import MAX_IGNORE_FILE, Inputs, read_inputs
from orchestrator.probe.sources import read_sources
from tests.unit.plan.samples import AMD64, ARM64, HEAD, expand_text

ONE, OTHER = digest_bytes(b"one"), digest_bytes(b"other")
DEBIAN = parse_reference("docker.io/library/debian:12")
BASES = {DEBIAN: BaseFacts(digest=ONE, triggers={AMD64: (), ARM64: ()})}
PROJECT = """
[images.app]
context = "app"
args = { A = "1", V = { value = "1", volatile = true } }
contexts = { web = "web", raw = "docker-image://debian:12" }
[images.base]
context = "base"
"""
FILES = {
    "app/Dockerfile": "FROM base\nARG A\nCOPY taken /\nCOPY --from=web . /web\nCOPY --from=raw x /\nRUN true\n",
    "app/.dockerignore": "**/*.log\n",
    "app/taken/a.txt": "a",
    "app/taken/b.sh": "b",
    "app/taken/debug.log": "l",
    "app/other.txt": "o",
    "web/.dockerignore": "# nothing\n",
    "web/index.html": "w",
    "base/Dockerfile": "FROM debian:12\nCOPY . /base\n",
    "base/file": "f",
}
APP, APP_ARM, PARENT = "app@linux/amd64", "app@linux/arm64", "base@linux/amd64"


def write(root: Path, files: Mapping[str, str]) -> Path:
    """Write files."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def read(
    root: Path,
    text: str = PROJECT,
    *,
    bases: Mapping[Reference, BaseFacts] = BASES,
    built_on: Mapping[str, Platform] | None = None,
) -> Inputs:
    """What the images of a project are made from."""
    expansion, found = expand_text(HEAD + text)
    assert found == ()
    sources = read_sources(root, needed_sources(expansion.images), boundary=root, grants=Grants())
    reader = DockerfileReader(sources.dockerfiles, AMD64)
    edges, _ = find_edges(expansion.images, reader, expansion.families)
    order = order_images(tuple(image.name for image in expansion.images), edges)
    assert isinstance(order, Order)
    by_name = {image.name: image for image in expansion.images}
    images = tuple(by_name[name] for name in order.in_order())
    outside = Outside(images=images, reader=reader, bases=bases, published={}, host=AMD64)
    return read_inputs(outside, edges, root=root, dockerfiles=sources.digests, built_on=built_on or {})


def digests(inputs: Inputs) -> dict[str, Digest]:
    """The input digests by build."""
    return {build: manifest.digest for build, manifest in inputs.manifests.items()}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project of these tests."""
    return write(tmp_path, FILES)


def test_manifests_say_what_they_are_made_from(project: Path) -> None:
    """Contexts by listings that are at hand, images and parents by digest."""
    inputs = read(project)
    assert () == inputs.found
    manifest = inputs.manifests[APP]
    assert digest_bytes(FILES["app/Dockerfile"].encode()) == manifest.dockerfile
    assert ((("A", "1"),), (("raw", ONE),)) == (manifest.args, manifest.images)
    assert (("base", inputs.manifests[PARENT].digest),) == manifest.parents
    seen = {
        name: [entry.path for entry in inputs.listings[Digest(digest)].entries] for name, digest in manifest.contexts
    }
    assert {"": ["taken", "taken/a.txt", "taken/b.sh"], "web": [".dockerignore", "index.html"]} == seen
    assert () == manifest.unknown


def test_listings_are_those_of_manifests(project: Path) -> None:
    """Each once, by its digest."""
    inputs = read(project)
    named = {digest for manifest in inputs.manifests.values() for _, digest in manifest.contexts}
    assert named == set(inputs.listings)
    assert [digest for digest, listing in inputs.listings.items() if digest != listing.digest] == []


def test_another_clone_gives_the_same(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """On another path, with other times and another umask; and so does a second run, which knows the files."""
    clone = tmp_path_factory.mktemp("clone") / "elsewhere"
    shutil.copytree(project, clone)
    for path in clone.rglob("*"):
        path.chmod(path.stat().st_mode | 0o020)
        os.utime(path, (1, 1))
    assert digests(read(project)) == digests(read(clone)) == digests(read(project))


_CONTENT = st.text(alphabet="ab\n", max_size=3)


@settings(max_examples=25, deadline=None)
@given(content=_CONTENT, ignored=_CONTENT, unseen=_CONTENT, mtime=st.integers(0, 2**31), volatile=_CONTENT)
def test_what_no_build_sees_does_not_count(content: str, ignored: str, unseen: str, mtime: int, volatile: str) -> None:
    """Ignored files, files that no instruction takes, times, volatile args, tags and labels of `builds.toml`."""
    with TemporaryDirectory() as first, TemporaryDirectory() as second:
        one = write(Path(first), {**FILES, "app/taken/a.txt": content})
        other = write(
            Path(second),
            {**FILES, "app/taken/a.txt": content, "app/taken/debug.log": ignored, "app/new.txt": unseen},
        )
        os.utime(other / "app/taken/a.txt", (mtime, mtime))
        text = PROJECT.replace('value = "1"', f"value = {msgspec.json.encode('v' + volatile).decode()}")
        text += 'tags = ["9"]\nlabels = { L = { value = "x", volatile = true } }\n'
        assert digests(read(one)) == digests(read(other, text))


@settings(max_examples=25, deadline=None)
@given(before=_CONTENT, after=_CONTENT)
def test_content_of_what_is_taken_counts(before: str, after: str) -> None:
    """Other bytes are another digest, and the same are the same; other images do not care."""
    with TemporaryDirectory() as folder:
        one = digests(read(write(Path(folder), {**FILES, "app/taken/a.txt": before})))
        other = digests(read(write(Path(folder), {"app/taken/a.txt": after})))
        assert (before == after) == (one[APP] == other[APP]) == (one[APP_ARM] == other[APP_ARM])
        assert one[PARENT] == other[PARENT]


def change_parent(project: Path) -> None:
    """Of the parent one file."""
    write(project, {"base/file": "other"})


def change_dockerfile(project: Path) -> None:
    """A comment, which BuildKit would not mind."""
    write(project, {"app/Dockerfile": FILES["app/Dockerfile"] + "# more\n"})


def change_mode(project: Path) -> None:
    """The executable bit."""
    (project / "app/taken/b.sh").chmod(0o755)


def change_named_context(project: Path) -> None:
    """A file that is new there."""
    write(project, {"web/new.html": "n"})


def change_ignore(project: Path) -> None:
    """A file comes in."""
    write(project, {"app/.dockerignore": ""})


def add_own_ignore(project: Path) -> None:
    """The Dockerfile's own ignore file wins."""
    write(project, {"app/Dockerfile.dockerignore": "taken/a.txt\n"})


@pytest.mark.parametrize(
    "change", [change_parent, change_dockerfile, change_mode, change_named_context, change_ignore, add_own_ignore]
)
def test_change_on_disk_counts(project: Path, change: object) -> None:
    """Of each of these the image is another one."""
    before = digests(read(project))
    assert callable(change)
    change(project)
    after = digests(read(project))
    assert before[APP] != after[APP]
    assert before[APP_ARM] != after[APP_ARM]


@pytest.mark.parametrize(
    ("old", "new"),
    [('A = "1"', 'A = "2"'), ('context = "app"', 'context = "app"\ntarget = "out"'), ("web = ", "assets = ")],
)
def test_change_in_the_declaration_counts(project: Path, old: str, new: str) -> None:
    """An arg, the target and the name of a context."""
    files = {"app/Dockerfile": FILES["app/Dockerfile"].replace("FROM base", "FROM base AS out")}
    write(project, files)
    assert digests(read(project))[APP] != digests(read(project, PROJECT.replace(old, new)))[APP]


def test_moved_base_counts_downstream(project: Path) -> None:
    """For what stands on it, and on that."""
    moved = {DEBIAN: msgspec.structs.replace(BASES[DEBIAN], digest=OTHER)}
    before, after = digests(read(project)), digests(read(project, bases=moved))
    assert set(before) == {build for build, digest in after.items() if digest != before[build]}


def test_platforms_differ(project: Path) -> None:
    """Each has its own digest, though they see the same files."""
    inputs = read(project)
    assert len(inputs.manifests) == len(set(digests(inputs).values()))
    assert inputs.manifests[APP].contexts == inputs.manifests[APP_ARM].contexts


def test_order_of_images_does_not_count(project: Path) -> None:
    """Neither does that of args and contexts."""
    text = """
    [images.base]
    context = "base"
    [images.app]
    args = { V = { value = "1", volatile = true }, A = "1" }
    contexts = { raw = "docker-image://debian:12", web = "web" }
    context = "app"
    """
    assert digests(read(project)) == digests(read(project, text))


def test_what_is_not_known_spreads(project: Path) -> None:
    """A child of what is unknown is unknown, and not something else."""
    inputs = read(project, bases={})
    assert ("debian:12", "the platform that builds") == inputs.manifests[PARENT].unknown
    assert ("raw", "base") == inputs.manifests[APP].unknown
    known = read(project).manifests[APP]
    assert known.contexts == inputs.manifests[APP].contexts


def test_platform_that_builds_counts_where_it_is_asked_for(project: Path) -> None:
    """And nowhere else."""
    elsewhere = {APP: ARM64}
    assert digests(read(project)) == digests(read(project, built_on=elsewhere))
    write(project, {"app/Dockerfile": FILES["app/Dockerfile"].replace("ARG A", "ARG A BUILDARCH")})
    here, there = read(project).manifests[APP], read(project, built_on=elsewhere).manifests[APP]
    assert ("linux/amd64", "linux/arm64") == (here.build_platform, there.build_platform)


def test_dockerfile_is_hashed_as_bytes(project: Path) -> None:
    """What is not UTF-8 is another file, though it is shown alike."""
    manifests: list[InputManifest] = []
    for content in (b"FROM debian:12\n# \xff\n", b"FROM debian:12\n# \xfe\n"):
        (project / "base/Dockerfile").write_bytes(content)
        manifests.append(read(project).manifests[PARENT])
    assert digest_bytes(b"FROM debian:12\n# \xff\n") == manifests[0].dockerfile
    assert manifests[0].digest != manifests[1].digest


def test_dockerfile_in_builds_toml(project: Path) -> None:
    """Its text is what counts, and no file beside it."""
    text = "[images.app]\ncontext = 'app'\ndockerfile-inline = '''\nFROM debian:12\nCOPY . /\n'''\n"
    write(project, {"app/Dockerfile.dockerignore": "*\n"})
    inputs = read(project, text)
    manifest = inputs.manifests[APP]
    assert digest_bytes(b"FROM debian:12\nCOPY . /\n") == manifest.dockerfile
    listing = inputs.listings[Digest(dict(manifest.contexts)[""])]
    assert "taken/a.txt" in [entry.path for entry in listing.entries]


def test_layout_is_known_by_its_index(project: Path) -> None:
    """Where no digest pins it; one that is not there is not known."""
    text = PROJECT.replace("docker-image://debian:12", "oci-layout://layout:tag")
    assert (("raw", "unknown"),) == read(project, text).manifests[APP].images
    write(project, {"layout/index.json": "{}"})
    assert (("raw", digest_bytes(b"{}")),) == read(project, text).manifests[APP].images


def findings(inputs: Inputs) -> list[tuple[str, Severity]]:
    """What was found, with hints."""
    assert [finding for finding in inputs.found if not finding.hints] == []
    return [(finding.code, finding.severity) for finding in inputs.found]


def test_wrong_ignore_file_is_told_once(project: Path) -> None:
    """With its line, and its text at hand; what it is for is not known."""
    write(project, {"app/.dockerignore": "ok\n!\n"})
    inputs = read(project)
    assert [("dockerignore", Severity.ERROR)] == findings(inputs)
    assert Span(file="app/.dockerignore", line=2) == inputs.found[0].place
    assert {"app/.dockerignore": "ok\n!\n"} == inputs.texts
    assert ("the context",) == inputs.manifests[APP].unknown


def test_huge_ignore_file(project: Path) -> None:
    """It is not read to its end."""
    write(project, {"app/.dockerignore": "#" * (5 * MAX_IGNORE_FILE)})
    assert [("dockerignore", Severity.ERROR)] == findings(read(project))


def test_ignore_file_behind_a_link(project: Path) -> None:
    """In the same folder it counts; out of it the engine does not go, and neither do we."""
    path = project / "app/.dockerignore"
    path.rename(project / "app/rules")
    path.symlink_to("rules")
    before = read(project)
    assert [] == findings(before)
    write(project, {"rules": "**/*.log\n"})
    for target in ("../rules", str(project / "rules"), "rules/../../rules", ".dockerignore"):
        path.unlink()
        path.symlink_to(target)
        after = read(project)
        assert [("dockerignore-link", Severity.WARNING)] == findings(after)
        assert before.manifests[APP].digest != after.manifests[APP].digest


def test_ignore_file_that_is_none(project: Path) -> None:
    """The engine takes a folder of that name for nothing."""
    (project / "app/.dockerignore").unlink()
    without = read(project)
    (project / "app/.dockerignore").mkdir()
    assert [] == findings(read(project))
    assert without.manifests[APP].contexts == read(project).manifests[APP].contexts


def test_folder_that_cannot_be_read(project: Path) -> None:
    """It is a finding with its path, once for all platforms, and not the end."""
    shutil.rmtree(project / "web")
    inputs = read(project)
    assert [("context-unreadable", Severity.ERROR)] == findings(inputs)
    assert f"`{project / 'web'}`" in inputs.found[0].message
    assert ("web",) == inputs.manifests[APP].unknown


def test_remote_add_is_told_once(project: Path) -> None:
    """For all platforms together."""
    write(project, {"base/Dockerfile": "FROM debian:12\nADD https://example.com/x /x\n"})
    assert [("remote-add", Severity.WARNING)] == findings(read(project))


def test_files_are_not_known_where_triggers_are_not(project: Path) -> None:
    """They may take more of the folder, which is not read for nothing."""
    write(project, {"base/Dockerfile": "FROM debian:12\nCOPY file /base\n"})
    inputs = read(project, bases={DEBIAN: BaseFacts(digest=ONE)})
    assert ("the context", "the platform that builds") == inputs.manifests[PARENT].unknown


def test_remote_context(project: Path) -> None:
    """What pins it is known; the images that its Dockerfile takes are not."""
    url = f"https://h.example/x.git#{'a' * 40}"
    manifest = read(project, f'[images.app]\ncontext = "{url}"\ndockerfile = "sub/Dockerfile"\n').manifests[APP]
    assert ((("", url),), "sub/Dockerfile", ("FROM",)) == (manifest.contexts, manifest.dockerfile, manifest.unknown)


def test_pattern_that_is_none_takes_everything(project: Path) -> None:
    """The build will fail on it; what is hashed is no less than what it could see."""
    write(project, {"base/Dockerfile": "FROM debian:12\nCOPY a[ /base\n"})
    inputs = read(project)
    listing = inputs.listings[Digest(dict(inputs.manifests[PARENT].contexts)[""])]
    assert ["Dockerfile", "file"] == [entry.path for entry in listing.entries]


def test_images_that_share_a_context_share_its_listing(project: Path) -> None:
    """Each takes its own part of one walk."""
    text = "".join(f'[images.i{number}]\ncontext = "app"\nargs.N = "{number}"\n' for number in range(20))
    write(project, {"app/Dockerfile": "FROM debian:12\nCOPY taken /\n"})
    inputs = read(project, text)
    assert 1 == len(inputs.listings)
    assert 40 == len(set(digests(inputs).values()))


@pytest.mark.parametrize(
    ("context", "ignored", "warns"),
    [
        (".", "", True),
        (".", "**/.orchestrate\n", False),
        (".", "*\n!app\n", False),
        (".", "**/.orch*\n!.orchestrate/x\n", False),
        ("app", "", False),
    ],
)
def test_own_folder_in_a_context_is_told(tmp_path: Path, context: str, ignored: str, *, warns: bool) -> None:
    """It would be copied with everything else; no digest tells of it."""
    write(tmp_path, {"Dockerfile": "FROM scratch\nCOPY . /\n", "app/Dockerfile": "FROM scratch\nCOPY . /\n"})
    write(tmp_path, {f"{context}/.dockerignore": ignored, ".orchestrate/stat-cache": ""})
    found = read(tmp_path, f'[images.app]\ncontext = "{context}"\n').found
    assert [("own-folder", Severity.WARNING)] * warns == [(finding.code, finding.severity) for finding in found]
    hint = "add the line `**/.orchestrate` to `.dockerignore`"
    assert [(hint,)] * warns == [finding.hints for finding in found]
