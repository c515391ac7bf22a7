"""`orchestrate export`: the project for other programs."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from orchestrator.cli.options import make_project_options, project_options


@click.group(name="export")
def command() -> None:
    """Write the project for other programs."""


@command.command(name="bake")
@click.argument("names", nargs=-1, metavar="[IMAGE|GLOB|GROUP]...")
@project_options
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Write it there, with `-` to stdout; docker-bake.json beside the root builds.toml unless said.",
)
def bake(*, names: tuple[str, ...], out: Path | None, **values: object) -> None:
    """Write a docker-bake.json that builds the same images, and what they need, without orchestrate.

    Asks nobody: no engine, no registry. External images are those of builds.lock. Everything is in the file as it is
    now, versions and tags too; secrets are named in it.
    """
    from orchestrator.cli.bakefile import make_bakefile, write_bakefile
    from orchestrator.cli.prepare import Preparation
    from orchestrator.ui.text import count, print_note, print_result

    preparation = Preparation(make_project_options(values), os.environ)
    loaded = preparation.load()
    made = make_bakefile(loaded, names, preparation.findings)
    if preparation.findings.all:
        print_note(preparation.findings.render())
    if out is not None and str(out) == "-":
        print_result(made.text)
        return
    path = loaded.root / "docker-bake.json" if out is None else out
    write_bakefile(path, made.text)
    shown = os.path.relpath(path, loaded.root)
    from_here = "" if Path.cwd() == loaded.root else f"cd {shlex.quote(str(loaded.root))} && "
    print_note(f"{path if out else shown}: {count(len(made.targets), 'target')}")
    print_note(f"build it with `{from_here}docker buildx bake --file {shlex.quote(shown)}`")
