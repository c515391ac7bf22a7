"""JSON that can stand inside a page: nothing in it can end its element, or begin another one."""

from __future__ import annotations

from typing import Final

import msgspec

_ESCAPES: Final = {
    ord("<"): "\\u003c",
    ord(">"): "\\u003e",
    ord("&"): "\\u0026",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}
"""These stand only inside strings of JSON, where an escape means the same."""

_ENCODER: Final = msgspec.json.Encoder()


def encode_for_page(value: object) -> str:
    """The JSON of a value.

    Raises:
        UnicodeEncodeError: a text in it is no Unicode; `clean_line` and `clean_name` leave none such.
    """
    return _ENCODER.encode(value).decode().translate(_ESCAPES)
