"""What `taken` says of a Dockerfile, held against BuildKit: a file that is not seen never changes the result.

All Dockerfiles are built from one tree, then again after each change to it.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import pytest

from orchestrator.dockerfile.parse import parse
from orchestrator.dockerfile.takes import MAIN, WHOLE, Paths, Taken, taken
from orchestrator.oci.platform import parse_platform
from tests.lab import Lab

pytestmark = pytest.mark.integration

AMD64 = parse_platform("linux/amd64")
FILES = (
    *("tree/a.txt", "tree/b.txt", "tree/c.md", "tree/sp ace.txt", "tree/.hidden", "tree/bin/amd64", "tree/bin/arm64"),
    *("tree/sub/c.txt", "tree/sub/d.md", "tree/sub/deep/e.txt", "tree/other/f.txt", "tree/other/g.txt"),
    *("assets/css/x.css", "assets/js/y.js", "assets/readme.md"),
)
LINKS = {"tree/link": "other", "tree/flink": "a.txt", "tree/sub/up": "../b.txt", "tree/rooted": "/sub"}


@dataclass(frozen=True)
class Case:
    """A Dockerfile; `is_exact` where every file that is seen has to change the result, too."""

    text: str
    is_exact: bool = True
    target: str = ""
    args: Mapping[str, str] = field(default_factory=dict)


ONBUILD = (
    "FROM scratch AS up\nARG F=b.txt\nONBUILD ARG F=a.txt\nONBUILD ENV D=sub\nONBUILD COPY $F <<EOF /x/\nin\nEOF\n"
)
CASES = {
    "one-file": Case("FROM scratch\nCOPY a.txt /x\n"),
    "folder": Case("FROM scratch\nCOPY sub /x\n"),
    "all": Case("FROM scratch\nCOPY . /x\n"),
    "star": Case("FROM scratch\nCOPY * /x/\n"),
    "cleaned": Case("FROM scratch\nCOPY /a.txt ./sub/../b.txt sub//deep/ ../../other/f.txt /x/\n"),
    "wildcards": Case("FROM scratch\nCOPY s?b/*.txt [ab].txt /x/\n"),
    "double-star": Case("FROM scratch\nCOPY **/d.md /x/\n"),
    "json": Case('FROM scratch\nCOPY ["sp ace.txt", "/x/"]\n'),
    "quotes": Case("FROM scratch\nCOPY \"a.txt\" 'b.txt' c\\.md /x/\n"),
    "add": Case("FROM scratch\nADD a.txt sub/deep /x/\n"),
    "heredoc": Case("FROM scratch\nCOPY a.txt <<EOF <<'B' /x/\none\nEOF\ntwo\nB\n"),
    "through-a-link": Case("FROM scratch\nCOPY link/f.txt /x\n"),
    "a-link-to-a-file": Case("FROM scratch\nCOPY flink /x\n"),
    "a-link-to-a-folder": Case("FROM scratch\nCOPY link /x\n"),
    "a-link-from-the-root": Case("FROM scratch\nCOPY rooted/c.txt /x\n"),
    "a-link-beneath": Case("FROM scratch\nCOPY sub/up /x\n"),
    "links-by-wildcard": Case("FROM scratch\nCOPY *link /x/\n"),
    "exclude": Case("FROM scratch\nCOPY --exclude=*.md sub /x\n", is_exact=False),
    "stages": Case(
        "FROM scratch AS a\nCOPY a.txt /x\nFROM scratch AS b\nCOPY b.txt /x\nFROM scratch\nCOPY --from=A /x /\n"
    ),
    "target": Case("FROM scratch AS a\nCOPY a.txt /x\nFROM a AS b\nCOPY . /x\n", target="a"),
    "arg": Case("FROM scratch\nARG F=a.txt\nCOPY $F /x\n"),
    "arg-given": Case("FROM scratch\nARG F=a.txt\nCOPY $F /x\n", args={"F": "b.txt"}),
    "arg-global": Case("ARG F=a.txt G=b.txt\nFROM scratch\nARG F\nARG G=c.md\nCOPY $F $G /x/\n"),
    "arg-after-env": Case("FROM scratch\nENV F=a.txt\nARG F=b.txt\nCOPY $F /x\n"),
    "arg-over-base": Case("FROM busybox\nARG PATH=sub\nCOPY $PATH /x\n"),
    "arg-inherited": Case("FROM scratch AS a\nARG F=b.txt\nFROM a\nCOPY $F /x\n"),
    "env-inherited": Case("FROM scratch AS a\nENV F=a.txt\nARG F=b.txt\nFROM a\nCOPY $F /x\n"),
    "env-in-one": Case("FROM scratch\nENV D=other\nENV D=sub F=$D/f.txt\nCOPY $F ${D}/c.txt /x/\n"),
    "arg-in-one": Case("FROM scratch\nARG A=a.txt B=$A\nCOPY $B /x\n", is_exact=False),
    "target-platform": Case("FROM scratch\nARG TARGETARCH\nCOPY bin/$TARGETARCH /x\n"),
    "modifiers": Case("FROM scratch\nARG F=a.md\nCOPY ${F%.md}.txt ${G:-b.txt} ${F:+c.md} /x/\n"),
    "unset": Case("FROM scratch\nCOPY $F/a.txt /x\n"),
    "base-may-set-it": Case("FROM busybox\nCOPY ${F:-a.txt} /x\n", is_exact=False),
    "onbuild": Case(f"{ONBUILD}FROM up\nCOPY $D/c.txt /y\n"),
    "onbuild-is-for-others": Case(f"{ONBUILD}COPY $F /y\n"),
    "onbuild-once": Case(f"{ONBUILD}FROM up AS mid\nFROM mid\nCOPY c.md /y\n"),
    "onbuild-mount": Case("FROM busybox AS up\nONBUILD RUN --mount=source=sub,target=/m cp -r /m /x\nFROM up\n"),
    "mount": Case("FROM busybox\nRUN --mount=type=bind,source=sub,target=/m cp -r /m /x\n"),
    "mount-with-a-variable": Case("FROM busybox\nARG D=other\nRUN --mount=target=/m,src=/$D cp -r /m /x\n"),
    "mount-a-link": Case("FROM busybox\nRUN --mount=target=/m,source=link cp -r /m /x\n"),
    "mount-all": Case("FROM busybox\nRUN --mount=target=/m cp -r /m /x\n"),
    "mount-none": Case("FROM busybox\nRUN --mount=type=cache,target=/m --mount=type=tmpfs,target=/n true\n"),
    "named": Case("FROM scratch\nCOPY --from=assets css /x\nCOPY --from=assets /readme.* a.txt* /y/\n"),
    "named-mount": Case("FROM busybox\nRUN --mount=from=assets,source=js,target=/m cp -r /m /x\n"),
    "named-base": Case("FROM assets\nCOPY a.txt /x\n"),
}


def _take(case: Case) -> Taken:
    dockerfile, found = parse(case.text, "Dockerfile")
    assert dockerfile is not None, found
    return taken(
        dockerfile,
        arguments=case.args,
        target=case.target,
        platform=AMD64,
        build_platform=AMD64,
        triggers=frozenset(),
        contexts=frozenset({"assets", "busybox"}),
    )


def _see(root: Path, paths: Paths) -> set[str]:
    """The files and folders that an answer stands for."""
    if paths is WHOLE:
        return {"", *(path.relative_to(root).as_posix() for path in root.rglob("*"))}
    found: set[str] = set()
    for pattern in paths:
        _match(root, PurePosixPath(), pattern.split("/"), found)
    return found


def _match(root: Path, folder: PurePosixPath, components: list[str], found: set[str]) -> None:
    if not components:
        found |= {str(folder), *(path.relative_to(root).as_posix() for path in (root / folder).rglob("*"))}
    elif (root / folder).is_dir():
        for name in sorted(entry.name for entry in (root / folder).iterdir()):
            if fnmatchcase(name, components[0]):
                path = folder / name
                while (root / path).is_symlink():
                    found.add(str(path))
                    path = _lead(path, str((root / path).readlink()))
                _match(root, path, components[1:], found)


def _lead(link: PurePosixPath, target: str) -> PurePosixPath:
    return PurePosixPath(os.path.normpath(f"/{link.parent}/{target}" if target[0] != "/" else target)[1:])


class Project:
    """The tree and its builds."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.folder = folder
        self._layout = lab.base_layout()
        bare = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1", "BUILDX_METADATA_PROVENANCE": "disabled"}
        self._environ = {**lab.environ, **bare, "SOURCE_DATE_EPOCH": "1"}
        for name in FILES:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{name}\n")
        for name, target in LINKS.items():
            (folder / name).symlink_to(target)
        (folder / "docker-bake.json").write_text(json.dumps(self._definition()))

    def _definition(self) -> dict[str, object]:
        contexts = {"assets": "assets", "busybox": f"oci-layout://{self._layout}"}
        targets = {
            name: {
                "context": "tree",
                "contexts": {key: path for key, path in contexts.items() if key in case.text},
                "dockerfile-inline": case.text.replace("${", "$${"),
                "args": case.args,
                "target": case.target or None,
                "platforms": [str(AMD64)],
                "output": ["type=image,store=false,rewrite-timestamp=true"],
            }
            for name, case in CASES.items()
        }
        return {"group": {"default": {"targets": list(targets)}}, "target": targets}

    def build(self) -> dict[str, str]:
        """Build everything; the digests of the manifests by case."""
        argv = ["docker", "buildx", "bake", "--file=docker-bake.json", "--metadata-file=metadata.json"]
        argv += ["--progress=plain", f"--allow=fs.read={self._layout}"]
        done = subprocess.run(argv, cwd=self.folder, env=self._environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        told = json.loads((self.folder / "metadata.json").read_text())
        return {name: told[name]["containerimage.digest"] for name in CASES}

    def see(self) -> dict[str, set[str]]:
        """What each case sees now, as paths of the project."""
        seen: dict[str, set[str]] = {}
        for name, case in CASES.items():
            answer = _take(case)
            trees = (("tree", answer.paths(MAIN)), ("assets", answer.paths("assets")))
            seen[name] = {f"{tree}/{path}" for tree, paths in trees for path in _see(self.folder / tree, paths)}
        return seen


def _append(path: Path) -> None:
    with path.open("a") as file:
        file.write("more\n")


def _close(path: Path) -> None:
    path.chmod(0o711)


# few builds: what is changed together, few Dockerfiles see both of
CHANGES: tuple[tuple[Callable[[Path], None], tuple[str, ...]], ...] = (
    (_append, ("tree/a.txt", "assets/css/x.css")),
    (_append, ("tree/b.txt", "assets/js/y.js")),
    (_append, ("tree/c.md", "assets/readme.md", "tree/other/g.txt")),
    (_append, ("tree/sp ace.txt", "tree/.hidden")),
    (_append, ("tree/bin/amd64", "tree/sub/deep/e.txt")),
    (_append, ("tree/bin/arm64", "tree/sub/c.txt")),
    (_append, ("tree/sub/d.md", "tree/other/f.txt")),
    (_append, ("tree/sub/new.md", "tree/new.txt", "assets/new.css")),
    (_close, ("tree/sub", "tree/other", "tree/bin", "assets/css")),
)


@dataclass(frozen=True)
class Observed:
    """After one change: who saw any of its paths, and whose result it changed."""

    paths: tuple[str, ...]
    seen: set[str]
    changed: set[str]


@pytest.fixture(scope="module")
def observed(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> tuple[Observed, ...]:
    """Each change made in turn, and all Dockerfiles built after it."""
    project = Project(lab, tmp_path_factory.mktemp("takes"))
    before = project.build()
    found = []
    for change, paths in CHANGES:
        seen = project.see()
        for path in paths:
            change(project.folder / path)
        seen = {name: files | seen[name] for name, files in project.see().items()}
        after = project.build()
        found.append(
            Observed(
                paths,
                {name for name, files in seen.items() if not files.isdisjoint(paths)},
                {name for name in CASES if before[name] != after[name]},
            )
        )
        before = after
    return tuple(found)


@pytest.mark.parametrize("name", CASES)
def test_what_is_not_seen_does_not_change_the_result(name: str, observed: tuple[Observed, ...]) -> None:
    """Whatever is changed outside of the answer, the manifest keeps its digest."""
    assert [] == [each.paths for each in observed if name in each.changed and name not in each.seen]


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.is_exact])
def test_what_is_seen_changes_the_result(name: str, observed: tuple[Observed, ...]) -> None:
    """The answer is not too large: a change to the content of any file in it gives another manifest."""
    contents = [each for each in observed if set(each.paths) <= set(FILES)]

    assert [each.paths for each in contents if name in each.seen] == [
        each.paths for each in contents if name in each.changed
    ]
