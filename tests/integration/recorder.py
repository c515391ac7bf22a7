"""A `docker` before the real one on the PATH, which writes down how it was called and becomes the real one."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

_PROGRAM = """#!{python} -SE
import json, os, sys
call = {{"argv": ["docker", *sys.argv[1:]], "environ": dict(os.environ)}}
policy = os.environ.get("EXPERIMENTAL_BUILDKIT_SOURCE_POLICY")
call["policy"] = open(policy).read() if policy else ""
log = os.open({log!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
os.write(log, json.dumps(call).encode() + b"\\n")
os.execv({real!r}, ["docker", *sys.argv[1:]])
"""


class Call(msgspec.Struct):
    """One call of `docker`: its argv, its environment, and the source policy that it was given."""

    argv: list[str]
    environ: dict[str, str]
    policy: str


class Recorder:
    """Records the calls of `docker` in environments that it was put into."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._log = folder / "calls"
        self._folder = folder / "bin"
        self._folder.mkdir(parents=True)
        real = shutil.which("docker", path=environ["PATH"])
        assert real is not None
        program = self._folder / "docker"
        program.write_text(_PROGRAM.format(python=sys.executable, log=str(self._log), real=real))
        program.chmod(0o755)

    def path(self, environ: Mapping[str, str]) -> str:
        """The PATH with this `docker` before the real one."""
        return f"{self._folder}:{environ['PATH']}"

    def calls(self) -> list[Call]:
        """All calls so far."""
        if not self._log.exists():
            return []
        return [msgspec.json.decode(line, type=Call) for line in self._log.read_bytes().splitlines()]

    def builds(self) -> list[Call]:
        """The calls of `docker buildx build`."""
        return [call for call in self.calls() if call.argv[1:3] == ["buildx", "build"]]

    def bakes(self) -> list[list[str]]:
        """The targets of each call of `docker buildx bake`, in the order of the calls."""
        calls = [call.argv[3:] for call in self.calls() if call.argv[1:3] == ["buildx", "bake"]]
        return [[word for word in argv if not word.startswith("--")] for argv in calls]
