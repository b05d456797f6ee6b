"""Thresholds of decision trees: what an ONNX graph compares the columns of its inputs with.

Values that are drawn without them reach the same few leaves, which proves little of a tree.
https://onnx.ai/onnx/operators/index_ml.html says how an ensemble stores its nodes.
"""

from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Tuple

import numpy

from harness.adapters import Arrays
from harness.graphs import checks
from harness.graphs.shapes import Shapes

#: The attributes with a node's kind, its column and its threshold; doubles are in a tensor.
ATTRIBUTES = {
    "TreeEnsemble": ("nodes_modes", "nodes_featureids", ("nodes_splits",)),
    "TreeEnsembleClassifier": (
        "nodes_modes",
        "nodes_featureids",
        ("nodes_values", "nodes_values_as_tensor"),
    ),
}
ATTRIBUTES["TreeEnsembleRegressor"] = ATTRIBUTES["TreeEnsembleClassifier"]

#: Kinds of nodes that compare with no threshold, as text and as a number of TreeEnsemble.
WITHOUT = frozenset(["LEAF", "BRANCH_MEMBER", 6])

#: Operators that leave the columns of their first input as they are.
MOVES = frozenset(["Cast", "Identity"])

#: So many rows of inputs reach many leaves.
ROWS = 64

Thresholds = Dict[int, Tuple[float, ...]]
"""Thresholds by column, each once and sorted."""


class _Columns(NamedTuple):
    """The columns of a tensor are those of an input, from the column *first* of the tensor on."""

    source: str
    first: int = 0


def has_trees(model: Any) -> bool:
    """Return whether an ONNX model has decision trees."""
    return any(node.op_type in ATTRIBUTES for node in checks.all_nodes(model.graph))


def remarks(model: Any, outputs: Arrays) -> List[str]:
    """Return a warning where a model of trees gives the same outputs for every row of several."""
    rows = [x for x in outputs.values() if x.ndim and len(x) > 1]
    if not rows or not has_trees(model) or any((x != x[:1]).any() for x in rows):
        return []
    return [
        f"all {len(rows[0])} rows reach the same leaves, which shows little of the trees: pass "
        "rows that differ with --inputs"
    ]


def thresholds(model: Any, names: Iterable[str], shapes: Shapes) -> Dict[str, Thresholds]:
    """Return the thresholds of inputs, by the *names* of those that trees look at.

    Args:
        model: an ONNX model.
        names: of inputs of numbers.
        shapes: of the model's tensors, by name.
    """
    columns: Dict[str, List[_Columns]] = {name: [_Columns(name)] for name in names}
    split: Dict[str, Dict[int, List[float]]] = {}
    for node in checks.all_nodes(model.graph):
        if node.op_type == "Concat":
            columns[node.output[0]] = list(_joined(node.input, columns, shapes))
        elif node.op_type in MOVES and node.input[0] in columns:
            columns[node.output[0]] = columns[node.input[0]]
        elif node.op_type in ATTRIBUTES:
            for column, value in _splits(node):
                place = _place(columns.get(node.input[0], []), column)
                if place is not None:
                    split.setdefault(place[0], {}).setdefault(place[1], []).append(value)
    return {
        name: {column: tuple(sorted(set(found))) for column, found in by_column.items()}
        for name, by_column in split.items()
    }


def _joined(
    names: Iterable[str], columns: Dict[str, List[_Columns]], shapes: Shapes
) -> Iterator[_Columns]:
    """Yield the columns of tensors joined along their last axis, as far as widths are known."""
    first = 0
    for name in names:
        for part in columns.get(name, []):
            yield _Columns(part.source, first + part.first)
        width = (shapes.get(name) or [None])[-1]
        if not isinstance(width, int):
            return
        first += width


def _place(columns: List[_Columns], column: int) -> Any:
    """Return the input that holds a column, and its place there, or None."""
    before = [part for part in columns if part.first <= column]
    if not before:
        return None
    part = max(before, key=lambda part: part.first)
    return part.source, column - part.first


def _splits(node: Any) -> Iterator[Tuple[int, float]]:
    """Yield column and threshold of the nodes of an ensemble's trees."""
    from onnx import helper

    stated = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    kinds, column, values = ATTRIBUTES[node.op_type]
    name = next((name for name in values if name in stated), "")
    lists = [_listed(stated.get(key)) for key in (kinds, column, name)]
    for kind, place, value in zip(*lists):
        mode = kind.decode() if isinstance(kind, bytes) else kind
        if mode not in WITHOUT and numpy.isfinite(value):
            yield int(place), float(value)


def _listed(value: Any) -> List[Any]:
    """Return an attribute, a list or a tensor, as a list."""
    from onnx import TensorProto, numpy_helper

    if isinstance(value, TensorProto):
        listed: List[Any] = numpy_helper.to_array(value).ravel().tolist()
        return listed
    return list(value or [])
