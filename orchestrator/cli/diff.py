"""`orchestrate diff`: two plans held against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

_CHANGES: Final = 10


@click.command(name="diff")
@click.argument("before", metavar="PLAN", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("after", metavar="PLAN", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--format", "style", type=click.Choice(("text", "json")), default="text", help="How to print it.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 10 where they differ.")
def command(*, before: Path, after: Path, style: str, detailed_exitcode: bool) -> int:
    """Show what is different between two plans, of `plan --out` or `plan --format json`."""
    import msgspec

    from orchestrator.cli.saving import read_document
    from orchestrator.plan.differences import compare_plans
    from orchestrator.ui.differences import render_differences
    from orchestrator.ui.text import print_result

    differences = compare_plans(read_document(before), read_document(after))
    if style == "json":
        print_result(msgspec.json.format(msgspec.json.encode(differences), indent=2).decode() + "\n")
    else:
        print_result(render_differences(differences))
    return _CHANGES if detailed_exitcode and differences else 0
