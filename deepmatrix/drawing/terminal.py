"""The terminal: whatever is printed there stays text, on its line, in what the output can hold."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from deepmatrix.drawing import escaping
from deepmatrix.errors import OutputClosed

#: The width of what is written to no terminal, in characters.
FILE_WIDTH = 160


class Terminal(Console):
    """A console that prints no control character but its own, and nothing it cannot encode."""

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
    console = Terminal(stderr=stderr, highlight=False)
    if not console.is_terminal and "COLUMNS" not in console._environ:
        console.width = FILE_WIDTH
    return console


def print_line(console: Console, text: str, style: str = "", *, wrap: bool = True) -> None:
    """Print a text as one line; without *wrap* it is left to the terminal to break it."""
    console.print(Text(escaping.terminal(text), style=style), soft_wrap=not wrap)


def print_block(console: Console, text: str, style: str = "") -> None:
    """Print a text of several lines, none of them broken."""
    console.print(Text(escaping.terminal_lines(text), style=style), soft_wrap=True)
