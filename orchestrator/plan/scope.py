"""`Scope`: renders the templates of one image, and collects what is wrong with them at their places."""

from __future__ import annotations

import posixpath
from typing import Final

from msgspec import UNSET, structs

from orchestrator.config.credentials import is_credential
from orchestrator.config.layers import Effective, folder_of, place_of
from orchestrator.config.schema import Scalar, Value, ValueTable
from orchestrator.diagnostics import Diagnostic, Severity
from orchestrator.oci.platform import Platform
from orchestrator.plan.grants import Grants
from orchestrator.tags.errors import TemplateError
from orchestrator.tags.render import Renderer
from orchestrator.tags.values import Values, platform_value

_LONGEST_WORD: Final = 120_000


class Scope:
    """The values that one image's templates see, and the list that findings go to."""

    def __init__(
        self,
        *,
        renderer: Renderer,
        values: Values,
        effective: Effective,
        grants: Grants,
        found: list[Diagnostic],
        platform: Platform | None = None,
    ) -> None:
        self.values = values
        self._effective = effective
        self._grants = grants
        self._platform = platform
        self._renderer = renderer
        self._found = found

    def on(self, platform: Platform) -> Scope:
        """The same image with the values and the places of one platform."""
        return Scope(
            renderer=self._renderer,
            values=structs.replace(self.values, platform=platform_value(platform)),
            effective=self._effective,
            grants=self._grants,
            found=self._found,
            platform=platform,
        )

    @property
    def count(self) -> int:
        """How many findings there are so far."""
        return len(self._found)

    @property
    def subject(self) -> str:
        """How findings call what they are about."""
        name = self.values.image if isinstance(self.values.image, str) else self._effective.image.name
        return f"{name}@{self._platform}" if self._platform else name

    def text(self, template: str, *keys: str | int) -> str:
        """The rendered template; where it is wrong, a finding and an empty string."""
        if "{" not in template:
            return self._passable(template, *keys)
        try:
            return self._passable(self._renderer.render(template, self.values), *keys)
        except TemplateError as error:
            written = "a value that is not shown" if is_credential(keys) else f"`{template}`"
            self.report("template", f"{written}: {error.message}", *keys, hints=error.hints)
            return ""

    def _passable(self, text: str, *keys: str | int) -> str:
        """Hold a text against what the system takes as an argument of a program (execve(2): no NUL, 128 KiB)."""
        if "\0" not in text and len(text) <= _LONGEST_WORD:
            return text
        problem, hint = f"more than {_LONGEST_WORD:,} characters", "shorten it"
        if "\0" in text:
            problem, hint = "a NUL character", "no argument of a program can hold one: write the value without it"
        self.report("illegal-value", f"{problem} in a value that becomes an argument", *keys, hints=(hint,))
        return ""

    def empty(self, *keys: str | int) -> None:
        """A template gave nothing where something is needed."""
        self.report("empty-value", "the template gives an empty text", *keys, hints=("write a value, or remove it",))

    def truth(self, template: str | bool, *keys: str | int) -> bool:  # noqa: FBT001 (a template or its value)
        """The Boolean that a condition gives; where it is wrong, a finding and False."""
        try:
            return self._renderer.truth(template, self.values)
        except TemplateError as error:
            self.report("template", f"`{template}`: {error.message}", *keys, hints=error.hints)
            return False

    def value(self, value: Value, *keys: str | int) -> tuple[str, bool]:
        """The text of an arg or a label, and whether it is volatile."""
        if isinstance(value, ValueTable):
            if value.raw is not UNSET:
                return self._passable(value.raw, *keys, "raw"), value.volatile
            scalar = "" if value.value is UNSET else value.value
            return self.text(spell(scalar), *keys, "value"), value.volatile
        return self.text(spell(value), *keys), False

    def path(self, path: str, *keys: str | int) -> str:
        """A path as its file means it, relative to the root file; one that may not be read is a finding.

        What could be taken for a flag, for stdin or for a URL gets a `./`.
        """
        folder = folder_of(self._effective, keys, platform=self._platform)
        joined = posixpath.normpath(posixpath.join(folder, path))
        self.reads(joined, *keys)
        return f"./{joined}" if joined.startswith("-") or ":" in joined.partition("/")[0] else joined

    def reads(self, path: str, *keys: str | int) -> None:
        """Hold a path against what may be read."""
        if not self._grants.reads(path):
            self._ask("outside-repository", f"`{path}` is outside of the repository", f"read={path}", *keys)

    def entitlement(self, name: str, *keys: str | int) -> None:
        """Hold an entitlement against what is granted."""
        if name not in self._grants.entitlements:
            self._ask("not-granted", f"`{self.subject}` asks for `{name}`", name, *keys)

    def _ask(self, code: str, message: str, grant: str, *keys: str | int) -> None:
        self.report(code, message, *keys, hints=(f"if you trust this file, grant it with `--allow {grant}`",))

    def report(
        self,
        code: str,
        message: str,
        *keys: str | int,
        hints: tuple[str, ...] = (),
        severity: Severity = Severity.ERROR,
    ) -> None:
        """Add a finding at the place of an attribute's value."""
        self._found.append(
            Diagnostic(
                code=code,
                message=message,
                severity=severity,
                place=place_of(self._effective, keys, platform=self._platform),
                subject=self.subject,
                hints=hints,
            )
        )


def spell(scalar: Scalar) -> str:
    """A TOML scalar as BuildKit gets it: `true` and `false` in lower case, numbers as Python writes them."""
    if isinstance(scalar, bool):
        return "true" if scalar else "false"
    return str(scalar)
