"""The first line of a script, read as the kernel reads it (fs/binfmt_script.c)."""

from __future__ import annotations

from orchestrator.model import Model
from orchestrator.oci.elf import PREFIX_BYTES


class Script(Model):
    """A file that starts with `#!`: what runs it, and the one argument that it is given."""

    interpreter: str
    argument: str = ""


def read_script(prefix: bytes) -> Script | None:
    """The `#!` line at the start of a file, or None where there is none. Never raises, whatever the bytes."""
    if not prefix.startswith(b"#!"):
        return None
    line, line_feed, _ = prefix[2:PREFIX_BYTES].partition(b"\n")
    words = line.partition(b"\0")[0].strip(b" \t").split(None, 1)
    if not words or (not line_feed and len(words) == 1 and len(prefix) >= PREFIX_BYTES):
        return None
    interpreter, *argument = (word.decode("utf-8", "surrogateescape").strip(" \t") for word in words)
    return Script(interpreter=interpreter, argument="".join(argument))
