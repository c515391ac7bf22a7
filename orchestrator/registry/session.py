"""Requests to one registry, with login, redirects and retries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import BinaryIO, Final, TypeVar

import msgspec

from orchestrator.model import Model
from orchestrator.registry.auth import Account, Authorizer, Clock
from orchestrator.registry.failure import MAX_ERROR_BYTES, TRANSIENT_STATUSES, Refusal, refuse
from orchestrator.registry.patience import Patience, persist
from orchestrator.registry.secret import Secrets
from orchestrator.registry.transport import Reply, Request, Transport, fail
from orchestrator.registry.url import Url, parse_url

_MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_UNAUTHORIZED: Final = 401
_LOGIN_STATUSES: Final = frozenset({401, 403})
_ERRORS_FROM: Final = 400

_Value = TypeVar("_Value")


class Call(Model):
    """What to ask of a registry.

    Args:
        method: the HTTP method.
        url: where; uploads go where the registry says, which may be another host: then without a login.
        scopes: the access that it needs, as token servers call it.
        headers: more of them.
        body: opened once a try.
        accepted: the statuses from 400 up that are an answer, not an error.
        passing: the statuses that are an error for the moment, since what is asked for is known to stand.
    """

    method: str
    url: Url
    scopes: tuple[str, ...] = ()
    headers: Mapping[str, str] = {}
    body: Callable[[], AbstractContextManager[BinaryIO]] | None = None
    accepted: frozenset[int] = frozenset()
    passing: frozenset[int] = frozenset()


class Answer(Model):
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    url: Url


class Session:
    """One registry.

    Args:
        account: which one.
        authorizer: its logins.
        transport: sends requests.
        secrets: what errors must not show.
        patience: how long to try.
        pause: waits.
        clock: for dates in answers.
    """

    def __init__(  # noqa: PLR0913  # one place wires it; each part is a part of its own
        self,
        account: Account,
        authorizer: Authorizer,
        transport: Transport,
        secrets: Secrets,
        *,
        patience: Patience,
        pause: Callable[[float], None],
        clock: Clock,
    ) -> None:
        self.account = account
        self._authorizer = authorizer
        self._transport = transport
        self._secrets = secrets
        self._patience = patience
        self._pause = pause
        self._clock = clock
        self._put: set[str] = set()

    def note_put(self, path: str) -> None:
        """Remember that something stands at this path since a moment ago."""
        self._put.add(path)

    def is_known(self, call: Call, *, by_digest: bool) -> bool:
        """Whether what is asked for is known to stand, so that `404` only means that it is not seen yet."""
        return call.url.path in self._put or (by_digest and call.method == "GET" and self._patience.awaits_digests)

    def persist(self, act: Callable[[], _Value]) -> _Value:
        """Repeat `act` while it fails for reasons that pass; calls within it are made by `ask_once`."""
        return persist(act, self._patience, self._pause)

    def ask(self, call: Call, *, limit: int = MAX_ERROR_BYTES) -> Answer:
        """`ask_once`, repeated while it fails for reasons that pass."""
        return self.persist(lambda: self.ask_once(call, limit=limit))

    def ask_once(self, call: Call, *, limit: int = MAX_ERROR_BYTES) -> Answer:
        """Send a call and read the whole answer.

        Raises:
            RequestError: there was no answer, a refusal, or more than `limit` bytes.
        """
        with self.open_once(call) as reply:
            return Answer(
                status=reply.status, headers=reply.headers, content=reply.read_all(limit), url=reply.request.url
            )

    def open(self, call: Call) -> Reply:
        """`open_once`, repeated while it fails for reasons that pass."""
        return self.persist(lambda: self.open_once(call))

    def open_once(self, call: Call) -> Reply:
        """Send a call; the body of the answer is left to be read, and the reply to be closed.

        Raises:
            RequestError: there was no answer, or a refusal.
        """
        reply = self._send_authorised(call)
        for _ in range(_MAX_REDIRECTS):
            if reply.status not in _REDIRECTS or call.method not in {"GET", "HEAD"}:
                break
            with reply:
                url = self._follow(reply)
            own = url.origin == self.account.origin
            follower = msgspec.structs.replace(call, url=url)
            reply = self._send_authorised(follower) if own else self._send(follower, None)
        if reply.status in _REDIRECTS:
            reply.close()
            raise fail(reply.request, f"answered {reply.status}, a redirect that is not followed")
        self._check(call, reply)
        return reply

    def locate(self, reply_url: Url, location: str) -> Url:
        """Where a registry sends us: never from https to plain HTTP, nor by plain HTTP to another machine.

        Raises:
            RequestError: it is no URL, or one to which nothing may be sent.
        """
        request = Request(method="GET", url=reply_url)
        try:
            url = parse_url(location, base=reply_url)
        except ValueError as error:
            raise fail(request, "sends us to what is no legal URL") from error
        own = self.account.origin
        is_near = url.origin == own or (own.scheme == "http" and own.is_loopback and url.origin.is_loopback)
        if url.origin.scheme == "http" and (reply_url.origin.scheme == "https" or not is_near):
            hint = "a registry behind a proxy has to know its own address: `http.host`, or `X-Forwarded-Proto`"
            raise fail(request, f"sends us to `{url.origin}`, without TLS", hints=(hint,))
        return url

    def _follow(self, reply: Reply) -> Url:
        return self.locate(reply.request.url, reply.headers.get("location", ""))

    def _send_authorised(self, call: Call) -> Reply:
        """Send with the login of this registry, if it goes there; after a 401 once more with a new one."""
        if call.url.origin != self.account.origin:
            return self._send(call, None)
        header = self._authorizer.find_header(call.scopes)
        reply = self._send(call, header)
        if reply.status != _UNAUTHORIZED:
            return reply
        asked = reply.headers.get("www-authenticate", "")
        with ExitStack() as closing:
            closing.callback(reply.close)
            renewed = self._authorizer.renew_header(asked, call.scopes, header)
            if renewed is None:
                closing.pop_all()
                return reply
        return self._send(call, renewed)

    def _send(self, call: Call, authorization: str | None) -> Reply:
        headers = {**call.headers, **({"Authorization": authorization} if authorization else {})}
        return self._transport.send(Request(method=call.method, url=call.url, headers=headers, body=call.body))

    def _check(self, call: Call, reply: Reply) -> None:
        if reply.status < _ERRORS_FROM or reply.status in call.accepted - TRANSIENT_STATUSES - call.passing:
            return
        with reply:
            refusal = Refusal(
                registry=self.account.registry,
                method=call.method,
                url=reply.request.url.redacted,
                status=reply.status,
                headers=reply.headers,
                body=reply.read_some(MAX_ERROR_BYTES),
                passes=reply.status in call.passing,
            )
            notes = self._authorizer.notes if reply.status in _LOGIN_STATUSES else ()
            raise refuse(refusal, self._secrets, now=self._clock.epoch(), notes=notes)
