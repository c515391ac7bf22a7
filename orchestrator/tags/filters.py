"""The filters and tests of templates: the only functions there are; none can be slow, large or random."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Final

from orchestrator.tags.errors import TemplateError
from orchestrator.tags.record import Record
from orchestrator.tags.semver import SemVer, find_semver

MAX_RESULT: Final = 1024
MAX_SLUG: Final = 63
MAX_DIGITS: Final = 18

_HASH_LENGTH: Final = 8
_ILLEGAL: Final = re.compile(r"[^a-z0-9]+")
_DATE_DIRECTIVE: Final = re.compile(r"%(.?)", re.DOTALL)
_DATE: Final[Mapping[str, Callable[[datetime], str]]] = {
    "Y": lambda moment: f"{moment.year:04}",
    "y": lambda moment: f"{moment.year % 100:02}",
    "m": lambda moment: f"{moment.month:02}",
    "d": lambda moment: f"{moment.day:02}",
    "H": lambda moment: f"{moment.hour:02}",
    "M": lambda moment: f"{moment.minute:02}",
    "S": lambda moment: f"{moment.second:02}",
    "j": lambda moment: f"{moment.timetuple().tm_yday:03}",
    "G": lambda moment: f"{moment.isocalendar().year:04}",
    "V": lambda moment: f"{moment.isocalendar().week:02}",
    "u": lambda moment: str(moment.isoweekday()),
    "s": lambda moment: str(int(moment.timestamp())),
    "%": lambda _: "%",
}


def print_value(value: object) -> str:
    """A value as text: Booleans as in TOML, times as in RFC 3339.

    Raises:
        TemplateError: it has no text, is longer than `MAX_RESULT`, or is a number beyond all bounds.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | Record):
        return _bounded(str(value))
    if isinstance(value, int):
        return str(_whole(value))
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, list | tuple):
        message = "a list is no text"
        raise TemplateError(
            message, hints=('put its items together, as with `| join("-")`, or take one with `| first`',)
        )
    return _no_text(value)


def _no_text(value: object) -> str:
    text = str(value)  # an absent value raises its reason here
    message = f"`{text[:40]}` is no text"
    raise TemplateError(message, hints=("write a value, or the name of one",))


def slug(value: object) -> str:
    """A text as part of a tag: lower case, every run of characters other than a-z and 0-9 one `-`, none at the ends.

    A result of more than 63 characters is cut, and ends in eight digits of the text's sha256 instead: two long branch
    names never get one slug. Short names that differ only in what is replaced, `a/b` and `a-b`, do.
    """
    text = print_value(value)
    result = _ILLEGAL.sub("-", text.lower()).strip("-")
    if not result:
        message = f"the slug of `{text[:80]}` is empty"
        raise TemplateError(
            message, hints=("give a text with letters from a to z or digits, or another with `default`",)
        )
    if len(result) <= MAX_SLUG:
        return result
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
    return f"{result[: MAX_SLUG - _HASH_LENGTH - 1].rstrip('-')}-{digest}"


def date(value: object, template: object = "%Y-%m-%d") -> str:
    """A time in UTC, as `strftime` writes it; no names of days and months, which depend on the language."""
    if not isinstance(value, datetime):
        message = f"`date` takes a time, not `{print_value(value)[:40]}`"
        raise TemplateError(message, hints=('use `now | date("%Y%m%d")` or `git.commit_time | date("%Y%m%d")`',))
    moment = value.astimezone(UTC)

    def directive(match: re.Match[str]) -> str:
        write = _DATE.get(match[1])
        if write is None:
            message = f"`date` does not know `{match[0]}`"
            raise TemplateError(message, hints=(f"it knows {' '.join(f'%{name}' for name in _DATE)}",))
        return write(moment)

    return _bounded(_DATE_DIRECTIVE.sub(directive, print_value(template)))


def lower(value: object) -> str:
    """A text in lower case."""
    return _bounded(print_value(value).lower())


def upper(value: object) -> str:
    """A text in upper case."""
    return _bounded(print_value(value).upper())


def replace(value: object, old: object, new: object) -> str:
    """A text with every `old` replaced by `new`."""
    text, before, after = print_value(value), print_value(old), print_value(new)
    if not before:
        message = "`replace` needs a text to replace, not an empty one"
        raise TemplateError(message, hints=('write `| replace("old", "new")`',))
    if len(text) + text.count(before) * (len(after) - len(before)) > MAX_RESULT:
        raise _too_long()
    return text.replace(before, after)


def trim(value: object) -> str:
    """A text without white space at its ends."""
    return print_value(value).strip()


def truncate(value: object, length: object) -> str:
    """The first `length` characters of a text."""
    return print_value(value)[: _size(length, "truncate")]


