"""A stand-in for the lab where there is none, but a Docker: its engine, and a registry in a container.

It has no engines to kill and no further registries: tests that need them are skipped.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pytest

from tests.lab.lab import Lab
from tests.lab.ports import free_port
from tests.lab.registry import Registry

REGISTRY_IMAGE = "registry:2"
_BASE_IMAGE = "busybox:1.36"
_MINIMUM = (0, 20)


class BorrowedRegistry(Registry):
    """A registry in a container of the borrowed engine."""

    def __init__(self, container: str, host: str) -> None:
        self._container = container
        self.host = host
        self.url = f"http://{host}"
        self.ca = None

    def kill(self) -> None:
        """As `Registry.kill`."""
        _docker("kill", self._container)

    def restart(self) -> None:
        """As `Registry.restart`."""
        _docker("restart", "--time=0", self._container)
        self.wait()

    def pause(self) -> None:
        """As `Registry.pause`."""
        _docker("pause", self._container)

    def resume(self) -> None:
        """As `Registry.resume`."""
        _docker("unpause", self._container)

    def close(self) -> None:
        """As `Registry.close`."""
        _docker("rm", "--force", "--volumes", self._container)

    def wait(self) -> None:
        """Wait until it answers."""
        end = time.monotonic() + 60
        while True:
            try:
                urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{self.url}/v2/", timeout=5).close()
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
            else:
                return


class BorrowedLab(Lab):
    """As much of a `Lab` as a Docker that belongs to somebody else can be."""

    def __init__(self, registry: BorrowedRegistry) -> None:
        self.registry = registry
        self.engines = ()
        self.environ = dict(os.environ)
        self.docker_config = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")

    def new_registry(
        self, *, htpasswd: Mapping[str, str] | None = None, tls: bool = False, deletes: bool = True
    ) -> Registry:
        """Skips the test."""
        del htpasswd, tls, deletes
        _skip("further registries")

    def push_base(self, reference: str, platforms: tuple[str, ...] = ("linux/amd64", "linux/arm64")) -> str:
        """Copy a public busybox, with all of its platforms; returns the index digest."""
        del platforms
        _docker("buildx", "imagetools", "create", "--tag", reference, _BASE_IMAGE)
        return str(
            json.loads(_docker("buildx", "imagetools", "inspect", "--format={{json .Manifest}}", reference))["digest"]
        )

    def base_layout(self) -> Path:
        """Skips the test."""
        _skip("the base image as a layout")

    def busybox(self, architecture: str) -> Path:
        """Skips the test."""
        del architecture
        _skip("static programs")

    def node(self, engine: int = 0) -> str:
        """Skips the test."""
        del engine
        _skip("nodes of its own")

    def close(self) -> None:
        """Remove the registry."""
        self.registry.close()


def borrow() -> BorrowedLab | None:
    """Start a registry on the Docker that answers here; None if there is none, or its buildx is too old."""
    try:
        _docker("info")
        version = re.search(r"v?(\d+)\.(\d+)\.", _docker("buildx", "version"))
        if version is None or (int(version[1]), int(version[2])) < _MINIMUM:
            return None
        host = f"127.0.0.1:{free_port()}"
        container = _docker("run", "--detach", f"--publish={host}:5000", REGISTRY_IMAGE).strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    registry = BorrowedRegistry(container, host)
    registry.wait()
    return BorrowedLab(registry)


def _docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout


def _skip(what: str) -> NoReturn:
    pytest.skip(f"needs {what}, which a borrowed Docker cannot give")
