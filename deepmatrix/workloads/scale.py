"""The scale of errors: what a difference from gold is divided by."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def parity_scale(gold: NDArray[Any]) -> float:
    """Return the largest absolute gold value; 1 where all are 0."""
    return float(np.abs(gold).max(initial=0.0)) or 1.0
