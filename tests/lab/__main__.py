"""The lab from the command line.

`run -- COMMAND [ARG...]` runs a command in a lab and ends with its exit code; `prefetch` only fills the cache.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

from tests.lab import Lab, LabError, LabUnavailable, kernel
from tests.lab.packages import fetch_programs

_UNAVAILABLE = 69  # EX_UNAVAILABLE of sysexits.h


def main(argv: Sequence[str]) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        if options.action == "prefetch":
            sys.stdout.write(f"{fetch_programs().folder}\n")
            return 0
        return _run(options.command, engines=options.engines, emulate=tuple(filter(None, options.emulate.split(","))))
    except LabUnavailable as error:
        sys.stderr.write(f"lab: {error}\n")
        return _UNAVAILABLE
    except LabError as error:
        sys.stderr.write(f"lab: {error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("prefetch", help="fill the cache")
    run = actions.add_parser("run", help="run a command in a lab")
    run.add_argument("--engines", type=int, default=1, metavar="N")
    run.add_argument("--emulate", default="arm64", metavar="ARCHITECTURES", help="separated by commas")
    run.add_argument("command", nargs="+", metavar="COMMAND")
    return parser


def _run(command: Sequence[str], *, engines: int, emulate: tuple[str, ...]) -> int:
    # SIGTERM must unwind the stack, as Ctrl-C does, while there is no child to pass it on to.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with Lab.start(engines=engines, emulate=emulate) as lab:
            registry = {"ORCHESTRATE_LAB_REGISTRY": lab.registry.host, "ORCHESTRATE_LAB_BASE": str(lab.base_layout())}
            return _run_child(command, {**lab.environ, **registry})
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _run_child(command: Sequence[str], env: Mapping[str, str]) -> int:
    """Run it to its end: Ctrl-C reaches it through the terminal, SIGTERM through us."""
    signal.signal(signal.SIGINT, lambda *_: None)
    try:
        child = subprocess.Popen(command, env=env, preexec_fn=_before_command)  # noqa: PLW1509 - we have one thread
    except OSError as error:
        sys.stderr.write(f"lab: cannot run `{command[0]}`: {error.strerror}\n")
        return 127
    signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGTERM))
    code = child.wait()
    return code if code >= 0 else 128 - code


def _before_command() -> None:
    """A command without its lab is of no use: it ends with us."""
    kernel.die_with_parent(signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
