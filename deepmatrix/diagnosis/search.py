"""The graph of a model, and the search in it for the first tensor that is wrong."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from deepmatrix.judging.agreements import scale_of
from deepmatrix.store.arrays import Values
from deepmatrix.store.phases import Node

#: So many tensors are looked at in one run of a consumer. More would take fewer runs, and change
#: more of what the consumer does: what is looked at cannot be fused away.
AT_ONCE = 24


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Nodes in an order in which they can be computed; *tensors* are those with numbers."""

    nodes: Sequence[Node]
    inputs: Collection[str]
    outputs: Sequence[str]
    tensors: Sequence[str]

    @cached_property
    def makers(self) -> Mapping[str, int]:
        """By tensor, the place of the node that gives it."""
        return {name: at for at, node in enumerate(self.nodes) for name in node.outputs}

    @cached_property
    def moving(self) -> frozenset[str]:
        """The tensors that depend on the inputs; the others are constants."""
        found = set(self.inputs)
        for node in self.nodes:
            if not found.isdisjoint(node.inputs):
                found.update(node.outputs)
        return frozenset(found)

    @cached_property
    def seen(self) -> frozenset[str]:
        """The tensors that can be looked at."""
        return self.moving & frozenset(self.tensors)

    def before(self, tensors: Collection[str], stop: Collection[str] = ()) -> set[int]:
        """Return the places of the nodes that some tensors depend on, not going beyond *stop*."""
        places: set[int] = set()
        left = [name for name in tensors if name not in stop]
        while left:
            at = self.makers.get(left.pop())
            if at is not None and at not in places:
                places.add(at)
                left += [name for name in self.nodes[at].inputs if name not in stop]
        return places

    def ordered(self, tensors: Collection[str]) -> list[str]:
        """Return tensors in the order in which they are computed."""
        return sorted(tensors, key=lambda name: (self.makers.get(name, -1), name))


@dataclass(kw_only=True)
class Search:
    """Narrows a wrong output down to the first wrong tensor, several looks at a time.

    It ends at a tensor that is wrong while all that its node reads is right: right tensors cut
    the graph, and of the wrong ones the first counts.
    """

    graph: Graph
    wrong: str
    right: set[str] = field(default_factory=set)

    def next(self) -> list[str]:
        """Return the tensors to look at, none where the search has ended."""
        places = self.graph.before([self.wrong], self.right)
        names = {
            name
            for at in places
            for name in self.graph.nodes[at].outputs
            if name in self.graph.seen and name != self.wrong and name not in self.right
        }
        left = self.graph.ordered(names)
        chosen = np.linspace(0, len(left), min(AT_ONCE, len(left)), endpoint=False, dtype=int)
        return [left[at] for at in chosen]

    def learn(self, found: Mapping[str, bool]) -> None:
        """Take, by tensor, whether it was right."""
        self.right.update(name for name, is_right in found.items() if is_right)
        wrong = {name for name, is_right in found.items() if not is_right} | {self.wrong}
        self.wrong = self.graph.ordered(wrong)[0]

    @property
    def node(self) -> int:
        """The place of the node that gives the first wrong tensor known."""
        return self.graph.makers[self.wrong]


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a layer, or a node of another model, should give, and which of them it reads."""

    name: str
    values: Values
    inputs: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Astray:
    """Where a graph leaves what it should be: the first layer it lacks, and the node there."""

    layer: str
    node: int | None


def astray(
    known: Sequence[Known], graph: Graph, values: Mapping[str, Values], tolerance: float
) -> Astray | None:
    """Find where a graph begins to give something else than it should.

    Exporters name, order, fuse and transpose as they like: a layer is found by its numbers, in
    whatever order they stand. One that is fused away is told from one that is wrong by what comes
    after it.
    """
    there = _Numbers(values, tolerance)
    found = {one.name: there.like(one.values) for one in known}
    lacking = _first_lacking(known, {name for name, names in found.items() if names})
    if lacking is None:
        return None
    matched = {name for names in found.values() for name in names}
    innocent = graph.before(matched)
    for at, node in enumerate(graph.nodes):
        new = [name for name in node.outputs if name in graph.seen and name not in matched]
        if new and at not in innocent and not there.only_moves(node, new[0]):
            return Astray(layer=lacking, node=at)
    return Astray(layer=lacking, node=None)


def _first_lacking(known: Sequence[Known], found: Set[str]) -> str | None:
    """Return the first that is not found and on which nothing that is found depends."""
    needed: set[str] = set()
    for one in reversed(known):
        if one.name in found or one.name in needed:
            needed.update(one.inputs)
    return next((one.name for one in known if one.name not in found | needed), None)


class _Numbers:
    """Tensors by their sorted values, for finding one whatever its order."""

    def __init__(self, values: Mapping[str, Values], tolerance: float) -> None:
        self._tolerance = tolerance
        self._sorted = {name: _in_order(value) for name, value in values.items()}
        self._sizes: dict[int, list[str]] = {}
        for name, numbers in self._sorted.items():
            self._sizes.setdefault(numbers.size, []).append(name)

    def like(self, wanted: Values) -> list[str]:
        """Return the names of the tensors with these values."""
        numbers = _in_order(wanted)
        return [name for name in self._sizes.get(numbers.size, ()) if self._same(numbers, name)]

    def only_moves(self, node: Node, output: str) -> bool:
        """Return whether a node gives what it was given, in another order."""
        numbers = self._sorted[output]
        return any(
            name in self._sorted
            and self._sorted[name].size == numbers.size
            and self._same(numbers, name)
            for name in node.inputs
        )

    def _same(self, numbers: NDArray[np.float64], name: str) -> bool:
        other = self._sorted[name]
        if not np.array_equal(np.isfinite(numbers), np.isfinite(other)):
            return False
        finite = np.isfinite(numbers)
        away = np.abs(numbers[finite] - other[finite]).max(initial=0.0)
        return bool(away <= self._tolerance * scale_of(numbers))


def _in_order(values: Values) -> NDArray[np.float64]:
    return np.sort(values.astype(np.float64).ravel())


def of_nodes(graph: Graph, values: Mapping[str, Values]) -> Iterator[Known]:
    """Yield what the nodes of a right model give, for another one that should give the same."""
    for node in graph.nodes:
        for name in node.outputs:
            if name in graph.seen:
                reads = [one for one in node.inputs if one in graph.moving]
                yield Known(name=name, values=values[name], inputs=reads)
