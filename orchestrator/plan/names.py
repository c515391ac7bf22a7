"""The private names under which results stand in a repository before, and after, they get their tags.

One function for each kind. Those that remember are functions of what a build is made from; where a solve pushes to is
one of the plan's run id. The same plan gives the same names on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from orchestrator.oci.digest import Digest

RUN_ID_LENGTH: Final = 16
_READABLE: Final = 60


def run_id(content: bytes) -> str:
    """The id of a plan's run, from all that its solves are made of."""
    return hashlib.sha256(content).hexdigest()[:RUN_ID_LENGTH]


def solve_tag(run: str, step: str, image: str) -> str:
    """The tag that a solve pushes under: `run-<id>-<image>-<hash>`."""
    return f"run-{run}-{image[:_READABLE]}-{_hex(run, step)[:8]}"


def part_key(inputs: Digest, parents: Iterable[Digest]) -> str:
    """What a recorded platform build is known by: what it was made from, and the records it stands on.

    A child is so never taken for one that stands on another parent, though both parents were made from the same.
    """
    return _hex(inputs, *sorted(parents))


def record_tag(scope: str, key: str) -> str:
    """The tag of the record of a platform build: `in-<64 hex>`."""
    return "in-" + _hex(scope, key)


def final_tag(scope: str, keys: Iterable[str], extra: bytes) -> str:
    """The tag of a verified index: `ok-<64 hex>`, over its parts in order and what else decides whether it is right."""
    return "ok-" + _hex(scope, *keys, hashlib.sha256(extra).hexdigest())


def test_tag(scope: str, record: Digest, command: Iterable[str]) -> str:
    """The tag by which a record is known to have passed a test: `te-<64 hex>`."""
    return "te-" + _hex(scope, record, *command)


def inputs_tag(inputs: Digest) -> str:
    """The tag under which an input manifest is kept: `im-<64 hex>`, which is its own digest."""
    return "im-" + inputs.removeprefix("sha256:")


def last_tag(scope: str, image: str) -> str:
    """The tag of the last verified index of an image, against which the next one is explained: `at-<64 hex>`."""
    return "at-" + _hex(scope, image)


def note_tag(tag: str) -> str:
    """The tag of the note about a moving tag: `mv-<64 hex>`."""
    return "mv-" + _hex(tag)


def old_tag(tag: str) -> str:
    """The tag under which the index that a tag pointed at stays while a release moves it: `un-<64 hex>`."""
    return "un-" + _hex(tag)


def is_asked_first(name: str) -> bool:
    """Whether a plan of which nothing has changed asks for this name: a verified index, or the note of a moving tag."""
    return name.startswith(("ok-", "mv-"))


def is_record(name: str) -> bool:
    """Whether it is the name of a record of a platform build."""
    return name.startswith("in-")


def is_test(name: str) -> bool:
    """Whether it is a name that a record has since it passed a test."""
    return name.startswith("te-")


def is_last(name: str) -> bool:
    """Whether it is the name of the last verified index of an image."""
    return name.startswith("at-")


def copy_tag(index: Digest) -> str:
    """The tag of an index that was copied to another repository, until it has its public ones: `ok-<64 hex>`."""
    return "ok-" + index.removeprefix("sha256:")


def _hex(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
