"""Repositories of registries as image stores (OCI distribution-spec 1.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from io import BytesIO
from typing import BinaryIO, Final, TypeAlias
from urllib.parse import urlencode

import msgspec

from orchestrator.errors import RegistryError
from orchestrator.model import Model
from orchestrator.oci.checked import checked
from orchestrator.oci.digest import Digest, parse_digest
from orchestrator.oci.manifest import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    MAX_MANIFEST_BYTES,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
    identify,
)
from orchestrator.oci.reference import Repository, check_tag
from orchestrator.registry.download import Download
from orchestrator.registry.failure import RequestError
from orchestrator.registry.session import Answer, Call, Session
from orchestrator.registry.transport import Request, fail
from orchestrator.registry.url import Url, parse_url

_ACCEPT: Final = f"{OCI_INDEX}, {DOCKER_LIST}, {OCI_MANIFEST}, {DOCKER_MANIFEST}"
_NOT_FOUND: Final = 404
_NO_HEAD: Final = 405
_DELETED: Final = frozenset({200, 202, 204})
_CREATED: Final = 201
_ACCEPTED: Final = 202
_NO_MOUNT: Final = frozenset({400, 401, 403, 404, 405, 415, 422})
"""Answers of registries that do not mount, or not from there: the blob is then uploaded, and that error tells."""

_PAGE: Final = 1000
_MAX_PAGES: Final = 1000
_LINK_NEXT: Final = 'rel="next"'

OnPut: TypeAlias = Callable[[str, Manifest], None]


class RepositoryStore:
    """One repository of a registry; an `ImageStore` of the engine's ports.

    Args:
        repository: which one.
        session: its registry.
        on_put: told of every manifest that stands, with the tag or the digest that it was put under.
    """

    def __init__(self, repository: Repository, session: Session, on_put: OnPut | None = None) -> None:
        self._repository = repository
        self._session = session
        self._on_put = on_put
        self._pull = (f"repository:{repository.path}:pull",)
        self._push = (f"repository:{repository.path}:pull,push",)
        self._delete = (f"repository:{repository.path}:delete",)

    @property
    def name(self) -> str:
        """The repository, as in references."""
        return str(self._repository)

    def find(self, locator: str) -> Digest | None:
        """The digest behind a tag, or the digest itself where it exists; by HEAD, by GET where that is not enough."""
        call = self._call("HEAD", f"manifests/{_check(locator)}", headers={"Accept": _ACCEPT})
        call = msgspec.structs.replace(call, accepted=frozenset({_NOT_FOUND, _NO_HEAD}))
        answer = self._ask_for(call, locator)
        if answer is None:
            return None
        if answer.status == _NO_HEAD or "docker-content-digest" not in answer.headers:
            manifest = self.fetch_manifest(locator)
            return manifest.digest if manifest else None
        digest = _read_digest(call, answer)
        if ":" in locator and digest != locator:
            raise _hostile(call, f"answers for `{locator}` with the digest `{digest}`")
        return digest

    def fetch_manifest(self, locator: str) -> Manifest | None:
        """The manifest or index behind a tag or a digest; None where there is none."""
        call = self._call("GET", f"manifests/{_check(locator)}", headers={"Accept": _ACCEPT})
        call = msgspec.structs.replace(call, accepted=frozenset({_NOT_FOUND}))
        answer = self._ask_for(call, locator)
        if answer is None:
            return None
        try:
            manifest = identify(answer.content, answer.headers.get("content-type", ""))
        except ValueError as error:
            raise _hostile(call, f"answers with what cannot be read: {error}") from error
        if "docker-content-digest" in answer.headers and _read_digest(call, answer) != manifest.digest:
            raise _hostile(call, f"answers with content that has another digest than it says: `{manifest.digest}`")
        if ":" in locator and manifest.digest != locator:
            raise _hostile(call, f"answers with content that has the digest `{manifest.digest}`")
        return manifest

    def put_manifest(self, locator: str, manifest: Manifest) -> None:
        """Put a manifest under a tag or under its digest."""
        call = self._call("PUT", f"manifests/{_check(locator)}", is_write=True, content=manifest.content)
        if ":" in locator and locator != manifest.digest:
            raise _hostile(call, f"is not the digest of the manifest, which is `{manifest.digest}`")
        headers = {**call.headers, "Content-Type": manifest.media_type}
        answer = self._session.ask(msgspec.structs.replace(call, headers=headers))
        self._check_stored(call, answer, manifest.digest)
        for name in (locator, manifest.digest):
            self._session.note_put(self._call("PUT", f"manifests/{name}").url.path)
        if self._on_put:
            self._on_put(locator, manifest)

    def delete(self, locator: str) -> bool:
        """Delete a manifest by its digest, with every tag that it has, or a tag alone; False: it was not there.

        Raises:
            RequestError: the registry refuses; many know no deletion of tags, and some none at all.
        """
        call = self._call("DELETE", f"manifests/{_check(locator)}")
        call = msgspec.structs.replace(call, scopes=self._delete, accepted=frozenset({_NOT_FOUND}))
        answer = self._session.ask(call)
        if answer.status not in {*_DELETED, _NOT_FOUND}:
            raise _hostile(call, f"answered {answer.status} instead of {_ACCEPTED}")
        return answer.status != _NOT_FOUND

    def has_blob(self, digest: Digest) -> bool:
        """Whether the blob is there; a HEAD."""
        return self._session.persist(lambda: self._has_blob_once(digest, self._pull))

    @contextmanager
    def open_blob(self, descriptor: Descriptor) -> Iterator[BinaryIO]:
        """A stream of the blob, held against its descriptor; a connection that breaks is taken up where it broke."""
        call = self._await(self._call("GET", f"blobs/{parse_digest(descriptor.digest)}"), descriptor.digest)
        with Download(self._session, call, descriptor.size) as download:
            yield checked(download, descriptor, name=self.name)

    def put_blob(self, descriptor: Descriptor, source: Callable[[], AbstractContextManager[BinaryIO]]) -> None:
        """Upload a blob unless it is there: one POST and one PUT, streamed."""
        self._session.persist(lambda: self._upload_once(descriptor, source))

    def mount_blob(self, descriptor: Descriptor, origin: object) -> bool:
        """Take a blob over from another repository of the same registry; False: it has to be copied."""
        if not isinstance(origin, RepositoryStore) or origin._session is not self._session:  # noqa: SLF001  # own class
            return False
        source = origin._repository.path  # noqa: SLF001  # own class
        query = urlencode({"mount": parse_digest(descriptor.digest), "from": source})
        call = self._call("POST", "blobs/uploads/", is_write=True, content=b"")
        call = msgspec.structs.replace(
            call, url=call.url.with_query(query), scopes=(f"repository:{source}:pull", *self._push)
        )
        try:
            answer = self._session.ask(call)
        except RequestError as error:
            if error.failure.status in _NO_MOUNT:
                return False
            raise
        if answer.status == _CREATED:
            return True
        self._abandon(answer)
        return False

    def tags(self) -> Iterator[str]:
        """All tags, page by page, in the registry's order; none where there is no repository."""
        call = self._call("GET", "tags/list")
        call = msgspec.structs.replace(call, url=call.url.with_query(f"n={_PAGE}"), accepted=frozenset({_NOT_FOUND}))
        for _ in range(_MAX_PAGES):
            answer = self._session.ask(call, limit=MAX_MANIFEST_BYTES)
            if answer.status == _NOT_FOUND:
                return
            yield from _parse_tags(call, answer)
            url = self._find_next(call, answer)
            if url is None:
                return
            call = msgspec.structs.replace(call, url=url)
        raise _hostile(call, f"has more than {_MAX_PAGES} pages of tags")

    def _call(
        self, method: str, path: str, *, is_write: bool = False, headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Call:  # fmt: skip
        length = {} if content is None else {"Content-Length": str(len(content))}
        return Call(
            method=method,
            url=Url(origin=self._session.account.origin, path=f"/v2/{self._repository.path}/{path}"),
            scopes=self._push if is_write else self._pull,
            headers={**length, **(headers or {})},
            body=None if content is None else partial(_open_bytes, content),
        )

    def _ask_for(self, call: Call, locator: str) -> Answer | None:
        """The answer about a manifest; None where there is none, and for what is known to stand, also none later."""
        try:
            answer = self._session.ask(self._await(call, locator), limit=MAX_MANIFEST_BYTES)
        except RequestError as error:
            if error.failure.status == _NOT_FOUND:
                return None
            raise
        return None if answer.status == _NOT_FOUND else answer

    def _await(self, call: Call, locator: str) -> Call:
        """The call, which is repeated while it does not find what is known to stand."""
        if not self._session.is_known(call, by_digest=":" in locator):
            return call
        return msgspec.structs.replace(call, passing=frozenset({_NOT_FOUND}))

    def _has_blob_once(self, digest: Digest, scopes: tuple[str, ...]) -> bool:
        call = self._call("HEAD", f"blobs/{digest}")
        call = msgspec.structs.replace(call, scopes=scopes, accepted=frozenset({_NOT_FOUND}))
        return self._session.ask_once(call).status != _NOT_FOUND

    def _upload_once(self, descriptor: Descriptor, source: Callable[[], AbstractContextManager[BinaryIO]]) -> None:
        digest = parse_digest(descriptor.digest)
        if self._has_blob_once(digest, self._push):
            return
        begin = self._call("POST", "blobs/uploads/", is_write=True, content=b"")
        begun = self._session.ask_once(begin)
        location = begun.headers.get("location", "")
        if begun.status != _ACCEPTED or not location:
            raise _hostile(begin, f"answered {begun.status} without an upload")
        put = Call(
            method="PUT",
            url=self._session.locate(begun.url, location).with_query(urlencode({"digest": digest})),
            scopes=self._push,
            headers={"Content-Type": "application/octet-stream", "Content-Length": str(descriptor.size)},
            body=partial(_open_checked, descriptor, source),
        )
        self._check_stored(put, self._session.ask_once(put), digest)

    def _check_stored(self, call: Call, answer: Answer, digest: Digest) -> None:
        if answer.status not in {200, _CREATED, 204}:
            raise _hostile(call, f"answered {answer.status} instead of {_CREATED}")
        if "docker-content-digest" in answer.headers and _read_digest(call, answer) != digest:
            raise _hostile(call, f"stored something else than `{digest}`")

    def _abandon(self, answer: Answer) -> None:
        """End an upload that a registry opened instead of mounting; a session that stays is cleared away by it."""
        location = answer.headers.get("location", "")
        if location:
            try:
                self._session.ask_once(
                    Call(method="DELETE", url=self._session.locate(answer.url, location), scopes=self._push)
                )
            except RequestError:
                return

    def _find_next(self, call: Call, answer: Answer) -> Url | None:
        link = answer.headers.get("link", "")
        target, bracket, parameters = link.partition(">")
        if not bracket or _LINK_NEXT not in parameters.replace(" ", "").replace("rel=next", _LINK_NEXT):
            return None
        try:
            url = parse_url(target.strip().removeprefix("<"), base=call.url)
        except ValueError as error:
            raise _hostile(call, "links to what is no legal URL") from error
        if url.origin != call.url.origin or url.path != call.url.path or url == call.url:
            raise _hostile(call, "links to another place for more tags")
        return url


class _TagList(Model):
    tags: tuple[str, ...] | None = None


_TAG_LIST: Final = msgspec.json.Decoder(_TagList)


def _parse_tags(call: Call, answer: Answer) -> tuple[str, ...]:
    try:
        tags = _TAG_LIST.decode(answer.content).tags or ()
        for tag in tags:
            check_tag(tag)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _hostile(call, "answers with what is no list of tags") from error
    return tags


def _check(locator: str) -> str:
    """A locator goes into a path, so it is held against the grammar even where callers have parsed it."""
    try:
        if ":" in locator:
            return parse_digest(locator)
        check_tag(locator)
    except ValueError as error:
        raise RegistryError(str(error)) from error
    return locator


def _read_digest(call: Call, answer: Answer) -> Digest:
    try:
        return parse_digest(answer.headers["docker-content-digest"])
    except ValueError as error:
        raise _hostile(call, "answers with an illegal digest") from error


def _hostile(call: Call, message: str) -> RequestError:
    hint = "nothing of it was used: ask whoever runs this registry, or a proxy before it, what it is"
    return fail(Request(method=call.method, url=call.url), message, hints=(hint,))


@contextmanager
def _open_checked(descriptor: Descriptor, source: Callable[[], AbstractContextManager[BinaryIO]]) -> Iterator[BinaryIO]:
    with source() as stream:
        yield checked(stream, descriptor, name="the source of an upload")


def _open_bytes(content: bytes) -> AbstractContextManager[BinaryIO]:
    return BytesIO(content)
