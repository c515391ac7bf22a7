"""The `Authorization` of one registry: which login goes where, and tokens kept until they end."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from io import BytesIO
from typing import BinaryIO, Final
from urllib.parse import urlencode

import msgspec

from orchestrator.model import Model
from orchestrator.registry.challenge import Challenge, parse_challenges
from orchestrator.registry.failure import MAX_ERROR_BYTES, Refusal, refuse
from orchestrator.registry.logins import Login, Logins
from orchestrator.registry.secret import Secrets
from orchestrator.registry.transport import Request, Transport, fail
from orchestrator.registry.url import Origin, Url, parse_url

_CLIENT: Final = "orchestrate"
_MAX_TOKEN_BYTES: Final = 1024 * 1024
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,65536}\Z")
_DEFAULT_SECONDS: Final = 60
"""How long a token lives whose registry does not say (distribution, token specification)."""

_USED_LIFE: Final = 0.8
"""The part of a token's life in which it is used: the rest is for requests under way and clocks that differ."""


class Clock(Model):
    """Seconds since some moment, for what ends; and since the epoch, for dates."""

    monotonic: Callable[[], float]
    epoch: Callable[[], float]


class Account(Model):
    """A registry as its users see it: the name in references, and where it answers."""

    registry: str
    origin: Origin


class _Token(Model):
    header: str
    ends: float


class _TokenAnswer(Model):
    token: str = ""
    access_token: str = ""
    expires_in: float | None = None


_TOKEN_ANSWER: Final = msgspec.json.Decoder(_TokenAnswer)


