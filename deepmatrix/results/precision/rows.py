"""Rows of what a lower precision costs and gives."""

from __future__ import annotations

from typing import Literal

from deepmatrix.boundary.bounds import Amount, Count, Finite, Measure, Number, Size
from deepmatrix.judging.verdicts import VerdictName
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


class SpeedRow(Row):
    """How many times as long a quantised model takes as its float32 one, at a *batch*.

    *low*, *high*: the 95 % interval; without one there are fewer than two rounds.
    """

    batch: Count
    ratio: Amount
    low: Amount | None = None
    high: Amount | None = None
    direction: Literal["faster", "slower", "cannot tell", "one round"]


class QuantisedRow(Row):
    """A quantised artifact on a consumer, beside the float32 one of the same training there.

    *accuracy*, *original_accuracy*: on the held-out data, in the worst round, where the preset asks
    for it. *lost*: their difference, negative where the quantised one has more. *isa*: that the
    consumer was kept to. *expected_failure*: why it may fail. *bytes*, *original_bytes*: of the
    files.
    """

    artifact: str
    original: str
    consumer: str
    isa: str = ""
    emulated: bool
    verdict: VerdictName
    expected_failure: str = ""
    original_accuracy: Number | None = None
    accuracy: Number | None = None
    lost: Finite | None = None
    speed: tuple[SpeedRow, ...] = ()
    bytes: Size | None = None
    original_bytes: Size | None = None
