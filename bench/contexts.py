"""Contexts of 100,000 files: an unchanged one against `git status`, and one that 200 images share against one image.

`python -m bench.contexts FOLDER IMAGES` is what is measured: a process that lists the context in a folder for so many
images, each of which takes another part of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Final

from bench.measure import Command, Line, Run, as_users_have_it, in_turn, peak
from orchestrator.dockerfile.ignore import parse_ignore
from orchestrator.state.context import Contexts
from orchestrator.state.statcache import MARGIN, open_stat_cache

FILES: Final = 100_000
IMAGES: Final = 200

_PER_FOLDER: Final = 50
_RUNS: Final = 7
_PROJECT: Final = Path(__file__).resolve().parents[1]
_GIT: Final = ("git", "-c", "user.name=bench", "-c", "user.email=bench@example.org", "-c", "commit.gpgsign=false")
_IGNORE: Final = """\
.git
.orchestrate
**/node_modules
**/__pycache__
**/*.py[co]
**/.DS_Store
*.md
!README.md
build/
"""


def compare_contexts(scratch: Path, files: int = FILES) -> list[Line]:
    """Measure both budgets on one tree, which is made in `scratch`; processor time, pair by pair."""
    write_tree(scratch, files)
    environment = {**as_users_have_it(os.environ), "PYTHONPATH": str(_PROJECT)}
    one = Command((sys.executable, "-m", "bench.contexts", str(scratch), "1"), scratch, environment)
    many = Command((sys.executable, "-m", "bench.contexts", str(scratch), str(IMAGES)), scratch, environment)
    git = Command(("git", "status", "--porcelain"), scratch, environment)
    return [
        _compare(f"a context of {files:,} files, nothing changed, against `git status`", *in_turn(one, git, _RUNS), 3),
        _compare(f"{IMAGES} images that share it, against one image", *in_turn(many, one, _RUNS), 2),
    ]


def write_tree(folder: Path, files: int) -> None:
    """A repository in which everything is committed and nothing is younger than what may be remembered."""
    for number in range(0, files, _PER_FOLDER):
        part = folder / _part(number // _PER_FOLDER)
        part.mkdir(parents=True)
        for name in range(min(_PER_FOLDER, files - number)):
            (part / f"module_{name:03d}.py").write_text(f"NUMBER = {number + name}\n" * 10, encoding="utf-8")
    (folder / ".dockerignore").write_text(_IGNORE, encoding="utf-8")
    (folder / ".gitignore").write_text(".orchestrate\n", encoding="utf-8")
    for arguments in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message=all")):
        subprocess.run([*_GIT, *arguments], cwd=folder, check=True)
    time.sleep(2 * MARGIN / 1e9)


def list_for_images(folder: Path, images: int) -> None:
    """What a plan does with a context: the digest of it for the first image, and of a part of it for each other."""
    with open_stat_cache(folder) as cache:
        contexts = Contexts(cache)
        for image in range(images):
            rules = parse_ignore((folder / ".dockerignore").read_text(encoding="utf-8"))
            listing = contexts.read(folder, rules)
            part = _part(image)
            sources = (part, f"{part}/module_00*.py", "README*") if image else (".",)
            sys.stdout.write(f"{listing.only(sources).digest}\n")


def _part(number: int) -> str:
    return f"team-{number % 40:02d}/component-{number // 40:03d}/src"


def _compare(what: str, ours: list[Run], theirs: list[Run], budget: int) -> Line:
    measured = median(one.processor / other.processor for one, other in zip(ours, theirs, strict=True))
    return Line(
        what=what,
        ours=f"{median(run.processor for run in ours):.2f} s, {peak(ours):.0f} MB",
        theirs=f"{median(run.processor for run in theirs):.2f} s, {peak(theirs):.0f} MB",
        ratio=f"{measured:.2f} x",
        budget=f"at most {budget} x",
        kept=measured <= budget,
    )


if __name__ == "__main__":
    list_for_images(Path(sys.argv[1]), int(sys.argv[2]))
