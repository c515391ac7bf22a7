"""What a user may have meant: hints for keys that are unknown and values of a wrong type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from orchestrator.config import schema
from orchestrator.config.close import nearest
from orchestrator.config.credentials import is_credential
from orchestrator.config.findings import quote
from orchestrator.config.keys import render_key
from orchestrator.config.scan import Keys
from orchestrator.config.shapes import element_type, example, fields, members, table_class, value_type

_FEW: Final = 8
_SHORT: Final = 40
_MAX_LEAVES: Final = 100
_HOMES: Final[tuple[tuple[type[msgspec.Struct], str], ...]] = (
    (schema.BuildFile, "at the top of the file, before the first `[table]`"),
    (schema.CommonTable, "in `[images.NAME]` or `[defaults]`"),
    (schema.ImageTable, "in `[images.NAME]`"),
    (schema.ProjectTable, "in `[project]`"),
    (schema.VersionTable, "in `[version]`"),
    (schema.StateTable, "in `[state]`"),
    (schema.PlatformTable, 'in `[platforms."PLATFORM"]`'),
)
_BAKE: Final = {
    "attest": "write `provenance` and `sbom`",
    "attests": "write `provenance` and `sbom`",
    "build-args": "write `args`",
    "call": "there is no such thing here: a plan checks every Dockerfile",
    "depends-on": "write `needs` for order alone; data comes from `contexts` and `FROM`",
    "env": "write `args` for build args, `secrets` for credentials",
    "environment": "write `args` for build args, `secrets` for credentials",
    "extends": "write `inherits`",
    "function": "there are no functions: templates have filters",
    "group": "write `[groups]`",
    "image": "write `tags`, and `repository` for the home",
    "output": "leave it out: `--push`, `--oci` and `--load` say where results go",
    "outputs": "leave it out: `--push`, `--oci` and `--load` say where results go",
    "platform": "write `platforms`, a list",
    "policy": "leave it out: what was resolved at plan time is what is used",
    "secret": "write `secrets`",
    "tag": "write `tags`, a list",
    "target": "write `[images.NAME]`",
    "targets": "write `[images.NAME]`",
    "template": "write `[templates.NAME]`",
    "variable": "write `[vars]`",
    "variables": "write `[vars]`",
}


def what_table(keys: Keys) -> str:
    """How messages call the table under these keys."""
    names = {"images": "image", "templates": "template"}
    if len(keys) == 2 and keys[0] in names:  # noqa: PLR2004 - the table and the name in it
        return f"{names[str(keys[0])]} {quote(str(keys[1]))}"
    return quote(f"[{render_key(keys)}]") if keys else "the file"


def misplaced(key: str, table: type[msgspec.Struct]) -> tuple[str, str, str] | None:
    """Code, message and hint for a key of a whole project in a file that is included."""
    if table is not schema.IncludedFile or key not in fields(schema.BuildFile):
        return None
    message = f"`{key}` belongs to the whole project, not to an included file"
    hint = f"move it to the file whose `include` names this one; here are {_listed(fields(schema.IncludedFile))}"
    return "not-in-included-file", message, hint


def unknown_key_hints(key: str, value: object, table: type[msgspec.Struct], keys: Keys) -> Iterator[str]:
    """At least one hint: the nearest key, the key of another tool, the table where it is at home, or the known keys."""
    known = fields(table)
    written = key.replace("_", "-").lower()
    alias = _BAKE.get(written) if issubclass(table, schema.BuildTable | schema.IncludedFile) else None
    home = next((home for owner, home in _HOMES if key in fields(owner)), None)
    close = nearest(key, known)
    if written in known:
        yield f"did you mean `{written}`?"
    elif alias and (table is schema.BuildFile or written != "target"):
        yield alias
    elif close and home is None:
        yield close
    elif home and table is schema.BuildTable and key in fields(schema.CommonTable):
        yield f"`{key}` is the same for all platforms of an image: move it out of `on`"
    elif home:
        yield f"`{key}` belongs {home}"
    elif isinstance(value, dict) and issubclass(table, schema.BuildTable) and keys:
        yield f"a name has no dots: write `{render_key((*keys[:-1], f'{keys[-1]}-{key}'))}`"
    elif len(known) <= _FEW:
        yield f"known are {_listed(known)}"
    else:
        yield "the reference of `builds.toml` lists all keys"


def _listed(known: Iterable[str]) -> str:
    return ", ".join(f"`{key}`" for key in known)


def nested_names(key: str, value: object, annotation: object) -> list[tuple[tuple[str, ...], str]]:
    """The names that were written with dots and without quotes under one key of a table with free keys, with hints."""
    if not isinstance(value, dict) or value_type(annotation) is not None:
        return []
    table = table_class(annotation)
    known = set(fields(table)) if table else set()
    if not value or not known.isdisjoint(value) or any(nearest(name, known) for name in list(value)[:_FEW]):
        return []
    if table is not None and issubclass(table, schema.BuildTable):
        inner = [name for name, below in value.items() if isinstance(below, dict) and not known.isdisjoint(below)]
        hint = "a name has letters, digits, `-` and `_`, no dots: write `{}`"
        return [((key, name), hint.format(f"{key}-{name}")) for name in inner] if len(inner) == len(value) else []
    if table is not None and len(members(annotation)) == 1:
        return []
    leaves: list[tuple[str, ...]] = []
    _collect(value, (key,), known, leaves)
    return [(leaf, f"quote it: `{render_key(('.'.join(leaf),))} = …`") for leaf in leaves]


def _collect(
    value: Mapping[str, object], path: tuple[str, ...], known: set[str], leaves: list[tuple[str, ...]]
) -> None:
    """The paths of what is no table of free names; the depth is bounded because the hint is for short names."""
    for key, inner in value.items():
        if len(leaves) == _MAX_LEAVES:
            return
        if isinstance(inner, dict) and inner and known.isdisjoint(inner) and len(path) < _FEW:
            _collect(inner, (*path, key), known, leaves)
        else:
            leaves.append((*path, key))


def wrong_type_hints(value: object, annotation: object, keys: Keys) -> Iterator[str]:
    """A hint that writes the value in the type that is wanted, where that can be guessed."""
    key = next((key for key in reversed(keys) if isinstance(key, str)), "")
    special = _special(key, value, keys)
    if special:
        yield special
    elif isinstance(value, str):
        yield from _for_string(value, annotation, key, keys)
    elif isinstance(value, list) and value and isinstance(value[0], dict) and _is_table(annotation):
        name = ("NAME",) if value_type(annotation) is not None else ()
        yield f"write `[{render_key((*keys, *name))}]`, with single brackets"
    elif _takes_text(annotation) and not isinstance(value, dict | list):
        yield "put it in quotes"
    else:
        yield _example_hint(key, annotation, keys)


def _special(key: str, value: object, keys: Keys) -> str | None:
    if key == "platforms" and isinstance(value, dict) and len(keys) > 1:
        names = ", ".join(f'"{name}"' for name in value if "/" in name) or '"linux/amd64"'
        overrides = next((name for name in value if "/" in name), "linux/amd64")
        return f'here `platforms` is a list: `platforms = [{names}]`; what differs by platform is in `on."{overrides}"`'
    if keys == ("platforms",) and isinstance(value, list):
        return "the platforms of images are in `[defaults]` or `[images.NAME]`; here are rules for single platforms"
    if key == "test" and isinstance(value, list | str):
        return 'write `test = { run = ["…"] }`'
    if key == "provenance" and isinstance(value, bool):
        return f'write `provenance = "{"min" if value else "off"}"`'
    if key == "secrets" and isinstance(value, str):
        return 'write `secrets = [{ id = "…", env = "…" }]`'
    return None


def _for_string(value: str, annotation: object, key: str, keys: Keys) -> Iterator[str]:
    written = render_key((key,))
    hidden = is_credential(keys) or len(value) > _SHORT or not value.isprintable()
    if element_type(annotation) is not None:
        parts = '"…"' if hidden else ", ".join(f'"{part.strip()}"' for part in value.split(","))
        yield f"write a list: `{written} = [{parts}]`"
    elif value in {"true", "false"} or value.lstrip("-").isdigit():
        yield "write it without quotes"
    elif value_type(annotation) is not None:
        yield f'write a table: `{written} = {{ NAME = "…" }}`'
    else:
        yield _example_hint(key, annotation, keys)


def _example_hint(key: str, annotation: object, keys: Keys) -> str:
    table = table_class(annotation)
    if table is not None and len(members(annotation)) == 1:
        return f"write a table with {_listed(list(fields(table))[:_FEW])}"
    written = example(annotation)
    return f"write `{written}`" if keys and isinstance(keys[-1], int) else f"write `{render_key((key,))} = {written}`"


def _is_table(annotation: object) -> bool:
    return table_class(annotation) is not None or value_type(annotation) is not None


def _takes_text(annotation: object) -> bool:
    return any(member is str or member == schema.Text for member in members(annotation))
