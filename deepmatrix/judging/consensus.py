"""Gold by agreement: what most independent libraries answer.

It is used where nothing else judges an output. And it judges the judge: an evaluation that
differs from all libraries, which agree with one another, is itself what is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepmatrix.judging import deviations, masked
from deepmatrix.store import arrays
from deepmatrix.store.arrays import Values


@dataclass(frozen=True, kw_only=True)
class Vote:
    """A consumer's answer for one output. Cells of one *library* are not independent."""

    cell: str
    library: str
    value: Values


@dataclass(frozen=True, kw_only=True)
class Group:
    """Votes that all agree with the first one.

    *libraries*: those that it speaks for. A library that is not of one mind counts where most of
    its cells are, if any do. *spread*: the sum of the errors of the others against the first one.
    """

    votes: tuple[Vote, ...]
    libraries: frozenset[str]
    spread: float

    @property
    def weight(self) -> tuple[int, int]:
        """How much it counts: libraries first, cells second."""
        return len(self.libraries), sum(vote.library in self.libraries for vote in self.votes)

    @property
    def value(self) -> Values:
        """The most central answer."""
        return self.votes[0].value

    @property
    def cells(self) -> frozenset[str]:
        """Whose votes they are."""
        return frozenset(vote.cell for vote in self.votes)


def distance(answer: Values, value: Values, *, in_steps: bool = False) -> float | None:
    """Return the error of an answer against another one, None where they cannot be compared.

    Floats, integers, truth values and text cannot be compared with one another. Unless integers are
    *in_steps* of something, they are right or wrong.
    """
    if answer.dtype.kind != value.dtype.kind:
        return None
    answer, value = masked.compared(answer, value)
    scale = deviations.output_scale(value)
    return deviations.deviation("", answer, value, scale, in_steps=in_steps).error


def describe_difference(gold: Values, answer: Values) -> str:
    """Return where two arrays of numbers differ most, and the values there, for a message."""
    if gold.shape != answer.shape:
        return f"its shape is {gold.shape}, not {answer.shape}"
    if not {gold.dtype.kind, answer.dtype.kind} <= set(arrays.NUMBERS) or not gold.size:
        return "they are not the same"
    with np.errstate(all="ignore"):
        apart = np.abs(gold.astype(np.float64) - answer.astype(np.float64))
    place = np.unravel_index(int(np.argmax(apart)), apart.shape)  # a NaN counts as the largest
    index = ", ".join(map(str, place))
    wanted, value = float(gold[place]), float(answer[place])
    return f"the largest difference is at [{index}]: {wanted:g}, not {value:g}"


def largest_group(
    votes: Sequence[Vote], tolerance: float, *, in_steps: bool = False
) -> Group | None:
    """Return the votes that agree within *tolerance* and count most, the most central one first.

    None where there is no vote, or where votes that differ count as much.
    """
    groups = [_group_around(vote, votes, tolerance, in_steps=in_steps) for vote in votes]
    if not groups:
        return None
    largest = max(groups, key=lambda group: (group.weight, -group.spread))
    rivals = [group for group in groups if group.weight == largest.weight]
    is_clear = all(group.votes[0].cell in largest.cells for group in rivals)
    return largest if is_clear else None


def _group_around(
    center: Vote, votes: Sequence[Vote], tolerance: float, *, in_steps: bool
) -> Group:
    neighbours, spread = [], 0.0
    for vote in votes:
        error = distance(vote.value, center.value, in_steps=in_steps)
        if vote is not center and error is not None and error <= tolerance:
            neighbours.append(vote)
            spread += error
    agreeing = (center, *neighbours)
    inside, all_cells = (Counter(vote.library for vote in group) for group in (agreeing, votes))
    libraries = (name for name, count in inside.items() if 2 * count > all_cells[name])
    return Group(votes=agreeing, libraries=frozenset(libraries), spread=spread)
