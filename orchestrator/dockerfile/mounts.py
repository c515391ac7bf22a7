"""The flag `--mount=` of a `RUN` (BuildKit, instructions/commands_runmount.go)."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from typing import Final

MOUNT_FLAG: Final = "--mount="


def read_mount(flag: str) -> Mapping[str, str]:
    """The fields of a mount, a line of CSV, as they are written: keys in lower case, the last of each counts.

    Raises:
        csv.Error: it is no line of CSV.
    """
    fields = next(csv.reader([flag.removeprefix(MOUNT_FLAG)], strict=True), [])
    pairs = (field.partition("=") for field in fields)
    return {key.lower(): value for key, _, value in pairs}
