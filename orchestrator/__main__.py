"""The one place where an error becomes text and an exit code."""

from __future__ import annotations

import errno
import gc
import os
import sys
from io import TextIOWrapper
from typing import Final, NoReturn

import click

from orchestrator.errors import InterruptedRunError, OrchestratorError, disk_error
from orchestrator.ui.notes import note_style, set_note_style, shape_object
from orchestrator.ui.text import colour_for, give_up, print_line, print_note, printable

_BUG: Final = 1
_USAGE: Final = 2
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What only a disk can be at fault for; commands print through `print_result`, click prints help by itself."""
_STDERR = 2


def main() -> NoReturn:
    """Run the command line and exit."""
    _occupy_streams()
    sys.exit(run(tuple(sys.argv[1:])))


def run(arguments: tuple[str, ...]) -> int:
    """Run the command line with these arguments; the exit code."""
    from orchestrator.cli import cli  # noqa: PLC0415 (an import that fails is told like any other bug)

    # a plan is millions of small values that live to its end: looking through them all for cycles costs a quarter
    gc.disable()

    _tolerate_encodings()
    set_note_style("text")
    try:
        code = cli.main(args=list(arguments), prog_name="orchestrate", standalone_mode=False)
    except click.exceptions.Exit as exit_request:
        return exit_request.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        print_note(error.format_message())
        return _USAGE
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "orchestrate"
        return _tell(error.format_message(), (f"`{command} --help` says what there is",), _USAGE)
    except click.Abort:
        return _tell("interrupted", (), InterruptedRunError.exit_code)
    except KeyboardInterrupt:
        return _tell("interrupted", (), InterruptedRunError.exit_code)
    except OrchestratorError as error:
        if error.report:
            print_note(error.report)
        return _tell(error.message, error.hints, error.exit_code)
    except Exception as error:
        if os.environ.get("ORCHESTRATE_DEBUG"):
            raise
        return _tell_unexpected(first_of(error))
    return code if isinstance(code, int) else 0


def _tell_unexpected(cause: BaseException) -> int:
    """An error that no command expected: a full disk, or a bug."""
    if isinstance(cause, OSError) and cause.errno in _FULL:
        if sys.stdout is not None:
            give_up(sys.stdout)
        known = disk_error(cause)
        return _tell(known.message, known.hints, known.exit_code)
    return _tell(
        f"this is a bug of orchestrate: {type(cause).__name__}: {cause}",
        ("run it again with ORCHESTRATE_DEBUG=1 and report the traceback",),
        _BUG,
    )


def _occupy_streams() -> None:
    """Give what is closed of stdin, stdout and stderr to /dev/null: a file of ours would get its number instead."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass
    os.close(descriptor)


def _tolerate_encodings() -> None:
    """A name that a terminal's encoding lacks is no reason to fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def first_of(error: BaseException) -> BaseException:
    """The first error in a group of errors, however deep."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _tell(message: str, hints: tuple[str, ...], code: int) -> int:
    if note_style() == "json":
        print_line(shape_object("error", message=_shown(message), hints=tuple(map(_shown, hints)), exit_code=code))
        return code
    bold, plain = ("\x1b[1;31m", "\x1b[0m") if colour_for(sys.stderr) == "always" else ("", "")
    lines = [f"{bold}error{plain}: {_shown(message)}", *(f"hint: {_shown(hint)}" for hint in hints)]
    print_note("\n".join(lines))
    return code


def _shown(text: str) -> str:
    """Its lines as they can be shown: tools, registries and files have their words in messages."""
    from orchestrator.config.credentials import hide_userinfo  # noqa: PLC0415 (only where there is an error)

    return "\n".join(map(printable, hide_userinfo(text).split("\n")))


if __name__ == "__main__":
    main()