class Authorizer:
    """Gives requests to one registry their `Authorization`; threads share tokens and wait for one another's.

    Args:
        account: the registry.
        logins: where its password is.
        transport: fetches tokens.
        secrets: learns every token.
        clock: tells when tokens end.
    """

    def __init__(self, account: Account, logins: Logins, transport: Transport, secrets: Secrets, clock: Clock) -> None:
        self._account = account
        self._logins = logins
        self._transport = transport
        self._secrets = secrets
        self._clock = clock
        self._challenge: Challenge | None = None
        self._tokens: dict[tuple[str, ...], _Token] = {}
        self._turns: dict[tuple[str, ...], threading.Lock] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """Why there is no login although one is configured, as a hint."""
        problem = self._logins.find(self._account.registry).problem
        return (f"requests go without a login: {problem}",) if problem else ()

    def find_header(self, scopes: tuple[str, ...]) -> str | None:
        """What to send; None until the registry has asked once, and where there is no login that it takes.

        Raises:
            RegistryError: a token was refused, or Docker's configuration cannot be read.
        """
        challenge = self._challenge
        if challenge is None:
            return None
        with self._turn(scopes):
            return self._authorise(challenge, scopes)

    def renew_header(self, asked: str, scopes: tuple[str, ...], refused: str | None) -> str | None:
        """What to send after a 401: another header than the one refused, or None where there is no other.

        Args:
            asked: the `WWW-Authenticate` of the answer.
            scopes: what the request needs.
            refused: what was sent.

        Raises:
            RegistryError: a token was refused, or Docker's configuration cannot be read.
        """
        challenges = {challenge.scheme: challenge for challenge in parse_challenges(asked)}
        challenge = challenges.get("bearer") or challenges.get("basic")
        if challenge is None:
            return None
        self._challenge = challenge
        with self._turn(scopes):
            token = self._tokens.get(scopes)
            if token is not None and token.header == refused:
                del self._tokens[scopes]
            if refused is not None and challenge.scheme == "basic":
                self._logins.forget(self._account.registry)
            header = self._authorise(challenge, scopes)
        return None if header == refused else header

    def _turn(self, scopes: tuple[str, ...]) -> threading.Lock:
        """Whoever needs the same access waits for one token; tokens of other repositories are fetched meanwhile."""
        return self._turns.setdefault(scopes, threading.Lock())

    def _authorise(self, challenge: Challenge, scopes: tuple[str, ...]) -> str | None:
        login = self._logins.find(self._account.registry)
        if challenge.scheme == "basic":
            return _encode_basic(login, self._secrets) if login.username else None
        if login.registry_token and _TOKEN.match(login.registry_token):
            return f"Bearer {login.registry_token}"
        token = self._tokens.get(scopes)
        if token is None or self._clock.monotonic() >= token.ends:
            token = self._fetch(challenge, scopes, login)
            self._tokens[scopes] = token
        return token.header

    def _fetch(self, challenge: Challenge, scopes: tuple[str, ...], login: Login) -> _Token:
        realm = self._check_realm(challenge)
        asked = tuple(sorted({*scopes, *filter(None, (challenge.scope,))}))
        begun = self._clock.monotonic()
        request = _ask_by_identity(realm, challenge.service, asked, login)
        if request is None:
            request = _ask_by_password(realm, challenge.service, asked, login, self._secrets)
        with self._transport.send(request) as reply:
            if reply.status != 200:  # noqa: PLR2004  # OK
                refusal = Refusal(
                    registry=self._account.registry,
                    method=request.method,
                    url=realm.redacted,
                    status=reply.status,
                    headers=reply.headers,
                    body=reply.read_some(MAX_ERROR_BYTES),
                )
                raise refuse(refusal, self._secrets, now=self._clock.epoch(), notes=self.notes)
            content = reply.read_all(_MAX_TOKEN_BYTES)
        return self._parse(request, content, begun)

    def _parse(self, request: Request, content: bytes, begun: float) -> _Token:
        try:
            answer = _TOKEN_ANSWER.decode(content)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise fail(request, "the answer holds no token") from error
        token = answer.token or answer.access_token
        if not _TOKEN.match(token):
            raise fail(request, "the answer holds no token")
        self._secrets.add(token)
        seconds = _DEFAULT_SECONDS if answer.expires_in is None else answer.expires_in
        return _Token(header=f"Bearer {token}", ends=begun + seconds * _USED_LIFE)

    def _check_realm(self, challenge: Challenge) -> Url:
        """The address that gives tokens: https, or plain HTTP where the registry itself is, and no other machine."""
        origin = self._account.origin
        request = Request(method="GET", url=Url(origin=origin, path="/v2/"))
        try:
            realm = parse_url(challenge.realm)
        except ValueError as error:
            raise fail(request, "asks for tokens of a realm that is no legal URL") from error
        is_own = realm.origin.host == origin.host or (realm.origin.is_loopback and origin.is_loopback)
        if realm.origin.scheme == "https" or (origin.scheme == "http" and is_own):
            return realm
        hint = "the registry, or somebody between, wants the login unencrypted: set its token realm to https"
        raise fail(request, f"asks to send the login to `{realm.origin}` without TLS", hints=(hint,))


def _encode_basic(login: Login, secrets: Secrets) -> str:
    encoded = base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
    secrets.add(encoded)
    return f"Basic {encoded}"


def _ask_by_identity(realm: Url, service: str, scopes: tuple[str, ...], login: Login) -> Request | None:
    """The request with a refresh token (distribution's OAuth 2 specification), which is in the body, not the URL."""
    if not login.identity_token:
        return None
    form = {
        "grant_type": "refresh_token",
        "service": service,
        "client_id": _CLIENT,
        "scope": " ".join(scopes),
        "refresh_token": login.identity_token,
    }
    content = urlencode(form).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(content))}
    return Request(method="POST", url=realm, headers=headers, body=partial(_open_bytes, content))


def _ask_by_password(realm: Url, service: str, scopes: tuple[str, ...], login: Login, secrets: Secrets) -> Request:
    query = urlencode([*([("service", service)] if service else []), *(("scope", scope) for scope in scopes)])
    headers = {"Authorization": _encode_basic(login, secrets)} if login.username else {}
    return Request(method="GET", url=realm.with_query(query), headers=headers)


def _open_bytes(content: bytes) -> AbstractContextManager[BinaryIO]:
    return BytesIO(content)
