"""The summary of a run: what each cell trained, exported and answered, and the time it took."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from deepmatrix.drawing import numbers
from deepmatrix.drawing.layout import Mood, Row, Table, key, mark, native, number, text
from deepmatrix.results.rows import CellRow, PortabilityRow, Results, TrainingRow

#: The verdict of a right answer.
RIGHT = "match"


def summary(results: Results) -> Table:
    """Return a line for each cell that ran, in the order of the plan."""
    trained: dict[str, list[TrainingRow]] = defaultdict(list)
    judged: dict[str, list[PortabilityRow]] = defaultdict(list)
    for produced in results.training:
        trained[produced.cell].append(produced)
    for answered in results.portability:
        if not answered.isa:
            judged[answered.consumer].append(answered)
    exports = Counter(row.cell for row in results.exports)
    return Table(
        title="Summary",
        columns=(
            key("cell"),
            number("trained", note="Trained: workloads, of those that were tried."),
            number("exports", optional=2, note="Exports: models."),
            number("matches", note="Matches: models that it serves with the right answers."),
            text("otherwise"),
            number(
                "of tolerance",
                optional=3,
                note="Of tolerance: the largest share that an error has of what is allowed.",
            ),
            number("work", optional=1, note="Work: the time of its jobs together."),
        ),
        rows=tuple(
            _line(cell, trained[cell.cell], judged[cell.cell], exports[cell.cell])
            for cell in results.cells
            if cell.jobs
        ),
    )


def _line(
    cell: CellRow, trained: Sequence[TrainingRow], judged: Sequence[PortabilityRow], exports: int
) -> Row:
    wrong = [row for row in judged if row.verdict != RIGHT]
    mood: Mood = "muted" if cell.emulated else "plain"
    is_unexpected = any(not row.expected_failure for row in wrong) or cell.status != "ok"
    return Row(
        texts=(
            cell.cell + mark(cell.emulated),
            _share(sum(row.status == "ok" for row in trained), len(trained)),
            str(exports) if exports else numbers.DASH,
            _share(len(judged) - len(wrong), len(judged)),
            _otherwise(cell, wrong),
            numbers.share(_largest_share(judged)),
            native(numbers.duration(cell.work_s), cell.emulated),
        ),
        moods=(mood, mood, mood, mood, "bad" if is_unexpected else mood, mood, mood),
    )


def _share(count: int, total: int) -> str:
    return f"{count} of {total}" if total else numbers.DASH


def _otherwise(cell: CellRow, wrong: Sequence[PortabilityRow]) -> str:
    """Return the other verdicts with their numbers, else the cell's status unless it is ok."""
    counts = Counter(row.verdict for row in wrong)
    words = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
    return words or (cell.status if cell.status != "ok" else numbers.DASH)


def _largest_share(judged: Iterable[PortabilityRow]) -> float | None:
    shares = (row.share_of_tolerance for row in judged)
    return max((share for share in shares if share is not None), default=None)
