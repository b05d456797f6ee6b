"""Tables of what computing in less than float32 costs and gives."""

from __future__ import annotations

from collections.abc import Sequence

from deepmatrix.drawing import numbers
from deepmatrix.drawing.layout import (
    Mood,
    Row,
    Table,
    expected_status,
    judged_row,
    key,
    mark,
    native,
    number,
    text,
)
from deepmatrix.reports.tables.speed import are_several, place_of, record_of
from deepmatrix.results.precision.rows import QuantisedRow, SpeedRow
from deepmatrix.results.rows import Results, TrainingRow
from deepmatrix.results.timing.statistics import compare

TIMES = (
    "Time: how many times as long as in float32, with its 95 % interval; `cannot tell` if that "
    "includes 1, `one round` if there is no second one, `another machine` if float32 ran on that."
)


def training(results: Results) -> Table:
    """Every training in less than float32, beside the same cell's in float32."""
    by_cell: dict[tuple[str, str], list[TrainingRow]] = {}
    for row in results.training:
        by_cell.setdefault((row.cell, row.workload), []).append(row)
    pairs = [
        (min(wide, key=lambda each: each.machine != row.machine), row)
        for row in sorted(results.training, key=lambda row: (row.workload, row.cell))
        if (wide := by_cell.get((row.float32_cell, row.workload)))
    ]
    several = are_several(results)
    return Table(
        title="Training in less than float32",
        columns=(
            key("workload"),
            key("cell"),
            text("precision", optional=4),
            number("accuracy in float32"),
            number("accuracy"),
            number("lost"),
            number("last loss in float32", optional=1),
            number("last loss", optional=1),
            number("loss error", optional=2),
            number("output error", optional=3),
            number("step", optional=5),
            number("time", note=TIMES),
        ),
        rows=tuple(
            _training_row(
                wide,
                narrow,
                is_on_one=place_of(wide, several=several) == place_of(narrow, several=several),
            )
            for wide, narrow in pairs
        ),
        note=(
            "The weights and the loss are float32. Lost: of the accuracy on held-out data; "
            "negative if it is higher. Accuracy and the outputs of the first step are judged; "
            "losses and gradients are not."
        ),
    )


def _training_row(wide: TrainingRow, narrow: TrainingRow, *, is_on_one: bool) -> Row:
    texts = (
        narrow.workload,
        narrow.cell + mark(narrow.emulated),
        narrow.precision,
        numbers.accuracy(wide.accuracy),
        numbers.accuracy(narrow.accuracy),
        points(wide.accuracy, narrow.accuracy),
        _last_loss(wide),
        _last_loss(narrow),
        numbers.error(narrow.loss_error),
        numbers.error(narrow.output_error),
        numbers.interval(narrow.step_s),
        _ratio(wide, narrow) if is_on_one else "another machine",
    )
    return judged_row(
        texts, 0, "good" if narrow.status == "ok" else "bad", emulated=narrow.emulated
    )


def points(before: float | None, after: float | None) -> str:
    """Return what of an accuracy is lost, in percentage points; negative where it grew."""
    if before is None or after is None:
        return numbers.DASH
    return f"{100 * (before - after):.1f} points"


def _last_loss(row: TrainingRow) -> str:
    return numbers.error(row.losses[-1][1]) if row.losses else numbers.DASH


def _ratio(wide: TrainingRow, narrow: TrainingRow) -> str:
    if wide.step_s is None or narrow.step_s is None:
        return numbers.DASH
    return numbers.compared(compare(narrow.step_s.round_medians, wide.step_s.round_medians))


def quantised(results: Results) -> Table:
    """Every quantised artifact on every consumer, beside the float32 one there."""
    batches = sorted({speed.batch for row in results.quantised for speed in row.speed})
    return Table(
        title="Quantised after training",
        columns=(
            key("artifact"),
            key("consumer"),
            text("verdict"),
            number("accuracy in float32"),
            number("accuracy"),
            number("lost"),
            *(number(f"time, batch {size}", note=TIMES) for size in batches),
            number("size", note="Size: of the files, as a share of the float32 model's."),
        ),
        rows=tuple(_quantised_row(row, batches) for row in results.quantised),
        note=(
            "Accuracy: of this consumer's answers on the held-out data. Verdict: by the quantised "
            "graph's own right answers, so what quantisation loses is no drift."
        ),
    )


def _quantised_row(row: QuantisedRow, batches: Sequence[int]) -> Row:
    speeds = {speed.batch: speed for speed in row.speed}
    share = row.bytes / row.original_bytes if row.bytes and row.original_bytes else None
    texts = (
        row.artifact,
        row.consumer + mark(row.emulated),
        expected_status(row.verdict) if row.expected_failure else row.verdict,
        numbers.accuracy(row.original_accuracy),
        numbers.accuracy(row.accuracy),
        points(row.original_accuracy, row.accuracy),
        *(native(_speed(speeds.get(size)), row.emulated) for size in batches),
        numbers.share(share),
    )
    mood: Mood = "good" if row.verdict == "match" else "bad"
    if row.expected_failure or row.verdict == "not-run":
        mood = "muted"
    sources = record_of(row.consumer, row.artifact)
    return judged_row(texts, 2, mood, emulated=row.emulated, sources=sources)


def _speed(row: SpeedRow | None) -> str:
    if row is None:
        return numbers.DASH
    if row.direction in ("cannot tell", "one round"):
        return row.direction
    return numbers.ratio(row.ratio, row.low, row.high)
