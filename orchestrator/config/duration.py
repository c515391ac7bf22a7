"""Durations as people write them: `90s`, `30m`, `1h30m`."""

from __future__ import annotations

import re
from typing import Final

from orchestrator.config.findings import quote

_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
DURATION_PATTERN: Final = r"(?=.)([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}(\.[0-9]{1,6})?s)?([0-9]{1,9}ms)?"

_DURATION: Final = re.compile(DURATION_PATTERN)
_PART: Final = re.compile(r"([0-9.]+)(ms|[hms])")


def parse_duration(text: str) -> float:
    """The seconds of a duration: hours, minutes, seconds and milliseconds, each at most once and in this order.

    Raises:
        ValueError: it is written in another way, or is nothing at all.
    """
    if not _DURATION.fullmatch(text):
        msg = f"not a duration: {quote(text)}, expected hours, minutes or seconds such as `1h30m` or `90s`"
        raise ValueError(msg)
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    if seconds <= 0:
        msg = f"a duration of nothing: {quote(text)}"
        raise ValueError(msg)
    return seconds
