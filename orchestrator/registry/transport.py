"""One request over one connection: what was sent, what came back, and what a broken connection means."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import BinaryIO, Final, Self

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from orchestrator.model import Model
from orchestrator.registry.failure import Failure, RequestError
from orchestrator.registry.pools import Pools
from orchestrator.registry.url import Origin, Url

_AGENT: Final = "orchestrate"
_DRAINED: Final = 64 * 1024
_CHUNK: Final = 64 * 1024


class Request(Model):
    """What to send; `body` is opened once a try, so that it can be sent again."""

    method: str
    url: Url
    headers: Mapping[str, str] = {}
    body: Callable[[], AbstractContextManager[BinaryIO]] | None = None


class Reply:
    """An answer whose body is still on the wire; to be closed, which gives the connection back where it can."""

    def __init__(self, request: Request, response: BaseHTTPResponse) -> None:
        self.request = request
        self.status = response.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}
        self._response = response

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, size: int) -> bytes:
        """At most `size` bytes of the body; empty at its end.

        Raises:
            RequestError: the connection broke, or the body is shorter than announced.
        """
        try:
            return self._response.read(size)
        except HTTPError as error:
            raise translate(error, self.request) from error

    def read_all(self, limit: int) -> bytes:
        """The whole body.

        Raises:
            RequestError: as `read`, or it is longer than `limit`.
        """
        content = bytearray()
        while chunk := self.read(_CHUNK):
            content += chunk
            if len(content) > limit:
                raise fail(self.request, f"the answer is longer than {limit} bytes")
        return bytes(content)

    def read_some(self, limit: int) -> bytes:
        """As much of the body as there is, up to a limit: for the text of an error, where less is better than none."""
        content = bytearray()
        try:
            while len(content) < limit and (chunk := self.read(min(_CHUNK, limit - len(content)))):
                content += chunk
        except RequestError:
            pass  # the status was read, and it says more than that the text after it broke off
        return bytes(content)

    def close(self) -> None:
        """Keep the connection if the body ends soon, else close it."""
        if not self._response.closed and len(self.read_some(_DRAINED)) < _DRAINED:
            self._response.release_conn()
        self._response.close()


class Transport:
    """Sends requests, each once; redirects and retries are decided above."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools

    def send(self, request: Request) -> Reply:
        """Send a request and read the head of the answer.

        Raises:
            RequestError: there was no answer.
            RegistryError: certificates, a proxy or the body's source cannot be used.
        """
        pool = self._pools.find(request.url.origin)
        headers = {"User-Agent": _AGENT, "Accept-Encoding": "identity", **request.headers}
        with request.body() if request.body else nullcontext() as body:
            try:
                response = pool.request(
                    request.method,
                    str(request.url),
                    headers=headers,
                    body=body,
                    redirect=False,
                    retries=False,
                    preload_content=False,
                    decode_content=False,
                )
            except HTTPError as error:
                raise translate(error, request) from error
        return Reply(request, response)


def fail(request: Request, message: str, *, hints: tuple[str, ...] = ()) -> RequestError:
    """An error of a request that trying again does not cure."""
    return RequestError(message, Failure(method=request.method, url=request.url.redacted), hints=hints)


def translate(error: Exception, request: Request) -> RequestError:
    """What a broken connection means, in our words: the library's own texts hold whole URLs."""
    origin = request.url.origin
    match error:
        case SSLError():
            return _translate_tls(error, request)
        case NameResolutionError():
            return _unreachable(request, f"the name `{origin.host}` cannot be resolved")
        case ProxyError():
            return _unreachable(request, "the proxy that the environment names does not let it through")
        case ReadTimeoutError():
            return _unreachable(request, "no answer in time")
        case ConnectTimeoutError() if not isinstance(error, NewConnectionError):
            return _unreachable(request, f"`{origin.netloc}` cannot be reached in time")
        case NewConnectionError():
            return _unreachable(request, f"cannot connect to `{origin.netloc}`{_find_reason(error)}")
        case _:
            return _unreachable(request, f"the connection broke{_find_reason(error)}")


def _unreachable(request: Request, message: str) -> RequestError:
    failure = Failure(method=request.method, url=request.url.redacted, is_transient=True)
    return RequestError(message, failure, hints=(_reach_hint(request.url.origin),))


def _reach_hint(origin: Origin) -> str:
    return f"check that `{origin.netloc}` runs and can be reached from here, with `curl -I {origin}/v2/`"


def _find_reason(error: BaseException) -> str:
    """The operating system's word for it, somewhere down the chain of causes."""
    seen: list[BaseException] = []
    queue: list[object] = [error]
    while queue:
        item = queue.pop(0)
        if not isinstance(item, BaseException) or item in seen:
            continue
        seen.append(item)
        if isinstance(item, OSError) and item.strerror:
            return f": {item.strerror.lower()}"
        queue += [*item.args, item.__cause__, item.__context__]
    return ""


def _translate_tls(error: Exception, request: Request) -> RequestError:
    reason = error.args[0] if error.args else error
    origin = request.url.origin
    if isinstance(reason, ssl.SSLCertVerificationError):
        hint = f"if it is your own authority, put its certificate at `~/.docker/certs.d/{origin.netloc}/ca.crt`"
        return fail(request, f"the certificate is not accepted: {reason.verify_message.lower()}", hints=(hint,))
    if isinstance(reason, ssl.SSLError) and reason.reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST"}:
        hint = f"if you trust the network, allow plain HTTP for `{origin.netloc}` in your own configuration"
        return fail(request, "the host does not speak TLS", hints=(hint,))
    return _unreachable(request, "the TLS connection broke")
