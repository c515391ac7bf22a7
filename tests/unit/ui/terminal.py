"""A small terminal: what a program that moves the cursor leaves on a screen, and above it."""

from __future__ import annotations

import re

from orchestrator.ui.width import cell_width

_SEQUENCE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])")


class FakeTerminal:
    """Understands what `ui/tty` writes, and refuses everything else; lines that scroll out are kept in `above`."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.above: list[str] = []
        self.styles: set[str] = set()
        self._screen: list[list[str]] = [[]]
        self._row = self._column = 0
        self.wraps = True

    @property
    def screen(self) -> list[str]:
        """The lines that are seen."""
        return ["".join(line).rstrip() for line in self._screen]

    @property
    def all(self) -> list[str]:
        """The lines that are seen, and those that have scrolled out."""
        return [*self.above, *self.screen]

    def resize(self, width: int, height: int) -> None:
        """As xterm does: what is cut off is gone, lines that do not fit scroll out."""
        self.width, self.height = width, height
        self._screen = [line[:width] for line in self._screen]
        self._column = min(self._column, width - 1)
        while len(self._screen) > height:
            self._scroll()

    def feed(self, text: str) -> None:
        """Take what a program wrote."""
        position = 0
        while position < len(text):
            if text[position] == "\x1b":
                match = _SEQUENCE.match(text, position)
                assert match, f"unknown sequence {text[position : position + 8]!r}"
                self._control(match[1], match[2])
                position = match.end()
            else:
                self._put(text[position])
                position += 1

    def _control(self, parameter: str, letter: str) -> None:
        match parameter, letter:
            case _, "A":
                self._row = max(0, self._row - int(parameter or 1))
            case "", "J":
                del self._screen[self._row + 1 :]
                del self._screen[self._row][self._column :]
            case _, "m":
                self.styles.add(parameter)
            case "?7", "l" | "h":
                self.wraps = letter == "h"
            case _:
                raise AssertionError(parameter + letter)

    def _put(self, character: str) -> None:
        if character == "\r":
            self._column = 0
        elif character == "\n":
            self._down()
        else:
            self._draw(character)

    def _draw(self, character: str) -> None:
        width = cell_width(character)
        if self._column + width > self.width:
            if not self.wraps:
                return
            self._column = 0
            self._down()
        line = self._screen[self._row]
        line += [" "] * (self._column - len(line))
        line[self._column : self._column + width] = [character, *[""] * (width - 1)]
        self._column += width

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self._screen):
            self._screen.append([])
        if self._row == self.height:
            self._scroll()

    def _scroll(self) -> None:
        self.above.append("".join(self._screen.pop(0)).rstrip())
        self._row = max(0, self._row - 1)
