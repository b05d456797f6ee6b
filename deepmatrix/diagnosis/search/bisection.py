"""Bisection: from a wrong output of a graph to the first wrong tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from deepmatrix.diagnosis.search.graph import Graph
from deepmatrix.diagnosis.search.tracing import Untraceable

#: Tensors that one run of a consumer exposes. More would need fewer runs, but change more of what
#: the consumer does: an exposed tensor cannot be fused away.
TENSORS_PER_RUN = 24


@dataclass(kw_only=True)
class Bisection:
    """Narrows a wrong output down to the first wrong tensor, several tensors a step.

    It ends at a tensor that is wrong although its node reads only right ones. It goes on where that
    is excused: the node alone may be allowed more. Right tensors cut
    the graph; of several wrong tensors the first counts. It always ends: a tensor is compared once,
    so every step leaves fewer to compare.
    """

    graph: Graph
    wrong: str
    right: set[str] = field(default_factory=set)
    compared: set[str] = field(default_factory=set)

    def suspects(self) -> list[str]:
        """Return the tensors that may be the first wrong one and were not compared, in order."""
        nodes = self.graph.ancestors([self.wrong], self.right)
        names = {
            name
            for index in nodes
            for name in self.graph.nodes[index].outputs
            if name in self.graph.observable and name != self.wrong
        }
        return self.graph.ordered(names - self.right - self.compared)

    def next_tensors(self) -> list[str]:
        """Return the tensors to compare next; none where the bisection has ended."""
        suspects = self.suspects()
        count = min(TENSORS_PER_RUN, len(suspects))
        places = np.linspace(0, len(suspects), count, endpoint=False, dtype=int)
        return [suspects[at] for at in places]

    def learn(self, is_right: Mapping[str, bool]) -> None:
        """Take the outcome of a comparison: whether each tensor was right."""
        self.compared.update(is_right)
        self.right.update(name for name, right in is_right.items() if right)
        wrong_names = {name for name, right in is_right.items() if not right} | {self.wrong}
        self.wrong = self.graph.ordered(wrong_names)[0]

    def excuse(self) -> bool:
        """Take the first wrong tensor for right, unless it is an output; return whether it was.

        Then the next one counts that was compared.
        """
        later = self.graph.ordered(self.compared - self.right - {self.wrong})
        if self.wrong in self.graph.outputs or not later:
            return False
        self.right.add(self.wrong)
        self.wrong = later[0]
        return True

    @property
    def node(self) -> int:
        """The index of the node that computes the first wrong tensor known so far.

        Raises Untraceable where the graph that the inspector gave has none.
        """
        index = self.graph.makers.get(self.wrong)
        if index is None:
            raise Untraceable(f"no node of the graph computes '{self.wrong}'")
        return index
