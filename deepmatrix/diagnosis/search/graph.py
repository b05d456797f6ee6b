"""The graph of a model, as its inspector describes it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from deepmatrix.store.reported.phases import Node


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Nodes in an order in which they can be computed. *tensors*: those with known values."""

    nodes: Sequence[Node]
    inputs: Collection[str]
    outputs: Sequence[str]
    tensors: Sequence[str]

    @cached_property
    def makers(self) -> Mapping[str, int]:
        """By tensor, the index of the node that computes it."""
        return {name: index for index, node in enumerate(self.nodes) for name in node.outputs}

    @cached_property
    def variable(self) -> frozenset[str]:
        """The tensors that depend on the inputs; the others are constants."""
        names = set(self.inputs)
        for node in self.nodes:
            if not names.isdisjoint(node.inputs):
                names.update(node.outputs)
        return frozenset(names)

    @cached_property
    def observable(self) -> frozenset[str]:
        """The variable tensors with known values: those that can be compared."""
        return self.variable & frozenset(self.tensors)

    @property
    def is_one_node(self) -> bool:
        """Whether all but one node are constants, so that this one cut out is the model again."""
        return sum(not self.variable.isdisjoint(node.outputs) for node in self.nodes) == 1

    def ancestors(self, tensors: Collection[str], stop: Collection[str] = ()) -> set[int]:
        """Return the indices of the nodes that *tensors* depend on, not going beyond *stop*."""
        indices: set[int] = set()
        pending = [name for name in tensors if name not in stop]
        while pending:
            index = self.makers.get(pending.pop())
            if index is not None and index not in indices:
                indices.add(index)
                pending += [name for name in self.nodes[index].inputs if name not in stop]
        return indices

    def ordered(self, tensors: Collection[str]) -> list[str]:
        """Return tensors in the order in which they are computed."""
        return sorted(tensors, key=lambda name: (self.makers.get(name, -1), name))
