"""Ratings of the study's systems, then and now, and all inputs that they rest on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from deepmatrix.drawing.layout import Mood, Row, Table, files, key, number, row, text
from deepmatrix.drawing.numbers import DASH
from deepmatrix.reports.tables.study.sources import sources
from deepmatrix.study.rating.ratings import Rating, Stars
from deepmatrix.study.rating.systems import PERIODS, Period, rated
from deepmatrix.study.statements import AREAS

RULE = (
    "By the last versions of the study's systems. torch 1.0.0 stands for Lua's Torch, whose C "
    "libraries it holds, but autograd, MKL-DNN and the ONNX exporter that it is rated by are "
    "PyTorch's. Stars rate the inputs that are shown, not what the study saw in a system. A share "
    "of 0 gives one star, a share of 1 five. A ratio to the best of the same period is five stars "
    "less one each time that it doubles, and at least one; over several networks it is the "
    "geometric mean. "
    "An area is the mean of its inputs; in brackets the 95 % interval, where times are among them. "
    "All systems of a row are rated by the same inputs: where some lack an input, the row has "
    "those systems and inputs that together fill the most fields. A dash: not measured, or left "
    "out of the row by that. Times need three undisturbed rounds and are of one run, and of the "
    "system's own operations: Theano's are of theano_own, with its own pooling and no compiled "
    "code from before. What the package index lists is of the day that is given. Nothing is added "
    "up over areas, as in the study."
)

NOTES: dict[Period, str] = {
    "then": RULE,
    "now": "By the successors of the study's systems, and by JAX; the runs of the two periods may "
    "have other networks and platforms. PyTensor succeeds Theano's core, and is no toolkit for "
    "deep learning.",
}

#: Areas that are rated by the same verdicts.
SERVED = ("interfaces", "model deployment", "cross-platform")
SERVED_NOTE = (
    "Interfaces, model deployment and cross-platform are not independent: what serves a system's "
    "models comes from the same verdicts in all three, mostly of its ONNX. Of Caffe, CNTK and "
    "torch 1.0.0 a share is not known where something is missing: their own libraries for C++ were "
    "not tried. Wine is no platform."
)
COUNTED_NOTE = "Without stars: it does not count, as not all systems of the row have it."


def tables(ratings: Sequence[Rating]) -> list[Table]:
    """Return a table of stars for each period, then a table of the inputs of each area."""
    inputs = [_inputs(area, ratings) for area in AREAS]
    return [*stars(ratings), *(table for table in inputs if table.rows)]


def stars(ratings: Sequence[Rating]) -> list[Table]:
    """Return a table of stars for each period."""
    return [_stars(period, ratings) for period in PERIODS]


def _stars(period: Period, ratings: Sequence[Rating]) -> Table:
    systems = rated(period)
    cells = {
        (rating.area, rating.framework): rating.stars
        for rating in ratings
        if rating.period == period
    }
    return Table(
        title=f"Ratings {period}",
        columns=(key("area"), *(number(system.label(period)) for system in systems.values())),
        rows=(
            row("measured by", *systems, mood="muted"),
            *(_area_row(area, [cells[area, framework] for framework in systems]) for area in AREAS),
        ),
        note=NOTES[period],
    )


def _area_row(area: str, stars: Sequence[Stars | None]) -> Row:
    return Row(texts=(area, *map(stars_text, stars)), moods=("plain", *map(_mood, stars)))


def _mood(stars: Stars | None) -> Mood:
    """Return how a rating looks: good from four stars on, bad below two."""
    if stars is None:
        return "muted"
    return "good" if stars.value >= 4 else "bad" if stars.value < 2 else "plain"


def stars_text(stars: Stars | None) -> str:
    """Return the number of stars with one decimal, and its interval where it has any width."""
    if stars is None:
        return DASH
    low, high = f"{stars.low:.1f}", f"{stars.high:.1f}"
    return f"{stars.value:.1f}" + (f" [{low}, {high}]" if low != high else "")


def _inputs(area: str, ratings: Sequence[Rating]) -> Table:
    return Table(
        title=f"Inputs: {area}",
        columns=(
            key("input"),
            text("system"),
            text("period", optional=2),
            text("measured"),
            number("stars"),
            files("record", optional=1),
        ),
        rows=tuple(_input_rows(area, ratings)),
        note=" ".join(_input_notes(area, ratings)),
    )


def _input_notes(area: str, ratings: Sequence[Rating]) -> Iterator[str]:
    entries = (entry for rating in ratings if rating.area == area for entry in rating.inputs)
    if not all(entry.counts for entry in entries):
        yield COUNTED_NOTE
    if area in SERVED:
        yield SERVED_NOTE


def _input_rows(area: str, ratings: Sequence[Rating]) -> list[Row]:
    entries = [
        (entry.measured.what, rating, entry)
        for rating in ratings
        for entry in rating.inputs
        if rating.area == area
    ]
    order = list(dict.fromkeys(what for what, _, _ in entries))
    entries.sort(key=lambda item: (order.index(item[0]), PERIODS.index(item[1].period)))
    return [
        replace(
            row(
                what,
                f"{rating.system} ({rating.framework})",
                rating.period,
                entry.measured.text,
                stars_text(entry.stars if entry.counts else None),
                entry.measured.record or DASH,
            ),
            sources=sources(filter(None, [entry.measured.record])),
        )
        for what, rating, entry in entries
    ]
