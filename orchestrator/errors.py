"""The errors that leave the package; each class owns the exit code it ends a command with.

OrchestratorError
├── UsageError            2   the command line or the environment is wrong
├── ConfigurationError    2   `builds.toml` or a file that it names is wrong
├── PlanBlockedError      3   the plan cannot be executed, or is no longer true
├── BuildError            4   a platform build failed
├── RegistryError         5   a registry refused, failed or cannot be reached
├── VerificationError     6   an image is not what was declared
├── TestFailedError       7   a platform test did not pass
└── InterruptedRunError 130   the user asked to stop
"""

from __future__ import annotations

from typing import ClassVar


class OrchestratorError(Exception):
    """An error that a user can understand: a message, and what to do about it.

    Args:
        message: one line, lower case, no full stop, values in backticks.
        hints: what to try, one line each; printed as `hint: …`.
        report: text that was made for people and is printed before the message, such as diagnostics.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hints: tuple[str, ...] = (), report: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hints = hints
        self.report = report


class UsageError(OrchestratorError):
    """The command line or the environment asks for something that cannot be."""

    exit_code = 2


def disk_error(error: OSError) -> UsageError:
    """What the operating system refused, with the file and the reason: a full disk, a missing permission."""
    reason = (error.strerror or str(error)).lower()
    where = f"`{error.filename}`: " if error.filename else ""
    return UsageError(f"{where}{reason}", hints=("check the space and the permissions there",))


class ConfigurationError(OrchestratorError):
    """A file of the project is wrong; the diagnostics were, or are to be, shown."""

    exit_code = 2


class PlanBlockedError(OrchestratorError):
    """The plan has something in it that cannot be executed, or has become untrue."""

    exit_code = 3


class BuildError(OrchestratorError):
    """At least one platform build failed."""

    exit_code = 4


class RegistryError(OrchestratorError):
    """A registry refused, failed or could not be reached.

    Args:
        message: as above.
        hints: as above.
        report: as above.
        status: the HTTP status of its answer; 0 where there was none.
        codes: what it says itself (distribution-spec, "Error Codes").
    """

    exit_code = 5

    def __init__(
        self,
        message: str,
        *,
        hints: tuple[str, ...] = (),
        report: str = "",
        status: int = 0,
        codes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, hints=hints, report=report)
        self.status = status
        self.codes = codes


class VerificationError(OrchestratorError):
    """An image is not what was declared."""

    exit_code = 6


class TestFailedError(OrchestratorError):
    """A platform test did not pass; `lines` are the last that it printed."""

    exit_code = 7

    def __init__(
        self, message: str, *, hints: tuple[str, ...] = (), report: str = "", lines: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, hints=hints, report=report)
        self.lines = lines


class InterruptedRunError(OrchestratorError):
    """The user asked to stop."""

    exit_code = 130
