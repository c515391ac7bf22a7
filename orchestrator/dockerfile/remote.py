"""Sources of `ADD` that BuildKit fetches (dockerfile2llb/convert_copy.go, dfgitutil/git_ref.go)."""

from __future__ import annotations

import re
from typing import Final

from orchestrator.model import Model

_HTTP: Final = re.compile(r"https?://")
_GIT: Final = re.compile(r"(?:git|ssh)://|[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:")
_GIT_PATH: Final = re.compile(r"https?://[^?#]*\.git(?:[?#].*)?\Z")
_COMMIT: Final = re.compile(r"[?&](?:checksum|commit)=(?:[0-9a-f]{64}|[0-9a-f]{40})(?![^&#])")
_FRAGMENT: Final = re.compile(r"#(?:[0-9a-f]{64}|[0-9a-f]{40})(?::.*)?\Z")
_USER: Final = re.compile(r"(?<=://)[^/?#@]*@")


class Remote(Model):
    """What an `ADD` fetches; `url` has no credentials. Where it `may_be_local`, older frontends take it for a path."""

    url: str
    is_git: bool
    is_pinned: bool
    may_be_local: bool


def parse_remote(source: str, *, checksum: str, is_known_git: bool) -> Remote | None:
    """What a source of an `ADD` means after expansion; None where it is a path of the context.

    A git URL is pinned by a full commit, too, every other one by `--checksum` alone. `is_known_git` says that there
    is a `--keep-git-dir`.
    """
    is_http = _HTTP.match(source) is not None
    if not is_http and not _GIT.match(source):
        return None
    is_git = not is_http or is_known_git or _GIT_PATH.match(source) is not None
    has_commit = is_git and (_FRAGMENT.search(source) or _COMMIT.search(source)) is not None
    return Remote(
        url=_USER.sub("", source),
        is_git=is_git,
        is_pinned=bool(checksum) or has_commit,
        may_be_local=not is_http,
    )
