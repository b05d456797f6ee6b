"""Known answers of the statistics."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from matrix.statistics import estimate, quantile


def test_the_median_of_known_samples() -> None:
    found = estimate([np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])])
    assert found is not None
    assert (found.median, found.samples, found.rounds) == (3.5, 6, 2)


def test_a_round_with_more_samples_counts_no_more_than_another() -> None:
    found = estimate([np.array([1.0] * 990 + [2.0] * 10), np.array([4.0] * 10)])
    assert found is not None
    assert found.median == 3.0
    assert found.samples == 20


def test_no_samples_give_nothing() -> None:
    assert estimate([]) is None
    assert estimate([np.array([])]) is None
    assert quantile([], 0.5) is None


def test_constant_samples_have_an_interval_of_no_width() -> None:
    found = estimate([np.full(10, 7.0)] * 3)
    assert found is not None
    assert (found.low, found.median, found.high) == (7.0, 7.0, 7.0)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    hits = 0
    for trial in range(300):
        found = estimate([random.normal(5.0, 1.0, 60)], seed=trial)
        assert found is not None
        hits += found.low <= 5.0 <= found.high
    assert 0.90 <= hits / 300 <= 0.99


def test_rounds_that_differ_widen_the_interval() -> None:
    random = np.random.default_rng(2)
    alike = estimate([random.normal(5.0, 0.01, 50) for _ in range(5)])
    apart = estimate([random.normal(5.0 + i, 0.01, 50) for i in range(5)])
    assert alike is not None
    assert apart is not None
    assert apart.high - apart.low > 10 * (alike.high - alike.low)


@given(st.lists(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=20), min_size=1, max_size=5))
def test_median_and_interval_lie_within_the_samples(rounds: list[list[float]]) -> None:
    arrays = [np.array(samples) for samples in rounds]
    pooled = np.concatenate(arrays)
    found = estimate(arrays)
    assert found is not None
    for value in (found.low, found.median, found.high):
        assert pooled.min() <= value <= pooled.max()
    assert found.low <= found.median <= found.high
    assert found == estimate(arrays)
