"""Fitting a table into a width: which columns are shown, how wide they are, where words break."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells

from deepmatrix.drawing.layout import Column, Table

#: Between two columns.
GAP = 2

#: A longer piece may be broken anywhere.
LONGEST_PIECE = 24

#: A column of words is never narrower, unless what it holds is.
NARROWEST = 6

#: A text has at most about this many lines, while its column is narrower than this width.
LINES, WIDE_ENOUGH = 3, 24

#: Where words may break: at spaces but no-break ones, and after the '-', '/' or '.' inside an id, a
#: path or a name.
_BREAKS = re.compile(
    r"[^\S\xa0]+|(?<=\w-)(?=[A-Za-z])|(?<=\w--)(?=[A-Za-z])|(?<=\w/)(?=\w)|(?<=[A-Za-z]\.)(?=[A-Za-z])"
)

#: Where numbers may break: after a comma, unless it is inside an interval, and before an interval.
_NUMBER_BREAKS = re.compile(r"(?<=,)\s+(?![^\[\]]*\])|\s+(?=\[)")


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The columns of a table that are shown, by index, with their widths; and those left out.

    *below*: the columns that are drawn below each line.
    """

    shown: tuple[int, ...]
    widths: tuple[int, ...]
    left_out: tuple[str, ...]
    below: tuple[int, ...] = ()


def fit(table: Table, width: int) -> Fit | None:
    """Choose columns and widths; return None where the table must become a listing.

    Optional columns are left out, the least important first, until the others fit. Keys, which are
    ids, break only where that does not make room for them.
    """
    return _fit(table, width, whole_keys=True) or _fit(table, width, whole_keys=False)


def _fit(table: Table, width: int, *, whole_keys: bool) -> Fit | None:
    narrowest = [
        _narrowest(table, index, whole=column.unbroken or (whole_keys and column.key))
        for index, column in enumerate(table.columns)
    ]
    shown, below = list(range(len(table.columns))), list[int]()
    if _total([_natural(table, index) for index in shown]) > width:
        below = [index for index in shown if table.columns[index].below]
        shown = [index for index in shown if index not in below]
    optional = sorted(
        (index for index in shown if table.columns[index].optional),
        key=lambda index: (table.columns[index].optional, index),
    )
    while _total([narrowest[index] for index in shown]) > width:
        if not optional:
            return None
        shown.remove(optional.pop())
    natural = [_natural(table, index) for index in shown]
    widths = _share([narrowest[index] for index in shown], natural, width)
    drawn = {*shown, *below}
    left_out = [title for index, title in enumerate(table.titles) if index not in drawn]
    return Fit(
        shown=tuple(shown), widths=tuple(widths), left_out=tuple(left_out), below=tuple(below)
    )


def wrap(text: str, width: int, *, numeric: bool = False) -> str:
    """Break a text into lines of a width: between words, else between pieces of a long word."""
    lines = [""]
    for word in [text] if numeric else _words(text):
        if cell_len(word.rstrip()) <= width:
            _append(lines, word, width)
            continue
        for piece in _pieces(word, numeric=numeric):
            _append(lines, piece, width)
    return "\n".join(line.rstrip() for line in lines)


def _append(lines: list[str], text: str, width: int) -> None:
    """Put a text at the end of the last line, or on new lines where it does not fit there."""
    if lines[-1] and cell_len((lines[-1] + text).rstrip()) > width:
        lines.append("")
    if cell_len(text.rstrip()) <= width:
        lines[-1] += text
    else:
        lines[-1:] = _chop(text, width)


def _words(text: str) -> list[str]:
    """Return the words of a text, each with the space that follows it; no-break ones join words."""
    return re.findall(r"[^\S\xa0]*(?:\S|\xa0)+[^\S\xa0]*|[^\S\xa0]+", text)


def _chop(piece: str, width: int) -> list[str]:
    """Break a piece that is too long, after an underscore where there is one."""
    lines = []
    while cell_len(piece.rstrip()) > width:
        line = chop_cells(piece, width)[0]
        line = line[: line.rfind("_") + 1] or line
        lines.append(line)
        piece = piece[len(line) :]
    return [*lines, piece]


def _pieces(text: str, *, numeric: bool) -> list[str]:
    """Return the pieces that are not broken, each with the space that follows it."""
    pieces, start = [], 0
    for match in (_NUMBER_BREAKS if numeric else _BREAKS).finditer(text):
        pieces.append(text[start : match.end()])
        start = match.end()
    return [*pieces, text[start:]]


def _texts(table: Table, index: int) -> list[str]:
    return [row.texts[index] for row in table.rows]


def _longest_piece(text: str, *, numeric: bool) -> int:
    return max(cell_len(piece.rstrip()) for piece in _pieces(text, numeric=numeric))


def _natural(table: Table, index: int) -> int:
    """Return the width at which no text of a column breaks; its title may, at words."""
    title = _longest_piece(table.titles[index], numeric=False)
    return max([title, *(cell_len(text) for text in _texts(table, index))])


def _narrowest(table: Table, index: int, *, whole: bool) -> int:
    """Return the smallest legible width of a column, whose words break only if not *whole*."""
    column: Column = table.columns[index]
    natural = _natural(table, index)
    if whole:
        words = [word for text in (column.title, *_texts(table, index)) for word in text.split(" ")]
        return max(map(cell_len, words))
    pieces = [_longest_piece(column.title, numeric=False)]
    pieces += [_longest_piece(text, numeric=column.numeric) for text in _texts(table, index)]
    if column.numeric:
        return max(pieces)
    spread = min(math.ceil(natural / LINES), WIDE_ENOUGH)
    return min(natural, max(min(max(pieces), LONGEST_PIECE), NARROWEST, spread))


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _share(narrowest: Sequence[int], natural: Sequence[int], width: int) -> list[int]:
    """Return widths that fill *width*: all columns grow alike, from narrowest to natural."""
    widths = list(narrowest)
    for level in range(1, width + 1):
        grown = [min(max(low, level), high) for low, high in zip(narrowest, natural, strict=True)]
        if _total(grown) > width:
            break
        widths = grown
    for index, high in enumerate(natural):  # what is left over
        widths[index] += max(0, min(high - widths[index], width - _total(widths)))
    return widths
