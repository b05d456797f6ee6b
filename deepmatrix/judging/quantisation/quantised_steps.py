"""Quantised outputs: what their integers stand for, and how many steps they may be apart."""

from __future__ import annotations

import numpy as np

from deepmatrix.store.arrays import Values
from deepmatrix.store.parts import Quantised
from deepmatrix.store.records import Steps
from harness.record import MOST_OF_RANGE, allowed_distance

#: The kinds of numpy's dtypes of integers.
INTEGERS = "iu"

#: At most this share of values is off to one side where only ties are rounded otherwise: half of
#: all values are ties where two integers are averaged, and half of those are already even.
TIES = 0.25

#: By chance there may be more, by so many standard deviations.
CHANCE = 5.0

#: So many of those that differ are off to the same side where all are rounded to one side.
SAME_SIDE = 0.95

#: Fewer different values may all be ties.
FEWEST_VALUES = 8

#: The machine epsilon of types of floats.
EPSILON = {"bfloat16": 2.0**-7, "float16": 2.0**-10, "float32": 2.0**-23, "float64": 2.0**-52}


def as_gold_is(answer: Values, gold: Values, grid: Quantised | None) -> Values:
    """Return an answer; integers as what they stand for where gold is in floats."""
    if grid is None or grid.scale is None or gold.dtype.kind != "f":
        return answer
    if answer.dtype.kind not in INTEGERS:
        return answer
    real: Values = (answer.astype(np.float64) - (grid.zero_point or 0)) * grid.scale
    return real.astype(np.float32)


def one_sided(answer: Values, gold: Values) -> str:
    """Return what says that integers are rounded to one side, not to the nearest, or nothing.

    Right runtimes take the other step at a tie, or where what they read is a step away: of many
    values those are few, or to both sides.
    """
    if answer.shape != gold.shape or {answer.dtype.kind, gold.dtype.kind} - set(INTEGERS):
        return ""
    differs = answer != gold
    count, lower = int(differs.sum()), int((answer < gold).sum())
    chance = CHANCE * float(np.sqrt(TIES * (1 - TIES) * gold.size))
    if count <= TIES * gold.size + chance or len(np.unique(gold[differs])) < FEWEST_VALUES:
        return ""
    if max(lower, count - lower) < SAME_SIDE * count:
        return ""
    side = "below" if lower > count - lower else "above"
    return f"{count} of {gold.size} integers differ, nearly all {side}: not rounded to the nearest"


def allowed_steps(
    grid: Quantised, gold: Values, scale: float, dtype: str, computed_in: str = ""
) -> Steps:
    """Return what an output is allowed, in the unit of gold: integers are one step apart.

    Floats are also rounded, to *dtype*, that of the answers, or to what they are *computed_in*;
    what integers stand for is a float32.
    """
    is_whole = gold.dtype.kind != "f"
    unit = 1.0 if is_whole else grid.scale or 0.0  # floats that stand for themselves have none
    size = grid.step * (unit or 1.0)
    own = EPSILON.get(dtype, EPSILON["float32"])
    rounding = 0.0 if is_whole else max(own, EPSILON.get(computed_in, 0.0))
    allowed = allowed_distance(grid.steps, size, scale, unit, rounding)
    return Steps(
        count=grid.steps,
        size=size,
        real=grid.step * grid.scale if grid.scale else None,
        error=allowed / scale,
        capped=allowed < grid.steps * size,
        allowed_by=grid.allowed_by,
    )


def describe(steps: Steps) -> str:
    """Return what an output is allowed in steps, and why, for people."""
    plural = "s" * (steps.count != 1)
    text = f"{steps.count} quantisation step{plural} of {steps.real or steps.size:.3g}"
    text += f", at most {100 * MOST_OF_RANGE:g} % of the range" if steps.capped else ""
    return f"{text}: {steps.allowed_by}" if steps.allowed_by else text
