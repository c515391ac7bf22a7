"""A real Docker Engine, with images, containers and BuildKit of its own."""

from __future__ import annotations

import json
import shutil
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

from tests.lab.bridges import POOL
from tests.lab.packages import Programs
from tests.lab.waiting import wait_until_ready
from tests.lab.warden import Child, Warden


@dataclass
class Engine:
    """An engine that can be killed and started again, with the same images and the same socket."""

    socket: Path
    host: str
    log: Path
    group: str
    _warden: Warden
    _launch: Callable[[], Child]
    _child: Child

    @property
    def pid(self) -> int:
        """The process number of dockerd."""
        return self._child.pid

    def kill(self) -> None:
        """SIGKILL, like a node that loses power: containers and containerd go, too, before this returns."""
        self._warden.kill(self._child)

    def restart(self) -> None:
        """Start again with what was stored, and wait until it answers; kills it first if it is running."""
        self.kill()
        folder = self.socket.parent
        for name in ("pid", "exec"):  # which say what ran before, by numbers that mean somebody else now
            left = folder / name
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
        self._child = self._launch()
        await_engine(self)

    def limit(self, processors: float) -> None:
        """Give it, and all that it builds and runs, so much of this machine: a node of a size of its own."""
        self._warden.limit(self._child, self.group, processors)

    def pause(self) -> None:
        """SIGSTOP: connections are taken, nothing is answered."""
        self._warden.send_signal(self._child, signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._warden.send_signal(self._child, signal.SIGCONT)


def start_engine(warden: Warden, programs: Programs, number: int, emulators: Mapping[str, Path]) -> Engine:
    """Start an engine, without waiting for it to answer."""
    folder = warden.folder / f"engine{number}"
    folder.mkdir()
    bridge = f"{warden.name}e{number}"
    warden.create_bridge(bridge)
    group = f"{warden.name}/e{number}"
    (folder / "engine.json").write_text(json.dumps(_configuration(bridge, group), indent=2))
    socket_path = folder / "docker.sock"
    argv = [
        str(programs.program("dockerd")),
        f"--config-file={folder}/engine.json",
        f"--data-root={folder}/data",
        f"--exec-root={folder}/exec",
        f"--pidfile={folder}/pid",
        f"--host=unix://{socket_path}",
    ]
    env = {"PATH": programs.search_path, "HOME": str(folder), "TMPDIR": str(folder)}
    log = folder / "log"
    launch = partial(warden.start_cell, argv, env, log=log, folder=folder, emulators=emulators)
    return Engine(socket_path, f"unix://{socket_path}", log, group, warden, launch, launch())


def await_engine(engine: Engine) -> None:
    """Wait until the engine answers."""
    wait_until_ready(engine._warden, engine._child, lambda: _answers(engine.socket), engine.log)


def _configuration(bridge: str, group: str) -> dict[str, object]:
    """No packet filter and no forwarding: builds here need no network, and the host's rules stay as they are."""
    return {
        "features": {"containerd-snapshotter": True},
        "bridge": bridge,
        "default-address-pools": [{"base": str(POOL), "size": 24}],
        "iptables": False,
        "ip6tables": False,
        "ip-forward": False,
        "ip-masq": False,
        "insecure-registries": ["127.0.0.0/8"],
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        "cgroup-parent": f"/{group}",
    }


class _SocketConnection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("engine", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _answers(path: Path) -> bool:
    connection = _SocketConnection(path)
    try:
        connection.request("GET", "/_ping")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
