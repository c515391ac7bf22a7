"""What a fake registry holds, and the distribution API on it."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Mapping
from enum import Enum
from typing import Final
from urllib.parse import parse_qs, urlencode

import msgspec

from orchestrator.model import Model
from orchestrator.oci.assemble import children, references
from orchestrator.oci.digest import digest_bytes
from orchestrator.oci.manifest import Manifest
from orchestrator.testing.registry_access import Need

_ROUTE: Final = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs|tags)/(?P<rest>[^/]+|uploads/[^/]*)")
_PAGE: Final = 100


class Asked(Model):
    """A request; header names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def fields(self) -> dict[str, str]:
        """The query, the first value of each name."""
        return {name: values[0] for name, values in parse_qs(self.query).items()}

    @property
    def needs(self) -> frozenset[Need]:
        """The access that it needs."""
        match = _ROUTE.fullmatch(self.path)
        if match is None:
            return frozenset()
        is_deletion = self.method == "DELETE" and match["kind"] == "manifests"
        action = "pull" if self.method in {"GET", "HEAD"} else "delete" if is_deletion else "push"
        needs = {Need(repository=match["name"], action=action)}
        if "from" in self.fields:
            needs.add(Need(repository=self.fields["from"], action="pull"))
        return frozenset(needs)


class Said(Model):
    """An answer."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Deletes(Enum):
    """What a registry deletes of manifests."""

    ALL = "all"
    DIGESTS = "digests"
    """No tag alone, like Distribution 2."""

    NOTHING = "nothing"
    """Distribution's default."""

    WITH_MANIFEST = "with manifest"
    """A tag takes its manifest along, as it did in early versions of zot."""


