"""Opens the homes of images for a plan, and prepares those on this disk for a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias, assert_never

from orchestrator.cli.registries import OpenStore
from orchestrator.diagnostics import Diagnostic, Severity
from orchestrator.errors import disk_error
from orchestrator.model import Model
from orchestrator.plan.compile import Declared
from orchestrator.plan.home import STATE_FOLDER, find_homes, known_homes
from orchestrator.plan.image import Image
from orchestrator.plan.model import Destination, Home, LayoutHome, RegistryHome
from orchestrator.probe.cached import Store
from orchestrator.probe.git import tracks
from orchestrator.state.layout import OciLayout
from orchestrator.state.local import ProvenLayout, begin_state, hash_state, is_made_here, is_there, mend_state

OpenHome: TypeAlias = Callable[[Home], Store]


class Reached(Model):
    """The homes that are asked what stands, by image, how to open them, and what was found on the way to them."""

    homes: Mapping[str, Home]
    open_home: OpenHome
    found: tuple[Diagnostic, ...] = ()


def reach_homes(
    root: Path,
    images: tuple[Image, ...],
    declared: Declared,
    destination: Destination,
    *,
    open_store: OpenStore | None,
    environment: Mapping[str, str],
) -> Reached:
    """The homes of images as far as they may be asked; layouts that are not ours are not.

    Raises:
        UsageError: the state cannot be read.
        PlanBlockedError: it does not stop changing.
    """
    homes = known_homes(find_homes(images, destination, declared.state), destination)
    found: tuple[Diagnostic, ...] = ()
    intact: Mapping[str, frozenset[str]] = {}
    if not destination.uses_registry:
        found = tuple(_strange(root, environment))
        homes = {} if found else homes
        intact = {} if found else hash_state(root)

    def open_home(home: Home) -> Store:
        match home:
            case LayoutHome(path=path):
                layout = OciLayout(root / path, below=root)
                return ProvenLayout(layout, intact.get(layout.path.name, frozenset()))
            case RegistryHome(repository=repository):
                if open_store is None:
                    message = f"nobody may ask `{repository}`"
                    raise LookupError(message)
                return open_store(repository)
            case _:
                assert_never(home)

    return Reached(homes=homes, open_home=open_home, found=found)


def prepare_homes(root: Path, environment: Mapping[str, str]) -> None:
    """Make what is on this disk fit to be built into: begun anew where it is not ours, without what is damaged.

    For a run that has the lock.

    Raises:
        UsageError: it cannot be written to.
    """
    try:
        if not is_made_here(root) or tracks(root, STATE_FOLDER, env=environment):
            begin_state(root)
        else:
            mend_state(root, hash_state(root))
    except OSError as error:
        raise disk_error(error) from error


def _strange(root: Path, environment: Mapping[str, str]) -> Iterator[Diagnostic]:
    """Why the state on this disk is not believed."""
    if not is_there(root):
        return
    if tracks(root, STATE_FOLDER, env=environment):
        reason, hint = "git tracks files in it", f"take them out of git: `git rm -r --cached {STATE_FOLDER}`"
    elif not is_made_here(root):
        reason, hint = "it was copied here, or made by something else", "the next build begins it anew"
    else:
        return
    yield Diagnostic(
        code="state-foreign",
        message=f"`{STATE_FOLDER}` is not used, and everything is built: {reason}",
        severity=Severity.WARNING,
        hints=(hint,),
    )
