"""A proxy in front of a real registry that does wrong what registries do wrong, to us and to BuildKit.

What happens to a request follows from the request alone and from those before it, so no test has to wait for a moment;
and what came by, when and from whom is written down here, outside of the process that is tested.
"""

from __future__ import annotations

import json
import math
import re
import secrets
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256

from tests.integration.gatekeeper import PUBLIC_TAG, Answer, Asked, Gatekeeper, Verdict

ALWAYS = math.inf
_MANIFEST = re.compile(r"PUT (?P<place>/v2/.+/manifests/)(?P<name>[^/]+)")
_BLOB = re.compile(
    r"PUT (?P<place>/v2/.+/blobs/)uploads/.+[?&]digest=sha256(?::|%3A)(?P<name>[0-9a-f]{64}).*", re.IGNORECASE
)


class Sender(Enum):
    """Who asks, as the `User-Agent` says."""

    ORCHESTRATE = "orchestrate"
    BUILDKIT = "buildkit"

    def has_sent(self, asked: Asked) -> bool:
        """Whether a request comes from here; what fetches pages for BuildKit counts as BuildKit."""
        return (asked.agent == "orchestrate") is (self is Sender.ORCHESTRATE)


@dataclass
class Fault:
    """Wrong `times` times with what a sender asks; `pattern` is a whole `METHOD /path`."""

    sender: Sender
    pattern: str
    verdict: Verdict | Answer
    times: float = 1
    hits: list[Asked] = field(default_factory=list)

    def judge(self, asked: Asked) -> Verdict | Answer | None:
        """What happens to a request, if it fits and this is not over."""
        fits = len(self.hits) < self.times and self.sender.has_sent(asked)
        if not fits or not re.fullmatch(self.pattern, asked.line):
            return None
        self.hits.append(asked)
        return self.verdict


class Tokens:
    """Lets in who has a bearer token; each is good for so many requests, whatever it says of itself."""

    def __init__(self, uses: int) -> None:
        self._uses = uses
        self._left: dict[str, int] = {}
        self.expired: list[Asked] = []

    def judge(self, asked: Asked, host: str) -> Answer | None:
        """A token for whoever asks for one, `401` for whoever has none that is good; None lets the request in."""
        if asked.line.startswith(("GET /token", "POST /token")):
            token = secrets.token_urlsafe(16)
            self._left[f"Bearer {token}"] = self._uses
            return Answer(200, body=json.dumps({"token": token, "expires_in": 300}).encode())
        if self._left.get(asked.authorization, 0) > 0:
            self._left[asked.authorization] -= 1
            return None
        said = ""
        if asked.authorization in self._left:
            self.expired.append(asked)
            said = ',error="invalid_token"'
        challenge = f'Bearer realm="http://{host}/token",service="lab"{_scope(asked.line)}{said}'
        return Answer(401, {"WWW-Authenticate": challenge}, b'{"errors":[{"code":"UNAUTHORIZED","message":""}]}')


def _scope(line: str) -> str:
    method, _, path = line.partition(" ")
    found = re.match(r"/v2/(.+)/(?:manifests|blobs|tags)/", path)
    actions = "pull" if method in {"GET", "HEAD"} else "pull,push"
    return f',scope="repository:{found[1]}:{actions}"' if found else ""


class FaultyRegistry(Gatekeeper):
    """A gatekeeper with faults; `late` is who does not find at first what was put a moment ago."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self.faults: list[Fault] = []
        self.tokens: Tokens | None = None
        self.late: Sender | None = None
        self.missed: list[Asked] = []
        self.asked: list[Asked] = []
        self.put: Counter[str] = Counter()
        """How often the registry has taken each public tag: by its path."""
        self._unseen: set[str] = set()
        self._seen: set[str] = set()

    def decide(self, asked: Asked) -> Verdict | Answer:
        """What the first fault says that fits, else the judge."""
        with self._lock:
            self.asked.append(asked)
            verdict = self._judge(asked)
        return super().decide(asked) if verdict is None else verdict

    def answered(self, asked: Asked, body: bytes, status: int) -> None:
        """Note the tags that stand now."""
        if status != 201:
            return
        blob, manifest = _BLOB.fullmatch(asked.line), _MANIFEST.fullmatch(asked.line)
        with self._lock:
            if blob:
                self._hide(f"{blob['place']}sha256:{blob['name']}")
            if manifest:
                self._hide(manifest["place"] + manifest["name"])
                self._hide(f"{manifest['place']}sha256:{sha256(body).hexdigest()}")
            if PUBLIC_TAG.fullmatch(asked.line):
                self.put[asked.line.removeprefix("PUT ")] += 1

    def again(self, fault: Fault) -> list[float]:
        """After how many seconds the same was asked for again, for each time that the fault came up."""
        later = [
            (hit, [asked.at for asked in self.asked if asked.line == hit.line and asked.at > hit.at])
            for hit in fault.hits
        ]
        return [min(times) - hit.at for hit, times in later if times]

    def _judge(self, asked: Asked) -> Verdict | Answer | None:
        if self.tokens and (refused := self.tokens.judge(asked, self.host)):
            return refused
        if missed := self._miss(asked):
            return missed
        judged = (fault.judge(asked) for fault in self.faults)
        return next((verdict for verdict in judged if verdict is not None), None)

    def _hide(self, path: str) -> None:
        """What is new is not found the first time; what stood before is."""
        if path not in self._seen:
            self._unseen.add(path)
        self._seen.add(path)

    def _miss(self, asked: Asked) -> Answer | None:
        method, _, path = asked.line.partition(" ")
        if self.late is None or not self.late.has_sent(asked) or method not in {"GET", "HEAD"}:
            return None
        if path not in self._unseen:
            return None
        self._unseen.discard(path)
        self.missed.append(asked)
        code = "BLOB_UNKNOWN" if "/blobs/" in path else "MANIFEST_UNKNOWN"
        return Answer(404, body=json.dumps({"errors": [{"code": code, "message": "unknown"}]}).encode())
