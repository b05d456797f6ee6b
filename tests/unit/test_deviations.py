"""The numbers behind a verdict, against answers worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deepmatrix.drawing import numbers
from deepmatrix.judging import consensus, deviations, similarity
from deepmatrix.judging.consensus import Vote
from deepmatrix.judging.masked import judged_values
from deepmatrix.judging.quantisation import costs
from deepmatrix.paths import ROOT
from deepmatrix.store.parts import Quantised
from deepmatrix.store.records import Agreement
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
    assert "finite gold value that is compared, but at least 0.25." in METHOD.read_text("utf-8")
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
        (np.full((2, 3), np.nan), "gold has no finite value"),
        (np.full((2, 3), 1e-9), "no gold value is above 1e-06, so all-zero outputs would match"),
        (np.uint8([[0]]), "all gold values are the code 0, so the same everywhere would match"),
        (np.int8([[-3, 4]]), ""),
        (np.int64([[0]]), ""),
        (np.zeros((2, 3), np.int64), ""),
    ],
)
def test_where_a_match_says_little_it_is_said(gold: Any, caution: str) -> None:
    agreement = deviations.compare({"y": gold}, same("y", gold))
    assert (agreement.error, agreement.outputs[0].caution) == (0, caution)


def test_outputs_without_values_match_nothing_unless_another_one_does() -> None:
    gold = {"y": np.zeros((0, 3)), "z": np.zeros(0, np.int64)}
    agreement = deviations.compare(dict(gold), Truth(gold=gold, produced=gold))
    assert [output.unjudged for output in agreement.outputs] == [True, True]
    reason = "no gold: it has no values for these inputs, so nothing is compared"
    assert agreement.note == f"y: {reason}; z: {reason}"
    gold["z"] = np.array([1])
    assert deviations.compare(dict(gold), Truth(gold=gold, produced=gold)).error == 0.0
    wrong = {"y": np.zeros((1, 3)), "z": np.array([1])}
    assert deviations.compare(wrong, Truth(gold=gold, produced=gold)).error is None


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


@pytest.mark.parametrize(("shape", "right"), [((2, 5), True), ((3, 5), False), ((5,), False)])
def test_where_draws_have_other_shapes_rank_and_the_axes_that_agree_count(
    shape: tuple[int, ...], right: bool
) -> None:
    gold, produced = np.zeros((2, 3)), np.zeros((2, 4))
    truth = Truth(gold={"y": gold}, produced={"y": produced}, random=frozenset(["y"]))
    agreement = deviations.compare({"y": np.ones(shape)}, truth)
    assert agreement.producer_error == 0.0
    assert (agreement.error == 0.0) == right


@pytest.mark.parametrize("share", [0.5, 0.01])
@pytest.mark.parametrize("size", [1, 4, 8, 100, 400])
def test_few_or_rare_values_that_are_random_by_design_accuse_nobody(
    size: int, share: float
) -> None:
    for seed in range(50):
        samples = np.random.default_rng(seed).uniform(size=(2, size)) < share
        gold, answer = samples.astype(np.float32)
        truth = Truth(gold={"y": gold}, produced={"y": gold}, random=frozenset(["y"]))
        assert deviations.compare({"y": answer}, truth).error == 0.0


def test_a_random_output_that_is_constant_is_not_like_another_constant() -> None:
    gold = np.zeros(400, np.float32)
    truth = Truth(gold={"y": gold}, produced={"y": gold}, random=frozenset(["y"]))
    assert deviations.compare({"y": gold}, truth).error == 0.0
    assert deviations.compare({"y": gold + 1}, truth).error is None


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


def test_where_rounding_decides_all_texts_nothing_is_judged() -> None:
    gold, produced = np.array(["0.10000000149011612"]), np.array(["0.1"])
    masks = {"y": np.full(1, ROUNDING, np.uint8)}
    truth = Truth(gold={"y": gold}, produced={"y": produced}, masks=masks)
    agreement = deviations.compare({"y": np.array(["wrong"])}, truth)
    assert agreement.outputs[0].unjudged
    assert agreement.note == "y: no gold: rounding decides 1 of 1 values"


def test_an_integer_that_rounding_decides_does_not_count() -> None:
    agreement = masked([7, 3], [6, 3], [ROUNDING, 0])
    assert agreement.error == 0.0
    assert agreement.outputs[0].caution == "rounding decides 1 of 2 values"


@pytest.mark.parametrize(("answer", "is_right"), [(np.inf, 1), (np.nan, 1), (70000.0, 1), (9.0, 0)])
def test_what_overflows_may_be_infinite_or_computed_in_more(answer: float, is_right: int) -> None:
    agreement = masked([answer, 1.0], [70000.0, 1.0], [OVERFLOW, 0])
    assert (agreement.error == 0.0) == bool(is_right)


def test_what_nothing_judges_has_its_reason() -> None:
    values = {"y": np.ones(2)}
    truth = Truth(gold=values, produced=values, unjudged={"y": "no two libraries agree"})
    agreement = deviations.compare({"y": np.ones(2)}, truth)
    assert (agreement.error, agreement.note) == (None, "y: no two libraries agree")


def test_what_is_not_compared_has_no_part_in_the_scale_of_errors() -> None:
    gold, answer = np.array([1e12, 0.5, 0.25]), np.array([0.0, 0.25, 0.5], np.float32)
    for code, value in ((UNDEFINED_VALUE, 0.0), (ROUNDING, 0.0), (OVERFLOW, np.inf)):
        answer[0] = value
        assert masked(answer, gold, [code, 0, 0]).error == 0.5
    answer[0] = 1e12  # what overflows in the model's own precision is compared where it does not
    assert (masked(answer, gold, [OVERFLOW, 0, 0]).error or 0) < 1e-6


def test_what_is_not_compared_has_no_part_in_the_scale_of_votes() -> None:
    values = {"y": np.array([1e12, 1.0])}
    mask = {"y": np.array([UNDEFINED_VALUE, 0], np.uint8)}
    truth = Truth(gold=values, produced=values, masks=mask)
    votes = [
        Vote(cell=library, library=library, value=judged_values(np.array(answer), truth, "y"))
        for library, answer in (("a", [7.0, 1.0]), ("b", [9.0, 2.0]))
    ]
    assert consensus.largest_group(votes, 1e-3) is None


@pytest.mark.parametrize("mask", [None, OVERFLOW])
@pytest.mark.parametrize(("dtype", "largest"), [("float32", 1e39), ("float16", 1e5)])
def test_an_infinity_is_right_where_the_type_cannot_hold_gold(
    dtype: str, largest: float, mask: int | None
) -> None:
    gold = np.array([[largest, -largest, 1.0]])
    masks = {} if mask is None else {"y": np.array([[mask, mask, 0]], np.uint8)}
    right = np.array([[np.inf, -np.inf, 1.0]], dtype)
    truth = Truth(gold={"y": gold}, produced={"y": right}, masks=masks)
    agreement = deviations.compare({"y": right}, truth)
    assert (agreement.error, agreement.producer_error, agreement.scale) == (0.0, 0.0, 1.0)
    wrong = np.array([[np.inf, -np.inf, 1.5]], dtype)
    assert deviations.compare({"y": wrong}, truth).error == 0.5
    if mask is None:
        turned = np.array([[-np.inf, np.inf, 1.0]], dtype)
        assert deviations.compare({"y": turned}, truth).error is None


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


def test_only_two_dimensions_are_taken_for_classes_in_rows() -> None:
    boxes = np.random.default_rng(0).normal(size=(1, 6, 40))  # a detector's: 4 of a box, 2 classes
    assert similarity.top1("output0", boxes, boxes) is None
    assert similarity.top1("lm_logits", boxes, boxes) == 1.0
    assert similarity.top1("output0", boxes[0], boxes[0]) == 1.0


def test_the_margin_of_a_flip_is_how_clear_gold_is_about_its_class() -> None:
    gold = np.array([[0.0, 4.0, 3.9], [1.0, 3.0, 2.0], [8.0, 0.0, 1.0]])
    answer = np.array([[0.0, 3.9, 4.0], [1.0, 2.0, 3.0], [8.0, 0.0, 1.0]])
    assert similarity.flip_margin("y", answer, gold, 8.0) == 1.0 / 8.0
    assert deviations.deviation("y", answer, gold, 8.0).flip_margin == 1.0 / 8.0
    assert similarity.flip_margin("y", gold, gold, 8.0) is None
    assert similarity.flip_margin("y", answer[:, None], gold[:, None], 8.0) is None
    infinite = np.array([[np.inf, np.inf]])
    assert similarity.flip_margin("y", np.array([[0.0, 1.0]]), infinite, 8.0) is None


def test_an_output_without_an_order_is_compared_as_a_set_along_its_axis() -> None:
    gold = {"y": np.array([[3.0, 2.0], [5.0, 4.0]])}
    truth = Truth(gold=gold, produced=gold, unordered={"y": 1})
    agreement = deviations.compare({"y": np.array([[2.0, 3.0], [5.0, 4.0]])}, truth)
    assert (agreement.error, agreement.producer_error) == (0.0, 0.0)
    assert not agreement.outputs[0].caution
    across = deviations.compare({"y": np.array([[5.0, 2.0], [3.0, 4.0]])}, truth)
    assert across.error == 0.4
    beyond = Truth(gold=gold, produced=gold, unordered={"y": 7})  # what a cell says may be absurd
    assert deviations.compare(gold, beyond).error == 0.0


def test_outputs_in_one_order_stay_together_in_any_order() -> None:
    gold = {"v": np.array([[0.5, 0.9, 0.7]]), "i": np.array([[4, 1, 2]])}
    truth = Truth(gold=gold, produced=gold, unordered={"v": 1, "i": 1}, in_order_of={"v": "i"})
    permuted = {name: values[:, [2, 0, 1]] for name, values in gold.items()}
    assert deviations.compare(permuted, truth).error == 0.0
    torn = {"v": gold["v"], "i": permuted["i"]}
    assert (deviations.compare(torn, truth).error or 0) > 0.2
    masks = {"v": np.array([[UNDEFINED_VALUE, 0, 0]], np.uint8)}
    wrong = {"v": permuted["v"] + [[0, 3, 0]], "i": permuted["i"]}  # where gold is 0.5
    assert deviations.compare(wrong, replace(truth, masks=masks)).error == 0.0
    assert (deviations.compare(wrong, truth).error or 0) > 1


def test_answers_in_another_order_vote_alike() -> None:
    gold = {"y": np.array([3, 2, 1])}
    truth = Truth(gold=gold, produced=gold, unordered={"y": 0})
    first, second = (judged_values(np.array(x), truth, "y") for x in ([1, 2, 3], [2, 3, 1]))
    assert consensus.distance(first, second) == 0.0


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


#: Values at which arithmetic with floats fails, by the dtypes that a file of arrays may hold.
LARGEST, SMALLEST = 1.7e308, 5e-324
EXTREMES = st.sampled_from(
    [0.0, 1.0, -1.0, LARGEST, -LARGEST, SMALLEST, -SMALLEST, np.inf, -np.inf, np.nan]
)
DTYPES = st.sampled_from(["f2", "f4", "f8", ">f8", "i1", "u1", "i8", "u8", "?", "U5"])


def absurd(shape: tuple[int, ...]) -> st.SearchStrategy[np.ndarray]:
    """Return arrays of any dtype and of values that nobody expects."""
    return DTYPES.flatmap(lambda dtype: _absurd_of(np.dtype(dtype), shape))


def _absurd_of(dtype: np.dtype[Any], shape: tuple[int, ...]) -> st.SearchStrategy[np.ndarray]:
    if dtype.kind == "f":
        numbers = hnp.arrays(np.float64, shape, elements=EXTREMES)
        return numbers.map(lambda values: _rounded_to(values, dtype))
    if dtype.kind in "iu":
        ends = np.iinfo(dtype)
        return hnp.arrays(dtype, shape, elements=st.sampled_from([0, 1, ends.min, ends.max]))
    if dtype.kind == "U":
        return hnp.arrays(dtype, shape, elements=st.sampled_from(["", "a", "1", "nan"]))
    return hnp.arrays(dtype, shape)


def _rounded_to(values: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    with np.errstate(over="ignore"):
        return values.astype(dtype)


@st.composite
def absurd_truths(draw: st.DrawFn) -> tuple[Truth, np.ndarray]:
    """Return what judges an output, and an answer: of any dtypes, and of one shape mostly."""
    shapes = st.sampled_from([(), (0,), (3,), (2, 3), (0, 3), (2, 2, 3)])
    shape = draw(shapes)
    gold, produced = draw(absurd(shape)), draw(absurd(shape))
    answer = draw(absurd(draw(st.one_of(st.just(shape), shapes))))
    grid = Quantised(step=draw(st.sampled_from([1e-45, 1.0])), steps=3, scale=0.1, zero_point=3)
    codes = st.sampled_from([0, UNDEFINED_VALUE, OVERFLOW])
    truth = Truth(
        gold={"y": gold},
        produced={"y": produced},
        masks={"y": draw(hnp.arrays(np.uint8, shape, elements=codes))} if draw(ANY) else {},
        quantised={"y": grid} if draw(ANY) else {},
        random=frozenset(["y"]) if draw(ANY) else frozenset(),
    )
    return truth, answer


ANY = st.booleans()


@given(absurd_truths())
def test_absurd_values_of_any_type_have_an_agreement_without_a_nan(
    case: tuple[Truth, np.ndarray],
) -> None:
    truth, answer = case
    agreement = deviations._agreement({"y": answer}, truth)  # `compare` would hide a failure
    kept = Agreement.model_validate_json(agreement.model_dump_json())
    assert kept == agreement  # a NaN would differ from itself


@given(absurd_truths())
def test_absurd_values_of_any_type_can_vote(case: tuple[Truth, np.ndarray]) -> None:
    truth, answer = case
    values = [answer, truth.produced["y"], truth.gold["y"]]
    votes = [
        Vote(cell=str(at), library=str(at), value=judged_values(value, truth, "y"))
        for at, value in enumerate(values)
    ]
    group = consensus.largest_group(votes, 1e-3)
    assert group is None or group.spread >= 0
    assert consensus.describe_difference(truth.gold["y"], answer)
    cost = costs._cost("y", judged_values(answer, truth, "y"), truth.gold["y"])
    assert cost == cost  # noqa: PLR0124 - a NaN would differ from itself


@pytest.mark.parametrize("factor", [1e-320, 1e-200, 1.0, 1e200, LARGEST])
def test_the_cosine_is_the_same_however_large_the_values_are(factor: float) -> None:
    gold, answer = np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])
    for left, right in ((factor, 1.0), (1.0, factor), (factor, factor)):
        assert similarity.cosine(answer * left, gold * right) == pytest.approx(np.sqrt(0.5))


def test_a_random_output_of_huge_values_is_not_like_one_of_small_ones() -> None:
    gold = np.linspace(-1.0, 1.0, 200)
    truth = Truth(gold={"y": gold}, produced={"y": gold}, random=frozenset(["y"]))
    assert deviations.compare({"y": gold}, truth).error == 0.0
    for huge in (np.full(200, LARGEST), np.where(gold < 0, -LARGEST, LARGEST)):
        assert deviations.compare({"y": huge}, truth).error is None


def test_a_failure_of_the_arithmetic_is_the_cells_own_verdict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise OverflowError("beyond\nfloats")

    monkeypatch.setattr(deviations, "output_scale", fail)
    agreement = deviations.compare({"y": GOLD}, same("y", GOLD))
    assert (agreement.error, agreement.outputs) == (None, ())
    assert agreement.note == (
        "its outputs cannot be compared with gold: OverflowError: beyond floats"
    )


def test_an_answer_that_overflows_agrees_with_one_in_more_than_the_models_precision() -> None:
    gold = np.array([1e5, 2.0])
    mask = np.array([OVERFLOW, 0], np.uint8)
    truth = Truth(gold={"y": gold}, produced={"y": gold}, masks={"y": mask})
    for first in (np.inf, np.nan, 1e5):
        judged = judged_values(np.array([first, 2.0]), truth, "y")
        assert judged.tolist() == [1e5, 2.0]
