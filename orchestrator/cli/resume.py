"""Goes on with a run that was cut off: its plan, kept while it ran, is made again and held against the world.

So version, time and tags are those of that run, and what has changed since stops it. What it has built stands in homes,
and is not built again; tags that it has put are its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

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
from orchestrator.errors import PlanBlockedError, RegistryError, UsageError, disk_error
from orchestrator.plan.compile import Scope
from orchestrator.plan.model import Action, Destination
from orchestrator.plan.saved import SavedPlan, parse_saved
from orchestrator.state.begun import FILE, forget_begun, keep_begun, read_begun
from orchestrator.state.workspace import NAME
from orchestrator.ui.text import print_note


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
    try:
        revived = revive(saved, project, environment, permissions, findings)
    except PlanBlockedError as error:
        hints = ("build without `--resume`: that begins anew, with what is here now",)
        raise PlanBlockedError(error.message, hints=hints, report=error.report) from error
    _check_asked(revived.prepared.loaded, revived.prepared.scope, options)
    check_blocked(revived.prepared, findings)
    return choose_part(revived, PartRequest(), environment)


def plan_to_keep(
    prepared: Prepared, findings: Findings, project: ProjectOptions, environment: Mapping[str, str]
) -> bytes | None:
    """The plan of a run as it is kept; None where it does nothing, would hold a credential, or is not known whole."""
    if all(image.action is Action.REUSE for image in prepared.plan.images):
        return None
    try:
        return freeze_plan(prepared, findings, project, environment)[1]
    except (RegistryError, UsageError) as error:
        print_note(f"`--resume` will not go on with this run, whose plan is not kept: {error.message}")
        return None


class PlanKeeper:
    """Keeps the plan of a run while it runs; one that goes on with another has what that one kept.

    A build that publishes nothing leaves the plan of a release that was cut off where it is.
    """

    def __init__(self, root: Path, content: bytes | None, *, goes_on: bool, publishes: bool) -> None:
        self._root = root
        self._content = content
        self._goes_on = goes_on
        self._publishes = publishes
        self._stays_out = False

    def begin(self) -> None:
        """Before the first step; the run has the lock.

        Raises:
            OSError: it cannot be written.
        """
        self._stays_out = not (self._publishes or self._goes_on) and _is_release(self._root)
        if self._stays_out or self._goes_on:
            return
        if self._content is not None:
            keep_begun(self._root, self._content)
        else:
            forget_begun(self._root)

    def end(self) -> None:
        """After a run that ended well: there is nothing to go on with."""
        if not self._stays_out:
            forget_begun(self._root)


def _is_release(root: Path) -> bool:
    """Whether the run that was cut off here was to put tags."""
    try:
        begun = find_begun(root)
    except UsageError:
        return False
    return begun is not None and begun.plan.destination == Destination.PUSH.value


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
