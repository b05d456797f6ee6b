"""Values that the inputs of a TFLite model can hold: ids within a table, what a scale holds."""

from typing import Any, Dict, Optional

import numpy

from harness.graphs.inputs.sample_inputs import Values
from harness.graphs.tflite import model as tflite

#: Operators that hand on the values of their first input as they are.
MOVES = frozenset(["CAST", "EXPAND_DIMS", "RESHAPE", "SLICE", "SQUEEZE", "TRANSPOSE"])

#: Operators that look rows up: (place of the indices, place of the table) among their inputs.
LOOKUPS = {"GATHER": (1, 0), "GATHER_ND": (1, 0), "EMBEDDING_LOOKUP": (0, 1)}


def legal_values(model: Any) -> Dict[str, Values]:
    """Return what the inputs can hold, by name, for those that the graph says something of.

    Inputs of integers with a scale take all codes; floats that are quantised first fill its range.
    """
    graph, names = model.subgraphs[0], tflite.names(model)
    values = {}
    for index in graph.inputs:
        if _scale(graph.tensors[index]) is not None:
            limits = numpy.iinfo(_codes(graph.tensors[index]))
            values[names[index]] = Values(limits.min, limits.max, True, "all codes of its scale")
    sources = {index: index for index in graph.inputs}
    for node, described in zip(graph.operators, tflite.nodes(model)):
        kind, read = described["kind"], list(node.inputs)
        if kind in MOVES and read[0] in sources:
            sources.update(dict.fromkeys(node.outputs, sources[read[0]]))
        legal = None
        place, table = LOOKUPS.get(kind, (0, 0))
        if kind in LOOKUPS:
            legal = _rows(graph, node, read[table])
        elif kind == "QUANTIZE":
            legal = _range(graph.tensors[node.outputs[0]])
        if legal is not None and read[place] in sources:
            values.setdefault(names[sources[read[place]]], legal)
    return values


def _rows(graph: Any, node: Any, table: int) -> Optional[Values]:
    shape = graph.tensors[table].shape
    axis = getattr(node.builtinOptions, "axis", 0) or 0
    rows = 0 if shape is None or not -len(shape) <= axis < len(shape) else int(shape[axis])
    return Values(0, rows - 1, True, "ids of a table") if rows > 0 else None


def _range(tensor: Any) -> Optional[Values]:
    """Return the real values of a tensor's scale and zero point, None where it has none."""
    scale = _scale(tensor)
    if scale is None:
        return None
    limits, offset = numpy.iinfo(_codes(tensor)), int(tensor.quantization.zeroPoint[0])
    low, high = scale * (limits.min - offset), scale * (limits.max - offset)
    return Values(low, high, False, "the model's own quantisation")


def _scale(tensor: Any) -> Optional[float]:
    """Return the one scale of a tensor of 8 or 16 bits, or None."""
    scales = getattr(tensor.quantization, "scale", None)
    if scales is None or len(scales) != 1 or _codes(tensor) is None:
        return None
    return float(scales[0])


def _codes(tensor: Any) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    kinds = schema.TensorType
    return {kinds.INT8: "int8", kinds.UINT8: "uint8", kinds.INT16: "int16"}.get(tensor.type)
