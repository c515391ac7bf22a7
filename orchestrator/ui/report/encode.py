"""JSON that can stand inside a page: nothing in it can end its element, or begin another one."""

from __future__ import annotations

from typing import Final

import msgspec

_ESCAPES: Final = (
    ("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("\u2028", "\\u2028"), ("\u2029", "\\u2029"),
)  # fmt: skip
"""These stand only inside strings of JSON, where an escape means the same."""

_ENCODER: Final = msgspec.json.Encoder()


def encode_for_page(value: object) -> str:
    """The JSON of a value.

    Raises:
        UnicodeEncodeError: a text in it is no Unicode; `clean_line` and `clean_name` leave none such.
    """
    text = _ENCODER.encode(value).decode()
    for letter, escape in _ESCAPES:  # several times as fast as `translate`
        text = text.replace(letter, escape)
    return text
