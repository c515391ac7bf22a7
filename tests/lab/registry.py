"""Real registries (Distribution 2.8) on the loopback interface."""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from tests.lab.certificates import Certificate, create_certificate
from tests.lab.credentials import write_htpasswd
from tests.lab.failure import LabError, tail
from tests.lab.packages import Programs
from tests.lab.ports import free_port
from tests.lab.waiting import wait_until_ready
from tests.lab.warden import Child, Warden

_ATTEMPTS = 5  # at a port that is still free when the registry starts


class Registry:
    """A registry that can be stopped, killed and started again, with the same port and the same content."""

    def __init__(self, warden: Warden, programs: Programs, folder: Path, certificate: Certificate | None) -> None:
        self.log = folder / "log"
        self.ca: Path | None = certificate.authority if certificate else None
        self.host = ""
        self.url = ""
        self._warden = warden
        self._program = programs.program("docker-registry")
        self._folder = folder
        self._certificate = certificate
        self._child: Child | None = None

    def kill(self) -> None:
        """SIGKILL; its port refuses connections until `restart`."""
        if self._child:
            self._warden.kill(self._child)
        self._child = None

    def restart(self) -> None:
        """Start again on the same port with what was stored; kills it first if it is running."""
        self.kill()
        self._start()

    def pause(self) -> None:
        """SIGSTOP: connections are taken, nothing is answered."""
        self._send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Stop it for good and remove what was stored."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def open(self, *, has_users: bool, deletes: bool) -> None:
        """Take a port and start; for `start_registry`."""
        for _ in range(_ATTEMPTS):
            self.host = f"127.0.0.1:{free_port()}"
            self.url = f"{'https' if self._certificate else 'http'}://{self.host}"
            self._write_configuration(has_users=has_users, deletes=deletes)
            try:
                self._start()
            except LabError:
                if "address already in use" not in tail(self.log):
                    raise
                self.kill()
                self.log.unlink()
            else:
                return
        msg = "no port for a registry"
        raise LabError(msg)

    def _start(self) -> None:
        argv = [str(self._program), "serve", str(self._folder / "config.yml")]
        self._child = self._warden.start_process(argv, {"HOME": str(self._folder)}, log=self.log)
        wait_until_ready(self._warden, self._child, self._answers, self.log)

    def _send_signal(self, number: signal.Signals) -> None:
        if self._child is None:
            msg = "the registry is not running"
            raise LabError(msg)
        self._warden.send_signal(self._child, number)

    def _answers(self) -> bool:
        context = ssl.create_default_context(cafile=str(self.ca)) if self.ca else None
        handlers = [
            urllib.request.ProxyHandler({}),
            *([urllib.request.HTTPSHandler(context=context)] if context else []),
        ]
        try:
            with urllib.request.build_opener(*handlers).open(f"{self.url}/v2/", timeout=5) as answer:
                return int(answer.status) == 200
        except urllib.error.HTTPError as error:
            error.close()
            return error.code == 401
        except OSError:
            return False

    def _write_configuration(self, *, has_users: bool, deletes: bool) -> None:
        http: dict[str, object] = {"addr": self.host, "secret": secrets.token_hex(16)}
        if self._certificate:
            http["tls"] = {"certificate": str(self._certificate.chain), "key": str(self._certificate.key)}
        configuration: dict[str, object] = {
            "version": 0.1,
            "log": {"level": "info"},
            "storage": {"filesystem": {"rootdirectory": str(self._folder / "data")}, "delete": {"enabled": deletes}},
            "http": http,
        }
        if has_users:
            configuration["auth"] = {"htpasswd": {"realm": "lab", "path": str(self._folder / "htpasswd")}}
        (self._folder / "config.yml").write_text(json.dumps(configuration, indent=2))  # JSON is YAML


def start_registry(
    warden: Warden, programs: Programs, folder: Path, *, users: Mapping[str, str] | None, tls: bool, deletes: bool
) -> Registry:
    """Start a registry, with these names and passwords, and wait until it answers; `deletes` lets clients delete."""
    folder.mkdir()
    if users is not None:
        write_htpasswd(folder / "htpasswd", users)
    certificate = create_certificate(programs.program("openssl"), folder) if tls else None
    registry = Registry(warden, programs, folder, certificate)
    registry.open(has_users=users is not None, deletes=deletes)
    return registry
