"""Dimensions of an ONNX graph's tensors: inferred, and those of its inputs that have to be equal.

Exporters often leave inputs' dimensions dynamic without a name, or give the same dimension two
names. The operators that the inputs meet say which of them are one: the batch of an LSTM's hidden
state is that of its sequence. https://onnx.ai/onnx/operators defines them.
"""

import re
from typing import Any, Callable, Dict, Iterator, List, Match, NamedTuple, Optional, Union

from harness.graphs import checks

Dim = Union[int, str]  # a size, or the name of a dynamic dimension
Shape = List[Optional[Dim]]  # None: nothing is known of the dimension
Shapes = Dict[str, Shape]  # by tensor
Entry = Dict[str, Any]  # ``name``, ``dtype`` and ``shape``, a list of `Dim`

#: Initializers with more elements keep their shape only: shape inference reads none that large.
MOST_ELEMENTS = 4096

#: Operators of which shape inference reads no list of nodes and leaves, and how these are called.
UNREAD_TREES = ("TreeEnsembleClassifier", "TreeEnsembleRegressor")
UNREAD_LISTS = ("nodes_", "class_", "target_")

#: Ties are searched again with what they told, at most this often.
MOST_ROUNDS = 4

#: The name of a dimension that is computed from others: sums and products of names and numbers.
NAME = re.compile(r"[A-Za-z_][\w.]*")
EXPRESSION = re.compile(r"\s*[\w.]+(\s*[+*]\s*[\w.]+)+\s*")


def size_of(dim: Dim, sizes: Dict[Dim, int], default: int) -> int:
    """Return the size of a dimension; one named like ``past + 2*length`` is computed.

    Args:
        dim: a size, a name, or an expression of both.
        sizes: by name; names that an expression needs are added.
        default: the size of a name that has none yet.
    """
    if isinstance(dim, int):
        return dim
    if dim in sizes or not EXPRESSION.fullmatch(dim):
        return sizes.setdefault(dim, default)
    total = 0
    for term in dim.split("+"):
        product = 1
        for factor in (text.strip() for text in term.split("*")):
            product *= int(factor) if factor.isdigit() else sizes.setdefault(factor, default)
        total += product
    return sizes.setdefault(dim, total)


def infer(model: Any, entries: List[Entry]) -> Shapes:
    """Return the shapes of all tensors that shape inference knows, for inputs of these shapes.

    Where the standard's inference fails, only inputs and initializers have one.
    """
    import onnx

    inferred = _inferred(_skeleton(model, entries, onnx), onnx)
    shapes: Shapes = {}
    for graph in _graphs(inferred):
        for value in [*graph.value_info, *graph.output, *graph.input]:
            if value.type.tensor_type.HasField("shape"):
                shapes[value.name] = [_dim(dim) for dim in value.type.tensor_type.shape.dim]
    for graph in _graphs(model.graph):
        shapes.update((tensor.name, list(tensor.dims)) for tensor in graph.initializer)
    shapes.update((entry["name"], list(entry["shape"])) for entry in entries)
    return shapes


def infer_whole(model: Any, inputs: Any) -> Shapes:
    """Return the shapes that those of the inputs decide in every dimension; arrays by name."""
    entries = [
        {"name": name, "dtype": x.dtype.name, "shape": list(x.shape)} for name, x in inputs.items()
    ]
    return {
        name: dims
        for name, dims in infer(model, entries).items()
        if all(isinstance(dim, int) for dim in dims)
    }


def element_types(model: Any) -> Dict[str, int]:
    """Return the element types, as ONNX numbers them, of the tensors that inference knows.

    Those of inner graphs are among them.
    """
    import onnx

    held = {tensor.name for tensor in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in held]
    entries = [{"name": name, "shape": None} for name in names]
    return {
        value.name: value.type.tensor_type.elem_type
        for graph in _graphs(_inferred(_skeleton(model, entries, onnx), onnx))
        for value in [*graph.value_info, *graph.output, *graph.input]
    }


def _inferred(skeleton: Any, onnx: Any) -> Any:
    """Return a model's graph with what the standard's inference finds, or without."""
    try:
        return onnx.shape_inference.infer_shapes(skeleton, data_prop=True).graph
    except Exception:  # a wrong model makes it raise anything
        return skeleton.graph


