"""Makes the report of the run that the journal tells of, and writes it where the user wants it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from orchestrator.api.events import Event
from orchestrator.api.invocation import StepId
from orchestrator.errors import UsageError, disk_error
from orchestrator.state.beneath import Durability, Missing, open_folder, write_whole
from orchestrator.state.journal import FILE, open_journal
from orchestrator.state.own_file import can_replace, replace_own
from orchestrator.state.stored_logs import read_log_end
from orchestrator.state.workspace import NAME, check_workspace
from orchestrator.ui.report.fold import fold_report
from orchestrator.ui.report.logs import LogTail
from orchestrator.ui.report.page import is_report, render_page
from orchestrator.ui.text import print_note

_OWN: Final = "report.html"


def check_report(path: Path | None) -> None:
    """Find out whether a report can be written, before anything is done that it is to be of.

    Raises:
        UsageError: it cannot, or something else stands there.
    """
    if path is None:
        return
    try:
        is_free = can_replace(path, is_own=is_report)
    except OSError as error:
        raise disk_error(error) from error
    if not is_free:
        raise _is_something_else(path)


def write_report(root: Path, path: Path | None) -> Path:
    """Write the report of the last run; where it is.

    Raises:
        UsageError: nothing was run here, the journal cannot be read, or the report cannot be written.
    """
    page = _make(root)
    if path is None:
        return _write_own(root, page)
    try:
        is_written = replace_own(path, page, is_own=is_report, durability=Durability.LAZY)
    except OSError as error:
        raise disk_error(error) from error
    if not is_written:
        raise _is_something_else(path)
    return path


def _make(root: Path) -> bytes:
    def find_log(step: StepId, most: int) -> LogTail | None:
        end = read_log_end(root, step, most)
        return LogTail(path=end.path, size=end.size, content=end.content) if end else None

    journal = f"{NAME}/{FILE}"
    try:
        with open_journal(root) as events:
            return render_page(fold_report(_until_damaged(events), find_log))
    except FileNotFoundError as error:
        message = f"there is no report without a run: `{journal}` is not there"
        raise UsageError(message, hints=("`orchestrate build` begins one",)) from error
    except OSError as error:
        raise disk_error(OSError(error.errno, error.strerror or str(error), journal)) from error
    except ValueError as error:
        message = f"`{journal}`: {error}"
        raise UsageError(message, hints=("`orchestrate build` begins a new one",)) from error


def _until_damaged(events: Iterable[Event]) -> Iterator[Event]:
    """The events before the first line that is none."""
    try:
        yield from events
    except ValueError as error:
        print_note(f"the journal is damaged, and the report ends there: {error}")


def _write_own(root: Path, page: bytes) -> Path:
    check_workspace(root)
    path = root / NAME / _OWN
    try:
        with open_folder(root, (NAME,), Missing.FAIL) as folder:
            write_whole(_OWN, folder, lambda file: file.write(page), Durability.LAZY)
    except OSError as error:
        raise disk_error(OSError(error.errno, error.strerror or str(error), str(path))) from error
    return path


def _is_something_else(path: Path) -> UsageError:
    message = f"`{path}` holds something else than a report"
    return UsageError(message, hints=("name another file, or remove it",))
