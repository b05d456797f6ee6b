"""Quantised outputs: what their integers stand for, and how many steps they may be apart."""

from __future__ import annotations

import numpy as np

from deepmatrix.store.arrays import Values
from deepmatrix.store.parts import Quantised
from deepmatrix.store.records import Steps
from harness.record import allowed_distance

#: The kinds of numpy's dtypes of integers.
INTEGERS = "iu"


def as_gold_is(answer: Values, gold: Values, grid: Quantised | None) -> Values:
    """Return an answer; integers as what they stand for where gold is in floats."""
    if grid is None or grid.scale is None or gold.dtype.kind != "f":
        return answer
    if answer.dtype.kind not in INTEGERS:
        return answer
    real: Values = (answer.astype(np.float64) - (grid.zero_point or 0)) * grid.scale
    return real.astype(np.float32)


def allowed_steps(grid: Quantised, gold: Values, scale: float) -> Steps:
    """Return what an output is allowed, in the unit of gold: integers are one step apart."""
    unit = grid.scale if grid.scale and gold.dtype.kind == "f" else 1.0
    size = grid.step * unit
    has_integers = gold.dtype.kind != "f" or grid.scale is not None
    allowed = allowed_distance(grid.steps, size, scale, unit if has_integers else 0.0)
    capped = allowed < grid.steps * size
    return Steps(
        count=grid.steps,
        size=size,
        real=grid.step * grid.scale if grid.scale else None,
        error=allowed / scale,
        capped=capped,
        allowed_by=grid.allowed_by,
    )
