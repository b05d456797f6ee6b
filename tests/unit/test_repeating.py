"""How far two answers of one model are apart."""

from __future__ import annotations

import numpy as np
import pytest

from deepmatrix.judging import deviations
from harness.graphs import values
from harness.phases.repeating import difference
from harness.runtimes.onnx import gold


@pytest.mark.parametrize("scale", [1e-6, 0.1, 0.25, 3.0])
def test_small_values_have_one_scale_wherever_an_error_is_measured(scale: float) -> None:
    first = np.array([scale, scale / 2])
    second = first * (1 + 1e-3)
    error = deviations.distance(second, first, deviations.output_scale(first))
    assert difference(first, second) == pytest.approx(error)
    assert gold.error_of(second, first) == pytest.approx(error)
    assert difference(first, second) == pytest.approx(1e-3 * min(scale / 0.25, 1.0))


def test_the_least_integer_has_the_same_scale_wherever_an_error_is_measured() -> None:
    least = np.array([-128], np.int8)
    assert values.scale_of(least) == deviations.output_scale(least) == 128
