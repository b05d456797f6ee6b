"""Tables of a comparison: what fails, what changed, what grew, in the order of its weight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from deepmatrix.comparison.changes import (
    Comparison,
    OperatorChange,
    SizeChange,
    TimeChange,
    VerdictChange,
)
from deepmatrix.comparison.limits import by_cell, time_title
from deepmatrix.comparison.verdicts import Meaning
from deepmatrix.comparison.verdicts import meaning as meaning_of
from deepmatrix.drawing import numbers
from deepmatrix.drawing.layout import (
    Column,
    Mood,
    Row,
    Source,
    Table,
    files,
    row,
    shortened,
    without_empty_columns,
)
from deepmatrix.sizes import decimal_size
from deepmatrix.store.records import log_path, paths_of_job, record_path

#: A table has so many lines at most; the JSON document and the HTML page have all.
MOST_LINES = 8

#: What the sides of a comparison are called where a line names the files of one.
SIDES = {"base": "earlier", "head": "later"}

#: What verdicts that are other ones mean, in the order of their weight, and how good that is.
PARTS: tuple[tuple[Meaning, str, Mood], ...] = (
    ("expected failure", "New expected failures", "warned"),
    ("other", "Other verdicts", "warned"),
    ("better", "Better verdicts", "good"),
)


def tables(comparison: Comparison, *, whole: bool = False) -> list[Table]:
    """Return the tables that have lines, the heaviest first.

    *whole*: each change has a line of its own, with its sources: files of the runs ``base`` and
    ``head``. Without, the changes of a cell share lines, and a table has only the first of them.
    """
    larger = [size for size in comparison.sizes if size.quantity != "memory"]
    hungrier = [size for size in comparison.sizes if size.quantity == "memory"]
    candidates = [
        _verdicts("New failures", comparison.failures, "bad", whole=whole),
        *(
            _verdicts(title, changes, mood, whole=whole)
            for meaning, title, mood in PARTS
            if (
                changes := [
                    change for change in comparison.changes if meaning_of(change) == meaning
                ]
            )
        ),
        _drifts(comparison.drifts),
        _times("Slower", comparison.slower, "bad", whole=whole),
        _operators(comparison.times, whole=whole),
        _times("Faster", comparison.faster, "good", whole=whole),
        _sizes("Size", larger),
        _sizes("Peak memory", hungrier),
    ]
    return [
        without_empty_columns(_with_evidence(table) if whole else _shortened(table))
        for table in candidates
        if table.rows
    ]


def _shortened(table: Table) -> Table:
    """Return a table with the first lines, which says how many there are."""
    unlisted = len(table.rows) - MOST_LINES
    note = f"{unlisted} more with --json." if unlisted > 0 else ""
    return replace(table, rows=table.rows[:MOST_LINES], note=note)


def _with_evidence(table: Table) -> Table:
    """Return a table with a last column for the sources of its lines."""
    rows = (replace(row, texts=(*row.texts, ""), moods=(*row.moods, "plain")) for row in table.rows)
    return replace(table, columns=(*table.columns, files("evidence")), rows=tuple(rows))


def _job_sources(cell: str, subject: str) -> tuple[Source, ...]:
    """Return the first records and logs of a job on both sides."""
    return tuple(
        Source(run=run, path=path(cell, subject), words=f"{words} {kind}")
        for run, words in SIDES.items()
        for kind, path in (("record", record_path), ("log", log_path))
    )


def _verdicts(title: str, changes: Sequence[VerdictChange], mood: Mood, *, whole: bool) -> Table:
    columns = (
        Column("cell", key=True),
        Column("subject", key=True),
        Column("was", unbroken=True),
        Column("is", unbroken=True),
        Column("why", below=True),
    )
    rows = _verdict_rows(changes, mood, whole=whole)
    return Table(title=title, columns=columns, rows=tuple(rows))


def _verdict_rows(changes: Sequence[VerdictChange], mood: Mood, *, whole: bool) -> Iterator[Row]:
    """Yield a line for each cell that changed alike: one that is lost loses all its subjects.

    *whole*: yield a line for each change.
    """
    alike: dict[tuple[str, ...], list[VerdictChange]] = {}
    for change in changes:
        alone = change.key if whole else ()
        before = f"{change.base}, expected" if change.base_expected else change.base
        about = (change.place, change.kind, before, change.head, change.head_expected, *alone)
        alike.setdefault(about, []).append(change)
    for (place, kind, base, head, expected, *_), group in alike.items():
        first = group[0].subject if kind == "serving" else f"{kind} of {group[0].subject}"
        subject = first if len(group) == 1 else f"{len(group)} subjects, such as {first}"
        moods: tuple[Mood, ...] = ("plain", "plain", "plain", mood, "plain")
        own_reason = group[0].reason if whole else shortened(group[0].reason)
        reason = f"expected: {expected}" if expected else own_reason
        yield Row(
            texts=(place, subject, base, head, reason),
            moods=moods,
            sources=_job_sources(group[0].cell, group[0].artifact or group[0].subject),
        )


def _drifts(changes: Sequence[VerdictChange]) -> Table:
    columns = (
        Column("cell", key=True),
        Column("subject", key=True),
        Column("error was", numeric=True),
        Column("error is", numeric=True),
        Column("change", numeric=True, optional=1),
        Column("verdict", optional=2),
    )
    rows = (
        replace(
            row(
                change.place,
                change.subject,
                numbers.error(change.base_error),
                numbers.error(change.head_error) if change.head_error is not None else "not finite",
                numbers.ratio(change.growth or None),
                change.head,
                mood="warned",
            ),
            sources=_job_sources(change.cell, change.artifact or change.subject),
        )
        for change in sorted(changes, key=lambda change: -(change.growth or 1e300))
    )
    return Table(title="Errors that grew", columns=columns, rows=tuple(rows))


def _times(title: str, changes: Sequence[TimeChange], mood: Mood, *, whole: bool) -> Table:
    columns = (
        Column("cell", key=True),
        Column("time", key=True),
        Column("was", numeric=True, optional=1),
        Column("is", numeric=True, optional=1),
        Column("change", numeric=True, unbroken=True, note=TIME_NOTE),
        Column("measured again", optional=2),
    )
    titled = [(change, time_title(change)) for change in changes] if whole else by_cell(changes)
    rows = (
        replace(
            row(
                change.place,
                about,
                numbers.duration(change.base_s),
                numbers.duration(change.head_s),
                numbers.ratio(change.ratio, change.low, change.high),
                "yes" if change.again else "no" if change.unrepeated else "",
                mood=mood,
            ),
            sources=_time_sources(change),
        )
        for change, about in titled
    )
    return Table(title=title, columns=columns, rows=tuple(rows))


def _time_sources(change: TimeChange) -> tuple[Source, ...]:
    """Return what a time rests on; the mean of a cell has the lines of its inferences."""
    subject = change.artifact or change.subject
    return _job_sources(change.cell, subject) if subject else ()


def _operators(changes: Sequence[TimeChange], *, whole: bool) -> Table:
    """Return a line for each operator that slows a cell down: where it adds most, and how much.

    *whole*: return a line for each time that it adds to.
    """
    columns = (
        Column("cell", key=True),
        Column("time", key=True),
        Column("operator", unbroken=True),
        Column("was", numeric=True),
        Column("is", numeric=True),
        Column("more", numeric=True, note=OPERATORS_NOTE),
    )
    slower = [(change, operator) for change in changes for operator in change.operators]
    alike: dict[tuple[str, ...], list[tuple[TimeChange, OperatorChange]]] = {}
    for change, operator in sorted(slower, key=lambda pair: -pair[1].added_s):
        alone = (time_title(change),) if whole else ()
        alike.setdefault((change.place, operator.kind, *alone), []).append((change, operator))
    rows = (
        replace(
            row(
                change.place,
                f"{len(group)} times; " * (len(group) > 1) + time_title(change),
                operator.kind,
                numbers.duration(operator.base_s),
                numbers.duration(operator.head_s),
                numbers.duration(operator.added_s),
                mood="bad",
            ),
            sources=_time_sources(change),
        )
        for group in alike.values()
        for change, operator in group[:1]
    )
    return Table(title="Slower operators", columns=columns, rows=tuple(rows))


OPERATORS_NOTE = (
    "Operator: all of its kind in one inference together, as the runtime's own profiler counts."
)

TIME_NOTE = "Change: how many times as long, with its 95 % interval."


def _sizes(title: str, changes: Sequence[SizeChange]) -> Table:
    columns = (
        Column("cell", key=True),
        Column("of", key=True),
        Column("was", numeric=True),
        Column("is", numeric=True),
        Column("change", numeric=True),
    )
    rows = (
        replace(
            row(
                change.cell,
                f"{change.quantity} {change.subject}".rstrip(),
                decimal_size(change.base),
                decimal_size(change.head),
                numbers.ratio(change.ratio),
                mood="warned" if change.ratio > 1 else "good",
            ),
            sources=_size_sources(change),
        )
        for change in sorted(changes, key=lambda change: -change.ratio)
    )
    return Table(title=title, columns=columns, rows=tuple(rows))


def _size_sources(change: SizeChange) -> tuple[Source, ...]:
    """Return what a size rests on: what was built, or the job that exported or served a model."""
    if change.quantity == "artifact":
        return _job_sources(change.cell, change.subject.rpartition(", ")[0])
    if change.quantity == "memory":
        jobs = {"base": change.base_job, "head": change.head_job}
        return tuple(
            Source(run=run, path=path, words=f"{words} {kind}")
            for run, words in SIDES.items()
            for kind, path in paths_of_job(change.cell, jobs[run]).items()
        )
    return tuple(
        Source(run=run, path=f"builds/{change.cell}.json", words=f"{words} build")
        for run, words in SIDES.items()
        if change.quantity == "image"
    )
