"""Text that users gave outside of files: bytes that are no UTF-8 would fail somewhere later, without a place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from orchestrator.cli.options import ProjectOptions
from orchestrator.errors import UsageError

_PREFIX: Final = "ORCHESTRATE_"


def check_encoding(options: ProjectOptions, environment: Mapping[str, str]) -> None:
    """Hold options and our environment variables against UTF-8; Python keeps other bytes as surrogates (PEP 383).

    Raises:
        UsageError: one of them has such bytes.
    """
    for source, text in _texts(options, environment):
        if not _is_encodable(source) or not _is_encodable(text):
            message = f"`{source.encode('ascii', 'backslashreplace').decode()}` has bytes that are no UTF-8"
            raise UsageError(message, hints=("write it in UTF-8; `iconv` converts what is in another encoding",))


def _texts(options: ProjectOptions, environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield from (("--set", text) for text in options.assignments)
    yield from ((f"--var {name}", value) for name, value in options.variables.items())
    yield from (("--allow", text) for text in options.allow)
    yield "--registry", options.registry or ""
    yield "--backend", options.backend or ""
    yield from ((name, value) for name, value in environment.items() if name.startswith(_PREFIX))


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
