"""Inputs that steer an ONNX graph: whole numbers that decide a branch, steps or a shape.

No sample value stands for them: a rate of samples, or a size, is what the model's author meant.
"""

from typing import Any, Dict, Iterator, List, Set

import numpy

from harness.graphs import checks
from harness.graphs.shapes import Entry
from harness.graphs.values import carrier

#: What a node does with an input of this number.
STEERED = {
    "If": {0: "decides a branch of If"},
    "Loop": {0: "is the number of steps of Loop", 1: "ends Loop"},
    "Reshape": {1: "is a shape for Reshape"},
    "Expand": {1: "is a shape for Expand"},
    "ConstantOfShape": {0: "is a shape for ConstantOfShape"},
    "Tile": {1: "is a number of copies for Tile"},
    "Pad": {1: "is a size for Pad"},
    "Slice": {1: "is a place for Slice", 2: "is a place for Slice"},
    "Split": {1: "is a size for Split"},
    "Resize": {3: "is a size for Resize"},
    "Range": {0: "is an end of Range", 1: "is an end of Range", 2: "is a step of Range"},
    "TopK": {1: "is a number of values for TopK"},
    "Gather": {1: "is an index of Gather"},
    "ReverseSequence": {1: "is a length for ReverseSequence"},
    "SequenceAt": {1: "is an index of SequenceAt"},
}

#: Sizes and conditions are computed of few numbers.
MOST_ELEMENTS = 8


def steering(model: Any, entries: List[Entry]) -> Dict[str, str]:
    """Return what an input steers, by name, for those that steer anything.

    Args:
        model: an ONNX model.
        entries: its inputs, with a shape of sizes only.
    """
    return {
        entry["name"]: uses[0]
        for entry in entries
        if _is_few_numbers(entry)
        for uses in [list(_uses(model, entry["name"]))]
        if uses
    }


def _is_few_numbers(entry: Entry) -> bool:
    dims = entry["shape"]
    is_number = carrier(entry["dtype"]).kind in "iub"
    return is_number and len(dims) <= 1 and numpy.prod(dims, dtype=float) <= MOST_ELEMENTS


def _uses(model: Any, source: str) -> Iterator[str]:
    """Yield how nodes are steered by what is computed of an input, in the graph's order."""
    computed: Set[str] = {source}
    for node in checks.all_nodes(model.graph):
        numbers = [number for number, name in enumerate(node.input) if name in computed]
        roles = STEERED.get(node.op_type, {})
        for number in numbers:
            if number in roles:
                yield roles[number]
        if any(number not in roles for number in numbers):
            computed.update(node.output)
