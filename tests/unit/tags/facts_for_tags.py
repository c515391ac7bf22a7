"""Facts that the tests of templates and versions share."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from orchestrator.oci.platform import parse_platform
from orchestrator.tags.facts import Described, GitFacts
from orchestrator.tags.values import Values, Version, git_value, mapping_value, platform_value, version_value

SHA = "0123456789abcdef0123456789abcdef01234567"
NOW = datetime(2026, 8, 9, 7, 6, 5, tzinfo=UTC)
GIT = GitFacts(
    sha=SHA,
    short_sha=SHA[:12],
    branch="feature/Login_page",
    default_branch="main",
    tags_at_head=("v1.2.3", "nightly"),
    dirty=False,
    dirty_paths=(),
    commit_time=1_700_000_000,
    shallow=False,
    described=(Described(match="v*", tag="v1.2.3", distance=0),),
)
BETWEEN = msgspec.structs.replace(GIT, tags_at_head=(), described=(Described(match="v*", tag="v1.2.3", distance=4),))
VALUES = Values(
    now=NOW,
    registry="ghcr.io/acme",
    image="api",
    version=version_value(Version(text="1.2.3-rc.1+b5")),
    git=git_value(GIT, "v*"),
    vars=mapping_value("vars", {"go": "1.23", "one": 1, "yes": True, "brace": "{{ version }}"}),
    matrix=mapping_value("matrix", {"pg": "15"}),
    platform=platform_value(parse_platform("linux/arm/v7")),
)
