"""Tables of a comparison: what fails, what changed, what grew, in the order of its weight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deepmatrix.comparison.changes import (
    Comparison,
    OperatorChange,
    SizeChange,
    TimeChange,
    VerdictChange,
)
from deepmatrix.comparison.limits import by_cell, time_title
from deepmatrix.drawing import numbers
from deepmatrix.drawing.layout import (
    Column,
    Mood,
    Row,
    Table,
    row,
    shortened,
    without_empty_columns,
)
from deepmatrix.sizes import decimal_size

#: A table has so many lines at most; the JSON document has all.
MOST_LINES = 8


def tables(comparison: Comparison, limit: int = MOST_LINES) -> list[Table]:
    """Return the tables that have lines, the heaviest first."""
    larger = [size for size in comparison.sizes if size.quantity != "memory"]
    hungrier = [size for size in comparison.sizes if size.quantity == "memory"]
    candidates = [
        _verdicts("New failures", comparison.failures, "bad", limit),
        _verdicts("Other verdicts", comparison.changes, "warned", limit),
        _drifts(comparison.drifts, limit),
        _times("Slower", comparison.slower, "bad", limit),
        _operators(comparison.times, limit),
        _times("Faster", comparison.faster, "good", limit),
        _sizes("Size", larger, limit),
        _sizes("Peak memory", hungrier, limit),
    ]
    return [without_empty_columns(table) for table in candidates if table.rows]


def _table(title: str, columns: Sequence[Column], rows: Sequence[Row], limit: int) -> Table:
    """Return a table with the first lines, which says how many there are."""
    return Table(
        title=title,
        columns=tuple(columns),
        rows=tuple(rows[:limit]),
        note=f"{len(rows) - limit} more with --json." if len(rows) > limit else "",
    )


def _verdicts(title: str, changes: Sequence[VerdictChange], mood: Mood, limit: int) -> Table:
    columns = (
        Column("cell", key=True),
        Column("subject", key=True),
        Column("was", unbroken=True),
        Column("is", unbroken=True),
        Column("why", below=True),
    )
    return _table(title, columns, list(_verdict_rows(changes, mood)), limit)


def _verdict_rows(changes: Sequence[VerdictChange], mood: Mood) -> Iterator[Row]:
    """Yield a line for each cell that changed alike: one that is lost loses all its subjects."""
    alike: dict[tuple[str, ...], list[VerdictChange]] = {}
    for change in changes:
        about = (change.cell, change.kind, change.base, change.head)
        alike.setdefault(about, []).append(change)
    for (cell, kind, base, head), group in alike.items():
        first = group[0].subject if kind == "serving" else f"{kind} of {group[0].subject}"
        subject = first if len(group) == 1 else f"{len(group)} subjects, such as {first}"
        moods: tuple[Mood, ...] = ("plain", "plain", "plain", mood, "plain")
        reason = shortened(group[0].reason)
        yield Row(texts=(cell, subject, base, head, reason), moods=moods)


def _drifts(changes: Sequence[VerdictChange], limit: int) -> Table:
    columns = (
        Column("cell", key=True),
        Column("subject", key=True),
        Column("error was", numeric=True),
        Column("error is", numeric=True),
        Column("change", numeric=True, optional=1),
        Column("verdict", optional=2),
    )
    rows = [
        row(
            change.cell,
            change.subject,
            numbers.error(change.base_error),
            numbers.error(change.head_error) if change.head_error is not None else "not finite",
            numbers.ratio(change.growth or None),
            change.head,
            mood="warned",
        )
        for change in sorted(changes, key=lambda change: -(change.growth or 1e300))
    ]
    return _table("Errors that grew", columns, rows, limit)


def _times(title: str, changes: Sequence[TimeChange], mood: Mood, limit: int) -> Table:
    columns = (
        Column("cell", key=True),
        Column("time", key=True),
        Column("was", numeric=True, optional=1),
        Column("is", numeric=True, optional=1),
        Column("change", numeric=True, unbroken=True, note=TIME_NOTE),
        Column("measured again", optional=2),
    )
    rows = [
        row(
            change.cell,
            title,
            numbers.duration(change.base_s),
            numbers.duration(change.head_s),
            numbers.ratio(change.ratio, change.low, change.high),
            "yes" if change.again else "no" if change.unrepeated else "",
            mood=mood,
        )
        for change, title in by_cell(changes)
    ]
    return _table(title, columns, rows, limit)


def _operators(changes: Sequence[TimeChange], limit: int) -> Table:
    """Return a line for each operator that slows a cell down: where it adds most, and how much."""
    columns = (
        Column("cell", key=True),
        Column("time", key=True),
        Column("operator", unbroken=True),
        Column("was", numeric=True),
        Column("is", numeric=True),
        Column("more", numeric=True, note=OPERATORS_NOTE),
    )
    slower = [(change, operator) for change in changes for operator in change.operators]
    alike: dict[tuple[str, str], list[tuple[TimeChange, OperatorChange]]] = {}
    for change, operator in sorted(slower, key=lambda pair: -pair[1].added_s):
        alike.setdefault((change.cell, operator.kind), []).append((change, operator))
    rows = [
        row(
            change.cell,
            time_title(change) if len(group) == 1 else f"{len(group)} times; {time_title(change)}",
            operator.kind,
            numbers.duration(operator.base_s),
            numbers.duration(operator.head_s),
            numbers.duration(operator.added_s),
            mood="bad",
        )
        for group in alike.values()
        for change, operator in group[:1]
    ]
    return _table("Slower operators", columns, rows, limit)


OPERATORS_NOTE = (
    "Operator: all of its kind in one inference together, as the runtime's own profiler counts."
)

TIME_NOTE = "Change: how many times as long, with its 95 % interval."


def _sizes(title: str, changes: Sequence[SizeChange], limit: int) -> Table:
    columns = (
        Column("cell", key=True),
        Column("of", key=True),
        Column("was", numeric=True),
        Column("is", numeric=True),
        Column("change", numeric=True),
    )
    rows = [
        row(
            change.cell,
            f"{change.quantity} {change.subject}".rstrip(),
            decimal_size(change.base),
            decimal_size(change.head),
            numbers.ratio(change.ratio),
            mood="warned" if change.ratio > 1 else "good",
        )
        for change in sorted(changes, key=lambda change: -change.ratio)
    ]
    return _table(title, columns, rows, limit)
