"""Connections: one pool a host, with the certificates and the proxy that the user set up for it."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

import urllib3

from orchestrator.errors import RegistryError
from orchestrator.oci.reference import DOCKER_HUB
from orchestrator.registry.connections import Connections
from orchestrator.registry.patience import Patience
from orchestrator.registry.secret import Secrets
from orchestrator.registry.url import DOCKER_HUB_HOST, Origin

_SYSTEM_CERTIFICATES: Final = Path("/etc/docker/certs.d")
_KEPT_CONNECTIONS: Final = 256
"""More than threads ever ask at once: a pool that overflows logs a warning for each connection it drops."""

_BLOCK: Final = 1024 * 1024


class Certificates:
    """The folders in which Docker looks for certificates of registries: `certs.d/HOST/`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        home = environment.get("HOME", "")
        own = (Path(home) / ".docker" / "certs.d",) if home else ()
        self._folders = (*own, _SYSTEM_CERTIFICATES)

    def find(self, netloc: str) -> tuple[Path, ...]:
        """The folders with certificates for a host, the user's own first."""
        return tuple(folder / netloc for folder in self._folders if (folder / netloc).is_dir())

    def create_context(self, netloc: str) -> ssl.SSLContext:
        """TLS for a host: the system's authorities and `*.crt`; `*.cert` with `*.key` for a client certificate.

        Raises:
            RegistryError: a file cannot be read or is no certificate.
        """
        context = ssl.create_default_context()
        for folder in self.find(netloc):
            try:
                for authority in sorted(folder.glob("*.crt")):
                    context.load_verify_locations(cafile=authority)
                for certificate in sorted(folder.glob("*.cert")):
                    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
            except OSError as error:  # ssl.SSLError is one
                msg = f"cannot use the certificates in `{folder}`: {error.strerror or error.args[0]}"
                hint = "it holds authorities as `*.crt`, and client certificates as `*.cert` with `*.key`, all PEM"
                raise RegistryError(msg, hints=(hint,)) from error
        return context


class Pools:
    """Opens connections; every pool is closed with it."""

    def __init__(self, environment: Mapping[str, str], secrets: Secrets, patience: Patience) -> None:
        self._environment = environment
        self._certificates = Certificates(environment)
        self._secrets = secrets
        self._patience = patience
        self._managers: dict[Origin, urllib3.PoolManager] = {}
        self._connections = Connections()
        self._is_closed = False
        self._lock = threading.Lock()

    def find(self, origin: Origin) -> urllib3.PoolManager:
        """The pool of a host, made when it is first asked for.

        Raises:
            RegistryError: its certificates or the proxy's address cannot be used.
        """
        with self._lock:
            if self._is_closed:
                msg = "the connections to registries were closed"
                raise RegistryError(msg)
            if origin not in self._managers:
                self._managers[origin] = self._open(origin)
            return self._managers[origin]

    def close(self) -> None:
        """Close all connections that are not in use."""
        with self._lock:
            self._is_closed = True
            for manager in self._managers.values():
                manager.clear()
            self._managers.clear()

    def abort(self) -> None:
        """Close all connections; a thread that waits for one is woken up with an error."""
        self.close()
        self._connections.shut_down()

    def _open(self, origin: Origin) -> urllib3.PoolManager:
        manager = self._create(origin)
        manager.pool_classes_by_scheme = self._connections.pool_classes
        return manager

    def _create(self, origin: Origin) -> urllib3.PoolManager:
        patience = self._patience
        timeout = urllib3.Timeout(connect=patience.connect_timeout, read=patience.read_timeout)
        context = None
        if origin.scheme == "https":
            # Docker's folder for its Hub is called by the name in references, not by the host that answers
            context = self._certificates.create_context(DOCKER_HUB if origin.host == DOCKER_HUB_HOST else origin.netloc)
        proxy = find_proxy(self._environment, origin)
        if proxy is None:
            return urllib3.PoolManager(
                num_pools=1, maxsize=_KEPT_CONNECTIONS, timeout=timeout, ssl_context=context, blocksize=_BLOCK
            )
        try:
            return urllib3.ProxyManager(
                _without_password(proxy),
                num_pools=1,
                maxsize=_KEPT_CONNECTIONS,
                timeout=timeout,
                ssl_context=context,
                blocksize=_BLOCK,
                proxy_headers=self._authorise_proxy(proxy),
            )
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            msg = f"cannot use the proxy that the environment names for `{origin}`"
            hint = "set HTTPS_PROXY to `http://host:port`, or name the host in NO_PROXY"
            raise RegistryError(msg, hints=(hint,)) from error

    def _authorise_proxy(self, proxy: str) -> dict[str, str]:
        parts = urlsplit(proxy)
        if not parts.username:
            return {}
        user, password = unquote(parts.username), unquote(parts.password or "")
        headers = dict(urllib3.make_headers(proxy_basic_auth=f"{user}:{password}"))
        self._secrets.add(password, *headers.values())
        return headers


def find_proxy(environment: Mapping[str, str], origin: Origin) -> str | None:
    """The proxy for a host by the usual variables, `NO_PROXY` honoured; loopback hosts never have one."""
    names = (f"{origin.scheme}_proxy", "all_proxy")
    proxy = next((value for name in names for value in _read(environment, name) if value), None)
    if proxy is None or origin.is_loopback:
        return None
    if _is_excluded(origin, next(iter(_read(environment, "no_proxy")), "")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_excluded(origin: Origin, excluded: str) -> bool:
    for entry in (part.strip().lower() for part in excluded.split(",")):
        name = entry.removeprefix("*").removeprefix(".")
        hosts = {origin.host, f"{origin.host}:{origin.port}"}
        if entry == "*" or (name and any(host == name or host.endswith(f".{name}") for host in hosts)):
            return True
    return False


def _read(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(environment[key] for key in (name, name.upper()) if key in environment)


def _without_password(proxy: str) -> str:
    parts = urlsplit(proxy)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
