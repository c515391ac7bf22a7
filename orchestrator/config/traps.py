"""What people write into TOML that is not TOML: the syntax of other formats, and keys that need quotes."""

from __future__ import annotations

import re
from typing import Final

_BLOCK: Final = re.compile(r"""\s*(target|group|variable|function)\s*"?([^"{]*?)"?\s*\{""")
_CONFLICT: Final = re.compile(r"(?:<{7}|={7}|>{7}|\|{7})(?:\s|$)")
_HEADER: Final = re.compile(r"\s*(\[{1,2})([^\[\]#]+)(\]{1,2})")
_KEY_VALUE: Final = re.compile(r"""\s*((?:[^="'#]|"[^"]*"|'[^']*')+?)\s*=""")
_YAML: Final = re.compile(r"""\s*(?:- )?("?)([A-Za-z0-9_-]+)\1\s*:(?:\s|$)""")
_PART: Final = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'[^']*'|[^\s."'][^."']*)\s*(?:\.|$)""")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+\Z")
_WORD: Final = re.compile(r"[A-Za-z_][^\s,\]}#]*")
_BLOCKS: Final = {"target": "[images.NAME]", "group": "[groups]", "variable": "[vars]", "function": "[vars]"}
_WORDS: Final = {"true": "true", "yes": "true", "on": "true", "false": "false", "no": "false", "off": "false"}
_LONGEST: Final = 400  # more is not needed to see what a line is
_SMART_QUOTES: Final = "\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb"


def line_hints(line: str, stop: int) -> tuple[str, ...]:
    """What may help with a line that is not TOML; `stop` is where in it the parser gave up."""
    line, rest = line[:_LONGEST].replace("\ufeff", " "), line[stop : stop + _LONGEST]
    for recognise in (_other_formats, _unquoted_header, _unquoted_key):
        hint = recognise(line)
        if hint:
            return (hint,)
    return _value_hints(rest)


def missing_value_hints(line: str) -> tuple[str, ...]:
    """What may help where nothing stands behind `=`."""
    match = _KEY_VALUE.match(line[:_LONGEST])
    key = match.group(1).strip() if match else "key"
    return (f'write `{key} = "…"`, or remove the line',)


def _other_formats(line: str) -> str | None:
    block = _BLOCK.match(line)
    if block:
        return f"this is bake's HCL: write `{_BLOCKS[block.group(1)]}` and `key = value` lines below it"
    if _CONFLICT.match(line):
        return "this is a mark of a merge conflict: resolve it"
    if line.lstrip().startswith(("//", "/*", "--")):
        return "a comment starts with `#`"
    if line.strip() in {"{", "}", "},", "{,"}:
        return "braces of HCL or JSON have no place here: a table starts with `[name]` and ends at the next one"
    yaml = _YAML.match(line)
    if yaml and "=" not in line.split(":", 1)[0]:
        return f"this is YAML or JSON: write `{yaml.group(2)} = …`"
    return None


def _unquoted_header(line: str) -> str | None:
    match = _HEADER.match(line)
    if not match:
        return None
    quoted = quote_parts(match.group(2))
    if quoted is None:
        return None
    return f"quote the part that is not letters, digits, `-` and `_`: `{match.group(1)}{quoted}{match.group(3)}`"


def _unquoted_key(line: str) -> str | None:
    match = _KEY_VALUE.match(line)
    quoted = quote_parts(match.group(1)) if match else None
    if quoted is None:
        return None
    return f"quote the part that is not letters, digits, `-` and `_`: `{quoted} = …`"


def quote_parts(key: str) -> str | None:
    """A dotted key with quotes around what needs them; None where nothing does, or where it is no key at all."""
    parts: list[str] = []
    position = 0
    while position < len(key):
        match = _PART.match(key, position)
        if match is None or match.end() == position:
            return None
        part = match.group(1).strip()
        parts.append(part if _BARE.match(part) or part[0] in "\"'" else f'"{part}"')
        position = match.end()
    written = ".".join(parts)
    return written if written != ".".join(part.strip() for part in key.split(".")) else None


def _value_hints(rest: str) -> tuple[str, ...]:
    if rest[:1] in _SMART_QUOTES and rest:
        return ('use straight quotes: `"…"`',)
    word = _WORD.match(rest)
    if word is None:
        return ()
    meant = _WORDS.get(word.group().lower())
    if meant:
        return (f"write `{meant}`, in lower case and without quotes",)
    if word.group().lower() in {"null", "none", "nil"}:
        return ("TOML has no null: remove the line, or name the key in `unset`",)
    return ("a string needs quotes around it",)
