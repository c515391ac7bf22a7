"""`orchestrate schema`: the JSON Schema of `builds.toml`, with the tables of all backends, or of plans."""

from __future__ import annotations

import json

import click


@click.command(name="schema")
@click.argument("what", type=click.Choice(("builds", "plan")), default="builds")
def command(*, what: str) -> None:
    """Print the JSON Schema of builds.toml, for editors, or of `plan --format json`."""
    from orchestrator.config.jsonschema import build_schema
    from orchestrator.plan.document import plan_schema
    from orchestrator.plugins import find_backends
    from orchestrator.ui.text import print_result

    if what == "plan":
        schema = plan_schema()
    else:
        schema = build_schema({name: spec.config for name, spec in find_backends().specs.items()})
    print_result(json.dumps(schema, indent=2) + "\n")
