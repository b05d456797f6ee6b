"""What a table is, whatever draws it, and the words that all tables share."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from deepmatrix.drawing.numbers import DASH

#: Between a word and its number, which stay on one line.
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"

#: The longest reason in a table, in characters.
LONGEST_REASON = 80

#: The longest name of a tensor or a node in a table, in characters; `results.json` has all of it.
LONGEST_NAME = 48

Mood = Literal["good", "warned", "bad", "muted", "plain"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file that a line rests on: *path* in the folder of a *run*. *words* name it, else both.

    Without a name the run is that of the page.
    """

    path: str
    run: str = ""
    words: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table: a text for each column, the mood of each text, and the sources.

    Without a column for sources, a page links the last text that names the line to the first.
    """

    texts: tuple[str, ...]
    moods: tuple[Mood, ...]
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True)
class Column:
    """One column of a table.

    *numeric* columns are set right. *key* columns name the line; an id in them is broken only where
    leaving columns out makes no room for it. *optional*: where the console is too narrow, the
    column with the highest number is left out first; 0 is never left out. *unbroken*: its words are
    not broken, so other columns give way. *below*: where not all fits on one line, it is drawn
    below its line. *sources*: in a page, links to the sources of a line stand in it. *note* tells
    the reader what it is, where it is shown.
    """

    title: str
    numeric: bool = False
    key: bool = False
    optional: int = 0
    unbroken: bool = False
    below: bool = False
    sources: bool = False
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A titled table; *note* tells the reader what holds for all columns."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    note: str = ""

    @property
    def titles(self) -> tuple[str, ...]:
        """The titles of the columns."""
        return tuple(column.title for column in self.columns)

    @property
    def linked(self) -> int | None:
        """The column whose texts lead to the sources: the last key, where sources have none."""
        if any(column.sources for column in self.columns):
            return None
        return max((n for n, column in enumerate(self.columns) if column.key), default=None)

    def with_columns(self, indices: Sequence[int]) -> Table:
        """Return the table with only these columns, in this order."""
        rows = tuple(
            replace(
                row,
                texts=tuple(row.texts[index] for index in indices),
                moods=tuple(row.moods[index] for index in indices),
            )
            for row in self.rows
        )
        return replace(self, columns=tuple(self.columns[index] for index in indices), rows=rows)

    def legend(self, shown: Iterable[int] | None = None) -> str:
        """Return the notes of the columns that are shown, all by default, and the table's own."""
        indices = range(len(self.columns)) if shown is None else shown
        notes = [*(self.columns[index].note for index in indices), self.note]
        return " ".join(dict.fromkeys(note for note in notes if note))


def without_empty_columns(table: Table) -> Table:
    """Return a table without the columns that hold nothing in any line."""
    held = [
        index
        for index, column in enumerate(table.columns)
        if column.key
        or any(row.texts[index] not in ("", DASH) for row in table.rows)
        or (column.sources and any(row.sources for row in table.rows))
    ]
    return table.with_columns(held)


def without_column(table: Table, title: str) -> Table:
    """Return a table without the columns of a title."""
    return table.with_columns([n for n, own in enumerate(table.titles) if own != title])


def files(title: str, optional: int = 0) -> Column:
    """Return a column of the files that each line rests on."""
    return Column(title, optional=optional, sources=True)


def key(title: str) -> Column:
    """Return a column that names the line."""
    return Column(title, key=True)


def text(title: str, optional: int = 0, note: str = "") -> Column:
    """Return a column of words."""
    return Column(title, optional=optional, note=note)


def number(title: str, optional: int = 0, note: str = "") -> Column:
    """Return a column of numbers."""
    return Column(title, numeric=True, optional=optional, note=note)


def status(word: str, reason: str) -> str:
    """Return a status with its reason, cut to the longest a table can hold."""
    return f"{word}: {shortened(reason)}" if reason else word


#: The share of a cut text that its beginning has: what it is about often stands at its end.
BEGINNING = 0.5


def shortened(reason: str, longest: int = LONGEST_REASON) -> str:
    """Return a reason of *longest* characters at most, cut between words if it can be.

    Messages begin with who refuses, and end with what they refuse: so the middle is left out. Where
    that leaves out what is wrong, the last sentence that says it is the end.
    """
    if len(reason) <= longest:
        return reason
    room = longest - len(" … ")
    start = reason[: int(room * BEGINNING)]
    end = reason[len(reason) - room + len(start) :]
    if " " in end:
        end = end.partition(" ")[2]
    told = _last_telling(reason)
    told_end = _without_end(told, int(room * MOST))
    if TELLING.search(told_end) and not TELLING.search(end):
        if len(reason) - len(told) <= len(start):
            return _without_end(reason, longest)
        end = told_end
        start = reason[: min(room - len(end), len(reason) - len(told))]
    if " " in start:
        start = start.rpartition(" ")[0]
    return f"{start.rstrip(',;: ')} … {end.strip()}"


#: What a sentence has that says what is wrong.
TELLING = re.compile(
    r"fail|(?<!need )support|unable|cannot|could not|\bmust\b|not consistent|unknown"
    r"|unrecogni[sz]ed|invalid|expected|mismatch",
    re.IGNORECASE,
)

#: The largest share of a cut text that such a sentence has.
MOST = 0.75


def _last_telling(reason: str) -> str:
    """Return a message from its last sentence on that says what is wrong; "" without any."""
    starts = [match.end() for match in re.finditer(r"[.:;]\s+", reason)]
    for start, end in reversed(list(itertools.pairwise([*starts, len(reason)]))):
        if TELLING.search(reason, start, end):
            return reason[start:]
    return ""


def _without_end(text: str, longest: int) -> str:
    """Return a text of *longest* characters at most, cut between words at its end."""
    if len(text) <= longest:
        return text
    kept = text[: longest - len(" …")]
    return (kept.rpartition(" ")[0] or kept) + " …"


def shortened_name(name: str) -> str:
    """Return the name of a tensor or a node, cut in its middle to what a table can hold."""
    return shortened(name, LONGEST_NAME)


def expected_status(word: str) -> str:
    """Return the status of an expected failure."""
    return f"{word}: expected failure"


def mark(emulated: bool) -> str:
    """Return the suffix of a cell's name."""
    return " (emulated)" if emulated else ""


def row(*texts: str, mood: Mood = "plain", sources: tuple[Source, ...] = ()) -> Row:
    """Return a line of one mood."""
    return Row(texts=texts, moods=(mood,) * len(texts), sources=sources)


def native(text: str, emulated: bool) -> str:
    """Return a text with a time, which says nothing of a machine where it was emulated."""
    return "emulated" if emulated else text


def judged_row(
    texts: tuple[str, ...],
    judged: int,
    mood: Mood,
    *,
    emulated: bool,
    sources: tuple[Source, ...] = (),
) -> Row:
    """Return a line whose text number *judged* has a mood; all others are muted if emulated."""
    background: Mood = "muted" if emulated else "plain"
    moods = [background] * len(texts)
    if mood != "plain":
        moods[judged] = mood
    return Row(texts=texts, moods=tuple(moods), sources=sources)
