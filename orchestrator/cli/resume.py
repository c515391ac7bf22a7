"""Goes on with a run that was cut off: its plan, kept while it ran, is made again and held against the world.

So version, time and tags are those of that run, and what has changed since stops it. What it has built stands in homes,
and is not built again; tags that it has put are its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from orchestrator.api.outline import TagOutline
from orchestrator.cli.applying import Permissions, revive
from orchestrator.cli.findings import Findings
from orchestrator.cli.load import Loaded
from orchestrator.cli.options import PlanOptions, ProjectOptions
from orchestrator.cli.parts import PartRequest, choose_part
from orchestrator.cli.prepare import Prepared
from orchestrator.cli.runnable import check_blocked
from orchestrator.cli.saving import freeze_plan
from orchestrator.cli.scope import destination_of
from orchestrator.config.select import select
from orchestrator.errors import RegistryError, UsageError, disk_error
from orchestrator.plan.compile import Scope
from orchestrator.plan.model import Action
from orchestrator.plan.saved import SavedPlan, parse_saved
from orchestrator.plan.undo import open_moves
from orchestrator.state.begun import FILE, forget_begun, keep_begun, read_begun
from orchestrator.state.journal import open_journal
from orchestrator.state.workspace import NAME


def find_begun(root: Path) -> SavedPlan | None:
    """The plan of the run that was cut off; None where there is nothing to go on with.

    Raises:
        UsageError: what was kept of it cannot be read.
    """
    try:
        content = read_begun(root)
    except OSError as error:
        raise disk_error(error) from error
    if content is None:
        return None
    try:
        return parse_saved(content)[1]
    except ValueError as error:
        message = f"what was kept of the run that was cut off cannot be read: {error}"
        raise UsageError(message, hints=(f"remove `{NAME}/{FILE}`, and build without `--resume`",)) from error


def resume(
    saved: SavedPlan,
    options: PlanOptions,
    project: ProjectOptions,
    environment: Mapping[str, str],
    findings: Findings,
) -> Prepared:
    """What is left of a run that was cut off.

    Raises:
        PlanBlockedError: something has changed since.
        UsageError: the options ask for something else than that run did.
    """
    permissions = Permissions(replace_tags=options.replace_tags, allow_downgrade=options.allow_downgrade)
    revived = revive(saved, project, environment, permissions, findings)
    _check_asked(revived.prepared.loaded, revived.prepared.scope, options)
    check_blocked(revived.prepared, findings)
    return choose_part(revived, PartRequest(), environment)


class PlanKeeper:
    """Keeps the plan of a run while it runs; one that goes on with another has what that one kept."""

    def __init__(
        self,
        prepared: Prepared,
        findings: Findings,
        project: ProjectOptions,
        environment: Mapping[str, str],
        *,
        goes_on: bool,
    ) -> None:
        self._root = prepared.loaded.root
        self._goes_on = goes_on
        self._content: bytes | None = None
        if not goes_on and any(image.action is not Action.REUSE for image in prepared.plan.images):
            # what would hold a credential, or does not know what it is to hold, is not kept
            with suppress(RegistryError, UsageError):
                _, self._content = freeze_plan(prepared, findings, project, environment)

    def begin(self) -> None:
        """Before the first step; the run has the lock.

        Raises:
            OSError: it cannot be written.
        """
        if self._content is not None:
            keep_begun(self._root, self._content)
        elif not self._goes_on:
            forget_begun(self._root)

    def open_moves(self) -> tuple[TagOutline, ...]:
        """The tags that the run which this one goes on with was about to put; none where nothing can be read."""
        if not self._goes_on:
            return ()
        try:
            with open_journal(self._root) as events:
                return open_moves(events)
        except (OSError, ValueError):
            return ()

    def end(self) -> None:
        """After a run that ended well: there is nothing to go on with."""
        forget_begun(self._root)


def _check_asked(loaded: Loaded, scope: Scope, options: PlanOptions) -> None:
    asked = destination_of(options, unless_said=scope.destination)
    if asked is not scope.destination:
        message = f"the run that was cut off had the destination `{scope.destination.value}`, not `{asked.value}`"
        raise UsageError(message, hints=("say the same again, or build without `--resume`",))
    if not options.names:
        return
    known = tuple(image.name for image in loaded.expansion.images)
    selection, _ = select(options.names, known, loaded.expansion.families, loaded.project.groups)
    if set(selection) != set(scope.selection):
        message = f"the run that was cut off was about `{'`, `'.join(scope.selection)}`"
        raise UsageError(message, hints=("leave names out, or build without `--resume`",))
