"""Goes on with a run that was cut off: its plan, kept while it ran, is made again and held against the world.

So version, time and tags are those of that run, and what has changed since stops it. What it has built stands in homes,
and is not built again; tags that it has put are its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
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
from orchestrator.errors import OrchestratorError, PlanBlockedError, RegistryError, UsageError, disk_error
from orchestrator.plan.compile import Scope
from orchestrator.plan.model import Action, Destination, Plan
from orchestrator.plan.saved import SavedPlan, parse_saved
from orchestrator.plan.undo import tags_of
from orchestrator.state.begun import FILE, forget_begun, keep_begun, read_begun
from orchestrator.state.workspace import NAME
from orchestrator.ui.text import print_note, printable


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
        print_note(f"`--resume` will not go on with this run, whose plan is not kept: {printable(error.message)}")
        return None


class Begins(Enum):
    """What a run begins with."""

    ANEW = "anew"
    """A plan of its own."""
    RESUMED = "resumed"
    """The plan of the run that was cut off here."""
    STAGED = "staged"
    """What another run has verified: only its tags are still to be put."""


class PlanKeeper:
    """Keeps the plan of a run while it runs, for `--resume`, and forgets it when it ends well.

    The plan of a release that was left open stays, unless this run puts one of its tags, too; then there is no going on
    with it any more.
    """

    def __init__(self, root: Path, plan: Plan, begins: Begins, content: bytes | None = None) -> None:
        self._root = root
        self._plan = plan
        self._begins = begins
        self._content = content
        self._stays_out = False

    def begin(self, kept: tuple[TagOutline, ...]) -> None:
        """Before the first step; the run has the lock, and `kept` are the tags that earlier ones have left open.

        Raises:
            OSError: it cannot be written.
        """
        if self._begins is Begins.RESUMED:
            return
        begun = begun_release(self._root)
        self._stays_out = self._leaves_alone(begun, kept)
        if self._stays_out:
            return
        if self._content is not None:
            keep_begun(self._root, self._content)
        elif not (self._begins is Begins.STAGED and begun and begun.plan.run == self._plan.run):
            forget_begun(self._root)

    def end(self) -> None:
        """After a run that ended well: there is nothing to go on with."""
        if not self._stays_out:
            forget_begun(self._root)

    def _leaves_alone(self, begun: SavedPlan | None, kept: tuple[TagOutline, ...]) -> bool:
        """Whether the plan that was begun here is none of this run's business."""
        if begun is None:
            return self._begins is Begins.STAGED
        run = begun.plan.run
        left = {move.reference for move in kept if move.run == run}
        if left & tags_of(self._plan):
            return False
        if self._begins is Begins.STAGED:
            return run != self._plan.run
        return bool(left) or self._plan.destination is not Destination.PUSH


def begun_release(root: Path) -> SavedPlan | None:
    """The plan that was begun last here and did not end well, if it is one that puts tags and can be read."""
    try:
        begun = find_begun(root)
    except OrchestratorError:  # whoever is to go on with it is told why it cannot be read
        return None
    return begun if begun is not None and begun.plan.destination == Destination.PUSH.value else None


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