class Content:
    """Repositories with blobs, manifests and tags, all in memory, and the uploads that are under way.

    Args:
        deletes: what may be deleted of manifests.
    """

    def __init__(self, deletes: Deletes = Deletes.ALL) -> None:
        self._deletes = deletes
        self._blobs: dict[str, dict[str, bytes]] = {}
        self._manifests: dict[str, dict[str, Manifest]] = {}
        self._tags: dict[str, dict[str, str]] = {}
        self._uploads: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def blobs(self, name: str) -> dict[str, bytes]:
        """The blobs of a repository by digest."""
        return self._blobs.setdefault(name, {})

    def manifests(self, name: str) -> dict[str, Manifest]:
        """The manifests and indexes of a repository by digest."""
        return self._manifests.setdefault(name, {})

    def tags(self, name: str) -> dict[str, str]:
        """The tags of a repository, with their digests."""
        return self._tags.setdefault(name, {})

    def answer(self, asked: Asked) -> Said:
        """Do what is asked."""
        if asked.path in {"/v2", "/v2/"}:
            return Said(status=200, headers={"Docker-Distribution-Api-Version": "registry/2.0"}, body=b"{}")
        match = _ROUTE.fullmatch(asked.path)
        if match is None:
            return _error(404, "UNSUPPORTED")
        name, kind, rest = match.group("name", "kind", "rest")
        with self._lock:
            if kind == "manifests":
                return self._answer_manifest(asked, name, rest)
            if kind == "tags":
                return self._list_tags(asked, name)
            if rest.startswith("uploads/"):
                return self._answer_upload(asked, name, rest.removeprefix("uploads/"))
            return self._answer_blob(asked, name, rest)

    def _answer_manifest(self, asked: Asked, name: str, locator: str) -> Said:
        if asked.method == "PUT":
            return self._put_manifest(asked, name, locator)
        if asked.method == "DELETE":
            return self._delete_manifest(name, locator)
        manifest = self.manifests(name).get(self.tags(name).get(locator, locator))
        if manifest is None:
            return _error(404, "MANIFEST_UNKNOWN")
        headers = {"Content-Type": manifest.media_type, "Docker-Content-Digest": manifest.digest}
        return Said(status=200, headers=headers, body=manifest.content)

    def _delete_manifest(self, name: str, locator: str) -> Said:
        """A digest goes with its tags; a tag goes alone."""
        if self._deletes is Deletes.NOTHING:
            return _error(405, "UNSUPPORTED")
        if ":" not in locator and self._deletes is Deletes.DIGESTS:
            return _error(400, "DIGEST_INVALID")
        if ":" not in locator:
            digest = self.tags(name).pop(locator, None)
            if digest and self._deletes is Deletes.WITH_MANIFEST:
                self.manifests(name).pop(digest, None)
            return Said(status=202) if digest else _error(404, "MANIFEST_UNKNOWN")
        if self.manifests(name).pop(locator, None) is None:
            return _error(404, "MANIFEST_UNKNOWN")
        self._tags[name] = {tag: digest for tag, digest in self.tags(name).items() if digest != locator}
        return Said(status=202)

    def _put_manifest(self, asked: Asked, name: str, locator: str) -> Said:
        manifest = Manifest(media_type=asked.headers.get("content-type", ""), content=asked.body)
        try:
            missing = [item for item in children(manifest) if item.digest not in self.manifests(name)]
            missing += [item for item in references(manifest) if item.digest not in self.blobs(name)]
        except ValueError:
            return _error(400, "MANIFEST_INVALID")
        if missing:
            return _error(400, "MANIFEST_BLOB_UNKNOWN")
        if ":" in locator and locator != manifest.digest:
            return _error(400, "DIGEST_INVALID")
        self.manifests(name)[manifest.digest] = manifest
        if ":" not in locator:
            self.tags(name)[locator] = manifest.digest
        headers = {"Location": f"/v2/{name}/manifests/{manifest.digest}", "Docker-Content-Digest": manifest.digest}
        return Said(status=201, headers=headers)

    def _list_tags(self, asked: Asked, name: str) -> Said:
        if name not in self._manifests:
            return _error(404, "NAME_UNKNOWN")
        size, last = int(asked.fields.get("n", _PAGE)), asked.fields.get("last", "")
        left = sorted(tag for tag in self.tags(name) if tag > last)
        page = left[: min(size, _PAGE)]
        headers = {"Content-Type": "application/json"}
        if len(left) > len(page):
            query = urlencode({"n": size, "last": page[-1]})
            headers["Link"] = f'</v2/{name}/tags/list?{query}>; rel="next"'
        return Said(status=200, headers=headers, body=msgspec.json.encode({"name": name, "tags": page}))

    def _answer_blob(self, asked: Asked, name: str, digest: str) -> Said:
        content = self.blobs(name).get(digest)
        if content is None:
            return _error(404, "BLOB_UNKNOWN")
        if asked.method == "DELETE":
            del self.blobs(name)[digest]
            return Said(status=202)
        headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest}
        first = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("range", ""))
        if first is None:
            return Said(status=200, headers=headers, body=content)
        headers["Content-Range"] = f"bytes {first[1]}-{len(content) - 1}/{len(content)}"
        return Said(status=206, headers=headers, body=content[int(first[1]) :])

    def _answer_upload(self, asked: Asked, name: str, upload: str) -> Said:
        if asked.method == "POST" and not upload:
            return self._begin_upload(asked, name)
        if upload not in self._uploads:
            return _error(404, "BLOB_UPLOAD_UNKNOWN")
        match asked.method:
            case "PATCH":
                self._uploads[upload] += asked.body
                headers = {"Location": f"{asked.path}?{asked.query}", "Range": f"0-{len(self._uploads[upload]) - 1}"}
                return Said(status=202, headers=headers)
            case "PUT":
                return self._finish_upload(asked, name, upload)
            case "DELETE":
                del self._uploads[upload]
                return Said(status=204)
            case _:
                return _error(405, "UNSUPPORTED")

    def _begin_upload(self, asked: Asked, name: str) -> Said:
        digest = asked.fields.get("mount", "")
        content = self.blobs(asked.fields.get("from", "")).get(digest)
        if content is not None:
            self.blobs(name)[digest] = content
            return Said(status=201, headers={"Location": f"/v2/{name}/blobs/{digest}"})
        upload = secrets.token_hex(8)
        self._uploads[upload] = b""
        # with a query of its own, as distribution has it: clients have to keep it
        headers = {"Location": f"/v2/{name}/blobs/uploads/{upload}?_state={secrets.token_urlsafe(12)}"}
        return Said(status=202, headers=headers)

    def _finish_upload(self, asked: Asked, name: str, upload: str) -> Said:
        content = self._uploads.pop(upload) + asked.body
        digest = asked.fields.get("digest", "")
        if digest_bytes(content) != digest or "_state" not in asked.fields:
            return _error(400, "DIGEST_INVALID")
        self.blobs(name)[digest] = content
        headers = {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest}
        return Said(status=201, headers=headers)


def _error(status: int, code: str) -> Said:
    body = msgspec.json.encode({"errors": [{"code": code, "message": code.lower().replace("_", " ")}]})
    return Said(status=status, headers={"Content-Type": "application/json"}, body=body)
