"""What is different between two plans, as text: by what it is about, with `-` for the first and `+` for the second."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from orchestrator.plan.differences import Difference
from orchestrator.ui.text import count, printable


def render_differences(differences: tuple[Difference, ...]) -> str:
    """All differences, and how many subjects they are about."""
    if not differences:
        return "the plans say the same\n"
    groups = [(subject, list(several)) for subject, several in groupby(differences, key=lambda each: each.subject)]
    blocks = ["\n".join((printable(subject), *_lines(several))) for subject, several in groups]
    return "\n\n".join((*blocks, f"{count(len(groups), 'difference')}\n"))


def _lines(differences: list[Difference]) -> Iterator[str]:
    for difference in differences:
        before = [line for line in difference.before if line not in difference.after]
        after = [line for line in difference.after if line not in difference.before]
        if not before and not after:
            yield f"  ~ {difference.attribute}: the same in another order"
        yield from (f"  - {difference.attribute}: {printable(line)}" for line in before)
        yield from (f"  + {difference.attribute}: {printable(line)}" for line in after)
