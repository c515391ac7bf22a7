"""Logins as Docker keeps them: `config.json` and credential helpers. Nothing else is asked, nothing is written."""

from __future__ import annotations

import base64
import binascii
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

import msgspec

from orchestrator.errors import OrchestratorError, RegistryError
from orchestrator.model import Model
from orchestrator.oci.reference import DOCKER_HUB
from orchestrator.registry.secret import Secrets
from orchestrator.registry.url import DOCKER_HUB_HOST

DOCKER_HUB_KEY: Final = "https://index.docker.io/v1/"
"""The name under which `docker login` stores the login of the Hub."""

_HUB_NAMES: Final = (DOCKER_HUB_KEY, "index.docker.io", DOCKER_HUB, DOCKER_HUB_HOST)
_IDENTITY_USER: Final = "<token>"
_NOT_FOUND: Final = b"credentials not found"
_HELPER_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_MAX_CONFIG_BYTES: Final = 1024 * 1024
_MAX_HELPER_BYTES: Final = 64 * 1024
_HELPER_SECONDS: Final = 30.0


class Login(Model):
    """What to log in to a registry with; empty fields are not there.

    `problem` says why there is none although the configuration names a credential helper: requests then
    go without, and the reason is told if the registry refuses.
    """

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""
    problem: str = ""


class Ended(Protocol):
    """How a child process ended."""

    @property
    def exit_code(self) -> int:
        """Zero where it was content."""

    @property
    def stdout(self) -> bytes:
        """What it printed."""


class Capture(Protocol):
    """Runs a child process to its end; `process.capture` in life."""

    def __call__(
        self, argv: tuple[str, ...], *, env: Mapping[str, str], timeout: float, stdin: bytes, limit: int
    ) -> Ended:
        """Start, feed, wait; raises `OrchestratorError` where that cannot be."""


class _Entry(Model, rename={"identity_token": "identitytoken", "registry_token": "registrytoken"}):
    auth: str | None = None
    username: str | None = None
    password: str | None = None
    identity_token: str | None = None
    registry_token: str | None = None


class _Config(Model, rename={"store": "credsStore", "helpers": "credHelpers"}):
    auths: dict[str, _Entry | None] | None = None
    store: str | None = None
    helpers: dict[str, str] | None = None


_CONFIG: Final = msgspec.json.Decoder(_Config)


class _Answer(Model, rename={"username": "Username", "secret": "Secret"}):
    username: str
    secret: str


_ANSWER: Final = msgspec.json.Decoder(_Answer)


