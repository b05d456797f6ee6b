"""Faults of one cause: consumers whose outputs of one artifact are wrong alike.

The numbers of two outputs that are equal bit by bit are equal to the last digit. Two builds of one
runtime round differently, so theirs are only nearly equal.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from deepmatrix.diagnosis.faults import Fault
from deepmatrix.store.records import Deviation

#: Errors of one runtime that differ by less than this share are alike.
NEARLY = 0.1


def group_alike(faults: Iterable[Fault]) -> list[list[Fault]]:
    """Return the faults in groups of one cause; the first of each stands for all."""
    groups: list[list[Fault]] = []
    for fault in faults:
        group = next((group for group in groups if are_alike(group[0], fault)), None)
        if group is None:
            groups.append([fault])
        else:
            group.append(fault)
    return groups


def are_alike(first: Fault, second: Fault) -> bool:
    """Return whether two consumers give wrong outputs of one artifact alike."""
    if first.artifact != second.artifact:
        return False
    outputs = first.agreement.outputs, second.agreement.outputs
    if not all(outputs) or len(outputs[0]) != len(outputs[1]):
        return False
    if outputs[0] == outputs[1]:
        return True
    is_same_library = first.consumer.library == second.consumer.library
    return is_same_library and all(map(_is_near, *outputs))


def _is_near(first: Deviation, second: Deviation) -> bool:
    if first.error is None or second.error is None:
        return first.error == second.error and first.row == second.row
    return math.isclose(first.error, second.error, rel_tol=NEARLY)
