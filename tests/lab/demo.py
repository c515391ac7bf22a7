"""`make demo`: the example in `examples/monorepo`, from its plan to an arm64 program that runs; each command is shown.

It uses the Docker that answers here if that can build for both platforms, else a lab of its own. Nothing stays behind
but, in a Docker of yours, the build cache.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from orchestrator.state.summary import RunResult, parse_result
from tests.lab.availability import available
from tests.lab.borrowed import REGISTRY_IMAGE, BorrowedLab, borrow
from tests.lab.failure import LabError
from tests.lab.lab import Lab

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/monorepo"
PLATFORMS = ("linux/amd64", "linux/arm64")
EXPECTED = "hello from aarch64"
_GIT = ("git", "-c", "user.name=Demo", "-c", "user.email=demo@example.org", "-c", "commit.gpgsign=false")
_BASE = "images.base"


class DemoError(Exception):
    """The demo cannot go on; the text is for the person who typed `make demo`."""


def main() -> int:
    """Show it all; returns the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # unwind, as Ctrl-C does
    try:
        with tempfile.TemporaryDirectory(prefix="orchestrate-demo-") as folder, _place() as lab:
            _show(lab, Path(folder) / "monorepo")
    except (DemoError, LabError) as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


@contextmanager
def _place() -> Iterator[Lab]:
    """Where the demo happens: a Docker that is up to it, else a lab."""
    lacking = _lacking()
    if not lacking:
        had = _docker("image", "inspect", REGISTRY_IMAGE) is not None
        borrowed = borrow()
        if borrowed is not None:
            _say("The Docker that answers here is used, with a registry in a container.")
            with borrowed:
                yield borrowed
            if not had:
                _docker("image", "rm", REGISTRY_IMAGE)
            return
        lacking = f"the Docker here cannot run `{REGISTRY_IMAGE}`, or its buildx is older than 0.20"
    if reason := available():
        msg = f"{lacking}, and there can be no lab: {reason}; `orchestrate doctor` says what to do"
        raise DemoError(msg)
    _say(f"{lacking[0].upper()}{lacking[1:]}: a lab is started, with an engine, an emulator and a registry")
    _say("from Debian packages that are unpacked into a cache; nothing is installed.")
    with Lab.start() as lab:
        yield lab


def _lacking() -> str:
    """What keeps us from using the Docker here; empty if nothing does."""
    status = _docker("info", "--format={{.DriverStatus}}")
    if status is None:
        return "no Docker answers here"
    if "io.containerd.snapshotter" not in status:
        return "the image store of the Docker here keeps one platform only"
    inspected = _docker("buildx", "inspect", "default") or ""
    offered = next((line for line in inspected.splitlines() if line.startswith("Platforms:")), "")
    missing = [platform for platform in PLATFORMS if platform not in offered.replace(",", " ").split()]
    return f"the Docker here does not run {' and '.join(missing)}" if missing else ""


def _show(lab: Lab, root: Path) -> None:
    environ = {
        **lab.environ,
        "ORCHESTRATE_REGISTRY": f"{lab.registry.host}/monorepo",
        "PATH": f"{Path(sys.executable).parent}:{lab.environ.get('PATH', os.defpath)}",
    }
    _prepare(lab, root)
    _say("A copy of examples/monorepo was made, with a git repository of its own and the tag v1.0.0.")
    _say(f"\n$ export ORCHESTRATE_REGISTRY={environ['ORCHESTRATE_REGISTRY']}")
    _run(root, environ, "orchestrate", "plan")
    _run(root, environ, "orchestrate", "build", "--push")
    result = parse_result((root / ".orchestrate/result.json").read_bytes())
    fixed = [next(tag.ref for tag in image.tags if not tag.moving) for image in result.images if image.tags]
    _run(root, environ, "orchestrate", "verify", f"--platform={','.join(PLATFORMS)}", *fixed)
    program = f"{environ['ORCHESTRATE_REGISTRY']}/api:1.0.0"
    try:
        said = _run_captured(
            root, environ, "docker", "run", "--rm", "--quiet", "--network=none", "--platform=linux/arm64", program
        )
    finally:
        if isinstance(lab, BorrowedLab):
            _docker("image", "rm", "--force", program)
    if said != EXPECTED:
        msg = f"the program said `{said}`, not `{EXPECTED}`"
        raise DemoError(msg)
    _say("")
    for line in _conclusion(result):
        _say(line)


def _prepare(lab: Lab, root: Path) -> None:
    """Copy the example. The lab has no Docker Hub: there, the base image comes from a folder of the copy."""
    shutil.copytree(EXAMPLE, root)
    _git(root, "init", "--quiet", "--initial-branch=main")
    if not isinstance(lab, BorrowedLab):
        shutil.copytree(lab.base_layout(), root / ".busybox")
        (root / ".git/info/exclude").write_text("/.busybox/\n")
        file = root / "builds.toml"
        context = 'contexts = { "busybox:stable" = "oci-layout://.busybox" }'
        file.write_text(file.read_text().replace(f"[{_BASE}]\n", f"[{_BASE}]\n{context}\n"))
        _say(f"Docker Hub's `busybox:stable` comes from a folder: `{context}` was added to [{_BASE}].")
    _git(root, "add", "--all")
    _git(root, "commit", "--quiet", "--message=monorepo")
    _git(root, "tag", "v1.0.0")


def _git(root: Path, *arguments: str) -> None:
    done = subprocess.run([*_GIT, *arguments], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        msg = f"`git {arguments[0]}` failed: {done.stderr.strip()}"
        raise DemoError(msg)


def _run(root: Path, environ: Mapping[str, str], *argv: str) -> None:
    """Show a command and run it; what it prints is seen as it comes."""
    _say(f"\n$ {shlex.join(argv)}")
    _check(argv, subprocess.run(argv, cwd=root, env=environ, check=False).returncode)


def _run_captured(root: Path, environ: Mapping[str, str], *argv: str) -> str:
    _say(f"\n$ {shlex.join(argv)}")
    done = subprocess.run(argv, cwd=root, env=environ, stdout=subprocess.PIPE, text=True, check=False)
    _say(done.stdout.rstrip())
    _check(argv, done.returncode)
    return done.stdout.strip()


def _check(argv: Iterable[str], code: int) -> None:
    if code != 0:
        msg = f"`{' '.join(list(argv)[:2])}` ended with {code}"
        raise DemoError(msg)


def _docker(*arguments: str) -> str | None:
    """What Docker answers; None if it fails, or is not there."""
    try:
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def _conclusion(result: RunResult) -> tuple[str, str]:
    builds = sum(len(image.platforms) for image in result.images)
    tags = sum(tag.put for image in result.images for tag in image.tags)
    return (
        f"shown: {len(result.images)} images planned, {builds} platform builds done and verified, {tags} tags put.",
        f"shown: the arm64 program in api:1.0.0 ran and said `{EXPECTED}`.",
    )


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - printing is what a demo is for; flushed, since children print, too


if __name__ == "__main__":
    sys.exit(main())
