"""Does what a page says, in a folder of its own, and holds what is printed against what the page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from tests.docs.blocks import ROOT, Block, Command, File, Fragment, Hidden

REGISTRY: Final = "127.0.0.1:5000"
"""How pages call the registry; the lab's has a port of its own."""

_MARK: Final = "@@ended"
_ANY_LINES: Final = "..."
_ANY_TEXT: Final = "\N{HORIZONTAL ELLIPSIS}"
_SAME: Final = (
    (re.compile(r"sha256:[0-9a-f]{64}"), "sha256:DIGEST"),
    (re.compile(r"\brun-[0-9a-f]{16}-([\w-]+)-[0-9a-f]{8}\b"), r"run-ID-\1"),
    (re.compile(r"\b(?:[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{16}|[0-9a-f]{12})\b"), "HEX"),
    (re.compile(r"\b127\.0\.0\.1:[0-9]+"), "REGISTRY"),
    (re.compile(r"\b[0-9]+(?:\.[0-9]+)?s\b"), "TIME"),
    (re.compile(r"^(ok +(?:docker|buildx|git|disk) +)[0-9][^ ,]*"), r"\1NUMBER"),
    (re.compile(r"^result: .*(?=\.orchestrate/)"), "result: "),  # relative on a terminal
    (re.compile(r"(?:, linux/amd64/v[0-9])+"), ""),
    (re.compile(r"[ \t]+"), " "),
)


class Ran(NamedTuple):
    """What became of one command."""

    command: Command
    code: int
    lines: tuple[str, ...]


def run_page(blocks: tuple[Block, ...], folder: Path, environment: Mapping[str, str], host: str) -> tuple[Ran, ...]:
    """Write the files and run the commands of a page, in its order, in one shell; `host` is the registry."""
    script = "\n".join(_lines(block, host) for block in blocks)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    commands = [block for block in blocks if isinstance(block, Command)]
    *printed, rest = re.split(rf"\n?{_MARK} ([0-9]+)\n", done.stdout)
    assert len(commands) == len(printed) // 2, f"the shell ended early:\n{done.stdout}"
    assert rest == ""
    return tuple(
        Ran(command, int(code), tuple(_here(text, folder).splitlines()))
        for command, text, code in zip(commands, printed[::2], printed[1::2], strict=True)
    )


def environment_of_reader(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a reader's shell has: the command on the PATH, a name in git, and nothing of this project's."""
    base = dict(os.environ if more is None else more)
    kept = {name: value for name, value in base.items() if not name.startswith(("ORCHESTRATE_", "GIT_", "GITHUB_"))}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{base.get('PATH', os.defpath)}",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_NAME": "Reader",
        "GIT_AUTHOR_EMAIL": "reader@example.org",
        "GIT_COMMITTER_NAME": "Reader",
        "GIT_COMMITTER_EMAIL": "reader@example.org",
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "80",
        "EXAMPLES": str(ROOT / "examples"),
    }


def matches(shown: tuple[str, ...], printed: tuple[str, ...]) -> bool:
    """Whether the shown lines are the printed ones, digests and times aside.

    A line `...` stands for lines that are left out, an ellipsis in a line for text that is.
    """
    pattern = _joined(shown, lambda line: "(?:.*\n)*?" if line == _ANY_LINES else _line_pattern(line))
    return re.fullmatch(pattern, _joined(printed, lambda line: _same(line) + "\n")) is not None


def _line_pattern(line: str) -> str:
    return ".*".join(map(re.escape, _same(line).split(_ANY_TEXT))) + "\n"


def _joined(lines: tuple[str, ...], render: Callable[[str], str]) -> str:
    return "".join(render(line) for line in lines if line.strip())


def _same(line: str) -> str:
    for pattern, replacement in _SAME:
        line = pattern.sub(replacement, line)
    return line.rstrip()


def _lines(block: Block, host: str) -> str:
    match block:
        case File(path=path, text=text):
            name = f"'{path}'"
            return f"mkdir -p \"$(dirname {name})\" && cat > {name} <<'@@file'\n{text.replace(REGISTRY, host)}@@file"
        case Hidden(text=text):
            return text.replace(REGISTRY, host)
        case Command(text=text):
            # the exit code is the next command's `$?`
            return f"{{ {text.replace(REGISTRY, host)}\n}} 2>&1; code=$?; printf '\\n{_MARK} %d\\n' $code; (exit $code)"
        case Fragment():
            return ":"


def _here(text: str, folder: Path) -> str:
    return text.replace(f"{os.path.realpath(folder)}/", "")
