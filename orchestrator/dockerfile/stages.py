"""Stages by name and number, as BuildKit resolves them (dockerfile2llb/convert.go)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Final

from orchestrator.diagnostics import Diagnostic, Span
from orchestrator.dockerfile.model import Dockerfile, Stage
from orchestrator.oci.reference import familiar, parse_reference

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,9}\Z")


def base_stages(stages: Sequence[Stage], names: Sequence[str]) -> tuple[int | None, ...]:
    """For each stage the earlier stage that it starts from, None for an image; `names` are the expanded bases.

    BuildKit compares with the lower-case names of stages without lowering the base: `FROM Build` is an image.
    """
    known: dict[str, int] = {}
    bases: list[int | None] = []
    for stage, name in zip(stages, names, strict=True):
        bases.append(known.get(name))
        if stage.name:
            known[stage.name] = stage.index
    return tuple(bases)


def last_named(stages: Sequence[Stage]) -> dict[str, int]:
    """The stages by name, for `COPY --from`, mounts and the target; of two with one name the later one counts."""
    return {stage.name: stage.index for stage in stages if stage.name}


def stage_number(text: str) -> int | None:
    """The number that `COPY --from=0` means; None where it is a name."""
    return int(text) if _NUMBER.match(text) else None


def find_origin(name: str, named: Mapping[str, int], *, is_mount: bool) -> int | str:
    """The number of the stage that a `from=` means, which may be none's; its name where it is no stage.

    A mount knows no stage numbers. `named` is what `last_named` gives.
    """
    number = None if is_mount else stage_number(name)
    return named.get(name.lower(), name) if number is None else number


def context_key(name: str) -> str:
    """The key by which BuildKit looks up a named context for this name; empty where there can be none."""
    try:
        return familiar(parse_reference(name)) if name else ""
    except ValueError:
        return ""


def find_target(dockerfile: Dockerfile, target: str) -> int | Diagnostic:
    """The stage to build: the last one, or the one named `target`, in whatever case.

    BuildKit does not take a number as a target, though `COPY --from` does, and so neither do we.
    """
    if not target:
        return len(dockerfile.stages) - 1
    names = last_named(dockerfile.stages)
    found = names.get(target.lower())
    if found is not None:
        return found
    close = difflib.get_close_matches(target.lower()[:100], names, 1, 0.6)
    number = stage_number(target)
    if close:
        hint = f"did you mean `{close[0]}`?"
    elif number is not None and 0 <= number < len(dockerfile.stages):
        line = dockerfile.stages[number].line
        hint = f"a target is a name: give the stage one, `FROM … AS name` in line {line}"
    elif names:
        hint = f"its stages are {', '.join(f'`{name}`' for name in names)}"
    else:
        hint = "none of its stages has a name: write `FROM image AS name`"
    return Diagnostic(
        code="unknown-target",
        message=f"no stage `{target}` in `{dockerfile.file}`",
        place=Span(file=dockerfile.file, line=dockerfile.stages[-1].line),
        hints=(hint,),
    )


def reachable_stages(target: int, needs: Mapping[int, Sequence[int]]) -> frozenset[int]:
    """The stages that are built for a target: itself and, again and again, what these start and copy from."""
    reached: set[int] = set()
    waiting = [target]
    while waiting:
        stage = waiting.pop()
        if stage not in reached:
            reached.add(stage)
            waiting += needs[stage]
    return frozenset(reached)
