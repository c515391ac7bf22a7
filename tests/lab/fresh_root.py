"""Runs a command in a clone of this tree on a fresh Debian, which has nothing but Python, git and make.

`python -m tests.lab.fresh_root -- make demo`: a root file system is made by debootstrap (once, it is kept in the lab's
cache), copied, entered by chroot, and removed. Needs root and `debootstrap`. The command gets this machine's
configuration of pip, as a fresh machine would have one of its own, and no other variable of the environment.
"""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from tests.lab import kernel
from tests.lab.made_once import made_once
from tests.lab.packages import STABLE_SUITE, cache_folder, mirror

PROJECT = Path(__file__).resolve().parents[2]
_PACKAGES = "python3,git,make"
_CLONE = "/root/project"
_GIT = ("git", "-c", "user.name=Tester", "-c", "user.email=tester@example.org")
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
}


def main(argv: Sequence[str]) -> int:
    """Run one command; returns its exit code, or 1 if it left processes behind."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.fresh_root", description=__doc__)
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    command: list[str] = parser.parse_args(argv).command
    template = made_once(cache_folder() / f"root-{STABLE_SUITE}-{_PACKAGES.replace(',', '-')}", _debootstrap)
    with tempfile.TemporaryDirectory(prefix="orchestrate-fresh-", dir=_roomy()) as folder:
        root = Path(folder) / "root"
        subprocess.run(["cp", "--archive", "--reflink=auto", str(template), str(root)], check=True)
        _clone(root / _CLONE.lstrip("/"))
        binds: list[Path] = []
        environment = {**_ENVIRONMENT, **_pip_settings(root, binds)}
        start = time.monotonic()
        code = _run(root, command, environment, binds)
        left = _end_processes(root)
        sys.stderr.write(
            f"fresh root: `{' '.join(command)}` ended with {code} after {time.monotonic() - start:.0f} s\n"
        )
    for line in left:
        sys.stderr.write(f"fresh root: left running: {line}\n")
    return code or int(bool(left))


def _debootstrap(made: Path) -> None:
    sys.stderr.write(f"fresh root: debootstrap {STABLE_SUITE} (once)\n")
    argv = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", STABLE_SUITE, str(made), mirror()]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"fresh root: debootstrap failed:\n{done.stdout[-2000:]}")


def _roomy() -> str:
    """A folder for a gigabyte, which must not be in memory."""
    return "/var/tmp"  # noqa: S108 - a folder of our own is made in it


def _clone(target: Path) -> None:
    """Clone the tree as it is, with what is not committed yet; what git ignores stays behind."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (PROJECT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, target / name, follow_symlinks=False)
    for arguments in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message=clone"]):
        subprocess.run([*_GIT, *arguments], cwd=target, check=True)


def _pip_settings(root: Path, binds: list[Path]) -> dict[str, str]:
    """This machine's configuration of pip as variables; local indexes join `binds`, other files are copied."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    settings = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    for line in listed.stdout.splitlines():
        section, _, setting = line.partition("=")
        scope, _, key = section.partition(".")
        if scope in ("global", "install"):
            settings.setdefault(f"PIP_{key.upper().replace('-', '_')}", str(ast.literal_eval(setting)))
    return {
        name: " ".join(_bring(word, root, binds) for word in value.split())
        for name, value in settings.items()
        if name != "PIP_CONFIG_FILE"
    }


def _bring(word: str, root: Path, binds: list[Path]) -> str:
    """Have the file or folder that a word of pip's configuration names in the new root, too; returns its name there."""
    path = Path(word.removeprefix("file://"))
    if not path.is_absolute():
        return word
    if path.is_dir():
        # The pages of an index name files beside its folder.
        binds.append(path.parent if word.startswith("file://") else path)
        return word
    if path.is_file():
        target = root / "opt/pip" / path.name  # not in its place, where apt may install a file of the same name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        return f"/opt/pip/{path.name}"
    return word


def _run(root: Path, command: Sequence[str], environment: Mapping[str, str], binds: Sequence[Path]) -> int:
    """Run the command in a mount namespace of its own, so that nothing has to be unmounted whatever happens."""
    signal.signal(signal.SIGINT, lambda *_: None)  # the command's to take
    enter = partial(_enter, root, binds)
    return _fork(lambda: _execute(enter, command, environment))


def _fork(errand: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        try:
            errand()
        except OSError as error:
            sys.stderr.write(f"fresh root: {error}\n")
        os._exit(127)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _execute(enter: Callable[[], None], command: Sequence[str], environment: Mapping[str, str]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    kernel.die_with_parent(signal.SIGTERM)
    enter()
    os.execvpe(command[0], list(command), dict(environment))  # noqa: S606 - no shell is the point


def _enter(root: Path, binds: Sequence[Path]) -> None:
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    for path in (Path("/proc"), Path("/sys"), Path("/dev"), *binds):
        target = root / path.relative_to("/")
        target.mkdir(parents=True, exist_ok=True)
        kernel.mount(str(path), str(target), flags=kernel.MS_BIND | kernel.MS_REC)
    os.chroot(root)
    os.chdir(_CLONE)


def _end_processes(root: Path) -> list[str]:
    """End what still runs in the root; returns what it was."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "root").readlink().is_relative_to(root):
                found.append((process / "cmdline").read_text().replace("\0", " "))
                os.kill(int(process.name), signal.SIGKILL)
        except OSError:  # ended meanwhile
            continue
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
