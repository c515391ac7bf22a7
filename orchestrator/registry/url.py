"""Addresses: what a registry is called, where it answers, and how a URL is shown without what is secret in it. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from orchestrator.model import Model
from orchestrator.oci.reference import DOCKER_HUB, is_registry_host

DOCKER_HUB_HOST: Final = "registry-1.docker.io"
_PORTS: Final = {"http": 80, "https": 443}
_LEGAL: Final = re.compile(r"[\x21-\x7e]{1,8192}\Z")
_URL_IN_TEXT: Final = re.compile(r"(https?://[^\s?\"'`<>]{1,2048})[?#][^\s\"'`<>]*", re.IGNORECASE)


class Origin(Model, order=True):
    """Scheme, host and port: what a connection, and a password, is for."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"

    @property
    def netloc(self) -> str:
        """The host, with the port where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if _PORTS[self.scheme] == self.port else f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether it never leaves this machine."""
        return is_loopback(self.host)


class Url(Model):
    """An http or https URL without user information and without a fragment."""

    origin: Origin
    path: str
    query: str = ""

    def __str__(self) -> str:
        return f"{self.origin}{self.path}{'?' if self.query else ''}{self.query}"

    @property
    def redacted(self) -> str:
        """What may be shown: never the query, and a path only of the distribution API, which has no secrets in it."""
        return f"{self.origin}{self.path if self.path.startswith('/v2/') else '/…'}"

    def with_query(self, query: str) -> Url:
        """This URL with more query."""
        return Url(origin=self.origin, path=self.path, query="&".join(filter(None, (self.query, query))))


def parse_url(text: str, *, base: Url | None = None) -> Url:
    """Parse an absolute URL, or one relative to `base`; what another host sent is never in the message.

    Raises:
        ValueError: it is too long, has characters that no URL has, a password, or no http or https.
    """
    try:
        return _parse(_join(base, text) if base is not None and _LEGAL.match(text) else text)
    except ValueError as error:
        msg = "not a legal http or https URL"
        raise ValueError(msg) from error


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's loopback interface."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def split_host(registry: str) -> tuple[str, int | None]:
    """Host and port of a registry's name, which `oci.reference` has parsed."""
    parts = urlsplit(f"//{registry.lower()}")
    return parts.hostname or "", parts.port


def find_origin(registry: str, *, insecure: frozenset[str], secured: frozenset[str]) -> Origin:
    """Where a registry answers.

    https, but for a host that the user's own configuration calls insecure and for a loopback host. A
    loopback host has https where certificates were installed for it, or where it is on port 443.

    Args:
        registry: its name in references, such as `docker.io` or `127.0.0.1:5000`.
        insecure: names of registries that speak plain HTTP.
        secured: names of registries that the user installed certificates for.
    """
    if registry == DOCKER_HUB:
        return Origin(scheme="https", host=DOCKER_HUB_HOST, port=443)
    host, port = split_host(registry)
    is_plain = registry.lower() in insecure or (
        is_loopback(host) and registry not in secured and port != _PORTS["https"]
    )
    scheme = "http" if is_plain else "https"
    return Origin(scheme=scheme, host=host, port=port or _PORTS[scheme])


def hide_queries(text: str) -> str:
    """`text` with the query of every URL cut off: signed URLs are passwords for a while."""
    return _URL_IN_TEXT.sub(r"\1?…", text)


def _parse(text: str) -> Url:
    parts = urlsplit(text)
    host = (parts.hostname or "").lower()
    netloc = f"[{host}]" if ":" in host else host
    is_legal = _LEGAL.match(text) and parts.scheme in _PORTS and "@" not in parts.netloc and is_registry_host(netloc)
    if not is_legal:
        raise ValueError
    origin = Origin(scheme=parts.scheme, host=host, port=parts.port or _PORTS[parts.scheme])
    return Url(origin=origin, path=parts.path or "/", query=parts.query)


def _join(base: Url, text: str) -> str:
    """Resolve a relative reference (RFC 3986, 5.2) as far as registries use it: absolute, `//host`, path, query."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text):
        return text
    if text.startswith("//"):
        return f"{base.origin.scheme}:{text}"
    if text.startswith("?"):
        return f"{base.origin}{base.path}{text}"
    parts = urlsplit(text)
    path = parts.path if parts.path.startswith("/") else f"{base.path.rpartition('/')[0]}/{parts.path}"
    return urlunsplit((base.origin.scheme, base.origin.netloc, path, parts.query, ""))
