"""A repository of a user, and the commands that the user types in it: real processes, nothing in ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from orchestrator.plan.document import PlanDocument
from orchestrator.state.summary import ImageResult, RunResult, parse_result

MARK = "ORCHESTRATE_TEST_MARK"
"""An environment variable by which every process that a test started can be found again."""

_GIT = ("git", "-c", "user.name=Tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false")
_PATIENCE = 180  # seconds; only what would never end takes that long


@dataclass(frozen=True)
class Ran:
    """A command that ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        """All that it printed."""
        return self.stdout + self.stderr


@contextmanager
def _heeded_signals() -> Iterator[None]:
    """Children start with the signals of a terminal, though whoever runs the tests may have some ignored (nohup)."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGHUP, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Workspace:
    """A git repository with a `builds.toml`."""

    def __init__(self, folder: Path, environ: Mapping[str, str], *, registry: str, options: tuple[str, ...]) -> None:
        self.folder = folder
        self.environ = dict(environ)
        self.registry = registry
        self._options = options
        (folder / "tmp").mkdir(parents=True)
        self.root = folder / "repository"
        self.root.mkdir()

    def write(self, files: Mapping[str, str]) -> None:
        """Write files of the repository."""
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def commit(self, *tags: str) -> None:
        """Commit everything, in a new repository where there is none, and tag it."""
        if not (self.root / ".git").exists():
            self.git("init", "--quiet", "--initial-branch=main")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=work")
        for tag in tags:
            self.git("tag", "--force", tag)

    def git(self, *arguments: str) -> str:
        """Run git here."""
        done = subprocess.run([*_GIT, *arguments], cwd=self.root, env=self.environ, capture_output=True, check=True)
        return done.stdout.decode().strip()

    def command(self, *arguments: str) -> list[str]:
        """The argv of `orchestrate`."""
        options = self._options if arguments[0] in {"plan", "build", "promote"} else ()
        return [sys.executable, "-m", "orchestrator", *arguments, *options]

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        """Start `orchestrate` in a session of its own."""
        with _heeded_signals():
            return subprocess.Popen(
                self.command(*arguments),
                cwd=self.root,
                env={**self.environ, "TMPDIR": str(self.folder / "tmp"), **environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )

    def run(self, *arguments: str, **environ: str) -> Ran:
        """Run `orchestrate` to its end."""
        with self.start(*arguments, **environ) as process:
            try:
                stdout, stderr = process.communicate(timeout=_PATIENCE)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return Ran(exit_code=process.returncode, stdout=stdout, stderr=stderr)

    def succeed(self, *arguments: str, **environ: str) -> Ran:
        """Run `orchestrate`, which has to end with 0."""
        ran = self.run(*arguments, **environ)
        assert ran.exit_code == 0, f"orchestrate {' '.join(arguments)}: {ran.exit_code}\n{ran.output}"
        return ran

    def plan(self, *arguments: str) -> PlanDocument:
        """What `orchestrate plan --format=json` says."""
        return msgspec.json.decode(self.run("plan", "--format=json", *arguments).stdout, type=PlanDocument)

    def result(self) -> RunResult:
        """What the last run left in `result.json`."""
        return parse_result((self.root / ".orchestrate/result.json").read_bytes())

    def image(self, name: str) -> ImageResult:
        """What the last run says of one image."""
        return next(image for image in self.result().images if image.name == name)

    def states(self) -> dict[str, str]:
        """The state of every image in the last run."""
        return {image.name: image.state for image in self.result().images}

    def digest(self, name: str) -> str:
        """The digest of an image's index in the last run."""
        digest = self.image(name).digest
        assert digest is not None, f"{name} has no digest"
        return digest

    def left_behind(self) -> list[str]:
        """Whatever runs should have taken away with them."""
        kept = {
            ".gitignore",
            "base-facts.json",
            "begun.plan.json",
            "cache",
            "journal.jsonl",
            "lock",
            "oci",
            "result.json",
            "state",
            "stat-cache",
        }
        own = self.root / ".orchestrate"
        left = [path for path in own.iterdir() if path.name not in kept] if own.exists() else []
        return sorted(str(path.relative_to(self.folder)) for path in [*left, *(self.folder / "tmp").iterdir()])
