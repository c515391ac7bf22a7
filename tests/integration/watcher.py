"""Looks at public tags for as long as a release lasts, past every proxy: none may ever lead to what is not whole."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from http.client import HTTPConnection
from types import TracebackType
from typing import Self

_ACCEPT = {
    "Accept": "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json",
}
_VERIFIED = re.compile(r"ok-[0-9a-f]{64}")
_PAUSE = 0.1  # seconds between two rounds, which leaves the machine to what is watched


class Watcher:
    """A thread that asks for every tag of every repository again and again; `broken` is what it saw that may not be.

    A tag has to lead to an index with exactly these platforms, whose manifests, configs and layers are all there, and
    which stands under a name that only verified indexes get; and where a new one is public, every repository has one.
    """

    def __init__(self, host: str, repositories: Sequence[str], tags: Sequence[str], platforms: Sequence[str]) -> None:
        self._host = host
        self._repositories = repositories
        self._tags = tags
        self._platforms = sorted(platforms)
        self._whole: set[tuple[str, str]] = set()
        with closing(HTTPConnection(host, timeout=60)) as connection:
            self._before = {name: _verified(connection, name) for name in repositories}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.broken: list[str] = []
        self.looks = 0
        self.seen: set[tuple[str, str, str]] = set()
        """Repository, tag and digest of all that was ever seen public."""

    def __enter__(self) -> Self:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Look once more, and end."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            last = self._over.is_set()
            connection = HTTPConnection(self._host, timeout=60)
            try:
                self._look(connection)
            except Exception as error:  # noqa: BLE001  # nobody sees what a thread raises
                self.broken.append(f"the watcher itself: {error!r}")
                return
            finally:
                connection.close()
            if last:
                return
            self._over.wait(_PAUSE)

    def _look(self, connection: HTTPConnection) -> None:
        self.looks += 1
        for repository in self._repositories:
            for tag in self._tags:
                status, headers, _ = _ask(connection, "HEAD", f"/v2/{repository}/manifests/{tag}")
                if status != 200:  # no such tag, or a registry that writes it this very moment
                    continue
                digest = headers.get("docker-content-digest", "")
                self.seen.add((repository, tag, digest))
                if (repository, digest) not in self._whole:
                    self._whole.add((repository, digest))
                    self.broken += [f"{repository}:{tag}: {what}" for what in self._check(connection, repository, tag)]

    def _check(self, connection: HTTPConnection, repository: str, tag: str) -> list[str]:
        status, headers, content = _ask(connection, "GET", f"/v2/{repository}/manifests/{tag}")
        if status != 200:
            return [f"answers {status}: {content[:200]!r} {headers}"]
        digest = headers.get("docker-content-digest", "")
        index = json.loads(content)
        entries = index.get("manifests", [])
        said = sorted(_platform(entry) for entry in entries if _platform(entry) != "unknown/unknown")
        problems = [] if said == self._platforms else [f"the platforms {said}"]
        for entry in entries:
            problems += self._lacks(connection, repository, entry["digest"])
        if digest not in _verified(connection, repository):
            problems.append(f"{digest} was not verified")
        if digest in self._before[repository]:
            return problems
        missing = [name for name in self._repositories if not _verified(connection, name) - self._before[name]]
        return problems + [f"{name} is not verified yet" for name in missing]

    def _lacks(self, connection: HTTPConnection, repository: str, digest: str) -> list[str]:
        status, _, content = _ask(connection, "GET", f"/v2/{repository}/manifests/{digest}")
        if status != 200:
            return [f"no manifest {digest}"]
        manifest = json.loads(content)
        blobs = [blob["digest"] for blob in (manifest["config"], *manifest["layers"])]
        asked = {blob: _ask(connection, "HEAD", f"/v2/{repository}/blobs/{blob}")[0] for blob in blobs}
        return [f"no blob {blob}" for blob, status in asked.items() if status != 200]


def _verified(connection: HTTPConnection, repository: str) -> set[str]:
    """The digests that stand under names of verified indexes."""
    names = [tag for tag in tags(connection, repository) if _VERIFIED.fullmatch(tag)]
    asked = [_ask(connection, "HEAD", f"/v2/{repository}/manifests/{name}")[1] for name in names]
    return {headers.get("docker-content-digest", "") for headers in asked}


def tags(connection: HTTPConnection, repository: str) -> list[str]:
    """All names in a repository; none where there is no such repository."""
    status, _, content = _ask(connection, "GET", f"/v2/{repository}/tags/list")
    return list(json.loads(content)["tags"] or []) if status == 200 else []


def _platform(entry: Mapping[str, Mapping[str, str]]) -> str:
    platform = entry.get("platform", {})
    return f"{platform.get('os')}/{platform.get('architecture')}"


def _ask(connection: HTTPConnection, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
    connection.request(method, path, headers=_ACCEPT)
    with connection.getresponse() as answer:
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
