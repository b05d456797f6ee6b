"""Sample inputs for a model, from the names, dtypes and shapes that it declares."""

import difflib
import functools
import operator
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

import numpy

from harness.adapters import Arrays
from harness.graphs import BadModel, WrongInputs, values

#: The size of a dynamic dimension.
DYNAMIC_SIZE = 2

#: Sample integers are below this: valid indices into most tables.
MOST = 10

#: A larger sample input is refused.
LARGEST_BYTES = 2**30

#: Kinds of dtypes, as numpy names them, that are served: numbers, truth values, and text.
SERVED = "fiubU"

#: Sample texts are drawn from these.
WORDS = (
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "the lazy dog",
    "\u00c5ngstr\u00f6m",
    "42",
    "",
)


class Values(NamedTuple):
    """What a sample input can hold: from *low* to *high*, both included; *why* in a few words.

    *whole*: whole numbers only, also in an array of floats. *words*: what a text can be, by the
    column of the last axis, None for all; a text has no numbers. *numbers*: what a number of a
    column is drawn from; other columns have none to choose from.
    """

    low: float
    high: float
    whole: bool
    why: str
    words: Dict[Optional[int], Tuple[str, ...]] = {}
    numbers: Dict[int, Tuple[float, ...]] = {}


class Sampling(NamedTuple):
    """How sample inputs are drawn: from *seed*, with what a user asks for.

    *shapes*: sizes by the name of an input, or of a dynamic dimension, which has one size.
    *ranges*: the smallest and the largest value by the name of an input.
    """

    seed: int
    shapes: Dict[str, Tuple[int, ...]] = {}
    ranges: Dict[str, Tuple[float, float]] = {}


def check_request(sampling: Sampling, declared: List[Dict[str, Any]]) -> None:
    """Raise WrongInputs where a user asks for a shape or a range that the inputs cannot have."""
    entries = {entry["name"]: entry for entry in declared}
    dynamic = {dim for entry in declared for dim in entry["shape"] if isinstance(dim, str)}
    for name, sizes in sampling.shapes.items():
        text = f"--shape {name}={'x'.join(map(str, sizes))}"
        if name in entries:
            _check_shape(text, entries[name], sizes)
        elif name not in dynamic:
            raise WrongInputs(
                f"{text}: it has no such input or dynamic dimension"
                f"{_nearest(name, [*entries, *sorted(dynamic)])}"
            )
        elif len(sizes) != 1:
            raise WrongInputs(f"{text}: a dimension has one size")
    for name, (low, high) in sampling.ranges.items():
        text = f"--range {name}={low:g}:{high:g}"
        if name not in entries:
            raise WrongInputs(f"{text}: it has no such input{_nearest(name, entries)}")
        _check_range(text, entries[name], low, high)


def _nearest(name: str, entries: Iterable[str]) -> str:
    matches = difflib.get_close_matches(name, entries, n=1)
    known = ", ".join(f"'{entry}'" for entry in entries)
    return f"; did you mean '{matches[0]}'?" if matches else f"; it has {known}"


def _check_shape(text: str, entry: Dict[str, Any], sizes: Tuple[int, ...]) -> None:
    dims = entry["shape"]
    if len(dims) != len(sizes) or any(
        dim != size for dim, size in zip(dims, sizes) if not is_dynamic(dim)
    ):
        unnamed = [f"{entry['name']}.{axis}" for axis in range(len(dims))]
        named = ["?" if dim == own else str(dim) for dim, own in zip(dims, unnamed)]
        raise WrongInputs(f"{text}: its shape is ({', '.join(named)})")


def _check_range(text: str, entry: Dict[str, Any], low: float, high: float) -> None:
    dtype = values.carrier(entry["dtype"])
    if dtype.kind not in "iufb":
        raise WrongInputs(f"{text}: {entry['name']} is {entry['dtype']}, which has no range")
    least, most = _bounds(dtype)
    if low < least or high > most:
        raise WrongInputs(f"{text}: {entry['dtype']} holds {least} to {most}")
    if dtype.kind in "iub" and numpy.ceil(low) > numpy.floor(high):
        raise WrongInputs(f"{text}: no {entry['dtype']} is in this range")


def _bounds(dtype: "numpy.dtype[Any]") -> Tuple[float, float]:
    """Return the smallest and the largest value of a type of numbers; a bool is 0 or 1."""
    if dtype.kind == "b":
        return 0, 1
    limits: Any = numpy.finfo(dtype) if dtype.kind == "f" else numpy.iinfo(dtype)
    return limits.min, limits.max


def is_dynamic(dim: Any) -> bool:
    """Return whether a dimension has no size: it is a name, or a number of 0 or less."""
    return isinstance(dim, str) or dim <= 0


def check_kind(role: str, name: str, dtype: Any) -> None:
    """Raise BadModel unless the dtype of a tensor is served; *role* is "input" or "output"."""
    try:
        kind: str = values.carrier(str(dtype)).kind
    except TypeError:  # a dtype that numpy itself does not have
        kind = ""
    if not kind or kind not in SERVED:
        raise BadModel(
            f"its {role} {name} is {dtype}, which is unsupported; supported types: text, integers, "
            "booleans and floats of 16 to 64 bits, bfloat16 among them"
        )


