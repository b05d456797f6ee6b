"""Training: losses against gold, and the errors of the first step by layer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from deepmatrix.drawing import numbers
from deepmatrix.reports.html import scales
from deepmatrix.reports.html.evidence import Evidence, Link
from deepmatrix.reports.html.scales import Scale
from deepmatrix.results.rows import Results, TrainingRow

#: The size of a drawing of curves.
WIDTH, HEIGHT = 420, 160

#: The width of the axis of errors by layer.
AXIS = 220


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A curve of a cell: its points as SVG writes them. *number*: its colour and dashes."""

    cell: str
    number: int
    points: str


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Curves with their axes. *gold*: the curve of gold, empty where there is none."""

    across: Scale
    up: Scale
    curves: tuple[Curve, ...]
    gold: str = ""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The errors of one layer or parameter: the place of each cell's, and the worst."""

    name: str
    places: tuple[tuple[int, float], ...]
    worst: float | None
    worst_cell: str


@dataclass(frozen=True, kw_only=True)
class Layers:
    """Errors in the network's order, with their axis."""

    title: str
    scale: Scale
    layers: tuple[Layer, ...]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """All trainings of a workload. *evidence*: the links of each cell."""

    workload: str
    rows: tuple[tuple[TrainingRow, tuple[Link, ...]], ...]
    losses: Curves | None
    differences: Curves | None
    layers: tuple[Layers, ...]


def trainings(results: Results, evidence: Evidence) -> Iterator[Trained]:
    """Yield the trainings of each workload."""
    rows = sorted(results.training, key=lambda row: (row.workload, row.emulated))
    for workload, group in itertools.groupby(rows, key=lambda row: row.workload):
        of_workload = list(group)
        yield Trained(
            workload=workload,
            rows=tuple((row, evidence.of_job(row.cell, row.workload)) for row in of_workload),
            losses=_losses(of_workload),
            differences=_differences(of_workload),
            layers=tuple(_all_layers(of_workload)),
        )


def _losses(rows: Sequence[TrainingRow]) -> Curves | None:
    longest = max((row.losses for row in rows), key=len, default=())
    values = [value for row in rows for _, *pair in row.losses for value in pair if value]
    across = scales.linear((step for row in rows for step, *_ in row.losses), WIDTH, _step)
    up = scales.linear(values, HEIGHT, lambda value: f"{value:.2g}")
    if across is None or up is None:
        return None
    return Curves(
        across=across,
        up=up,
        curves=tuple(
            Curve(
                cell=row.cell,
                number=number,
                points=_points([(step, loss) for step, loss, _ in row.losses], across, up),
            )
            for number, row in enumerate(rows)
            if row.losses
        ),
        gold=_points([(step, gold) for step, _, gold in longest], across, up),
    )


def _differences(rows: Sequence[TrainingRow]) -> Curves | None:
    pairs = [pair for row in rows for pair in row.loss_growth]
    across = scales.logarithmic((step for step, _ in pairs), WIDTH, _step)
    up = scales.logarithmic((value for _, value in pairs if value), HEIGHT, numbers.error)
    if across is None or up is None:
        return None
    curves = tuple(
        Curve(cell=row.cell, number=number, points=_points(row.loss_growth, across, up))
        for number, row in enumerate(rows)
        if row.loss_growth
    )
    return Curves(across=across, up=up, curves=curves)


def _step(value: float) -> str:
    return f"{value:,.0f}"


def _points(pairs: Sequence[tuple[float, float | None]], across: Scale, up: Scale) -> str:
    """Return finite points as SVG writes them, its origin being at the top."""
    return " ".join(
        f"{across.place(x):g},{round(HEIGHT - up.place(y), 1):g}"
        for x, y in pairs
        if y is not None and math.isfinite(y)
    )


def _all_layers(rows: Sequence[TrainingRow]) -> Iterator[Layers]:
    """Yield the errors of layers' outputs, and of gradients, where there are any."""
    for title, field in (("Outputs by layer", "layers"), ("Gradients by parameter", "gradients")):
        errors = [getattr(row, field) for row in rows]
        names = list(dict.fromkeys(name for of_row in errors for name in of_row))
        values = [value for of_row in errors for value in of_row.values() if value]
        scale = scales.logarithmic(values, AXIS, numbers.error)
        if scale is not None:
            yield Layers(
                title=title,
                scale=scale,
                layers=tuple(_layer(name, rows, errors, scale) for name in names),
            )


def _layer(
    name: str,
    rows: Sequence[TrainingRow],
    errors: Sequence[Mapping[str, float | None]],
    scale: Scale,
) -> Layer:
    of_layer = {number: of_row[name] for number, of_row in enumerate(errors) if name in of_row}
    worst = max(of_layer, key=lambda number: _badness(of_layer[number]))
    return Layer(
        name=name,
        places=tuple(
            (number, scale.place(value))
            for number, value in of_layer.items()
            if value is not None and math.isfinite(value)
        ),
        worst=of_layer[worst],
        worst_cell=rows[worst].cell,
    )


def _badness(value: float | None) -> float:
    return math.inf if value is None or math.isnan(value) else value
