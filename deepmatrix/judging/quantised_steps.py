"""Quantised outputs: what their integers stand for, and how many steps they may be apart."""

from __future__ import annotations

import numpy as np

from deepmatrix.store.arrays import Values
from deepmatrix.store.parts import Quantised
from deepmatrix.store.records import Steps

#: The kinds of numpy's dtypes of integers.
INTEGERS = "iu"

#: Steps may add up to this part of an output's range: above it, a match would say nothing.
MOST_OF_RANGE = 0.1


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
    size = grid.step * (grid.scale if grid.scale and gold.dtype.kind == "f" else 1.0)
    # Integers of 8 bits have a range of 255 steps, however small gold is within it.
    has_range = gold.dtype.kind != "f" or grid.scale is not None
    reach = max(scale, 255 * size / grid.step) if has_range else scale
    one_step = size if size <= reach / 2 else 0.0  # on a coarse grid a tie is a large step
    allowed = min(grid.steps * size, max(MOST_OF_RANGE * reach, one_step))
    capped = allowed < grid.steps * size
    return Steps(
        count=grid.steps,
        size=size,
        error=allowed / scale,
        capped=capped,
        allowed_by=grid.allowed_by,
    )
