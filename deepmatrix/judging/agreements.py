"""How far answers are from gold: the numbers behind a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepmatrix.store.arrays import Values
from deepmatrix.store.records import Agreement, Deviation

Answers = Mapping[str, Values]
"""Outputs by name, in the model's order."""


def compare(answered: Answers, produced: Answers, truth: Answers) -> Agreement:
    """Compare a consumer's outputs, and the producer's own, with gold.

    Outputs are matched by name where both sides have the same names, else by their order. The
    worst output counts.
    """
    if not truth:
        return nothing("it has no outputs")
    if len(answered) != len(truth):
        return nothing(f"it gave {len(answered)} outputs, {len(truth)} are expected")
    named = set(answered) == set(truth)
    deviations, between, scales = [], [], []
    for number, (name, gold) in enumerate(truth.items()):
        scale = scale_of(gold)
        answer = answered[name] if named else list(answered.values())[number]
        found = _typed(name, answer, produced[name]) or deviation(name, answer, gold, scale)
        own = distance(produced[name], gold, scale)
        about = {"dtype": str(produced[name].dtype), "caution": _caution(gold)}
        deviations.append(found.model_copy(update={"producer_error": own, **about}))
        between.append(distance(answer, produced[name], scale))
        scales.append(scale)
    return Agreement(
        error=worst([one.error for one in deviations]),
        producer_error=worst([one.producer_error for one in deviations]),
        from_producer=worst(between),
        scale=max(scales),
        note="; ".join(one.note for one in deviations if one.note),
        outputs=tuple(deviations),
    )


def _typed(name: str, answer: Values, produced: Values) -> Deviation | None:
    """Return what is said of numbers of another kind: floats, integers or booleans."""
    if answer.dtype.kind == produced.dtype.kind:
        return None
    note = f"{name} is {answer.dtype}, not {produced.dtype}"
    return Deviation(name=name, error=None, note=note)


#: Of what gold is at most, where answers of zero would match it too.
NEXT_TO_NOTHING = 1e-6


def _caution(gold: Values) -> str:
    """Say why a match with this gold says little, where it does."""
    finite = np.abs(gold[np.isfinite(gold)])
    if not gold.size:
        return "it is empty"
    if not finite.size:
        return "nothing in it is finite"
    if gold.dtype.kind == "f" and finite.max() <= NEXT_TO_NOTHING:
        return f"no value in it is above {NEXT_TO_NOTHING:g}"
    return ""


def nothing(note: str) -> Agreement:
    """Return what is said where nothing can be compared."""
    return Agreement(error=None, producer_error=None, from_producer=None, scale=0.0, note=note)


def worst(errors: list[float | None]) -> float | None:
    """Return the largest error, or None where one of them makes no sense."""
    known = [one for one in errors if one is not None]
    return max(known, default=0.0) if len(known) == len(errors) else None


#: What errors are divided by at least. Runtimes compute bounded functions (the logistic, softmax)
#: to some units in the last place of 1, whatever comes out: where all probabilities are next to
#: nothing, 2e-7 is what was asked of them, and no error that anyone could see.
SMALLEST = 0.25


def scale_of(gold: Values) -> float:
    """Return the largest absolute finite value, that errors are divided by; at least SMALLEST."""
    finite = np.abs(gold[np.isfinite(gold)]).astype(np.float64)
    return max(float(finite.max(initial=0.0)), SMALLEST)


def distance(one: Values, other: Values, scale: float) -> float | None:
    """Return the largest absolute difference over *scale*; None where that makes no sense."""
    return deviation("", one, other, scale).error


def deviation(name: str, answer: Values, gold: Values, scale: float) -> Deviation:
    """Return all the numbers of one output, (N, ...), against gold of the same shape.

    What is not finite in gold has to be the same in the answer, and what is finite, finite.
    Integers and booleans are right or wrong: where any differs the error is 1 at least.
    """
    if answer.shape != gold.shape:
        note = f"{name} has the shape {answer.shape}, not {gold.shape}"
        return Deviation(name=name, error=None, note=note)
    if gold.dtype.kind != "f":
        return _whole_numbers(name, answer, gold, scale)
    finite = np.isfinite(gold)
    differs = np.isfinite(answer) != finite
    wrong = int(differs.sum())
    if wrong:
        said = "are not finite" if finite.all() else "are finite where gold is not, or else"
        note = f"{wrong} of {answer.size} values of {name} {said}"
        return Deviation(name=name, error=None, row=_row(differs), note=note)
    if not np.array_equal(answer[~finite].astype(np.float64), gold[~finite], equal_nan=True):
        return Deviation(name=name, error=None, note=f"{name} has another infinity, or NaN, in it")
    found, wanted = answer[finite].astype(np.float64), gold[finite].astype(np.float64)
    away = np.abs(found - wanted)
    some = wanted != 0
    return Deviation(
        name=name,
        error=float(away.max(initial=0.0) / scale),
        max_abs=float(away.max(initial=0.0)),
        max_rel=float((away[some] / np.abs(wanted[some])).max(initial=0.0)),
        ulp=ulps(answer[finite], gold[finite].astype(answer.dtype)),
        top1=top1(answer, gold),
        row=_row(
            np.abs(np.where(finite, answer, 0).astype(np.float64) - np.where(finite, gold, 0))
        ),
    )


def _whole_numbers(name: str, answer: Values, gold: Values, scale: float) -> Deviation:
    differs = answer != gold
    if not differs.any():
        return Deviation(name=name, error=0.0, max_abs=0.0, max_rel=0.0)
    away = float(np.abs(answer.astype(np.float64) - gold.astype(np.float64)).max())
    return Deviation(name=name, error=max(away / scale, 1.0), max_abs=away, row=_row(differs))


def _row(away: Values) -> int | None:
    """Return the first row with the largest value, None where there are no rows."""
    return int(away.argmax()) // (away.size // len(away)) if away.ndim and away.size else None


def top1(answer: Values, gold: Values) -> float | None:
    """Return the share of rows whose largest value stands at the same place as gold's."""
    if answer.ndim < 2 or answer.shape[-1] < 2 or not answer.size:
        return None
    return float((answer.argmax(axis=-1) == gold.argmax(axis=-1)).mean())


_WHOLE: dict[int, type[np.signedinteger[Any]]] = {2: np.int16, 4: np.int32, 8: np.int64}


def ulps(one: Values, other: Values) -> int | None:
    """Return the most floats of their dtype that lie between two finite arrays' values.

    Bit patterns in the order of the numbers, after Dawson, "Comparing floating point numbers".
    """
    if one.dtype.kind != "f" or one.dtype.itemsize not in _WHOLE or not one.size:
        return None
    here, there = _ordered(one), _ordered(other)
    # Two of 64 bits may lie further apart than their own type can say.
    apart = np.maximum(here, there).view(np.uint64) - np.minimum(here, there).view(np.uint64)
    return int(apart.max())


def _ordered(values: Values) -> NDArray[Any]:
    """Return integers that are ordered, and next to each other, as floats are."""
    whole = _WHOLE[values.dtype.itemsize]
    bits = np.ascontiguousarray(values).view(values.dtype.newbyteorder("=")).view(whole)
    return np.where(bits < 0, np.iinfo(whole).min - bits, bits).astype(np.int64)
