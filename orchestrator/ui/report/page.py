"""The page of a report: template, style and program in one file that may load nothing, by its own policy."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from pkgutil import get_data
from typing import Final

from orchestrator.ui.report.encode import encode_for_page
from orchestrator.ui.report.model import ReportData

HEAD: Final = b"<!doctype html>\n<!-- a report of orchestrate -->\n"
"""How every report begins."""

SCRIPTS: Final = ("base.js", "header.js", "graph.js", "timeline.js", "table.js", "detail.js", "start.js")
"""One program in this order; none of them is a module, since modules are loaded."""

_PLACE: Final = re.compile(r"%\{(policy|title|style|script|data)\}")


def is_report(head: bytes) -> bool:
    """Whether a file that begins so is a report."""
    return head.startswith(HEAD)


def render_page(data: ReportData) -> bytes:
    """The whole file: a function of the run."""
    style = _read("page.css")
    script = "\n".join(map(_read, SCRIPTS))
    policy = (
        f"default-src 'none'; script-src 'sha256-{_hash(script)}'; style-src 'sha256-{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "title": html.escape(f"{data.project}: {data.outcome}"),
        "style": style,
        "script": script,
        "data": encode_for_page(data),
    }
    # in one pass, so that nothing that was put in is looked at again
    return _PLACE.sub(lambda place: parts[place[1]], _read("page.html")).encode()


def _read(name: str) -> str:
    content = get_data("orchestrator.ui.report", f"assets/{name}")
    if content is None:
        raise FileNotFoundError(name)
    return content.decode()


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
