"""The commands, one module each, loaded when called."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

COMMANDS: Final = {
    "plan": "Say what would be built, where, why, and what would become public.",
    "why": "Say why an image is built, or not: what it is made from now, against last time.",
    "build": "Build, verify and publish: all images or none.",
    "apply": "Do what a saved plan says, here or in parts, or say what has changed.",
    "diff": "Show what is different between two plans.",
    "promote": "Put the tags of what `build --stage` left under private names.",
    "report": "Show the last run as one HTML file: graph, timeline, logs.",
    "lock": "Pin the external images that builds take to digests, in builds.lock.",
    "prune": "Delete old state from registries: private names that nothing needs.",
    "graph": "Show which image needs which.",
    "export": "Write the project for other programs: a docker-bake.json.",
    "verify": "Check images in registries or OCI layouts.",
    "doctor": "Look at Docker, builders, emulators, registries and say what to do.",
    "builders": "List, create, inspect and remove buildx builders.",
    "schema": "Print the JSON Schema of builds.toml or of plans.",
}


class _LazyGroup(click.Group):
    """Knows all commands by name and help; imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"orchestrator.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="orchestrate-builds", prog_name="orchestrate")
def cli() -> None:
    """Plan, build, verify and publish many multi-platform container images: all of them or none."""
