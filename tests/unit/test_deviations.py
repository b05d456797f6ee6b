"""The numbers behind a verdict, against answers worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deepmatrix.drawing import numbers
from deepmatrix.judging import deviations, similarity
from deepmatrix.paths import ROOT
from deepmatrix.store.truths import Truth
from harness.record import OVERFLOW, ROUNDING, UNDEFINED_VALUE

METHOD = ROOT / "docs" / "method.md"
GOLD = np.array([[1.0, -4.0], [2.0, 3.0]])
FINITE = st.floats(-1e6, 1e6, width=32)


def test_every_number_of_one_output() -> None:
    answer = np.array([[1.0, -4.0], [2.0, 1.0]], np.float32)
    deviation = deviations.deviation("y", answer, GOLD, 4.0)
    assert (deviation.error, deviation.max_abs, deviation.max_rel) == (
        0.5,
        2.0,
        pytest.approx(2 / 3),
    )
    assert deviation.top1 == 0.5
    assert deviation.ulp == (np.float32(3).view(np.int32) - np.float32(1).view(np.int32))


def test_the_scale_of_errors_is_a_quarter_at_least() -> None:
    for largest, scale in ((1e-9, 0.25), (0.2, 0.25), (0.3, 0.3), (8.0, 8.0)):
        assert deviations.output_scale(np.array([largest, -largest / 2])) == scale
    assert "absolute finite gold value, but at least 0.25." in METHOD.read_text("utf-8")
    assert "gold's largest value (or by 0.25 if that is larger)" in numbers.ERROR


def test_the_next_float_is_one_away_across_zero_too() -> None:
    for value in (1.0, -1.0, 0.0, 1e-38):
        number = np.array([value], np.float32)
        assert similarity.ulps(number, np.nextafter(number, np.float32(9))) == 1
    assert similarity.ulps(np.array([0.0], np.float32), np.array([-0.0], np.float32)) == 0


@given(hnp.arrays(np.float32, 5, elements=FINITE), hnp.arrays(np.float32, 5, elements=FINITE))
def test_ulps_are_symmetric_and_zero_only_between_equals(
    left_values: np.ndarray, right_values: np.ndarray
) -> None:
    distances = similarity.ulps(left_values, right_values)
    assert distances == similarity.ulps(right_values, left_values)
    assert (distances == 0) == bool((left_values == right_values).all())


def same(name: str, gold: Any) -> Truth:
    return Truth(gold={name: gold}, produced={name: gold})


def test_outputs_are_matched_by_name_before_order() -> None:
    truth = {"a": np.array([1.0]), "b": np.array([2.0])}
    turned = {"b": np.array([2.0]), "a": np.array([1.0])}
    assert deviations.compare(turned, Truth(gold=truth, produced=truth)).error == 0.0
    answers = {"x": np.array([1.0]), "z": np.array([2.0])}
    assert deviations.compare(answers, Truth(gold=truth, produced=truth)).error == 0.0


def test_the_worst_output_counts_and_is_named() -> None:
    truth = {"a": np.array([[1.0]]), "b": np.array([[2.0]])}
    agreement = deviations.compare(
        {"a": np.array([[1.0]]), "b": np.array([[np.nan]])}, Truth(gold=truth, produced=truth)
    )
    assert agreement.error is None
    assert agreement.note == "1 of 1 values of b are not finite"


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        (np.array([31999]), np.array([32000])),
        (np.array([2000001]), np.array([2000000])),
        (np.array([2**60 + 100]), np.array([2**60])),
        (np.array([True, False]), np.array([True, True])),
    ],
)
def test_integers_and_booleans_are_right_or_wrong(answer: Any, gold: Any) -> None:
    agreement = deviations.compare({"ids": answer}, same("ids", gold))
    assert agreement.error is not None
    assert agreement.error >= 1
    assert deviations.compare({"ids": gold}, same("ids", gold)).error == 0


@pytest.mark.parametrize(
    ("dtype", "note"),
    [("float64", ""), ("int64", "y is int64, not float32"), ("bool", "y is bool, not float32")],
)
def test_numbers_of_another_kind_are_no_match(dtype: str, note: str) -> None:
    gold = np.ones((2, 3))
    produced = {"y": gold.astype(np.float32)}
    agreement = deviations.compare(
        {"y": gold.astype(dtype)}, Truth(gold={"y": gold}, produced=produced)
    )
    assert (agreement.error is None, agreement.note) == (bool(note), note)


@pytest.mark.parametrize(
    ("gold", "caution"),
    [
        (np.ones((2, 3)), ""),
        (np.zeros((2, 0)), "gold is empty"),
        (np.full((2, 3), np.nan), "gold has no finite value"),
        (np.full((2, 3), 1e-9), "no gold value is above 1e-06, so all-zero outputs would match"),
        (np.zeros((2, 3), np.int64), ""),
    ],
)
def test_where_a_match_says_little_it_is_said(gold: Any, caution: str) -> None:
    agreement = deviations.compare({"y": gold}, same("y", gold))
    assert (agreement.error, agreement.outputs[0].caution) == (0, caution)


def test_a_model_without_outputs_matches_nothing() -> None:
    assert deviations.compare({}, Truth(gold={}, produced={})).note == "it has no outputs"


def test_doubles_of_either_sign_are_counted_apart_by_all_that_lie_between() -> None:
    ends = np.array([-np.finfo("f8").max]), np.array([np.finfo("f8").max])
    assert similarity.ulps(*ends) == 2 * int(np.array(ends[1]).view(np.int64)[0])


# Random by design ------------------------------------------------------------------------------


def drawn(seed: int, mean: float = 0.0, spread: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, spread, (64, 8)).astype(np.float32)


def judged_as_random(answer: np.ndarray) -> deviations.Agreement:
    gold = {"z": drawn(1), "y": np.ones((2, 2))}
    answered = {"z": answer, "y": np.ones((2, 2))}
    return deviations.compare(answered, Truth(gold=gold, produced=gold, random=frozenset({"z"})))


def test_an_output_that_is_random_by_design_may_have_other_values() -> None:
    agreement = judged_as_random(drawn(2))
    assert agreement.error == 0.0
    assert agreement.outputs[0].caution == deviations.RANDOM
    assert agreement.outputs[1].caution == ""


@pytest.mark.parametrize(
    ("answer", "note"),
    [
        (drawn(2)[:32], "z has the shape (32, 8), not (64, 8)"),
        (drawn(2, mean=1.0), "the mean of z differs"),
        (drawn(2, spread=3.0), "the standard deviation of z differs"),
        (np.full((64, 8), np.nan, np.float32), "z is not finite everywhere"),
    ],
)
def test_an_output_that_is_random_by_design_has_a_shape_a_mean_and_a_spread(
    answer: np.ndarray, note: str
) -> None:
    agreement = judged_as_random(answer)
    assert (agreement.error, agreement.note) == (None, note)


def masked(answer: Any, gold: Any, mask: Any) -> deviations.Agreement:
    values = {"y": np.asarray(gold)}
    truth = Truth(gold=values, produced=values, masks={"y": np.asarray(mask, np.uint8)})
    return deviations.compare({"y": np.asarray(answer)}, truth)


def test_where_the_standard_leaves_a_value_undefined_it_does_not_count() -> None:
    mask = [[UNDEFINED_VALUE, 0], [0, 0]]
    agreement = masked([[9, 2], [3, 4]], [[1, 2], [3, 4]], mask)
    assert agreement.error == 0.0
    assert agreement.outputs[0].caution == "the standard leaves 1 of 4 values undefined"
    assert masked([[9, 2], [3, 0]], [[1, 2], [3, 4]], mask).error == 1.0


def test_where_the_standard_defines_no_value_there_is_no_gold() -> None:
    agreement = masked([9, 9], [1, 2], [UNDEFINED_VALUE] * 2)
    assert (agreement.error, agreement.outputs[0].unjudged) == (None, True)
    assert agreement.note == "y: no gold: the standard leaves 2 of 2 values undefined"


def test_an_undefined_output_still_needs_its_shape() -> None:
    agreement = masked([9, 9, 9], [1, 2], [UNDEFINED_VALUE] * 2)
    assert agreement.note == "y has the shape (3,), not (2,)"
    assert not agreement.outputs[0].unjudged


def test_beside_an_undefined_output_another_one_is_judged() -> None:
    gold = {"y": np.array([1, 2]), "z": np.array([3])}
    masks = {"y": np.full(2, UNDEFINED_VALUE, np.uint8)}
    answered = {"y": np.array([9, 9]), "z": np.array([4])}
    agreement = deviations.compare(answered, Truth(gold=gold, produced=gold, masks=masks))
    assert [output.error for output in agreement.outputs] == [0.0, 1.0]
    assert not any(output.unjudged for output in agreement.outputs)


def test_an_integer_that_rounding_decides_does_not_count() -> None:
    agreement = masked([7, 3], [6, 3], [ROUNDING, 0])
    assert agreement.error == 0.0
    assert agreement.outputs[0].caution == "rounding decides 1 of 2 integers"


@pytest.mark.parametrize(("answer", "is_right"), [(np.inf, 1), (np.nan, 1), (70000.0, 1), (9.0, 0)])
def test_what_overflows_may_be_infinite_or_computed_in_more(answer: float, is_right: int) -> None:
    agreement = masked([answer, 1.0], [70000.0, 1.0], [OVERFLOW, 0])
    assert (agreement.error == 0.0) == bool(is_right)


def test_what_nothing_judges_has_its_reason() -> None:
    values = {"y": np.ones(2)}
    truth = Truth(gold=values, produced=values, unjudged={"y": "no two libraries agree"})
    agreement = deviations.compare({"y": np.ones(2)}, truth)
    assert (agreement.error, agreement.note) == (None, "y: no two libraries agree")


WORDS = np.array([["no", "yes"], ["Ångström", ""]])


def test_text_is_right_or_wrong() -> None:
    right = deviations.deviation("y", WORDS.astype("U30"), WORDS, 1.0)
    assert (right.error, right.note) == (0.0, "")
    answer = WORDS.copy()
    answer[1] = ["Angstrom", "x"]
    wrong = deviations.deviation("y", answer, WORDS, 1.0)
    assert (wrong.error, wrong.row) == (1.0, 1)
    assert wrong.note == (
        "2 of 4 texts of y differ, the first at [1, 0]: 'Angstrom', not 'Ångström'"
    )


def test_text_beside_numbers_is_compared_with_them() -> None:
    scores = np.array([[0.25, 0.75], [1.0, 0.0]], np.float32)
    gold = {"label": WORDS, "scores": scores.astype(np.float64)}
    answered = {"label": WORDS, "scores": scores + np.float32(0.5)}
    produced = {"label": WORDS, "scores": scores}
    agreement = deviations.compare(answered, Truth(gold=gold, produced=produced))
    assert [output.error for output in agreement.outputs] == [0.0, 0.5]
    assert agreement.producer_error == 0.0


def test_a_number_in_the_place_of_a_text_is_no_answer() -> None:
    numbers = np.ones(WORDS.shape, np.int64)
    agreement = deviations.compare({"y": numbers}, Truth(gold={"y": WORDS}, produced={"y": WORDS}))
    assert agreement.outputs[0].error is None
    assert agreement.note == "y is int64, not text"


def test_text_that_depends_on_an_undefined_value_does_not_count() -> None:
    answer = np.array([["no", "anything"], ["Ångström", ""]])
    assert masked(answer, WORDS, [[0, UNDEFINED_VALUE], [0, 0]]).error == 0.0


def test_the_cosine_is_that_of_the_worst_row() -> None:
    gold = np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    answer = np.array([[1.0, 0.0], [2.0, 2.0], [5.0, 5.0]], np.float32)
    assert similarity.cosine(answer, gold) == pytest.approx(np.sqrt(0.5))
    assert similarity.cosine(-answer[:1], gold[:1]) == -1.0
    assert similarity.cosine(np.zeros((1, 2)), gold[:1]) == 0.0
    steps = np.stack([answer, answer])
    assert similarity.cosine(steps, np.stack([gold, gold])) == pytest.approx(np.sqrt(0.5))


@pytest.mark.parametrize("shape", [(), (3,), (3, 1), (0, 4), (2, 3, 4, 4)])
def test_only_vectors_in_rows_have_a_cosine(shape: tuple[int, ...]) -> None:
    assert similarity.cosine(np.ones(shape), np.ones(shape)) is None


def test_gold_that_is_zero_or_not_finite_has_no_cosine() -> None:
    gold = np.array([[0.0, 0.0], [np.inf, 1.0]])
    assert similarity.cosine(np.ones((2, 2)), gold) is None
