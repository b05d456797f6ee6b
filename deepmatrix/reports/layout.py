"""What a table is, whatever draws it, and the words that all tables share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: Between a word and its number, which stay on one line.
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"

#: The longest reason in a table, in characters.
LONGEST_REASON = 80

Mood = Literal["good", "bad", "muted", "plain"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table: a text for each column, and the mood of each text."""

    texts: tuple[str, ...]
    moods: tuple[Mood, ...]


@dataclass(frozen=True)
class Column:
    """One column of a table.

    *numeric* columns are set right. *key* columns name the line. *optional*: where the console is
    too narrow, the column with the highest number is left out first; 0 is never left out.
    """

    title: str
    numeric: bool = False
    key: bool = False
    optional: int = 0


@dataclass(frozen=True, kw_only=True)
class Table:
    """A titled table; *note* tells the reader what its columns are."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    note: str = ""

    @property
    def titles(self) -> tuple[str, ...]:
        """The titles of the columns."""
        return tuple(column.title for column in self.columns)


def key(title: str) -> Column:
    """Return a column that names the line."""
    return Column(title, key=True)


def text(title: str, optional: int = 0) -> Column:
    """Return a column of words."""
    return Column(title, optional=optional)


def number(title: str, optional: int = 0) -> Column:
    """Return a column of numbers."""
    return Column(title, numeric=True, optional=optional)


def status(word: str, reason: str) -> str:
    """Return a status with its reason, cut to the longest a table can hold."""
    if len(reason) > LONGEST_REASON:
        reason = reason[: LONGEST_REASON - 1].rstrip() + "…"
    return f"{word}: {reason}" if reason else word


def expected_status(word: str) -> str:
    """Return the status of an expected failure."""
    return f"{word}: expected failure"


def mark(emulated: bool) -> str:
    """Return the suffix of a cell's name."""
    return " (emulated)" if emulated else ""


def row(*texts: str, mood: Mood = "plain") -> Row:
    """Return a line of one mood."""
    return Row(texts=texts, moods=(mood,) * len(texts))


def judged_row(texts: tuple[str, ...], judged: int, mood: Mood, *, emulated: bool) -> Row:
    """Return a line whose text number *judged* has a mood; all others are muted if emulated."""
    background: Mood = "muted" if emulated else "plain"
    moods = [background] * len(texts)
    if mood != "plain":
        moods[judged] = mood
    return Row(texts=texts, moods=tuple(moods))
