"""What goes wrong in a template: an error to raise, and the reason why a value is absent."""

from __future__ import annotations

from orchestrator.model import Model


class TemplateError(Exception):
    """A template that cannot be rendered: a message and hints; the caller knows the place and makes a diagnostic."""

    def __init__(self, message: str, *, hints: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hints = hints


class Absent(Model):
    """A value that is not there, with the reason; a template that uses it fails with the reason, no other does."""

    reason: str
    hints: tuple[str, ...] = ()

    def error(self) -> TemplateError:
        """The error of a template that uses it."""
        return TemplateError(self.reason, hints=self.hints)
