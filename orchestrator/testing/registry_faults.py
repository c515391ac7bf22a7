"""What a fake registry can do wrong."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import TypeAlias

from orchestrator.model import Model


class AnswerWith(Model):
    """Answer this instead of doing what was asked; also a redirect, with a `Location`."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Reset(Model):
    """Reset the connection; nothing is done."""


class LoseAnswer(Model):
    """Do what was asked, then reset the connection instead of answering."""


class Cut(Model):
    """Announce the whole body, send so many bytes of it, and close."""

    after: int


class Hold(Model):
    """Wait until `FakeRegistry.release` is called, then go on as usual."""


class Rewrite(Model):
    """Answer as usual, but with these headers set, or left out where None; with another body, if given.

    `Content-Length` follows the body.
    """

    headers: Mapping[str, str | None] = {}
    body: bytes | None = None


Action: TypeAlias = AnswerWith | Reset | LoseAnswer | Cut | Hold | Rewrite


class Fault(Model):
    """What goes wrong with which requests: `method` and `path` (with query) are whole regular expressions."""

    method: str
    path: str
    action: Action
    times: int


class Faults:
    """The faults that are left; the first that fits a request is used."""

    def __init__(self) -> None:
        self._left: list[tuple[Fault, int]] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Add one; `times` 0 means always."""
        with self._lock:
            self._left.append((fault, fault.times))

    def take(self, method: str, path: str) -> Action | None:
        """What goes wrong with this request."""
        with self._lock:
            for position, (fault, left) in enumerate(self._left):
                if re.fullmatch(fault.method, method) and re.fullmatch(fault.path, path):
                    if left == 1:
                        del self._left[position]
                    else:
                        self._left[position] = (fault, left - 1)
                    return fault.action
        return None
