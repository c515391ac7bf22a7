"""From a project to the bake file of a selection, and onto the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from orchestrator.api.target import Target
from orchestrator.buildkit.bake import MARK, check_targets, render_bake
from orchestrator.cli.findings import Findings
from orchestrator.cli.load import Loaded
from orchestrator.config.select import select
from orchestrator.diagnostics import has_errors
from orchestrator.errors import UsageError, disk_error
from orchestrator.model import Model
from orchestrator.plan.targets import plan_targets
from orchestrator.state.beneath import Durability
from orchestrator.state.own_file import replace_own

_HEAD: Final = 4096


class Bakefile(Model):
    """A bake file: its targets and its text."""

    targets: tuple[Target, ...]
    text: str


def make_bakefile(loaded: Loaded, names: tuple[str, ...], findings: Findings) -> Bakefile:
    """The bake file of a selection.

    Raises:
        UsageError: the selection names something unknown.
        ConfigurationError: bake cannot do something without which it would build other images.
    """
    expansion, project = loaded.expansion, loaded.project
    known = tuple(image.name for image in expansion.images)
    selection, found = select(names, known, expansion.families, project.groups)
    if has_errors(found):
        raise UsageError(found[0].message, hints=found[0].hints)
    findings.add(found)
    groups = dict(expansion.families)
    groups |= {name: select((name,), known, expansion.families, project.groups)[0] for name in project.groups}
    made = plan_targets(loaded.declared, selection, loaded.reader, host=loaded.host, groups=groups)
    findings.add(made.found)
    findings.add(check_targets(made.targets))
    findings.stop_on_errors()
    return Bakefile(targets=made.targets, text=render_bake(made.targets, made.groups))


def write_bakefile(path: Path, text: str) -> None:
    """Write the file, whole or not at all, unless somebody else's stands there.

    Raises:
        UsageError: it cannot be written, or holds what was not written by this.
    """
    try:
        is_written = replace_own(
            path, text.encode(), is_own=lambda head: MARK.encode() in head, durability=Durability.LAZY
        )
    except OSError as error:
        raise disk_error(error) from error
    if not is_written:
        message = f"`{path}` was not written by `orchestrate export bake`"
        raise UsageError(message, hints=("choose another file with `--out FILE`, or remove it",))
