"""The terminal: whatever is printed there stays text, on its line, in what the output can hold."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from deepmatrix.drawing import escaping
from deepmatrix.errors import OutputClosed

#: The width of what is written to no terminal, in characters.
FILE_WIDTH = 160

#: Tables are drawn in no fewer characters, and in no more, whatever a terminal or COLUMNS says.
NARROWEST, WIDEST = 20, 1000


class Terminal(Console):
    """A console that prints no control character but its own, and nothing it cannot encode."""

    @property
    def size(self) -> ConsoleDimensions:
        """The size, within what tables can be drawn in."""
        width, height = super().size
        return ConsoleDimensions(min(max(width, NARROWEST), WIDEST), height)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self.width, self.height = new_size

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield the segments of what is printed, as text."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                text = escaping.terminal_lines(segment.text)
                yield segment._replace(text=escaping.encodable(text, self.encoding))

    def on_broken_pipe(self) -> None:
        """Raise OutputClosed: nobody reads what is printed."""
        self.quiet = True
        raise OutputClosed


def make_console(*, stderr: bool = False) -> Terminal:
    """Return a console; one that is no terminal is wide, unless COLUMNS says how wide."""
    environment = _environment()
    console = Terminal(stderr=stderr, highlight=False, _environ=environment)
    if not console.is_terminal and "COLUMNS" not in environment:
        console.width = FILE_WIDTH
    return console


def _environment() -> dict[str, str]:
    """Return the environment variables without sizes that are no numbers of a few digits."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ("COLUMNS", "LINES") or re.fullmatch("[0-9]{1,9}", value)
    }


def print_line(console: Console, text: str, style: str = "", *, wrap: bool = True) -> None:
    """Print a text as one line; without *wrap* it is left to the terminal to break it."""
    console.print(Text(escaping.terminal(text), style=style), soft_wrap=not wrap)


def print_block(console: Console, text: str, style: str = "") -> None:
    """Print a text of several lines, none of them broken."""
    console.print(Text(escaping.terminal_lines(text), style=style), soft_wrap=True)
