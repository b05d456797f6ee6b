"""Values that an ONNX graph can take: indices within a table, masks of 0 and 1, what a scale holds.

An input's values are followed through operators that only move them, to those that read them.
https://onnx.ai/onnx/operators says what each takes; ONNX Runtime's ContribOperators.md says it for
``com.microsoft``.
"""

import re
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy

from harness.graphs import checks
from harness.graphs.canonical import inlined
from harness.graphs.inputs.declared import SAMPLE_ELEMENTS
from harness.graphs.inputs.sample_inputs import Values
from harness.graphs.inputs.thresholds import columns_between_thresholds
from harness.graphs.inputs.vocabularies import vocabularies
from harness.graphs.shapes import Entry, Shapes, infer
from harness.graphs.values import carrier, part

#: Operators that hand on the values of their first input as they are.
MOVES = frozenset(
    ["Cast", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze"]
    + ["Tile", "Transpose", "Unsqueeze"]
)

#: Functions of floats, and a range in which they are defined and not steep.
DOMAINS = {
    "Log": (0.05, 4.0),
    "Sqrt": (0.05, 4.0),
    "Acos": (-0.95, 0.95),
    "Asin": (-0.95, 0.95),
    "Atanh": (-0.95, 0.95),
    "Acosh": (1.05, 4.0),
}

#: What a mask is multiplied with, once subtracted from 1, is at most this.
MASKED = -1000.0

MASK = Values(0, 1, True, "a mask")

#: A part of the name of a mask.
MASK_NAME = re.compile(r"(^|[^a-z])masks?($|[^a-z])")


class _Graph(NamedTuple):
    """What is known of a graph: *sources* are inputs by the tensors that only move their values."""

    sources: Dict[str, str]
    constants: Dict[str, "numpy.ndarray"]
    shapes: Shapes
    readers: Dict[str, List[Any]]


class _Use(NamedTuple):
    """An input's values at a node: they are its input of this *number*."""

    node: Any
    number: int
    graph: _Graph

    def dim(self, number: int, axis: int) -> int:
        """Return a dimension of a node's input, 0 where it is unknown or missing."""
        shape = self.shape(number)
        dim = shape[axis] if -len(shape) <= axis < len(shape) else None
        return dim if isinstance(dim, int) else 0

    def shape(self, number: int) -> List[Any]:
        """Return the shape of a node's input, empty where it is unknown or missing."""
        names = self.node.input
        return (self.graph.shapes.get(names[number]) if number < len(names) else None) or []

    def constant(self, number: int) -> Optional["numpy.ndarray"]:
        """Return a constant input of one element, or None."""
        names = self.node.input
        held = self.graph.constants.get(names[number]) if number < len(names) else None
        return held.ravel() if held is not None and held.size == 1 else None

    def attribute(self, name: str, default: int) -> int:
        return next((entry.i for entry in self.node.attribute if entry.name == name), default)


def legal_values(model: Any, entries: List[Entry]) -> Dict[str, Values]:
    """Return what the inputs can hold, by name, for those that the graph says something of.

    Args:
        model: an ONNX model.
        entries: its inputs, with a shape of sizes only.
    """
    model = inlined(model)
    graph = _read(model, entries)
    dtypes = {entry["name"]: carrier(entry["dtype"]) for entry in entries}
    values: Dict[str, Values] = {}
    for source, legal in _uses(model, graph, RULES):
        values[source] = _both(values.get(source), legal)
    texts = [name for name, dtype in dtypes.items() if dtype.kind == "U"]
    for name, known in vocabularies(model, texts, graph.constants).items():
        values[name] = Values(0, 0, True, f"words of {known.operator}", known.by_column)
    for name, numbers in columns_between_thresholds(model, entries).items():
        ends = [number for column in numbers.values() for number in column]
        why = "between the thresholds of trees"
        values[name] = Values(min(ends), max(ends), False, why, numbers=numbers)
    for entry in entries:
        name, kind = entry["name"], dtypes[entry["name"]].kind
        if name not in values and kind in "fiu" and MASK_NAME.search(name.lower()):
            values[name] = MASK
        if name not in values and dtypes[name] == numpy.uint8 and _is_image(entry["shape"]):
            values[name] = Values(0, 255, True, "an image")
    return values


def table_sizes(model: Any, entries: List[Entry]) -> Dict[str, int]:
    """Return how many rows the smallest table has that an input is looked up in, by name.

    The arguments are those of `legal_values`.
    """
    model = inlined(model)
    sizes: Dict[str, int] = {}
    for source, legal in _uses(model, _read(model, entries), LOOKUPS):
        rows = int(legal.high) + 1
        sizes[source] = min(rows, sizes.get(source, rows))
    return sizes


def _uses(model: Any, graph: "_Graph", rules: "Dict[str, Rule]") -> Iterator[Tuple[str, Values]]:
    """Yield the inputs that operators of some rules read, each with what it can hold there."""
    for node in checks.all_nodes(model.graph):
        rule = rules.get(node.op_type)
        for number, name in enumerate(node.input) if rule else ():
            source = graph.sources.get(name)
            legal = rule(_Use(node, number, graph)) if source and rule else None
            if source and legal and legal.low <= legal.high:
                yield source, legal


def _is_image(shape: List[int]) -> bool:
    return len(shape) in (3, 4) and (shape[-1] in (1, 3, 4) or shape[-3] in (1, 3, 4))


def _both(first: Optional[Values], second: Values) -> Values:
    """Return what two readers of an input both take, or what the first takes."""
    if first is None:
        return second
    low, high = max(first.low, second.low), min(first.high, second.high)
    if low > high:
        return first
    why = first.why if (first.low, first.high) == (low, high) else second.why
    return Values(low, high, first.whole or second.whole, why)


def _read(model: Any, entries: List[Entry]) -> _Graph:
    from onnx import numpy_helper

    constants = {}
    for tensor in _small_tensors(model.graph):
        constants[tensor.name] = numpy_helper.to_array(tensor)
    sources = {entry["name"]: entry["name"] for entry in entries}
    readers: Dict[str, List[Any]] = {}
    for node in checks.all_nodes(model.graph):
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                constants[node.output[0]] = numpy_helper.to_array(attribute.t)
        if node.op_type in MOVES and node.input[0] in sources:
            sources.update(dict.fromkeys(node.output, sources[node.input[0]]))
        for outside, inside, _ in checks.handed_in(node):
            if outside in sources:
                sources[inside] = sources[outside]
        for name in node.input:
            readers.setdefault(name, []).append(node)
    return _Graph(sources, constants, infer(model, entries), readers)


def _small_tensors(graph: Any) -> Iterator[Any]:
    """Yield the initializers of one element: scales, zero points, depths, factors of masks."""
    for tensor in graph.initializer:
        if numpy.prod(list(tensor.dims), dtype=float) <= 1:
            yield tensor
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from _small_tensors(inner)


def _table(rows: int, meaning: str) -> Optional[Values]:
    return Values(0, rows - 1, True, meaning) if rows > 0 else None


def _gathered(use: _Use) -> Optional[Values]:
    rows = use.dim(0, use.attribute("axis", 0)) if use.number == 1 else 0
    return _table(rows, f"indices of {use.node.op_type}")


def _gathered_places(use: _Use) -> Optional[Values]:
    """The last dimension of the indices is a place in the first dimensions of the data."""
    first = use.attribute("batch_dims", 0)
    dims = [use.dim(0, first + axis) for axis in range(use.dim(1, -1))]
    rows = min(dims, default=0) if use.number == 1 else 0
    return _table(rows, f"indices of {use.node.op_type}")


def _one_hot(use: _Use) -> Optional[Values]:
    depth = use.constant(1)
    rows = int(depth[0]) if use.number == 0 and depth is not None else 0
    return _table(rows, "below OneHot's depth")


def _labels(use: _Use) -> Optional[Values]:
    """The second dimension of the scores is that of the classes."""
    return _table(use.dim(0, 1) if use.number == 1 else 0, f"classes of {use.node.op_type}")


def _top(use: _Use) -> Optional[Values]:
    count = use.dim(0, use.attribute("axis", -1)) if use.number == 1 else 0
    return Values(1, count, True, "the number of TopK's values") if count else None


def _lengths(use: _Use) -> Optional[Values]:
    length = use.dim(0, use.attribute("layout", 0)) if use.number == 4 else 0
    return Values(1, length, True, "lengths of sequences") if length else None


def _reversed(use: _Use) -> Optional[Values]:
    length = use.dim(0, use.attribute("time_axis", 0)) if use.number == 1 else 0
    return Values(1, length, True, "lengths of ReverseSequence") if length else None


def _places_in_a_sequence(use: _Use) -> Optional[Values]:
    """The first element is always there; of a sample sequence it is known how many there are."""
    if use.number != (2 if use.node.op_type == "SequenceInsert" else 1):
        return None
    is_sampled = part(use.node.input[0], 0) in use.graph.sources
    last = SAMPLE_ELEMENTS - 1 if is_sampled else 0
    return Values(0, last, True, f"an index of {use.node.op_type}")


def _quantised(use: _Use) -> Optional[Values]:
    """Real values that a scale and a zero point of one element can hold."""
    from onnx import TensorProto

    scale, zero = use.constant(1), use.constant(2)
    if use.number != 0 or scale is None:
        return None
    is_signed = use.attribute("output_dtype", 0) == TensorProto.INT8
    codes = numpy.dtype("int8" if is_signed else "uint8") if zero is None else zero.dtype
    if codes.kind not in "iu":
        return None
    limits, offset, step = numpy.iinfo(codes), int(zero[0]) if zero is not None else 0, scale[0]
    low, high = float(step) * (limits.min - offset), float(step) * (limits.max - offset)
    return Values(low, high, False, "the model's own quantisation")


def _codes(use: _Use) -> Optional[Values]:
    """An input of codes takes all of them."""
    zero = use.constant(2)
    if use.number != 0 or zero is None or zero.dtype.kind not in "iu" or zero.dtype.itemsize > 1:
        return None
    limits = numpy.iinfo(zero.dtype)
    return Values(limits.min, limits.max, True, "all codes of the quantisation")


def _function(use: _Use) -> Optional[Values]:
    low, high = DOMAINS[use.node.op_type]
    return Values(low, high, False, f"where {use.node.op_type} is defined")


def _compared(use: _Use) -> Optional[Values]:
    """A single number that decides a branch is what it is compared with, as a rate of samples."""
    value = use.constant(1 - use.number)
    dims = use.shape(use.number)
    if value is None or value.dtype.kind not in "iu" or any(dim != 1 for dim in dims):
        return None
    readers = use.graph.readers.get(use.node.output[0], [])
    is_branch = any(reader.op_type == "If" for reader in readers)
    number = float(value[0])
    return Values(number, number, True, "what a branch compares it with") if is_branch else None


def _condition(use: _Use) -> Optional[Values]:
    """Where takes truth values: numbers that were cast to them are a mask."""
    return MASK if use.number == 0 else None


def _inverted(use: _Use) -> Optional[Values]:
    """A mask m is added to logits as ``(1 - m) * -10000``."""
    minuend = use.constant(0)
    if use.number != 1 or minuend is None or minuend[0] != 1:
        return None
    for reader in use.graph.readers.get(use.node.output[0], []):
        product = _Use(reader, 0, use.graph)
        factors = [product.constant(0), product.constant(1)]
        if reader.op_type == "Mul" and any(
            factor is not None and factor[0] <= MASKED for factor in factors
        ):
            return MASK
    return None


def _embedded_ids(use: _Use) -> Optional[Values]:
    """EmbedLayerNormalization: ids, segments, three tables, two of weights, mask, positions."""
    tables = {0: 2, 1: 4, 8: 3}
    rows = use.dim(tables[use.number], 0) if use.number in tables else 0
    return _table(rows, "ids of an embedding")


def _embedded(use: _Use) -> Optional[Values]:
    return MASK if use.number == 7 else _embedded_ids(use)


Rule = Callable[[_Use], Optional[Values]]

RULES: Dict[str, Rule] = {
    "Gather": _gathered,
    "GatherElements": _gathered,
    "ScatterElements": _gathered,
    "GatherND": _gathered_places,
    "ScatterND": _gathered_places,
    "OneHot": _one_hot,
    "NegativeLogLikelihoodLoss": _labels,
    "SoftmaxCrossEntropyLoss": _labels,
    "TopK": _top,
    "RNN": _lengths,
    "GRU": _lengths,
    "LSTM": _lengths,
    "ReverseSequence": _reversed,
    "SequenceAt": _places_in_a_sequence,
    "SequenceErase": _places_in_a_sequence,
    "SequenceInsert": _places_in_a_sequence,
    "QuantizeLinear": _quantised,
    "DequantizeLinear": _codes,
    "Equal": _compared,
    "Where": _condition,
    "Sub": _inverted,
    "EmbedLayerNormalization": _embedded,
}
RULES.update(dict.fromkeys(DOMAINS, _function))

#: Operators that look an input up in the rows of a table.
LOOKUPS: Dict[str, Rule] = {"Gather": _gathered, "EmbedLayerNormalization": _embedded_ids}
