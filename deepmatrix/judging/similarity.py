"""What an output's largest error does not say: classes, angles, floats between, small slices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepmatrix.store.arrays import FLOATS, Values
from deepmatrix.store.records import Slices
from harness.record import SMALLEST_SCALE


def top1(name: str, answer: Values, gold: Values) -> float | None:
    """Return the share of rows whose largest value has gold's index; None without classes.

    Only (N, C) holds classes in rows for certain: a detector's (N, C, anchors) has its boxes there.
    A language model's (N, T, C) is told by the *name* that exporters give to it, ``logits``.
    """
    if not _has_classes(name, answer):
        return None
    return float((answer.argmax(axis=-1) == gold.argmax(axis=-1)).mean())


def _has_classes(name: str, answer: Values) -> bool:
    in_rows = answer.ndim == 2 or (answer.ndim == 3 and "logits" in name.lower())
    return in_rows and answer.shape[-1] > 1 and answer.size > 0


@np.errstate(invalid="ignore")  # between infinities there is no margin
def flip_margin(name: str, answer: Values, gold: Values, scale: float) -> float | None:
    """Return how clear gold is where the answer has another class: its largest margin.

    The margin of a row is gold's largest value less its value at the index of the answer's largest,
    over *scale*. None without classes as in `top1`, or where no row has another one.
    """
    if not _has_classes(name, answer):
        return None
    wanted, answered = (values.argmax(axis=-1)[..., None] for values in (gold, answer))
    largest, instead = (
        np.take_along_axis(gold, index, axis=-1).astype(np.float64) / scale
        for index in (wanted, answered)
    )
    margins = (largest - instead)[wanted != answered]
    known = margins[~np.isnan(margins)]
    return float(known.max()) if known.size else None


#: The number of axes of vectors in rows: (N, C), or (N, T, C) with T steps.
VECTOR_AXES = (2, 3)


def cosine(answer: Values, gold: Values) -> float | None:
    """Return the smallest cosine similarity of a vector with gold's; None without vectors.

    Vectors lie along the last axis of (N, C) or (N, T, C), as logits and embeddings do. Those with
    values that are not finite, and those that are zero in gold, do not count.
    """
    if answer.ndim not in VECTOR_AXES or answer.shape[-1] < 2 or not answer.size:
        return None
    vectors, wanted = (
        value.reshape(-1, value.shape[-1]).astype(np.float64) for value in (answer, gold)
    )
    is_finite = np.isfinite(vectors).all(axis=1) & np.isfinite(wanted).all(axis=1)
    counted = is_finite & (wanted != 0).any(axis=1)
    if not counted.any():
        return None
    cosines = (_unit(vectors[counted]) * _unit(wanted[counted])).sum(axis=1)
    return float(np.clip(cosines.min(), -1.0, 1.0))


def _unit(vectors: Values) -> Values:
    """Return finite vectors, float64 (N, C), at length 1; those of zeros as they are.

    They are divided by their largest values first: squares of the largest floats overflow, and
    those of the smallest are zero.
    """
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    scaled = vectors / np.where(largest > 0, largest, 1.0)
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    unit: Values = scaled / np.where(lengths > 0, lengths, 1.0)
    return unit


#: Along more places than these there are positions, not kinds of values.
MOST_SLICES = 512

#: Fewer values may all be small by chance.
FEWEST_VALUES = 4

#: A slice is small below this share of the scale; no tolerance is wider.
SMALL = 0.25


def slices(answer: Values, gold: Values, scale: float, own: tuple[Values, Values]) -> Slices | None:
    """Return the slices of an output along the axis with the smallest one; None if none is small.

    A detector's output may have pixels, scores and classes along one axis: an error that is small
    beside the pixels may be larger than every score. Slices that are zero in both do not count.
    *own* are the producer's answer and its gold.
    """
    if {answer.dtype.kind, gold.dtype.kind} != {FLOATS} or answer.shape != gold.shape:
        return None
    sizes = np.maximum(*(np.where(np.isfinite(x), np.abs(x), 0.0) for x in (answer, gold))) / scale
    best: Slices | None = None
    for axis, length in enumerate(gold.shape):
        if not 2 <= length <= MOST_SLICES or gold.size < FEWEST_VALUES * length:
            continue
        others = tuple(other for other in range(gold.ndim) if other != axis)
        largest = sizes.max(axis=others)
        present = np.sort(largest[largest > 0])
        small = tuple(map(float, present[present < SMALL]))
        if small and (best is None or small[0] < best.small[0]):
            best = Slices(axis=axis, count=len(present), small=small)
    if best is None or scale <= SMALLEST_SCALE:
        return best
    errors = [slice_error(*pair, best.axis) for pair in ((answer, gold), own)]
    return best.model_copy(update={"error": errors[0], "producer_error": errors[1]})


def slice_error(answer: Values, gold: Values, axis: int) -> float | None:
    """Return the largest error of a slice over its largest gold value, at least the least scale.

    None where shapes differ. Values that are not finite are judged elsewhere.
    """
    if answer.shape != gold.shape:
        return None
    finite = np.isfinite(answer) & np.isfinite(gold)
    right = np.where(finite, gold, 0).astype(np.float64)
    difference = np.abs(np.where(finite, answer, 0).astype(np.float64) - right)
    others = tuple(other for other in range(gold.ndim) if other != axis)
    scales = np.maximum(np.abs(right).max(axis=others), SMALLEST_SCALE)
    return float((difference.max(axis=others) / scales).max())


_INTEGERS: dict[int, type[np.signedinteger[Any]]] = {2: np.int16, 4: np.int32, 8: np.int64}


def ulps(answer: Values, gold: Values) -> int | None:
    """Return the most floats of their dtype that lie between two finite arrays' values.

    Bit patterns in the order of the numbers, after Dawson, "Comparing floating point numbers".
    """
    if answer.dtype.kind != "f" or answer.dtype.itemsize not in _INTEGERS or not answer.size:
        return None
    first, second = _ordered(answer), _ordered(gold)
    # The difference of two int64 may exceed int64.
    count = np.maximum(first, second).view(np.uint64) - np.minimum(first, second).view(np.uint64)
    return int(count.max())


def _ordered(values: Values) -> NDArray[Any]:
    """Return integers in the order of the floats, adjacent where the floats are."""
    integer = _INTEGERS[values.dtype.itemsize]
    bits = np.ascontiguousarray(values).view(values.dtype.newbyteorder("=")).view(integer)
    return np.where(bits < 0, np.iinfo(integer).min - bits, bits).astype(np.int64)


def accuracy(answer: Values, labels: Values) -> float | None:
    """Return the share of *labels*, (N, ...), that an answer, (N or more, ..., classes), gives.

    None where the answer has other dimensions, or is text.
    """
    if answer.dtype.kind not in "fiu" or answer.ndim != labels.ndim + 1:
        return None
    if not answer.size or answer.shape[1:-1] != labels.shape[1:]:
        return None
    classes = answer[: len(labels)].argmax(axis=-1)
    return float((classes == labels).mean()) if classes.shape == labels.shape else None
