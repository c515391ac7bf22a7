"""What images are made from is the same in any clone: on another path, with another umask, under another Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest

from orchestrator.plan.document import PlanDocument
from tests.integration.conftest import MakeWorkspace
from tests.integration.workspace import Workspace
from tests.lab import Lab
from tests.lab.made_once import made_once
from tests.lab.packages import cache_folder, unpack_system

pytestmark = pytest.mark.integration

SUITE = "trixie"
PACKAGES = ("base-files", "dash", "coreutils", "python3", "git")
SOURCES = Path(__file__).resolve().parents[2]
FILES = {
    "builds.toml": """\
format = 1
[project]
name = "clones"
[version]
value = "1.0.0"
[defaults]
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{{ version }}"]
args = { Z = "1", A = "ä" }
[platforms."*"]
emulation = "allow"
[images.base]
[images.whole]
contexts = { shared = "shared" }
[images.part]
""",
    "base/Dockerfile": "FROM %BASE%\nCOPY . /base\n",
    "base/file": "base",
    "whole/Dockerfile": "FROM base\nARG A Z\nCOPY . /whole\nCOPY --from=shared . /shared\n",
    "whole/.dockerignore": "**/*.log\n!kept.log\nignored\n",
    "whole/kept.log": "kept",
    "whole/deep/er/ä ö": "name",
    "whole/script": "#!/bin/sh\n",
    "shared/data": "shared",
    "part/Dockerfile": "FROM base\nCOPY src/*.c /part/\n",
    "part/src/main.c": "main",
    "part/docs/page": "no build sees this",
}
IGNORED = ("whole/debug.log", "whole/ignored/file", "part/docs/more")


@pytest.fixture(scope="module")
def workspace(make_workspace: MakeWorkspace) -> Workspace:
    """A repository with links, programs and names of many letters, all committed."""
    made = make_workspace(FILES)
    (made.root / "whole/script").chmod(0o755)
    (made.root / "whole/link").symlink_to("deep/er")
    (made.root / "whole/nowhere").symlink_to("/no/such/file")
    made.commit()
    return made


def inputs(plan: PlanDocument) -> dict[str, str]:
    """The input digests, all of which are known."""
    found = {build.id: build.input for build in plan.builds if build.input}
    assert len(found) == len(plan.builds) == 6
    return found


def clone(workspace: Workspace, target: Path, *, umask: int) -> None:
    """Clone as somebody with this umask does."""
    argv = ["git", "clone", "--quiet", str(workspace.root), str(target)]
    subprocess.run(argv, env=workspace.environ, check=True, umask=umask)


@pytest.mark.parametrize("umask", [0o022, 0o002], ids=oct)
def test_another_clone_computes_the_same(workspace: Workspace, make_workspace: MakeWorkspace, umask: int) -> None:
    """With fresh mtimes, files that are ignored or that no build sees, and nothing of what the first one knows."""
    other = make_workspace({})
    shutil.rmtree(other.root)
    clone(workspace, other.root, umask=umask)
    other.environ["ORCHESTRATE_REGISTRY"] = workspace.registry
    other.write(dict.fromkeys(IGNORED, "not committed"))
    for path in other.root.rglob("*"):
        if ".git" not in path.parts:
            os.utime(path, (1, time.time()), follow_symlinks=False)
    assert 0o666 & ~umask == 0o777 & (other.root / "base/file").stat().st_mode
    assert inputs(workspace.plan("--push")) == inputs(other.plan("--push"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(SOURCES / name, folder)
    for name in ("orchestrator", "plugins"):
        shutil.copytree(SOURCES / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    run(sys.executable, "-m", "build", "--wheel", "--outdir", str(folder / "dist"), str(folder))
    (made,) = (folder / "dist").glob("*.whl")
    return made


def run(*argv: str, environ: Mapping[str, str] | None = None) -> str:
    """Run a command, which has to succeed; its stdout."""
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def image(lab: Lab, wheel: Path, workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image with another Debian and its Python, the wheel with what it needs, and a clone of the repository."""
    folder = cache_folder() / f"system-{SUITE}-{'-'.join(PACKAGES)}"
    root = made_once(folder, lambda made: unpack_system(SUITE, PACKAGES, made))
    version = next(path.name.removeprefix("python") for path in (root / "usr/bin").glob("python3.*[0-9]"))
    extra = tmp_path_factory.mktemp("extra")
    run(
        sys.executable, "-m", "pip", "install", "--quiet", f"--target={extra}/opt/site", f"--python-version={version}",
        "--implementation=cp", "--only-binary=:all:", str(wheel),
    )  # fmt: skip
    run("git", "clone", "--quiet", "--bare", str(workspace.root), f"{extra}/origin.git", environ=workspace.environ)
    name = f"{workspace.folder.name}:{SUITE}"
    archive = extra.with_suffix(".tar")
    run("tar", f"--directory={root}", "--create", f"--file={archive}", ".")
    run("tar", f"--directory={extra}", "--owner=0", "--group=0", "--append", f"--file={archive}", ".")
    run("docker", "import", str(archive), name, environ=lab.environ)
    archive.unlink()
    yield name
    run("docker", "image", "rm", "--force", name, environ=lab.environ)


SCRIPT = """\
umask 002
git clone --quiet /origin.git /elsewhere/project
cd /elsewhere/project
python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])'
exec python3 -m orchestrator plan --push --format=json
"""


def test_a_container_with_another_python_computes_the_same(lab: Lab, workspace: Workspace, image: str) -> None:
    """Nothing of this machine is in it; it has no engine and no builder either, and knows the registry alone."""
    environ = {"PYTHONPATH": "/opt/site", "ORCHESTRATE_REGISTRY": workspace.registry, "HOME": "/root"}
    argv = ["docker", "run", "--rm", "--network=host", *(f"--env={name}={value}" for name, value in environ.items())]
    done = subprocess.run(
        [*argv, image, "sh", "-ec", SCRIPT], env=lab.environ, capture_output=True, text=True, check=False
    )
    version, _, told = done.stdout.partition("\n")
    assert told, done.stderr
    assert f"{sys.version_info.major}.{sys.version_info.minor}" != version
    assert inputs(workspace.plan("--push")) == inputs(msgspec.json.decode(told, type=PlanDocument))
