"""Undoes the tags of the release that was cut off or has failed here: each points where it did before, or is gone."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from orchestrator.api.events import TagLeft, TagRestored
from orchestrator.api.outline import TagOutline
from orchestrator.cli.insecure import insecure_registries
from orchestrator.cli.resume import begun_release
from orchestrator.engine.restore import Undoing
from orchestrator.errors import RegistryError, UsageError
from orchestrator.oci.reference import Reference, parse_reference
from orchestrator.plan.model import Plan
from orchestrator.plan.undo import Restored, open_moves, tags_of
from orchestrator.probe.git import tracks
from orchestrator.process.capture import capture
from orchestrator.process.orphans import end_orphans
from orchestrator.registry import open_stores
from orchestrator.state.begun import forget_begun
from orchestrator.state.journal import FILE, Journal, open_journal
from orchestrator.state.workspace import NAME, open_run
from orchestrator.ui.restore import render_restored
from orchestrator.ui.text import count, print_note, print_result


def roll_back(root: Path, environment: Mapping[str, str]) -> None:
    """Undo what the last run here has left of its tags, the last ones first.

    Raises:
        UsageError: its journal cannot be read, or is not this machine's own.
        RegistryError: a registry failed, or something stays that could not be undone.
    """
    with open_run(root) as folder:
        end_orphans(root, folder)
        moves = _read(root, environment)
        if not moves:
            print_note("there is nothing to undo: no release was left open here")
            return
        fates: list[tuple[Reference, Restored]] = []
        insecure = insecure_registries(environment)
        with (
            open_stores(environment, insecure=insecure, capture=capture) as stores,
            Journal(root, goes_on=True) as journal,
        ):
            undoing = Undoing(stores.repository)
            for reference, move in moves:
                fate = undoing.restore(reference, move)
                fates.append((reference, fate))
                print_result(render_restored(reference, move, fate))
                if fate.is_undone:
                    journal(TagRestored(reference=str(reference), digest=move.before, time=time.time()))
            left = {str(reference): fate for reference, fate in fates if not fate.is_undone}
            for name, fate in left.items():
                journal(TagLeft(reference=name, fate=fate.value, time=time.time()))
        forget_begun(root)
    if left:
        message = f"{len(left)} of {len(fates)} tags could not be undone: {', '.join(left)}"
        hint = "the lines above say why: remove or move these in the registry; the release is closed now"
        raise RegistryError(message, hints=(hint,))


def find_open_moves(root: Path) -> tuple[TagOutline, ...]:
    """The tags of a release here that did not end well; a journal that cannot be read is told, and counts for none."""
    try:
        with open_journal(root) as events:
            return open_moves(events)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        print_note(f"what the last run here has done cannot be read, and its tags cannot be undone any more: {error}")
        return ()


def tell_open(root: Path, plan: Plan, kept: tuple[TagOutline, ...]) -> None:
    """Say what earlier releases have left open and this run leaves so; the plan of this one is kept by now, or none."""
    tags = tags_of(plan)
    rest = [move for move in kept if move.reference not in tags]
    if not rest:
        if any(move.run != plan.run for move in kept):
            print_note("this release takes the place of the one that was left open here")
        return
    begun = begun_release(root)
    if begun is not None and begun.plan.run in {move.run for move in rest}:
        going_on = "`orchestrate build --push --resume` goes on with it" + (" and not with this run" if tags else "")
    else:
        going_on = "a release of the same tags takes its place"
    ways = f"{going_on}, `orchestrate build --rollback` undoes it"
    print_note(f"a release was left open here, and {count(len(rest), 'tag')} may have moved: {ways}")


def _read(root: Path, environment: Mapping[str, str]) -> list[tuple[Reference, TagOutline]]:
    """What is to be undone, the last tags first."""
    path = f"{NAME}/{FILE}"
    if tracks(root, path, env=environment):
        message = f"git tracks `{path}`, so that it may be anybody's"
        raise UsageError(message, hints=(f"take it out of git: `git rm --cached {path}`",))
    try:
        with open_journal(root) as events:
            moves = open_moves(events)
        return [(parse_reference(move.reference), move) for move in reversed(moves)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        message = f"what the last run here has done cannot be read: `{path}`: {error}"
        raise UsageError(message, hints=("look at the tags with `orchestrate plan --push`",)) from error