def arrays(declared: Iterable[Dict[str, Any]], sampling: Sampling) -> Arrays:
    """Return an array by name for each declared ``name``, ``dtype`` and ``shape``.

    A dynamic dimension, see `is_dynamic`, gets what the user requests, else its size in the shape
    ``usual``, where there is one, else `DYNAMIC_SIZE`.
    Raises as `sized` and `check_request` do.
    """
    entries = list(declared)
    check_request(sampling, entries)
    return sized([dict(entry, shape=_sizes(entry, sampling)) for entry in entries], sampling)


def _sizes(entry: Dict[str, Any], sampling: Sampling) -> List[int]:
    requested = sampling.shapes.get(entry["name"])
    if requested is not None:
        return list(requested)
    usual = entry.get("usual", [DYNAMIC_SIZE] * len(entry["shape"]))
    return [
        sampling.shapes.get(dim, (size,))[0] if is_dynamic(dim) else dim
        for dim, size in zip(entry["shape"], usual)
    ]


def sized(declared: Iterable[Dict[str, Any]], sampling: Sampling) -> Arrays:
    """Return arrays as `arrays` does, for shapes without a dynamic dimension.

    Values are drawn evenly from the range that the user asks for, else from the entry's
    ``values``, of the type `Values`. Without both, floats are drawn from the standard normal
    distribution, integers from 0 to `MOST` - 1, and texts from `WORDS`. Raises BadModel for a dtype
    that is not served and for an array of more than `LARGEST_BYTES`.
    """
    random = numpy.random.RandomState(sampling.seed)
    sampled = {}
    for entry in declared:
        limits = sampling.ranges.get(entry["name"])
        legal = Values(*limits, False, "--range") if limits else entry.get("values")
        drawn = _array(entry, legal, random)
        sampled[entry["name"]] = values.rounded(drawn, entry["dtype"])
    return sampled


def _array(
    entry: Dict[str, Any], legal: Optional[Values], random: "numpy.random.RandomState"
) -> "numpy.ndarray":
    check_kind("input", entry["name"], entry["dtype"])
    is_text = entry["dtype"] == values.TEXT
    dtype = numpy.array(WORDS).dtype if is_text else values.carrier(entry["dtype"])
    shape: List[int] = entry["shape"]
    size = functools.reduce(operator.mul, shape, dtype.itemsize)
    if size > LARGEST_BYTES:
        raise BadModel(
            f"its input {entry['name']} would have {size / 2**30:.1f} GiB: sample inputs have "
            f"at most {LARGEST_BYTES // 2**30}"
        )
    if entry.get("distinct"):
        return _distinct(size // dtype.itemsize, dtype)
    if legal is not None and legal.numbers and dtype.kind in "fiu":
        return _chosen(legal.numbers, shape, dtype, random)
    if legal is not None and dtype.kind in "fiub":
        return _within(legal, shape, dtype, random)
    if dtype.kind == "f":
        return random.standard_normal(shape).astype(dtype)
    if dtype.kind in "iu":
        return random.randint(0, MOST, shape).astype(dtype)
    if is_text:
        return _texts(legal.words if legal else {}, shape, random)
    return random.randint(0, 2, shape).astype(dtype)


def _texts(
    words: Dict[Optional[int], Tuple[str, ...]],
    shape: List[int],
    random: "numpy.random.RandomState",
) -> "numpy.ndarray":
    """Draw texts from the words of their column, else of all columns, else from `WORDS`."""
    columns = shape[-1] if shape else 1
    drawn = numpy.empty(shape or [1], object)
    for column in range(columns):
        choice = words.get(column) or words.get(None) or WORDS
        picked = random.randint(0, len(choice), drawn[..., column].shape)
        drawn[..., column] = numpy.array(choice, object)[picked]
    return numpy.array(drawn.reshape(shape).tolist(), "U").reshape(shape)


def _chosen(
    numbers: Dict[int, Tuple[float, ...]],
    shape: List[int],
    dtype: Any,
    random: "numpy.random.RandomState",
) -> "numpy.ndarray":
    """Draw the numbers of each column from its own; of another column from the normal ones."""
    drawn = random.standard_normal(shape)
    for column, choice in numbers.items():
        picked = random.randint(0, len(choice), shape[:-1])
        drawn[..., column] = numpy.array(choice)[picked]
    least, most = _bounds(numpy.dtype(dtype))
    whole = numpy.rint(drawn) if numpy.dtype(dtype).kind in "iu" else drawn
    return numpy.clip(whole, least, most).astype(dtype)


def _distinct(count: int, dtype: "numpy.dtype[Any]") -> "numpy.ndarray":
    """Return *count* values, none twice: runtimes differ in which of a map's equal keys counts."""
    if dtype.kind == "U":
        return numpy.array([*WORDS, *(f"key {number}" for number in range(count))][:count])
    return numpy.arange(count).astype(dtype)


def _within(
    legal: Values, shape: List[int], dtype: Any, random: "numpy.random.RandomState"
) -> "numpy.ndarray":
    """Draw evenly from what an input can hold."""
    if dtype.kind == "f" and not legal.whole:
        drawn: numpy.ndarray = random.uniform(legal.low, legal.high, shape).astype(dtype)
        return drawn
    low, high = numpy.ceil(legal.low), numpy.floor(legal.high)
    if dtype.kind in "iub":
        least, most = _bounds(dtype)
        low, high = max(low, least), min(high, most)
    return random.randint(int(low), int(min(high, 2**62)) + 1, shape, "int64").astype(dtype)
