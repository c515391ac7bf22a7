"""The lab: real engines and registries, for as long as a `with` block."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab import base_image
from tests.lab.availability import available
from tests.lab.engine import Engine, await_engine, start_engine
from tests.lab.failure import LabError, LabUnavailable
from tests.lab.packages import Programs, fetch_programs
from tests.lab.registry import Registry, start_registry
from tests.lab.waiting import wait_until_ready
from tests.lab.warden import Warden

_PROJECT = Path(__file__).resolve().parents[2]
_FOREIGN_SETTINGS = ("BUILDX_", "BUILDKIT_", "DOCKER_", "EXPERIMENTAL_BUILDKIT_")
_PLATFORMS = {"arm64": "linux/arm64", "arm": "linux/arm/v7"}


class Lab:
    """A context manager; everything it started is gone when it ends, or when its process does."""

    def __init__(self, programs: Programs, warden: Warden, emulate: tuple[str, ...]) -> None:
        self._programs = programs
        self._warden = warden
        self._emulate = emulate
        self._numbers = itertools.count()
        self.docker_config: Path = warden.folder / "docker"
        self.engines: tuple[Engine, ...] = ()
        self.environ: dict[str, str] = {}
        self.registry: Registry

    @classmethod
    def start(cls, *, engines: int = 1, emulate: tuple[str, ...] = ("arm64",)) -> Self:
        """Bring up engines and the first registry.

        Args:
            engines: how many, each with its own images and BuildKit.
            emulate: architectures (`arm64`, `arm`) whose programs can be run besides this machine's.

        Raises:
            LabUnavailable: there can be no lab here.
            LabError: something that should have started did not.
        """
        if reason := available():
            raise LabUnavailable(reason)
        programs = fetch_programs()
        lab = cls(programs, Warden(), emulate)
        try:
            lab._bring_up(engines)
        except BaseException:
            lab.close()
            raise
        return lab

    @property
    def folder(self) -> Path:
        """The lab's temporary folder; gone after `close`."""
        return self._warden.folder

    @property
    def name(self) -> str:
        """What the names of everything that the lab makes in the kernel start with."""
        return self._warden.name

    @property
    def supervisor(self) -> int:
        """The process number of what takes the lab down."""
        return self._warden.pid

    def new_registry(
        self, *, htpasswd: Mapping[str, str] | None = None, tls: bool = False, deletes: bool = True
    ) -> Registry:
        """Start one more registry; engines take it without more ado, since it is on the loopback interface."""
        folder = self._warden.folder / f"registry{next(self._numbers)}"
        return start_registry(self._warden, self._programs, folder, users=htpasswd, tls=tls, deletes=deletes)

    def push_base(self, reference: str, platforms: tuple[str, ...] = ("linux/amd64", "linux/arm64")) -> str:
        """Push the base image to `reference` with the credentials of `docker_config`; returns its index digest."""
        layout = base_image.write_layout(self._programs, platforms)
        argv = [str(self._programs.program("crane")), "push", "--insecure", str(layout), reference]
        done = subprocess.run(argv, env=self.environ, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            msg = f"cannot push {reference}:\n{done.stderr}"
            raise LabError(msg)
        return base_image.index_digest(layout)

    def base_layout(self) -> Path:
        """The base image as an OCI layout: amd64 and arm64, and arm/v7 where that is emulated. Not to be written to."""
        wanted = [_PLATFORMS["arm64"], *(_PLATFORMS[name] for name in self._emulate if name != "arm64")]
        return base_image.write_layout(self._programs, ("linux/amd64", *wanted))

    def busybox(self, architecture: str) -> Path:
        """The static busybox of `amd64`, `arm64` or `arm`."""
        return self._programs.busybox(architecture)

    def node(self, engine: int = 0) -> str:
        """Open a port to an engine's BuildKit; returns its address for buildx's `remote` driver."""
        number = next(self._numbers)
        port, log = (self._warden.folder / f"node{number}.{ending}" for ending in ("port", "log"))
        argv = [sys.executable, "-m", "tests.lab.tunnel", str(self.engines[engine].socket), str(port)]
        child = self._warden.start_process(argv, {**os.environ, "PYTHONPATH": str(_PROJECT)}, log=log)
        wait_until_ready(self._warden, child, port.exists, log)
        return f"tcp://127.0.0.1:{port.read_text()}"

    def close(self) -> None:
        """Take everything down and wait until it is gone. More than once does no harm."""
        self._warden.close()

    def __enter__(self) -> Self:
        """Nothing more to do: `start` did it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _bring_up(self, engines: int) -> None:
        emulators = {name: self._programs.emulator(name) for name in self._emulate}
        self._write_tools()
        self.engines = tuple(start_engine(self._warden, self._programs, n, emulators) for n in range(engines))
        self.environ = self._environment()
        self.registry = self.new_registry()
        for engine in self.engines:
            await_engine(engine)

    def _write_tools(self) -> None:
        """Links, so that only these programs of the unpacked packages come before the system's."""
        plugins, tools = self.docker_config / "cli-plugins", self._warden.folder / "bin"
        for folder in (plugins, tools):
            folder.mkdir(parents=True)
        (plugins / "docker-buildx").symlink_to(self._programs.buildx)
        (tools / "buildx").symlink_to(self._programs.buildx)
        for name in ("docker", "crane"):
            (tools / name).symlink_to(self._programs.program(name))
        (self.docker_config / "config.json").write_text("{}\n")

    def _environment(self) -> dict[str, str]:
        environ = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN_SETTINGS)}
        environ["PATH"] = f"{self._warden.folder / 'bin'}:{environ.get('PATH', os.defpath)}"
        environ["DOCKER_CONFIG"] = str(self.docker_config)
        if self.engines:
            environ["DOCKER_HOST"] = self.engines[0].host
        return environ
