"""Edits of `builds.toml` that leave every comment and every blank line where it stands; with tomlkit, which is slow."""

from __future__ import annotations

from collections.abc import MutableMapping


def set_value(text: str, keys: tuple[str, ...], value: str) -> str:
    """The text with `value` at a dotted key; tables on the way are made where they are missing, lines end as they did.

    Raises:
        ValueError: the text is no TOML, or a key on the way holds something that is no table.
    """
    import tomlkit  # noqa: PLC0415 (30 ms, for the commands that edit)
    from tomlkit.exceptions import TOMLKitError  # noqa: PLC0415 (as above)
    from tomlkit.items import InlineTable  # noqa: PLC0415 (as above)

    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        message = f"it cannot be edited: {error}"
        raise ValueError(message) from error
    table: MutableMapping[str, object] = document
    for position, key in enumerate(keys[:-1]):
        if key not in table:
            # a table on the way that holds tables alone needs no header of its own
            outer = tomlkit.table(is_super_table=position < len(keys) - 2)
            table[key] = tomlkit.inline_table() if isinstance(table, InlineTable) else outer
        inner = table[key]
        if not isinstance(inner, MutableMapping):
            message = f"`{'.'.join(keys[: position + 1])}` is no table"
            raise ValueError(message)  # noqa: TRY004 (of the text, not of an argument)
        table = inner
    table[keys[-1]] = value
    edited = tomlkit.dumps(document)
    every_line = "\n" in text and text.count("\n") == text.count("\r\n")
    return edited.replace("\r\n", "\n").replace("\n", "\r\n") if every_line else edited
