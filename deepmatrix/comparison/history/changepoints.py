"""Change points: where the level of a series changed, beyond its noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

#: A level lasts at least so many runs: a single odd run is no change.
SHORTEST = 2

#: Below this share a change is no news, however exact the numbers are.
SMALLEST = 0.01

#: What one more change point has to explain, in units of the variance times the logarithm of the
#: number of runs. The Bayesian criterion has 2, for a place and a level; 5 errs less often.
PENALTY = 5.0


def change_points(values: Sequence[float]) -> list[int]:
    """Return the indices at which a new level begins.

    PELT (Killick, Fearnhead and Eckley, "Optimal detection of changepoints with a linear
    computational cost", Journal of the American Statistical Association 107, 2012), as the library
    `ruptures` has it in C, on the logarithms, for changes of the mean (a linear kernel). The noise
    is measured from the differences of neighbours, which a change of level hardly touches.

    Args:
        values: in the order of the runs, all above zero.
    """
    if len(values) < 2 * SHORTEST:
        return []
    import ruptures  # noqa: PLC0415 - it takes longer to import than all other modules together

    logs = np.log(np.asarray(values, dtype=np.float64))
    steps = np.abs(np.diff(logs))
    noise = max(float(np.median(steps)) / (0.6745 * math.sqrt(2)), SMALLEST / 2)
    search = ruptures.KernelCPD(kernel="linear", min_size=SHORTEST).fit((logs / noise)[:, None])
    return [int(index) for index in search.predict(pen=PENALTY * math.log(len(logs)))[:-1]]
