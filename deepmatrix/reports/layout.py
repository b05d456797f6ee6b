"""What a table is, whatever draws it, and the words that all tables share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: Of a reason in a table, in characters.
LONGEST_REASON = 80

Mood = Literal["good", "bad", "muted", "plain"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table. *mood* is that of the cell at index *judged*, or of the whole line."""

    texts: tuple[str, ...]
    moods: tuple[Mood, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A titled table; ``note`` says how to read it. Columns in ``numeric`` are set right."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    note: str = ""
    numeric: frozenset[int] = frozenset()


def status(word: str, reason: str) -> str:
    """Return a status with its reason, cut to what a table bears: all of it is listed below."""
    if len(reason) > LONGEST_REASON:
        reason = reason[: LONGEST_REASON - 1].rstrip() + "…"
    return f"{word}: {reason}" if reason else word


def mark(emulated: bool) -> str:
    """Return what follows the name of a cell."""
    return " (emulated)" if emulated else ""


def row(*texts: str, mood: Mood = "plain") -> Row:
    """Return a line of one mood."""
    return Row(texts=texts, moods=(mood,) * len(texts))


def moods(width: int, judged: int, mood: Mood, emulated: bool) -> tuple[Mood, ...]:
    """Return the moods of a line; unless judged, what is emulated steps back."""
    rest: Mood = "muted" if emulated else "plain"
    return tuple(mood if index == judged and mood != "plain" else rest for index in range(width))