def _skeleton(model: Any, entries: List[Entry], onnx: Any) -> Any:
    """Return a model of the same nodes, without large weights and without claims on shapes."""
    skeleton = onnx.ModelProto(ir_version=model.ir_version)
    skeleton.opset_import.extend(model.opset_import)
    skeleton.functions.extend(model.functions)
    graph = skeleton.graph
    graph.name = "skeleton"
    graph.node.extend(_without_trees(node) for node in model.graph.node)
    for node in checks.all_nodes(graph):
        _without_claims(node)
    shapes = {entry["name"]: entry["shape"] for entry in entries}
    value_info = onnx.helper.make_tensor_value_info
    for value in model.graph.input:
        kind = value.type.tensor_type.elem_type
        if value.name in shapes and kind:
            graph.input.append(value_info(value.name, kind, shapes[value.name]))
        elif not kind:  # a sequence or a map: the entries are its parts
            graph.input.append(value)
    for tensor in model.graph.initializer:
        if _count(tensor.dims) <= MOST_ELEMENTS:
            graph.initializer.append(tensor)
        else:
            graph.input.append(value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    for value in model.graph.output:
        graph.output.append(value)
        graph.output[-1].type.tensor_type.ClearField("shape")
    return skeleton


def _without_claims(node: Any) -> None:
    """Take from the body of a Loop or a Scan what it claims of the shapes that a round makes."""
    results = {result for _, _, result in checks.handed_in(node)}
    for body in (item.g for item in node.attribute if results):
        for value in [*body.output, *body.value_info]:
            if value.name in results:
                value.type.tensor_type.ClearField("shape")


def _without_trees(node: Any) -> Any:
    """Return a node without the lists of an ensemble's nodes and leaves, which may be very long."""
    if node.op_type not in UNREAD_TREES:
        return node
    copy = type(node)(op_type=node.op_type, domain=node.domain, name=node.name)
    copy.input.extend(node.input)
    copy.output.extend(node.output)
    copy.attribute.extend(x for x in node.attribute if not x.name.startswith(UNREAD_LISTS))
    return copy


def _count(dims: Any) -> int:
    count = 1
    for dim in dims:
        count *= dim
    return count


def _graphs(graph: Any) -> Iterator[Any]:
    """Yield a graph and those inside its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from _graphs(inner)


def dim_name(text: str) -> Optional[str]:
    """Return the name of a dynamic dimension; None where the text, such as ``?``, names nothing."""
    is_name = any(letter.isalpha() for letter in text) and text != "None"
    return text if is_name else None


def _dim(dim: Any) -> Optional[Dim]:
    if dim.HasField("dim_value"):
        return int(dim.dim_value)
    return dim_name(dim.dim_param)


class Ties:
    """Which names of dimensions are one dimension, or have one size."""

    def __init__(self) -> None:
        self._parents: Dict[str, Dim] = {}

    def root(self, dim: Dim) -> Dim:
        """Return what stands for a dimension: a size where it is known, else a name."""
        while isinstance(dim, str) and dim in self._parents:
            dim = self._parents[dim]
        if isinstance(dim, str) and EXPRESSION.fullmatch(dim):
            return NAME.sub(self._known_size, dim)
        return dim

    def _known_size(self, name: "Match[str]") -> str:
        root = self._parents.get(name.group())
        return str(root) if isinstance(root, int) else name.group()

    def equate(self, first: Optional[Dim], second: Optional[Dim]) -> None:
        """Take two dimensions as one. Two sizes that differ are left to the runtimes to refuse."""
        if first is None or second is None:
            return
        first, second = sorted((self.root(first), self.root(second)), key=_rank)
        if first != second and isinstance(first, str):
            self._parents[first] = second


def _rank(dim: Dim) -> int:
    """Return how well a dimension can stand for another: a size best, then a computed name."""
    if isinstance(dim, int):
        return 2
    return 1 if EXPRESSION.fullmatch(dim) else 0


def tie(model: Any, entries: List[Entry], ties: Ties) -> List[Entry]:
    """Return the inputs with one name, or a size, for dimensions that operators make equal.

    *ties* holds what is known before, such as sizes of a user, and afterwards what was learnt.
    """
    for _ in range(MOST_ROUNDS):
        tied = [dict(entry, shape=list(map(ties.root, entry["shape"]))) for entry in entries]
        shapes = infer(model, tied)
        for node in checks.all_nodes(model.graph):
            rule = RULES.get(node.op_type)
            if rule is not None:
                rule(_Meeting(node, [shapes.get(name) for name in node.input], ties))
            _carried(node, shapes, ties)
        if all(ties.root(dim) == dim for entry in tied for dim in entry["shape"]):
            return tied
    return [dict(entry, shape=list(map(ties.root, entry["shape"]))) for entry in entries]


class _Meeting(NamedTuple):
    """A node, the shapes of its inputs, and the ties that it adds to."""

    node: Any
    shapes: List[Optional[Shape]]
    ties: Ties

    def dim(self, number: int, axis: int) -> Optional[Dim]:
        """Return a dimension of an input, None where it is unknown or missing."""
        shape = self.shapes[number] if number < len(self.shapes) else None
        return shape[axis] if shape and -len(shape) <= axis < len(shape) else None

    def attribute(self, name: str, default: int) -> int:
        return next((entry.i for entry in self.node.attribute if entry.name == name), default)

    def known(self) -> List[Shape]:
        """Return the shapes that are known and have a dimension."""
        return [shape for shape in self.shapes if shape]


def _recurrent(meeting: _Meeting) -> None:
    """X is (length, batch, in), a hidden state (directions, batch, hidden).

    With layout 1 the batch comes first.
    """
    dim, equate = meeting.dim, meeting.ties.equate
    is_batch_first = meeting.attribute("layout", 0) == 1
    batch = dim(0, 0 if is_batch_first else 1)
    equate(dim(0, 2), dim(1, 2))
    equate(dim(4, 0), batch)
    for state in (5, 6):
        equate(dim(state, 0 if is_batch_first else 1), batch)
        equate(dim(state, 1 if is_batch_first else 0), dim(1, 0))
        equate(dim(state, 2), dim(2, 2))


def _product(meeting: _Meeting) -> None:
    second = meeting.shapes[1] if len(meeting.shapes) > 1 else None
    axis = -2 if second and len(second) > 1 else 0
    meeting.ties.equate(meeting.dim(0, -1), meeting.dim(1, axis))


def _gemm(meeting: _Meeting) -> None:
    first_axis, second_axis = 1 - meeting.attribute("transA", 0), meeting.attribute("transB", 0)
    meeting.ties.equate(meeting.dim(0, first_axis), meeting.dim(1, second_axis))


def _convolution(meeting: _Meeting) -> None:
    channels = meeting.dim(1, 1)
    if isinstance(channels, int):
        meeting.ties.equate(meeting.dim(0, 1), channels * meeting.attribute("group", 1))


def _by_channel(meeting: _Meeting) -> None:
    """The second input has a first dimension for each channel of the first."""
    meeting.ties.equate(meeting.dim(0, 1), meeting.dim(1, 0))


def _joined(meeting: _Meeting) -> None:
    known = meeting.known()
    axis = meeting.attribute("axis", 0)
    for shape in known[1:]:
        if len(shape) == len(known[0]):
            for number, (first, second) in enumerate(zip(known[0], shape)):
                if number != axis % len(shape):
                    meeting.ties.equate(first, second)


def _broadcast(meeting: _Meeting) -> None:
    """Dimensions that stand at one place from the right are equal unless one of them is 1."""
    known = meeting.known()
    for axis in range(1, max(map(len, known), default=0) + 1):
        dims = [shape[-axis] for shape in known if len(shape) >= axis and shape[-axis] != 1]
        for dim in dims[1:]:
            meeting.ties.equate(dims[0], dim)


def _carried(node: Any, shapes: Shapes, ties: Ties) -> None:
    """The values of a Loop or a Scan start as what its body takes, but for what a round changes.

    A dimension that grows may start with nothing: no other is as small.
    """
    for start, value, result in checks.handed_in(node):
        outside, inside, made = (shapes.get(name) for name in (start, value, result))
        if outside and inside and made and len(outside) == len(inside) == len(made):
            for first, second, third in zip(outside, inside, made):
                if second == third and 0 not in (first, second):
                    ties.equate(first, second)


Rule = Callable[[_Meeting], None]

RULES: Dict[str, Rule] = {
    "RNN": _recurrent,
    "GRU": _recurrent,
    "LSTM": _recurrent,
    "MatMul": _product,
    "MatMulInteger": _product,
    "Gemm": _gemm,
    "Conv": _convolution,
    "ConvInteger": _convolution,
    "ConvTranspose": _by_channel,
    "BatchNormalization": _by_channel,
    "InstanceNormalization": _by_channel,
    "Concat": _joined,
}
RULES.update(
    dict.fromkeys(
        ["Add", "Sub", "Mul", "Div", "Max", "Min", "Where", "And", "Or", "Equal", "Less"],
        _broadcast,
    )
)
