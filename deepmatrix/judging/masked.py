"""Values that are not compared with gold: which they are, what stands for them, and what to say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from deepmatrix.judging.quantisation.quantised_steps import INTEGERS, as_gold_is
from deepmatrix.store.arrays import FLOATS, TEXT, Values
from deepmatrix.store.truths import Truth
from harness.record import OVERFLOW, ROUNDING, UNDEFINED_VALUE

#: Below this, all-zero answers would pass.
TINY_GOLD = 1e-6


@np.errstate(all="ignore")
def compared(
    answer: Values,
    gold: Values,
    mask: Values | None = None,
    axis: int | None = None,
    apart: float = math.inf,
) -> tuple[Values, Values]:
    """Return an answer and gold as they are compared: zero in both where they are not.

    Along an *axis* whose order does not count both are sorted.

    So what is not compared has no part in their scale either. The codes of a mask are those of
    `harness.record`; what overflowed is compared where the answer is finite, and integers that
    rounding decides where they are farther *apart* from gold. An infinity is right where the
    answer's type cannot hold gold. Arrays of other shapes or kinds stay as they are.
    """
    if not _are_alike(answer, gold):
        return answer, gold
    answer, gold = _in_order(answer, axis), _in_order(gold, axis)
    ignored = _is_right_infinity(answer, gold) | _ignored(answer, gold, mask, apart)
    if not ignored.any():
        return answer, gold
    return _zeroed(answer, ignored), _zeroed(gold, ignored)


@np.errstate(all="ignore")
def judged_values(answer: Values, truth: Truth, name: str) -> Values:
    """Return an answer for an output, so that answers can be compared with one another.

    It is of gold's kind, zero where the standard or rounding decides, gold where it overflows, and
    sorted where its order does not count.
    """
    if name not in truth.gold:
        return answer
    gold, mask, axis = truth.gold[name], truth.masks.get(name), truth.unordered.get(name)
    answer = as_gold_is(answer, gold, truth.quantised.get(name))
    answer, gold = _in_order(answer, axis), _in_order(gold, axis)
    if mask is None or mask.shape != answer.shape or not _are_alike(answer, gold):
        return answer
    ignored = _ignored(answer, gold, mask, truth.apart.get(name, math.inf))
    held = np.where(ignored, gold.astype(answer.dtype), answer)
    return _zeroed(held, ignored & (mask != OVERFLOW))


def in_order(outputs: Mapping[str, Values], truth: Truth) -> dict[str, Values]:
    """Return outputs by name, those that are in the order of another one as that one is sorted.

    So a value stays with its place. Outputs of other shapes stay as they are.
    """
    ordered = dict(outputs)
    for name, leader in truth.in_order_of.items():
        values, keys, axis = outputs.get(name), outputs.get(leader), truth.unordered.get(leader)
        if values is None or keys is None or axis is None or axis >= keys.ndim:
            continue
        if values.shape == keys.shape:
            order = np.argsort(keys, axis, kind="stable")
            ordered[name] = np.take_along_axis(values, order, axis)
    return ordered


def in_its_order(truth: Truth) -> Truth:
    """Return what judges outputs that `in_order` has put in order."""
    if not truth.in_order_of:
        return truth
    followers = truth.in_order_of.keys()
    masked = {name: truth.masks.get(name, x) for name, x in truth.gold.items() if name in followers}
    ordered = in_order({**truth.gold, **masked}, truth)
    axes = {name: axis for name, axis in truth.unordered.items() if name not in followers}
    return replace(
        truth,
        gold=in_order(truth.gold, truth),
        produced=in_order(truth.produced, truth),
        masks={
            name: ordered.get(name, mask) if name in followers else mask
            for name, mask in truth.masks.items()
        },
        unordered=axes,
        in_order_of={},
    )


def _in_order(values: Values, axis: int | None) -> Values:
    is_set = axis is not None and axis < values.ndim
    return np.sort(values, axis) if is_set else values


def _are_alike(answer: Values, gold: Values) -> bool:
    is_text = [x.dtype.kind == TEXT for x in (answer, gold)]
    return answer.shape == gold.shape and is_text[0] == is_text[1]


def _zeroed(values: Values, where: Values) -> Values:
    zero = np.zeros((), values.dtype)  # of text: an empty one
    zeroed: Values = np.where(where, zero, values)
    return zeroed


def _ignored(answer: Values, gold: Values, mask: Values | None, apart: float) -> Values:
    if mask is None or mask.shape != answer.shape:
        return np.zeros(answer.shape, bool)
    ignored: Values = mask != 0
    if answer.dtype.kind == FLOATS:
        ignored &= (mask != OVERFLOW) | ~np.isfinite(answer)
    if answer.dtype.kind in INTEGERS and gold.dtype.kind in INTEGERS:
        distance = np.abs(answer.astype(np.float64) - gold.astype(np.float64))
        ignored &= (mask != ROUNDING) | (distance <= apart)
    return ignored


def _is_right_infinity(answer: Values, gold: Values) -> Values:
    """Return where an answer is infinite as its type makes the finite gold."""
    if not answer.dtype.kind == gold.dtype.kind == FLOATS:
        return np.zeros(answer.shape, bool)
    right: Values = np.isinf(answer) & np.isfinite(gold) & (gold.astype(answer.dtype) == answer)
    return right


#: What a mask says of values that are not compared, by its code.
_NOT_COMPARED = {
    UNDEFINED_VALUE: "the standard leaves {count} of {size} values undefined",
    ROUNDING: "rounding decides {count} of {size} values",
    OVERFLOW: "{count} of {size} values overflow in the model's own precision",
}


def caution(gold: Values, mask: Values | None = None) -> str:
    """Return why a match with this gold proves little, or nothing."""
    if mask is not None and mask.any():
        counts = {code: int((mask == code).sum()) for code in _NOT_COMPARED}
        return ", ".join(
            text.format(count=counts[code], size=mask.size)
            for code, text in _NOT_COMPARED.items()
            if counts[code]
        )
    if not gold.size:
        return "it has no values for these inputs, so nothing is compared"
    if gold.dtype.kind == TEXT:
        return ""
    finite = np.abs(gold[np.isfinite(gold)])
    if not finite.size:
        return "gold has no finite value"
    if gold.dtype.kind == FLOATS and finite.max() <= TINY_GOLD:
        return f"no gold value is above {TINY_GOLD:g}, so all-zero outputs would match"
    if gold.dtype in ("int8", "uint8") and (gold == gold.flat[0]).all():
        return f"all gold values are the code {gold.flat[0]}, so the same everywhere would match"
    return ""
