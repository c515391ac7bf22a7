"""`Renderer`: templates -> texts; each distinct template is compiled once, each distinct result computed once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orchestrator.tags.errors import Absent, TemplateError
from orchestrator.tags.values import Values

if TYPE_CHECKING:
    from jinja2 import Template

    from orchestrator.tags.sandbox import Sandbox

MAX_TEMPLATE: Final = 4096

_EXPRESSION: Final = "{{"
_FORBIDDEN: Final = {
    "{%": "statements `{% %}` are not allowed in templates",
    "{#": "comments `{# #}` are not allowed in templates",
}


class _Compiled:
    """A template and the names that it uses."""

    __slots__ = ("names", "template")

    def __init__(self, template: Template, names: tuple[str, ...]) -> None:
        self.template = template
        self.names = names


class Renderer:
    """Renders templates; Jinja2 is loaded with the first text that is one.

    A template sees the values that it names and nothing else, so its result is remembered by exactly these.
    """

    def __init__(self) -> None:
        self._sandbox: Sandbox | None = None
        self._compiled: dict[str, _Compiled | Absent] = {}
        self._results: dict[tuple[object, ...], str] = {}

    def render(self, text: str, values: Values) -> str:
        """Render a text once; one without `{{` is returned as it is.

        Raises:
            TemplateError: it cannot be parsed or evaluated, or uses a value that is absent.
        """
        if not _is_template(text):
            return text
        compiled = self._compile(text)
        used = [getattr(values, name) for name in compiled.names]
        key = (text, *used)
        result = self._results.get(key)
        if result is None:
            from orchestrator.tags.sandbox import evaluate  # noqa: PLC0415  # it loads Jinja2

            result = evaluate(compiled.template, dict(zip(compiled.names, used, strict=True)))
            self._results[key] = result
        return result

    def truth(self, text: str | bool, values: Values) -> bool:  # noqa: FBT001  # `when = true` is what users write
        """Render a condition: `true` or `false`, and nothing else.

        Raises:
            TemplateError: as `render`, or the result is no Boolean.
        """
        if isinstance(text, bool):
            return text
        result = self.render(text, values).strip().lower()
        if result not in {"true", "false"}:
            message = f"the condition `{text[:80]}` gives `{result[:40]}`, which is neither `true` nor `false`"
            raise TemplateError(
                message, hints=("compare it: `{{ version.prerelease == '' }}`, `{{ not git.branch }}`",)
            )
        return result == "true"

    def variables(self, text: str) -> frozenset[str]:
        """The names at the beginnings of expressions: `version`, `git`.

        Raises:
            TemplateError: it cannot be parsed.
        """
        return frozenset(self._compile(text).names) if _is_template(text) else frozenset()

    def _compile(self, text: str) -> _Compiled:
        compiled = self._compiled.get(text)
        if compiled is None:
            try:
                compiled = self._compile_new(text)
            except TemplateError as error:
                compiled = Absent(reason=error.message, hints=error.hints)
            self._compiled[text] = compiled
        if isinstance(compiled, Absent):
            raise compiled.error()
        return compiled

    def _compile_new(self, text: str) -> _Compiled:
        from orchestrator.tags.sandbox import Sandbox, compile_template  # noqa: PLC0415  # it loads Jinja2

        for mark, message in _FORBIDDEN.items():
            if mark in text:
                hint = 'use `{{ a if condition else b }}`; a literal text is `{ raw = "…" }`'
                raise TemplateError(message, hints=(hint,))
        if len(text) > MAX_TEMPLATE:
            message = f"a template of {len(text)} characters, at most {MAX_TEMPLATE} are allowed"
            raise TemplateError(message, hints=('write a long text as it is, with `{ raw = "…" }`',))
        self._sandbox = self._sandbox or Sandbox()
        return _Compiled(*compile_template(self._sandbox, text))


def _is_template(text: str) -> bool:
    return "{" in text and (_EXPRESSION in text or any(mark in text for mark in _FORBIDDEN))
