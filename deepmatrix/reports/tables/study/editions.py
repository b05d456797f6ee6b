"""What became of the statements of the first edition, and what was added since."""

from __future__ import annotations

from deepmatrix.drawing.layout import Mood, Table, judged_row, key, text
from deepmatrix.drawing.numbers import DASH
from deepmatrix.study.statements import EarlierStatement, Statements

#: What can have become of a statement, and how it looks.
STAYED, RESTATED, TAKEN_OUT, ADDED = "stayed", "restated", "taken out", "added"
MOODS: dict[str, Mood] = {
    STAYED: "plain",
    RESTATED: "plain",
    TAKEN_OUT: "muted",
    ADDED: "good",
}


def tables(document: Statements) -> list[Table]:
    """Return the table of all earlier and added statements; none without earlier ones."""
    if not document.earlier:
        return []
    lines = [
        (earlier.says, _fate(earlier, document), _now(earlier, document), earlier.because or DASH)
        for earlier in document.earlier
    ]
    lines += [(DASH, ADDED, says, DASH) for says in document.added]
    counts = ", ".join(
        f"{sum(fate == line[1] for line in lines)} {fate}" for fate in (STAYED, RESTATED, TAKEN_OUT)
    )
    return [
        Table(
            title="What changed in the statements",
            columns=(key("was"), text("fate"), text("is"), text("because")),
            rows=tuple(judged_row(line, 1, MOODS[line[1]], emulated=False) for line in lines),
            note=(
                f"Of the {len(document.earlier)} statements of the first edition: {counts}. "
                f"Added since: {len(document.added)}. What stayed has its words."
            ),
        )
    ]


def _fate(earlier: EarlierStatement, document: Statements) -> str:
    if earlier.says in document.today:
        return STAYED
    return RESTATED if earlier.restated else TAKEN_OUT


def _now(earlier: EarlierStatement, document: Statements) -> str:
    if earlier.says in document.today:
        return "the same"
    return "; ".join(earlier.restated) or DASH