def short(value: object, length: object = 12) -> str:
    """The first characters of a sha, 12 unless said."""
    return print_value(value)[: _size(length, "short")]


def major(value: object) -> int:
    """The first number of a semantic version."""
    return _semver(value, "major").major


def minor(value: object) -> int:
    """The second number of a semantic version."""
    return _semver(value, "minor").minor


def patch(value: object) -> int:
    """The third number of a semantic version."""
    return _semver(value, "patch").patch


def prerelease(value: object) -> str:
    """What follows `-` in a semantic version."""
    return _semver(value, "prerelease").prerelease


def join(value: object, separator: object = "") -> str:
    """The items of a list, put together."""
    parts = [print_value(item) for item in _items(value, "join")]
    between = print_value(separator)
    if sum(map(len, parts)) + len(between) * max(0, len(parts) - 1) > MAX_RESULT:
        raise _too_long()
    return between.join(parts)


def split(value: object, separator: object) -> list[str]:
    """The parts of a text between separators."""
    between = print_value(separator)
    if not between:
        message = "`split` needs a separator, not an empty text"
        raise TemplateError(message, hints=('write `| split("-")`',))
    return print_value(value).split(between)


def first(value: object) -> object:
    """The first item of a list."""
    return _items(value, "first")[0]


def last(value: object) -> object:
    """The last item of a list."""
    return _items(value, "last")[-1]


def as_int(value: object) -> int:
    """A whole number from a text."""
    text = print_value(value).strip()
    if (
        not text.lstrip("+-").isdecimal()
        or not text.isascii()
        or len(text) > MAX_DIGITS
        or text[1:].strip("0123456789")
    ):
        message = f"`{text[:40]}` is no whole number"
        raise TemplateError(message, hints=(f"`int` takes at most {MAX_DIGITS} digits",))
    return int(text)


def startingwith(value: object, start: object) -> bool:
    """Whether a text starts with another."""
    return print_value(value).startswith(print_value(start))


def endingwith(value: object, end: object) -> bool:
    """Whether a text ends with another."""
    return print_value(value).endswith(print_value(end))


def containing(value: object, part: object) -> bool:
    """Whether a text has another in it, or a list an item."""
    if isinstance(value, list | tuple):
        return print_value(part) in [print_value(item) for item in value]
    return print_value(part) in print_value(value)


def matching(value: object, glob: object) -> bool:
    """Whether a text matches a glob with `*`, `?` and `[…]`, upper and lower case told apart."""
    return fnmatchcase(print_value(value), print_value(glob))


def is_semver(value: object) -> bool:
    """Whether a text is a semantic version."""
    return find_semver(print_value(value)) is not None


def _bounded(text: str) -> str:
    if len(text) > MAX_RESULT:
        raise _too_long()
    return text


def _too_long() -> TemplateError:
    message = f"the result is longer than {MAX_RESULT} characters"
    return TemplateError(message, hints=('write a long text as it is, with `{ raw = "…" }`',))


def _whole(value: int) -> int:
    if abs(value) >= 10**MAX_DIGITS:
        message = f"a number has more than {MAX_DIGITS} digits"
        raise TemplateError(message, hints=("numbers in templates are for versions and counters",))
    return value


def _size(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_RESULT:
        message = f"`{name}` takes a number of characters from 1 to {MAX_RESULT}"
        raise TemplateError(message, hints=(f"write `| {name}(12)`",))
    return value


def _semver(value: object, name: str) -> SemVer:
    text = print_value(value)
    semver = find_semver(text)
    if semver is None:
        message = f"`{name}` takes a semantic version, not `{text[:80]}`"
        raise TemplateError(message, hints=("check with `is semver`, or remove what stands before it with `replace`",))
    return semver


def _items(value: object, name: str) -> list[object]:
    if not isinstance(value, list | tuple):
        message = f"`{name}` takes a list, not `{print_value(value)[:40]}`"
        raise TemplateError(message, hints=(f'make a list first, as with `| split("-") | {name}`',))
    if not value:
        message = f"`{name}` takes a list with items, this one is empty"
        raise TemplateError(message, hints=("give another value",))
    return list(value)


FILTERS: Final[Mapping[str, object]] = {
    "slug": slug,
    "date": date,
    "lower": lower,
    "upper": upper,
    "replace": replace,
    "trim": trim,
    "truncate": truncate,
    "short": short,
    "major": major,
    "minor": minor,
    "patch": patch,
    "prerelease": prerelease,
    "join": join,
    "split": split,
    "first": first,
    "last": last,
    "int": as_int,
    "string": print_value,
}
TESTS: Final[Mapping[str, object]] = {
    "startingwith": startingwith,
    "endingwith": endingwith,
    "containing": containing,
    "matching": matching,
    "semver": is_semver,
}
