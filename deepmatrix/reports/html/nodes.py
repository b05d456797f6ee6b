"""Errors along a graph: of every node of a user's own model, on each consumer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from deepmatrix.drawing import numbers
from deepmatrix.reports.exports.model_explorer import explorer_file
from deepmatrix.reports.html import scales
from deepmatrix.reports.html.evidence import Evidence, Link
from deepmatrix.reports.html.scales import Scale
from deepmatrix.results.rows import NodesRow, Results
from deepmatrix.store.causes import NodeError

#: The size of the drawing.
WIDTH, HEIGHT = 600, 120


@dataclass(frozen=True, kw_only=True)
class Graph:
    """The errors of a consumer along a graph: the places of nodes, left to right.

    *up*: None where no node has a number above zero; *is_exact*: some have a number, which is zero.
    *broken*: the places of nodes whose error is no number.
    *first_wrong*: where the answer is wrong, the first node beyond its tolerance, with its place.
    *command*: it shows the fault again.
    """

    row: NodesRow
    up: Scale | None
    is_exact: bool
    dots: tuple[tuple[float, float], ...]
    broken: tuple[float, ...]
    first_wrong: NodeError | None
    first_place: float | None
    command: str
    links: tuple[Link, ...]


def graphs(results: Results, evidence: Evidence) -> Iterator[Graph]:
    """Yield the graph of each consumer whose nodes were measured."""
    verdicts = {(judged.artifact, judged.consumer): judged for judged in results.portability}
    for row in results.nodes:
        finite = [error for _, error in row.errors if error is not None and math.isfinite(error)]
        up = scales.logarithmic(finite, HEIGHT, numbers.error)
        judged = verdicts.get((row.artifact, row.consumer))
        is_right = judged is not None and judged.verdict == "match"
        first = None if is_right else next((node for node in row.largest if node.is_wrong), None)
        yield Graph(
            row=row,
            up=up,
            is_exact=bool(finite) and not any(finite),
            dots=tuple(
                (_across(number, row), round(HEIGHT - up.place(error), 1))
                for number, error in row.errors
                if up and error is not None and math.isfinite(error)
            ),
            broken=tuple(_across(number, row) for number, error in row.errors if error is None),
            first_wrong=first,
            first_place=_first_place(first, row),
            command=judged.cause.reproduce if judged and judged.cause else "",
            links=(
                *(evidence.of_cause(judged) if judged else ()),
                *evidence.link(row.file, "all nodes"),
                *evidence.link(explorer_file(PurePosixPath(row.file).name), "for Model Explorer"),
            ),
        )


def _first_place(first: NodeError | None, row: NodesRow) -> float | None:
    """Return where the first wrong node stands: it is the first of its error."""
    if first is None:
        return None
    places = (_across(number, row) for number, error in row.errors if error == first.error)
    return next(places, None)


def _across(number: int, row: NodesRow) -> float:
    return round(WIDTH * number / max(row.count - 1, 1), 1)