class Logins:
    """Finds logins, each once; threads may ask at the same time.

    Args:
        environment: where `DOCKER_AUTH_CONFIG`, `DOCKER_CONFIG` and `HOME` are looked up; what helpers get.
        secrets: learns every password.
        capture: runs credential helpers; without it they are not asked.
    """

    def __init__(self, environment: Mapping[str, str], secrets: Secrets, capture: Capture | None) -> None:
        self._environment = environment
        self._secrets = secrets
        self._capture = capture
        self._lock = threading.Lock()
        self._found: dict[str, Login] = {}
        self._configs: tuple[_Config, ...] | None = None

    def find(self, registry: str) -> Login:
        """The login for a registry by its name in references; an empty one where there is none.

        Raises:
            RegistryError: Docker's configuration cannot be read.
        """
        with self._lock:
            if registry not in self._found:
                login = self._search(registry)
                self._secrets.add(login.password, login.identity_token, login.registry_token)
                self._found[registry] = login
            return self._found[registry]

    def forget(self, registry: str) -> None:
        """Ask anew the next time: passwords that helpers make, such as those of clouds, end after hours."""
        with self._lock:
            self._found.pop(registry, None)
            self._configs = None

    def _search(self, registry: str) -> Login:
        keys = _find_keys(registry)
        if self._configs is None:
            self._configs = tuple(self._read_configs())
        problem = ""
        for config in self._configs:
            helper = next((name for key in keys if (name := (config.helpers or {}).get(key))), config.store)
            if helper:
                login = self._ask(helper, keys[0])
                if not login.problem and login != Login():
                    return login
                problem = problem or login.problem
            if (entry := _find_entry(config.auths or {}, keys)) is not None:
                return _read_entry(entry)
        return Login(problem=problem)

    def _read_configs(self) -> list[_Config]:
        configs = []
        if text := self._environment.get("DOCKER_AUTH_CONFIG", ""):
            configs.append(_decode(text.encode(errors="surrogateescape"), "DOCKER_AUTH_CONFIG"))
        path = self._find_file()
        if path is not None and (content := _read_file(path)) is not None:
            configs.append(_decode(content, str(path)))
        return configs

    def _find_file(self) -> Path | None:
        if folder := self._environment.get("DOCKER_CONFIG", ""):
            return Path(folder) / "config.json"
        home = self._environment.get("HOME", "")
        return Path(home) / ".docker" / "config.json" if home else None

    def _ask(self, helper: str, server: str) -> Login:
        program = f"docker-credential-{helper}"
        if not _HELPER_NAME.match(helper):
            return Login(problem=f"the name of the credential helper `{helper[:64]!r}` is illegal")
        if self._capture is None:
            return Login(problem=f"`{program}` was not asked")
        try:
            ended = self._capture(
                (program, "get"),
                env=self._environment,
                timeout=_HELPER_SECONDS,
                stdin=server.encode(),
                limit=_MAX_HELPER_BYTES,
            )
        except OrchestratorError as error:
            return Login(problem=f"the credential helper of Docker's configuration failed: {error.message}")
        if ended.exit_code != 0:
            is_empty = _NOT_FOUND in ended.stdout
            return Login(problem="" if is_empty else f"`{program} get` ended with exit code {ended.exit_code}")
        try:
            answer = _ANSWER.decode(ended.stdout)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return Login(problem=f"`{program} get` printed no login")
        if answer.username == _IDENTITY_USER:
            return Login(identity_token=answer.secret)
        return Login(username=answer.username, password=answer.secret)


def _find_keys(registry: str) -> tuple[str, ...]:
    if registry == DOCKER_HUB:
        return _HUB_NAMES
    return (registry, f"https://{registry}", f"https://{registry}/v1/", f"https://{registry}/v2/")


def _find_entry(auths: Mapping[str, _Entry | None], keys: tuple[str, ...]) -> _Entry | None:
    """The entry for a registry: under its exact name, else under any URL of its host, as Docker does."""
    entries = {key: entry for key, entry in auths.items() if entry is not None and _is_filled(entry)}
    for key in keys:
        if key in entries:
            return entries[key]
    return next((entry for key, entry in entries.items() if _host_of(key) in keys), None)


def _is_filled(entry: _Entry) -> bool:
    """Whether it holds a login; next to a credential store, Docker leaves empty ones."""
    return any((entry.auth, entry.username, entry.identity_token, entry.registry_token))


def _host_of(key: str) -> str:
    try:
        return urlsplit(key if "://" in key else f"//{key}").netloc.lower()
    except ValueError:
        return ""


def _read_entry(entry: _Entry) -> Login:
    username, password = entry.username or "", entry.password or ""
    if entry.auth:
        try:
            text = base64.b64decode(entry.auth).decode()
        except (binascii.Error, ValueError):
            return Login(problem="the login in Docker's configuration is damaged: its `auth` is no base64")
        username, _, password = text.partition(":")
        password = password.rstrip("\0")  # old versions of Docker padded it
    return Login(
        username=username,
        password=password,
        identity_token=entry.identity_token or "",
        registry_token=entry.registry_token or "",
    )


def _read_file(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_CONFIG_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        msg = f"cannot read `{path}`: {error.strerror}"
        raise RegistryError(msg, hints=("make it readable, or set DOCKER_CONFIG to another folder",)) from error
    if len(content) > _MAX_CONFIG_BYTES:
        msg = f"`{path}` is longer than {_MAX_CONFIG_BYTES} bytes"
        raise RegistryError(msg, hints=("set DOCKER_CONFIG to a folder with Docker's own config.json",))
    return content


def _decode(content: bytes, place: str) -> _Config:
    try:
        return _CONFIG.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        msg = f"`{place}` is no configuration of Docker"  # what is wrong in it may be a password
        raise RegistryError(msg, hints=("repair it, or log in again with `docker login`",)) from error
