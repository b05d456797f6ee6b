"""How far answers are from gold: the numbers behind a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matrix.arrays import Floats
from matrix.records import Agreement, Deviation

Answers = Mapping[str, Floats]
"""Outputs by name, in the model's order."""


def compare(answered: Answers, produced: Answers, truth: Answers) -> Agreement:
    """Compare a consumer's outputs, and the producer's own, with gold.

    Outputs are matched by name where both sides have the same names, else by their order. The
    worst output counts.
    """
    if len(answered) != len(truth):
        return nothing(f"it gave {len(answered)} outputs, {len(truth)} are expected")
    named = set(answered) == set(truth)
    deviations, own, between, scales = [], [], [], []
    for number, (name, gold) in enumerate(truth.items()):
        scale = scale_of(gold)
        if scale is None:
            return nothing(f"the gold of {name} is zero or not finite")
        answer = answered[name] if named else list(answered.values())[number]
        deviations.append(deviation(name, answer, gold, scale))
        own.append(distance(produced[name], gold, scale))
        between.append(distance(answer, produced[name], scale))
        scales.append(scale)
    return Agreement(
        error=worst([one.error for one in deviations]),
        producer_error=worst(own),
        from_producer=worst(between),
        scale=max(scales),
        note="; ".join(one.note for one in deviations if one.note),
        outputs=tuple(deviations),
    )


def nothing(note: str) -> Agreement:
    """Return what is said where nothing can be compared."""
    return Agreement(error=None, producer_error=None, from_producer=None, scale=0.0, note=note)


def worst(errors: list[float | None]) -> float | None:
    """Return the largest error, or None where one of them makes no sense."""
    known = [one for one in errors if one is not None]
    return max(known) if known and len(known) == len(errors) else None


def scale_of(gold: Floats) -> float | None:
    """Return the largest absolute value that errors are divided by; None where there is none."""
    scale = float(np.abs(gold).max(initial=0.0))
    return scale if np.isfinite(scale) and scale > 0.0 else None


def distance(one: Floats, other: Floats, scale: float) -> float | None:
    """Return the largest absolute difference over *scale*; None where that makes no sense."""
    if one.shape != other.shape or not np.isfinite(one).all():
        return None
    return float(np.abs(one.astype(np.float64) - other).max(initial=0.0) / scale)


def deviation(name: str, answer: Floats, gold: Floats, scale: float) -> Deviation:
    """Return all the numbers of one output, (N, ...), against gold of the same shape."""
    if answer.shape != gold.shape:
        note = f"{name} has the shape {answer.shape}, not {gold.shape}"
        return Deviation(name=name, error=None, note=note)
    count = int((~np.isfinite(answer)).sum())
    if count:
        note = f"{count} of {answer.size} values of {name} are not finite"
        return Deviation(name=name, error=None, note=note)
    away = np.abs(answer.astype(np.float64) - gold)
    some = gold != 0
    return Deviation(
        name=name,
        error=float(away.max(initial=0.0) / scale),
        max_abs=float(away.max(initial=0.0)),
        max_rel=float((away[some] / np.abs(gold[some])).max(initial=0.0)),
        ulp=ulps(answer, gold.astype(answer.dtype)),
        top1=top1(answer, gold),
    )


def top1(answer: Floats, gold: Floats) -> float | None:
    """Return the share of rows whose largest value stands at the same place as gold's."""
    if answer.ndim < 2 or answer.shape[-1] < 2 or not answer.size:
        return None
    return float((answer.argmax(axis=-1) == gold.argmax(axis=-1)).mean())


_WHOLE: dict[int, type[np.signedinteger[Any]]] = {2: np.int16, 4: np.int32, 8: np.int64}


def ulps(one: Floats, other: Floats) -> int | None:
    """Return the most floats of their dtype that lie between two finite arrays' values.

    Bit patterns in the order of the numbers, after Dawson, "Comparing floating point numbers".
    """
    if one.dtype.itemsize not in _WHOLE or not one.size:
        return None
    apart = _ordered(one).astype(object) - _ordered(other).astype(object)
    return int(np.abs(apart).max())


def _ordered(values: Floats) -> NDArray[Any]:
    """Return integers that are ordered, and next to each other, as floats are."""
    whole = _WHOLE[values.dtype.itemsize]
    bits = np.ascontiguousarray(values).view(values.dtype.newbyteorder("=")).view(whole)
    return np.where(bits < 0, np.iinfo(whole).min - bits, bits).astype(np.int64)
