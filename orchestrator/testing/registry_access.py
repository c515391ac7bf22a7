"""Who may do what in a fake registry."""

from __future__ import annotations

import base64
import secrets
import threading
from collections.abc import Mapping
from typing import TypeAlias
from urllib.parse import parse_qs

import msgspec

from orchestrator.model import Model


class Open(Model):
    """Everybody may do everything."""


class Basic(Model):
    """A password with every request."""

    users: Mapping[str, str]


class Bearer(Model):
    """Tokens from the registry's own `/token`, by password or by identity token.

    Args:
        users: names with passwords; they may pull, push and delete.
        identity_tokens: refresh tokens that may do the same.
        anonymous: what anybody may do: nothing, or `pull`.
        seconds: the `expires_in` of answers.
        realm: the address told to clients, if not the registry's own.
    """

    users: Mapping[str, str] = {}
    identity_tokens: frozenset[str] = frozenset()
    anonymous: frozenset[str] = frozenset()
    seconds: int = 300
    realm: str = ""


Access: TypeAlias = Open | Basic | Bearer


class Need(Model, frozen=True):
    """One repository and what is to be done in it: `pull`, `push` or `delete`."""

    repository: str
    action: str


class Gate:
    """Lets requests in, and makes tokens."""

    def __init__(self, access: Access, host_url: str) -> None:
        self._access = access
        self._host_url = host_url
        self._tokens: dict[str, frozenset[Need]] = {}
        self._lock = threading.Lock()

    def expire(self) -> None:
        """End all tokens at once."""
        with self._lock:
            self._tokens.clear()

    def refuse(self, authorization: str, needs: frozenset[Need]) -> str | None:
        """None to let a request in, else the `WWW-Authenticate` to send it away with."""
        match self._access:
            case Open():
                return None
            case Basic(users=users):
                return None if _check_basic(authorization, users) else 'Basic realm="fake registry"'
            case Bearer() as access:
                with self._lock:
                    granted = self._tokens.get(authorization.removeprefix("Bearer "))
                if granted is not None and needs <= granted:
                    return None
                return self._challenge(access, needs)

    def make_token(self, method: str, query: str, authorization: str, body: bytes) -> tuple[int, bytes]:
        """Answer a request at `/token`: status and body."""
        if not isinstance(self._access, Bearer):
            return 404, b""
        access = self._access
        if method == "POST":
            fields = parse_qs(body.decode())
            is_known = fields.get("refresh_token", [""])[0] in access.identity_tokens
        else:
            fields = parse_qs(query)
            is_known = _check_basic(authorization, access.users)
        if (authorization or method == "POST") and not is_known:
            return 401, b'{"errors":[{"code":"UNAUTHORIZED","message":"wrong login"}]}'
        allowed = frozenset({"pull", "push", "delete"}) if is_known else access.anonymous
        scopes = [scope for value in fields.get("scope", []) for scope in value.split()]
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._tokens[token] = frozenset(need for need in _parse_scopes(scopes) if need.action in allowed)
        return 200, msgspec.json.encode({"token": token, "expires_in": access.seconds})

    def _challenge(self, access: Bearer, needs: frozenset[Need]) -> str:
        realm = access.realm or f"{self._host_url}/token"
        scope = " ".join(sorted(f"repository:{need.repository}:{need.action}" for need in needs))
        return f'Bearer realm="{realm}",service="fake registry",scope="{scope}"'


def _parse_scopes(scopes: list[str]) -> list[Need]:
    needs = []
    for scope in scopes:
        kind, _, rest = scope.partition(":")
        repository, _, actions = rest.rpartition(":")
        if kind == "repository":
            needs += [Need(repository=repository, action=action) for action in actions.split(",")]
    return needs


def _check_basic(authorization: str, users: Mapping[str, str]) -> bool:
    scheme, _, encoded = authorization.partition(" ")
    if scheme != "Basic":
        return False
    name, _, password = base64.b64decode(encoded).decode().partition(":")
    return bool(password) and users.get(name) == password
