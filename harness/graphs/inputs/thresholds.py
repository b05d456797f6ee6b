"""Thresholds of an ONNX graph's decision trees: samples between them reach different leaves.

https://onnx.ai/onnx/operators/index_ml.html says how tree ensembles hold them.
"""

from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

import numpy

from harness.adapters import Arrays
from harness.graphs import checks
from harness.graphs.shapes import Entry

#: So many rows are sampled for trees: some leaves are reached by few.
ROWS = 64

#: An input with more columns is not followed.
MOST_COLUMNS = 10_000

TREES = frozenset(["TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor"])


class _Column(NamedTuple):
    """A column of an input, as a tensor has it: ``(value - shift) * factor``."""

    source: str
    number: int
    shift: float = 0.0
    factor: float = 1.0

    def values_at(self, thresholds: "numpy.ndarray") -> "numpy.ndarray":
        """Return the values of the input that the tensor has as thresholds."""
        return thresholds / self.factor + self.shift


Columns = List[_Column]

#: Thresholds in float64, and whether a sample meets them exactly: else rounding decides.
Known = List[Tuple["numpy.ndarray", bool]]


def has_trees(model: Any) -> bool:
    """Return whether an ONNX model has an ensemble of trees."""
    return any(node.op_type in TREES for node in checks.all_nodes(model.graph))


def columns_between_thresholds(
    model: Any, entries: List[Entry]
) -> Dict[str, Dict[int, Tuple[float, ...]]]:
    """Return values between the thresholds of trees, by input and number of its column.

    Args:
        model: an ONNX model.
        entries: its inputs, with a shape of sizes only.
    """
    columns: Dict[str, Columns] = {}
    for entry in entries:
        count = entry["shape"][-1] if len(entry["shape"]) == 2 else 0
        if 0 < count <= MOST_COLUMNS:
            columns[entry["name"]] = [_Column(entry["name"], at) for at in range(count)]
    known_of: Dict[str, Dict[int, Known]] = {}
    for node in model.graph.node if columns else ():
        if node.op_type in TREES:
            for column, thresholds in _thresholds(node, columns.get(node.input[0], [])):
                known = known_of.setdefault(column.source, {}).setdefault(column.number, [])
                is_exact = (column.shift, column.factor) == (0.0, 1.0)
                known.append((column.values_at(thresholds), is_exact))
        elif node.op_type in FOLLOWED and all(name in columns for name in node.input):
            columns[node.output[0]] = FOLLOWED[node.op_type](
                [columns[name] for name in node.input], _settings(node)
            )
    return {
        name: {number: _between(known) for number, known in numbers.items()}
        for name, numbers in known_of.items()
    }


def leaf_remark(model: Any, inputs: Arrays, outputs: Arrays) -> str:
    """Return that all rows reach the same leaves of a model's trees, or nothing."""
    rows = {len(x) if x.ndim else 0 for x in inputs.values()}
    if len(rows) != 1 or not outputs or not has_trees(model):
        return ""
    count = rows.pop()
    if not count:
        return ""
    by_row = [y for y in map(numpy.asarray, outputs.values()) if y.ndim and len(y) == count]
    is_same = bool(by_row) and all((y == y[:1]).all() for y in by_row)
    if count > 1 and not is_same:
        return ""
    return (
        f"its trees give all {count} rows the same answer: few leaves are tried"
        if count > 1
        else "its trees are tried with a single row, so with one leaf each"
    ) + "; give more rows with --inputs"


def _same(tensors: List[Columns], settings: Dict[str, Any]) -> Columns:
    del settings
    return tensors[0]


def _joined(tensors: List[Columns], settings: Dict[str, Any]) -> Columns:
    is_by_column = settings.get("axis", 1) in (1, -1)
    return [column for columns in tensors for column in columns] if is_by_column else []


def _scaled(tensors: List[Columns], settings: Dict[str, Any]) -> Columns:
    (columns,) = tensors
    count = len(columns)
    shifts, factors = (
        numpy.resize(numpy.asarray(settings.get(name) or [default], float), count)
        for name, default in (("offset", 0.0), ("scale", 1.0))
    )
    return [
        _Column(
            column.source,
            column.number,
            column.shift + float(shift) / column.factor,
            column.factor * (float(factor) or 1.0),
        )
        for column, shift, factor in zip(columns, shifts, factors)
    ]


#: How operators hand on columns: from those of their inputs, and their attributes.
FOLLOWED = {"Cast": _same, "Identity": _same, "Concat": _joined, "Scaler": _scaled}


def _settings(node: Any) -> Dict[str, Any]:
    import onnx

    return {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}


def _thresholds(node: Any, columns: Columns) -> "Iterator[Tuple[_Column, numpy.ndarray]]":
    """Yield each column that trees look at, with the thresholds of its inner nodes."""
    from onnx import numpy_helper

    stated = {entry.name: entry for entry in node.attribute}
    held = [stated[name] for name in ("nodes_splits", "nodes_values_as_tensor") if name in stated]
    if "nodes_featureids" not in stated or not (held or "nodes_values" in stated):
        return
    features = numpy.array(stated["nodes_featureids"].ints, "int64")
    values = (
        numpy_helper.to_array(held[0].t) if held else numpy.array(stated["nodes_values"].floats)
    )
    is_inner = numpy.isfinite(values)
    modes = stated["nodes_modes"].strings if "nodes_modes" in stated else []
    if len(modes):  # those of a TreeEnsemble are numbers, and its leaves are apart
        is_inner &= numpy.array(list(modes)) != b"LEAF"
    order = numpy.flatnonzero(is_inner)
    order = order[numpy.argsort(features[order], kind="stable")]
    ends = numpy.searchsorted(features[order], numpy.arange(len(columns) + 1))
    for column, start, end in zip(columns, ends, ends[1:]):
        if start < end:
            yield column, values[order[start:end]].astype("float64")


def _between(known: Known) -> Tuple[float, ...]:
    """Return a value below, between and above thresholds, and those that are met exactly."""
    thresholds = numpy.unique(numpy.concatenate([values for values, _ in known]))
    low, high = float(thresholds[0]), float(thresholds[-1])
    margin = (high - low) / len(thresholds) or max(abs(low), 1.0)
    middles = (thresholds[:-1] + thresholds[1:]) / 2
    exact = [values for values, is_exact in known if is_exact]
    every = numpy.concatenate([[low - margin], middles, *exact, [high + margin]])
    return tuple(numpy.unique(every).tolist())
