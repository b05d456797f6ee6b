"""Known answers of the statistics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmatrix.results.timing.statistics import Samples, compare, estimate, warmup


def test_the_median_of_known_samples() -> None:
    result = estimate([np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])])
    assert result is not None
    assert (result.median, result.samples, result.rounds) == (3.5, 6, 2)


def test_a_round_with_more_samples_counts_no_more_than_another() -> None:
    result = estimate([np.array([1.0] * 990 + [2.0] * 10), np.array([4.0] * 10)])
    assert result is not None
    assert result.median == 3.0
    assert result.samples == 20


def test_no_samples_give_nothing() -> None:
    assert estimate([]) is None
    assert estimate([np.array([])]) is None


def test_constant_samples_have_an_interval_of_no_width() -> None:
    result = estimate([np.full(10, 7.0)] * 3)
    assert result is not None
    assert (result.low, result.median, result.high) == (7.0, 7.0, 7.0)


def disturbed(random: np.random.Generator, count: int, *, apart: float = 0.03) -> list[Samples]:
    """Rounds of median 1 that differ by *apart*, with noise, a drift within each, and outliers."""
    samples_of_rounds = []
    for level in np.exp(random.normal(0.0, apart, count)):
        noise: Samples = np.exp(random.normal(0.0, 0.03, 100))
        noise *= level * np.exp(np.linspace(-1, 1, 100) * random.normal(0.0, 0.02))
        late = random.random(100) < 0.03
        noise[late] *= random.uniform(1.5, 10, int(late.sum()))
        noise[random.random(100) < 0.03] *= 0.9  # as many the other way: the median stays
        samples_of_rounds.append(noise)
    return samples_of_rounds


@pytest.mark.parametrize("count", [3, 5, 10])
def test_the_interval_covers_the_truth_with_drift_and_outliers(count: int) -> None:
    random = np.random.default_rng(1)
    hits = 0
    for trial in range(400):
        result = estimate(disturbed(random, count), seed=trial)
        assert result is not None
        hits += result.low <= 1.0 <= result.high
    assert 0.92 <= hits / 400 <= 0.99


def test_the_interval_of_one_round_covers_what_its_iterations_know() -> None:
    random = np.random.default_rng(1)
    hits = 0
    for trial in range(300):
        result = estimate([random.normal(5.0, 1.0, 60)], seed=trial)
        assert result is not None
        hits += result.low <= 5.0 <= result.high
    assert 0.90 <= hits / 300 <= 0.99


def test_the_tail_has_known_quantiles_and_intervals_that_cover_them() -> None:
    known = estimate([np.arange(101.0)], tail=(0.9, 0.99))
    assert known is not None
    assert [quantile.value for quantile in known.tail] == [90.0, 99.0]
    random = np.random.default_rng(2)
    hits = 0
    for trial in range(300):
        result = estimate([random.exponential(1.0, 200) for _ in range(5)], tail=(0.9,), seed=trial)
        assert result is not None
        hits += result.tail[0].low <= np.log(10) <= result.tail[0].high
    assert hits / 300 >= 0.92


def test_rounds_that_differ_widen_the_interval() -> None:
    random = np.random.default_rng(2)
    alike = estimate([random.normal(5.0, 0.01, 50) for _ in range(5)])
    apart = estimate([random.normal(5.0 + i, 0.01, 50) for i in range(5)])
    assert alike is not None
    assert apart is not None
    assert apart.high - apart.low > 10 * (alike.high - alike.low)


@given(st.lists(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=20), min_size=1, max_size=5))
def test_the_median_lies_within_the_samples_and_its_interval_around_it(
    rounds: list[list[float]],
) -> None:
    arrays = [np.array(samples) for samples in rounds]
    pooled = np.concatenate(arrays)
    result = estimate(arrays)
    assert result is not None
    assert pooled.min() <= result.median <= pooled.max()
    assert result.low <= result.median <= result.high
    assert result == estimate(arrays)


def warming(random: np.random.Generator, length: int, count: int = 400) -> Samples:
    """Samples that fall from twice their level to it over *length*, with noise and outliers."""
    level = 1 + np.exp(-np.arange(count) / max(length / 4, 1e-9)) * (length > 0)
    samples: Samples = level * random.normal(1.0, 0.02, count)
    samples[random.random(count) < 0.02] *= 5
    return samples


def test_a_warm_up_is_found_about_where_it_ends() -> None:
    random = np.random.default_rng(3)
    warmups = [warmup(warming(random, 80)) for _ in range(100)]
    assert 40 <= np.median([phase.length for phase in warmups]) <= 120
    assert all(phase.steady for phase in warmups)


def test_steady_samples_have_next_to_no_warm_up() -> None:
    random = np.random.default_rng(4)
    assert np.median([warmup(warming(random, 0)).length for _ in range(100)]) <= 40


def test_samples_that_never_settle_are_not_steady() -> None:
    random = np.random.default_rng(5)
    rising = np.linspace(1, 2, 200) * random.normal(1.0, 0.01, 200)
    assert not warmup(rising).steady


def test_too_few_samples_are_taken_as_they_are() -> None:
    assert warmup(np.array([9.0, 1.0, 1.0])).length == 0


@given(st.lists(st.floats(1e-6, 1e3), max_size=200))
def test_at_least_half_of_the_samples_are_left(samples: list[float]) -> None:
    assert warmup(np.array(samples)).length <= len(samples) / 2


def rounds(
    random: np.random.Generator, factor: float = 1.0, *, count: int = 5, spread: float = 0.01
) -> list[float]:
    """Medians of rounds that differ by *spread*, of samples with noise and outliers."""
    medians = []
    for level in random.normal(1.0, spread, count) * factor:
        samples: Samples = level * random.normal(1.0, 0.03, 100)
        samples[random.random(100) < 0.03] *= 4
        medians.append(float(np.median(samples)))
    return medians


def test_a_cell_against_itself_raises_few_false_alarms() -> None:
    random = np.random.default_rng(6)
    for count in (3, 5):
        alarms = 0
        for _ in range(1000):
            comparison = compare(rounds(random, count=count), rounds(random, count=count))
            assert comparison is not None
            alarms += comparison.direction != "cannot tell"
        assert alarms / 1000 <= 0.06  # 5 %, and what 1,000 trials cannot tell from it


def share_of_tables_with_a_slower_cell(cells: int, count: int, **fastest_of: int) -> float:
    """Compare equal cells with the fastest of them; return how many tables say that one is slower.

    Rounds differ by 1 %, and each cell by more or less than that.
    """
    random = np.random.default_rng(cells)
    slower = 0
    for _ in range(TABLES):
        spreads = 0.01 * np.exp(0.5 * random.standard_normal((cells, 1)))
        table = np.exp(spreads * random.standard_normal((cells, count)))
        fastest = min(table, key=lambda medians: float(np.log(medians).mean()))
        comparisons = [compare(medians, fastest, **fastest_of) for medians in table]
        slower += any(each is not None and each.direction == "slower" for each in comparisons)
    return slower / TABLES


TABLES = 400


@pytest.mark.parametrize("cells", [10, 27])
def test_of_equal_cells_few_tables_call_one_slower_than_the_fastest(cells: int) -> None:
    for count in (3, 5):
        share = share_of_tables_with_a_slower_cell(cells, count, fastest_of=cells)
        assert share <= 0.075  # 5 %, and what 400 tables cannot tell from it
    assert share_of_tables_with_a_slower_cell(cells, 3) > 0.2  # each pair for itself


def test_a_cell_that_takes_half_as_long_again_is_slower_than_the_fastest_of_ten() -> None:
    comparison = compare([1.5, 1.52, 1.49], [1.0, 1.01, 0.99], fastest_of=10)
    assert comparison is not None
    assert comparison.direction == "slower"


def test_a_slow_down_of_five_percent_is_found() -> None:
    random = np.random.default_rng(7)
    comparisons = [compare(rounds(random, 1.05), rounds(random)) for _ in range(300)]
    assert (
        sum(
            comparison is not None and comparison.direction == "slower"
            for comparison in comparisons
        )
        / 300
        >= 0.9
    )


def test_a_known_ratio_lies_in_its_interval() -> None:
    same = [1.0, 1.02, 0.98]
    comparison = compare([2 * median for median in same], same)
    assert comparison is not None
    assert comparison.direction == "slower"
    assert comparison.ratio == pytest.approx(2.0)
    assert comparison.low < 2 < comparison.high
    back = compare(same, [2 * median for median in same])
    assert back is not None
    assert (back.direction, back.low) == ("faster", pytest.approx(1 / comparison.high))


def test_one_round_cannot_be_compared() -> None:
    assert compare([1.0], [1.0, 1.0]) is None


def test_rounds_without_any_spread_that_are_equal_cannot_be_told() -> None:
    comparison = compare([1.0] * 3, [1.0] * 3)
    assert comparison is not None
    assert comparison.direction == "cannot tell"
