"""Rows of what a lower precision costs and gives."""

from __future__ import annotations

from deepmatrix.boundary.bounds import Count, Finite, Measure, Number
from deepmatrix.results.timing.rows import Row


class CostRow(Row):
    """What quantisation costs at an output of *model*, a user's own, against its original.

    *error*: largest difference over the original's scale. *snr_db*: signal over noise. *flips*: the
    rows whose top-1 differs, *margins*: there the original's largest value less its second.
    """

    artifact: str
    model: str
    original: str
    output: str
    error: Measure | None = None
    snr_db: Number | None = None
    rows: Count = 0
    flips: tuple[Count, ...] | None = None
    margins: tuple[Finite, ...] = ()
