"""Writes the pages of the reference that are made from the code: `python docs/generate.py`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Final

import click
import msgspec

from docs.event_examples import EXAMPLES
from orchestrator.api.events import StepState
from orchestrator.cli import COMMANDS, cli
from orchestrator.config.reference import reference
from orchestrator.model import Table
from orchestrator.plugins import find_backends
from orchestrator.ui.jsonl import FORMAT

FOLDER: Final = Path(__file__).parent / "reference"
BACKENDS: Final = ("qemu", "native", "bake")
"""Those that ship; a plugin that happens to be installed is not part of the reference."""

_COMMAND_LINE: Final = """\
# Command line

Made from the commands. Results go to stdout, everything else to stderr. `NO_COLOR` is respected; meaning never depends
on colour. All commands end with the same [exit codes](exit-codes.md)."""

_EVENTS: Final = f"""\
# Events

Made from the code. With `--progress=json` every line of stderr is one JSON object in UTF-8, with its kind in `type`.
This is format {FORMAT}. The first number goes up when a reader of the last format would misunderstand a line, the
second when something is added: leave out kinds and keys that you do not know.

The first line of a run is `events`, the last one `error` where the command fails. Without a run there are only `note`
and `error`; what is wrong with the command line itself may be text. The result goes to stdout as ever.

All keys stand in every line. Times are seconds since the epoch. Text of others, such as what builds print, is as it
came, control sequences included; what is not Unicode is escaped as `\\xff`."""


def generated_pages() -> Mapping[Path, str]:
    """The text of every page that is made from the code."""
    specs = find_backends().specs
    return {
        FOLDER / "builds-toml.md": _builds_toml({name: specs[name].config for name in BACKENDS}),
        FOLDER / "command-line.md": "\n".join(_command_line()) + "\n",
        FOLDER / "events.md": "\n".join(_events()) + "\n",
    }


def _builds_toml(tables: Mapping[str, type[Table]]) -> str:
    return reference(tables).rstrip("\n") + "\n"


def _command_line() -> Iterator[str]:
    yield _COMMAND_LINE
    for name in COMMANDS:
        command: click.Command = import_module(f"orchestrator.cli.{name}").command
        yield from _command(
            command, click.Context(command, info_name=name, parent=click.Context(cli, **cli.context_settings))
        )


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    path = f"orchestrate {context.command_path}".strip()
    yield f"\n## `{path}`\n" if path.count(" ") == 1 else f"\n### `{path}`\n"
    pieces = [piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]"]
    yield f"```text\n{' '.join((path, '[OPTIONS]', *pieces))}\n```\n"
    yield inspect.cleandoc(command.help or "")
    options = [option for option in command.params if isinstance(option, click.Option)]
    if options:
        yield "\n| option | meaning |\n|---|---|"
        yield from (_row(option, context) for option in options)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                yield from _command(inner, click.Context(inner, info_name=name, parent=context))


def _row(option: click.Option, context: click.Context) -> str:
    words = ", ".join(option.opts)
    if not option.is_flag:
        words += f" {option.make_metavar(context)}"
    more = [f"`{option.envvar}` sets it too."] if option.envvar else []
    if option.show_default and option.default not in {None, False}:
        more.append(f"`{option.default}` unless said.")
    cells = (f"`{words}`", " ".join((option.help or "", *more)))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _events() -> Iterator[str]:
    yield _EVENTS
    inner: dict[str, Mapping[str, Mapping[str, Mapping[str, object]]]] = {}
    for example in EXAMPLES:
        _, definitions = msgspec.json.schema_components((type(example),), ref_template="{name}")
        yield f"\n## `{type(example).__struct_config__.tag}`\n"
        yield _prose(type(example)) + "\n"
        text = msgspec.json.format(msgspec.json.encode(example), indent=2).decode()
        yield f"```json\n{text}\n```\n"
        yield from _fields(definitions[type(example).__name__])
        inner |= {name: definition for name, definition in definitions.items() if name != type(example).__name__}
    yield "\n## Values within"
    for name, definition in inner.items():
        if "properties" in definition:
            yield f"\n### {name}\n"
            yield from _fields(definition)


def _prose(model: type) -> str:
    """The docstring without its section on arguments, which are the rows of the table."""
    return inspect.cleandoc(model.__doc__ or "").split("\n\nArgs:")[0]


def _fields(definition: Mapping[str, Mapping[str, Mapping[str, object]]]) -> Iterator[str]:
    yield "| key | is |\n|---|---|"
    yield from (f"| `{name}` | {_shape(shape)} |" for name, shape in definition["properties"].items() if name != "type")


def _shape(shape: Mapping[str, object]) -> str:
    match shape:
        case {"anyOf": list(shapes)}:
            return " or ".join(_shape(one) for one in shapes)
        case {"$ref": "StepState"}:
            return ", ".join(f'`"{state.value}"`' for state in StepState)
        case {"$ref": str(name)}:
            return f"`{name}`"
        case {"type": "array", "items": dict(items)}:
            return f"array of {_shape(items)}"
        case {"enum": list(values)}:
            return ", ".join(f'`"{value}"`' for value in values)
        case {"type": str(name)}:
            return name
        case _:
            return "anything"


def main() -> None:
    """Write all pages."""
    for path, text in generated_pages().items():
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
