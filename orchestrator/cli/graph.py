"""`orchestrate graph`: which image needs which."""

from __future__ import annotations

import os

import click

from orchestrator.cli.options import make_project_options, project_options, since_option


@click.command(name="graph")
@click.argument("names", nargs=-1, metavar="[IMAGE|GLOB|GROUP]...")
@project_options
@since_option
@click.option(
    "--format",
    "style",
    type=click.Choice(("text", "mermaid", "dot", "json")),
    default="text",
    help="How to print it.",
)
def command(*, names: tuple[str, ...], style: str, since: str | None, **values: object) -> None:
    """Show which image needs which, and why."""
    from orchestrator.cli.prepare import Preparation
    from orchestrator.cli.since import Question, find_since
    from orchestrator.config.select import select
    from orchestrator.errors import UsageError
    from orchestrator.plan.graph import ancestors
    from orchestrator.ui.graph import RENDERERS, picture
    from orchestrator.ui.since import render_since
    from orchestrator.ui.text import print_note, print_result

    options = make_project_options(values)
    preparation = Preparation(options, os.environ)
    loaded = preparation.load()
    known = tuple(image.name for image in loaded.expansion.images)
    asked = names or ("*",)
    selection, found = select(asked, known, loaded.expansion.families, loaded.project.groups)
    if found:
        raise UsageError(found[0].message, hints=found[0].hints)
    if since is not None:
        question = Question(loaded=loaded, options=options, environment=os.environ, asks_registries=False)
        affected = find_since(question, since, preparation.findings)
        print_note("\n".join(render_since(affected)))
        selection = tuple(name for name in selection if name in affected.names)
    wanted = ancestors(selection, loaded.declared.order)
    print_result(RENDERERS[style](picture(loaded.declared, wanted, preparation.findings.texts)))
    if preparation.findings.all:
        print_note("\n" + preparation.findings.render())
