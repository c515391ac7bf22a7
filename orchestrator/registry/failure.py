"""What goes wrong with a registry, as an error that says what was asked, what came back and what to do."""

from __future__ import annotations

import email.utils
from collections.abc import Mapping
from typing import Final

import msgspec

from orchestrator.errors import RegistryError
from orchestrator.model import Model
from orchestrator.oci.reference import DOCKER_HUB
from orchestrator.registry.secret import Secrets

TRANSIENT_STATUSES: Final = frozenset({408, 429, 500, 502, 503, 504})
MAX_ERROR_BYTES: Final = 64 * 1024
_PASSING_CODES: Final = frozenset({"MANIFEST_BLOB_UNKNOWN"})
"""What Distribution says of a blob that was there, for the moment in which another client uploads the same."""

_BAD_REQUEST: Final = 400
_WANTS_TLS: Final = b"HTTP request to an HTTPS server"
"""What servers written in Go answer to plain HTTP, with a status that says nothing."""

_MAX_ERRORS: Final = 3
_MAX_TEXT: Final = 300
_MAX_CODE: Final = 60


class Failure(Model):
    """The facts of a failed request; `url` is redacted, `status` is 0 where nothing was answered."""

    method: str
    url: str
    status: int = 0
    codes: tuple[str, ...] = ()
    is_transient: bool = False
    retry_after: float | None = None


class RequestError(RegistryError):
    """A request that a registry refused or that never reached it.

    Args:
        message: what happened; the request is put before it.
        failure: the facts.
        hints: what to try.
    """

    def __init__(self, message: str, failure: Failure, *, hints: tuple[str, ...] = ()) -> None:
        text = f"`{failure.method} {failure.url}`: {message}"
        super().__init__(text, hints=hints, status=failure.status, codes=failure.codes)
        self.failure = failure


class _ErrorItem(Model):
    code: str = ""
    message: str = ""


class _ErrorBody(Model):
    """The body of an error (distribution-spec, "Error Codes")."""

    errors: tuple[_ErrorItem, ...] = ()


_ERROR_BODY: Final = msgspec.json.Decoder(_ErrorBody)


class Refusal(Model):
    """An answer that is no success, as it came; `registry` is the name by which the user knows the host.

    `passes` says that whoever asked knows better, and asks again.
    """

    registry: str
    method: str
    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    passes: bool = False


def refuse(refusal: Refusal, secrets: Secrets, *, now: float, notes: tuple[str, ...] = ()) -> RequestError:
    """The error for an answer that is no success.

    Args:
        refusal: the answer.
        secrets: what must not be shown, even where the registry repeats it.
        now: seconds since the epoch, for a `Retry-After` that is a date.
        notes: hints of the caller, shown first.
    """
    items = _parse_errors(refusal.body)
    codes = tuple(code for code in (_plain(item.code, _MAX_CODE) for item in items) if code)
    texts = [_plain(secrets.hide(f"{item.code}: {item.message}"), _MAX_TEXT) for item in items]
    failure = Failure(
        method=refusal.method,
        url=refusal.url,
        status=refusal.status,
        codes=codes,
        is_transient=refusal.passes or refusal.status in TRANSIENT_STATUSES or not _PASSING_CODES.isdisjoint(codes),
        retry_after=parse_retry_after(refusal.headers.get("retry-after", ""), now),
    )
    message = f"answered {refusal.status}" + (f" ({'; '.join(texts)})" if texts else "")
    hints = _find_hints(refusal.registry, refusal.status, codes)
    if refusal.status == _BAD_REQUEST and _may_want_tls(refusal):
        hints = (
            f"`{refusal.registry}` speaks TLS: put its authority at `~/.docker/certs.d/{refusal.registry}/ca.crt`",
        )
    return RequestError(message, failure, hints=(*notes, *hints))


def _may_want_tls(refusal: Refusal) -> bool:
    """Whether a server of TLS was asked by plain HTTP: Go's say so in the body, and cannot in answers to HEAD."""
    return _WANTS_TLS in refusal.body or (refusal.method == "HEAD" and refusal.url.startswith("http:"))


def parse_retry_after(value: str, now: float) -> float | None:
    """Seconds to wait, from seconds or an HTTP date; None where the header says nothing legible."""
    if value.isascii() and value.isdigit():
        return float(value[:10])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def login_hint(registry: str) -> str:
    """The command that logs in."""
    return "log in with `docker login`" if registry == DOCKER_HUB else f"log in with `docker login {registry}`"


def _parse_errors(body: bytes) -> tuple[_ErrorItem, ...]:
    try:
        return _ERROR_BODY.decode(body).errors[:_MAX_ERRORS]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ()  # a proxy's page, or nothing: the status alone has to do


def _plain(text: str, limit: int) -> str:
    """One line without control characters; the end is cut after secrets were hidden, never before."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split()).rstrip(":")
    return line if len(line) <= limit else line[:limit] + "…"


def _find_hints(registry: str, status: int, codes: tuple[str, ...]) -> tuple[str, ...]:
    match status:
        case 401:
            return (f"{login_hint(registry)}; registries answer this for repositories that do not exist, too",)
        case 403:
            return (
                f"check that the account logged in to `{registry}` may do this, and that the repository exists",
                login_hint(registry),
            )
        case 404 if "NAME_UNKNOWN" in codes:
            return (f"create the repository at `{registry}`: this registry does not do so by itself",)
        case 413:
            return ("raise the size limit for uploads of the registry or of the proxy before it",)
        case 429:
            return (f"`{registry}` limits requests: wait, or raise the limit: {login_hint(registry)}",)
        case _ if status in TRANSIENT_STATUSES:
            return (f"`{registry}` is in trouble or overloaded: run the same command again later",)
        case _:
            return ()
