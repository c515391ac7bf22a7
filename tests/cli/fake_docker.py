"""An executable called `docker` that replays recorded output and writes down what it was called with."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

DATA = Path(__file__).parents[1] / "unit" / "buildkit" / "data"
_ANSWERS = {
    "version --format=json": "version.json",
    "info --format=json": "info.json",
    "buildx version": "buildx-version.txt",
    "buildx ls --format=json": "ls.json",
    "buildx inspect default": "inspect-default.txt",
}


class FakeDocker:
    """Puts a `docker` into a folder; `answer` changes what one command says, `calls` tells what was asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "calls"
        self.path = f"{folder / 'bin'}:{os.environ['PATH']}"
        (folder / "bin").mkdir()
        (folder / "answers").mkdir()
        for command, name in _ANSWERS.items():
            self.answer(command, (DATA / name).read_text())
        script = folder / "bin" / "docker"
        script.write_text(
            "#!/bin/sh\n"
            f"cd {shlex.quote(str(folder))}\n"
            'echo "$*" >> calls\n'
            'name=$(echo "$*" | tr / _)\n'
            '[ -e "answers/$name.after" ] && [ -e fixed ] && name="$name.after"\n'
            'case "$*" in "buildx create"*) touch fixed ;; esac\n'
            '[ -e "answers/$name.err" ] && { cat "answers/$name.err" >&2; exit 1; }\n'
            '[ -e "answers/$name" ] && exec cat "answers/$name"\n'
            "exit 0\n"
        )
        script.chmod(0o755)

    def answer(self, command: str, output: str) -> None:
        """Let a command print this."""
        (self._folder / "answers" / command.replace("/", "_")).write_text(output)

    def answer_after_create(self, command: str, output: str) -> None:
        """Let a command print this once a builder was created."""
        self.answer(f"{command}.after", output)

    def fail(self, command: str, message: str) -> None:
        """Let a command fail with this message."""
        self.answer(f"{command}.err", message)

    def remove(self) -> None:
        """Take docker away; the real one is no way back."""
        shutil.rmtree(self._folder / "bin")
        self.path = "/nonexistent"

    @property
    def calls(self) -> list[str]:
        """The arguments of every call so far."""
        return self._log.read_text().splitlines() if self._log.exists() else []
