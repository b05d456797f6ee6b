"""Where a model's graph diverges from what its layers should compute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepmatrix.diagnosis.search.graph import Graph
from deepmatrix.judging.deviations import output_scale
from deepmatrix.store.arrays import Values
from deepmatrix.store.reported.phases import Node


@dataclass(frozen=True, kw_only=True)
class ExpectedLayer:
    """The values that a layer, or a node of a right model, computes. *inputs*: layers it reads."""

    name: str
    values: Values
    inputs: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """The first expected layer that a graph lacks, and the index of the node at its place."""

    layer: str
    node: int | None


def find_divergence(
    expected: Sequence[ExpectedLayer],
    graph: Graph,
    values: Mapping[str, Values],
    tolerance: float,
) -> Divergence | None:
    """Find the first layer that a graph should compute and does not.

    Exporters name, order, fuse and transpose as they like. So a layer is found by its values, in
    whatever order they stand. A layer that is fused away is told from a wrong one by the layers
    that follow it.
    """
    tensors = _SortedTensors(values, tolerance)
    matches = {layer.name: tensors.equal_to(layer.values) for layer in expected}
    missing = _first_missing(expected, {name for name, names in matches.items() if names})
    if missing is None:
        return None
    matched = {name for names in matches.values() for name in names}
    right_nodes = graph.ancestors(matched)
    for index, node in enumerate(graph.nodes):
        new = [name for name in node.outputs if name in graph.observable and name not in matched]
        if new and index not in right_nodes and not tensors.only_reorders(node, new[0]):
            return Divergence(layer=missing, node=index)
    return Divergence(layer=missing, node=None)


def layers_of(graph: Graph, values: Mapping[str, Values]) -> Iterator[ExpectedLayer]:
    """Yield the values of a right model's nodes, for a model that should compute the same."""
    for node in graph.nodes:
        for name in node.outputs:
            if name in graph.observable:
                reads = [tensor for tensor in node.inputs if tensor in graph.variable]
                yield ExpectedLayer(name=name, values=values[name], inputs=reads)


def _first_missing(expected: Sequence[ExpectedLayer], matched: Set[str]) -> str | None:
    """Return the first layer without a match on which no matched layer depends."""
    needed: set[str] = set()
    for layer in reversed(expected):
        if layer.name in matched or layer.name in needed:
            needed.update(layer.inputs)
    return next((layer.name for layer in expected if layer.name not in matched | needed), None)


class _SortedTensors:
    """Tensors by their sorted values, to find one in whatever order its values stand."""

    def __init__(self, values: Mapping[str, Values], tolerance: float) -> None:
        self._tolerance = tolerance
        self._sorted = {name: _sorted_values(value) for name, value in values.items()}
        self._names_by_size: dict[int, list[str]] = {}
        for name, numbers in self._sorted.items():
            self._names_by_size.setdefault(numbers.size, []).append(name)

    def equal_to(self, values: Values) -> list[str]:
        """Return the names of the tensors with these values."""
        numbers = _sorted_values(values)
        names = self._names_by_size.get(numbers.size, ())
        return [name for name in names if self._is_equal(numbers, name)]

    def only_reorders(self, node: Node, output: str) -> bool:
        """Return whether a node's output has the values of one of its inputs, reordered."""
        numbers = self._sorted[output]
        return any(
            name in self._sorted
            and self._sorted[name].size == numbers.size
            and self._is_equal(numbers, name)
            for name in node.inputs
        )

    def _is_equal(self, numbers: NDArray[np.float64], name: str) -> bool:
        candidate = self._sorted[name]
        finite = np.isfinite(numbers)
        if not np.array_equal(finite, np.isfinite(candidate)):
            return False
        difference = np.abs(numbers[finite] - candidate[finite]).max(initial=0.0)
        return bool(difference <= self._tolerance * output_scale(numbers))


def _sorted_values(values: Values) -> NDArray[np.float64]:
    return np.sort(values.astype(np.float64).ravel())
