"""How a user's inputs, or a range for samples of them, contradict an ONNX graph."""

from typing import Any, Dict, List, Tuple

from harness.adapters import Arrays
from harness.graphs import BadModel
from harness.graphs.inputs.legal_values import table_sizes
from harness.graphs.inputs.onnx_inputs import fit
from harness.graphs.inputs.sample_inputs import Sampling
from harness.graphs.shapes import EXPRESSION, Dim, Entry


def contradiction(model: Any, entries: List[Entry], inputs: Arrays) -> str:
    """Return what of the inputs no runtime can take, in a line for the user; empty for nothing.

    Args:
        model: an ONNX model.
        entries: its inputs, as it declares them.
        inputs: arrays by name, of the declared dtypes and numbers of dimensions.
    """
    return _unequal_sizes(model, entries, inputs) or _unknown_ids(model, entries, inputs)


def check_ranges(model: Any, entries: List[Entry], sampling: Sampling) -> None:
    """Raise BadModel where a user asks for numbers beyond the table that they are looked up in."""
    tables = table_sizes(model, entries) if sampling.ranges else {}
    for name, (low, high) in sampling.ranges.items():
        rows = tables.get(name)
        if rows is not None and not -rows <= low <= high < rows:
            raise BadModel(
                f"--range {name}={low:g}:{high:g}: the table that {name} is looked up in has "
                f"{rows} rows; the largest range is 0:{rows - 1}"
            )


def _unequal_sizes(model: Any, entries: List[Entry], inputs: Arrays) -> str:
    """Return which sizes differ that operators make equal, or nothing."""
    seen: Dict[Dim, Tuple[int, str]] = {}
    for entry in fit(model, entries, Sampling(seed=0)):
        name = entry["name"]
        for axis, (dim, size) in enumerate(zip(entry["shape"], inputs[name].shape)):
            if isinstance(dim, int) and dim != size:
                return f"{name} has the size {size} at axis {axis}; the graph takes {dim} there"
            if isinstance(dim, str) and EXPRESSION.fullmatch(dim):
                continue
            place = f"{name} has the size {size} at axis {axis}"
            first_size, first_place = seen.setdefault(dim, (size, place))
            if first_size != size:
                return f"{first_place}, {place}; the graph takes equal sizes there"
    return ""


def _unknown_ids(model: Any, entries: List[Entry], inputs: Arrays) -> str:
    """Return which number is beyond the table that it is looked up in, or nothing."""
    sized = [dict(entry, shape=list(inputs[entry["name"]].shape)) for entry in entries]
    for name, rows in table_sizes(model, sized).items():
        x = inputs[name]
        for number in (x.max(), x.min()) if x.size else ():
            if not -rows <= number < rows:
                return f"{name} holds {number:g}; the table that it is looked up in has {rows} rows"
    return ""
