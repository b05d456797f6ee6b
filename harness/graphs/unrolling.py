"""What runs of an ONNX graph for inputs at hand: branches that are taken, every round of loops.

Inner graphs hide their nodes and values: unrolled, they stand among those of the graph itself.
"""

from typing import Any, Dict, Iterable, List, NamedTuple, Tuple

import numpy

from harness.adapters import Arrays
from harness.graphs import operators
from harness.graphs.canonical import inlined

CONTROL = ("If", "Loop", "Scan")

#: A model is unrolled to so many nodes at most.
MOST_NODES = 16384


class Unrolled(NamedTuple):
    """A model without functions of its own, and without inner graphs as far as they are unrolled.

    Attributes:
        model: it has copies of the nodes that run, each named like the one that it is a copy of.
        decisions: the names of the values that decide on branches and rounds, by each output of a
            node that had inner graphs. Where other values decide otherwise, it is another model.
        too_long: how often the inner graph of a node runs that is not unrolled, as it would be too
            many nodes, by the node's first output.
    """

    model: Any
    decisions: Dict[str, List[str]]
    too_long: Dict[str, int]


def unrolled(model: Any, inputs: Arrays) -> Unrolled:
    """Return the model that runs for inputs by name.

    What cannot be evaluated stays as it is, and what would be more than `MOST_NODES`.
    """
    copy = type(model)()
    copy.CopyFrom(inlined(model))
    result = Unrolled(copy, {}, {})
    is_changed = True
    while is_changed and any(node.op_type in CONTROL for node in copy.graph.node):
        try:
            values = operators.evaluate(_counting(copy), inputs, intermediate=True)
        except operators.NotEvaluated:
            break
        is_changed, size = False, len(copy.graph.node)
        nodes: List[Any] = []
        for number, node in enumerate(copy.graph.node):
            if _is_batched(node):
                is_changed = True
                nodes += _sequences(node, values, result)
                continue
            graph, count = _inner_run(number, node, values)
            if graph is None or size + count * len(graph.node) > MOST_NODES:
                nodes.append(node)
                if graph is not None:
                    result.too_long[next(filter(None, node.output))] = count
                continue
            is_changed, size = True, size + count * len(graph.node)
            nodes += _Unrolling(node, graph, values, result).nodes(count)
        nodes = [type(node).FromString(node.SerializeToString()) for node in nodes]
        del copy.graph.node[:]
        copy.graph.node.extend(nodes)
    return result


def _rounds_of(number: int) -> str:
    return "rounds of {}".format(number)


def _counting(model: Any) -> Any:
    """Return a model whose Loops also collect the numbers of their rounds."""
    import onnx

    copy = type(model)()
    copy.CopyFrom(model)
    for number, node in enumerate(copy.graph.node):
        for body in (item.g for item in node.attribute if node.op_type == "Loop"):
            name = _rounds_of(number)
            body.node.append(onnx.helper.make_node("Identity", [body.input[0].name], [name]))
            body.output.append(onnx.helper.make_tensor_value_info(name, 7, []))
            node.output.extend([""] * (len(body.output) - 2 - len(node.output)) + [name])
    return copy


def _inner_run(number: int, node: Any, values: Arrays) -> Tuple[Any, int]:
    """Return the inner graph of a node that runs, and how often; (None, 0) where it has none."""
    graphs = {item.name: item.g for item in node.attribute}
    if node.op_type == "If":
        is_taken = bool(numpy.all(values[node.input[0]]))
        return graphs["then_branch" if is_taken else "else_branch"], 1
    if node.op_type == "Loop":
        return graphs["body"], len(values[_rounds_of(number)])
    if node.op_type != "Scan":
        return None, 0
    last = numpy.asarray(values[node.input[-1]])
    axes = [item.ints[-1] for item in node.attribute if item.name == "scan_input_axes"]
    return graphs["body"], last.shape[axes[0] if axes else 0]


def _is_batched(node: Any) -> bool:
    """Return whether a node is a Scan before opset 9, of which the first input are lengths."""
    bodies = [item.g for item in node.attribute if node.op_type == "Scan" and item.name == "body"]
    return any(len(node.input) > len(body.input) for body in bodies)


def _sequences(node: Any, values: Arrays, result: Unrolled) -> List[Any]:
    """Return the nodes of a Scan over a batch: one of a later opset for each of its sequences."""
    from onnx.helper import make_node

    settings = {item.name: item for item in node.attribute}
    count = settings["num_scan_inputs"].i
    ways = list(settings["directions"].ints) if "directions" in settings else [0] * count
    rows, longest = numpy.shape(values[node.input[-1]])[:2]
    lengths = values[node.input[0]] if node.input[0] else [longest] * rows
    prefix, states = str(next(filter(None, node.output))) + "/", len(node.input) - 1 - count
    nodes: List[Any] = []
    for row, length in enumerate(map(int, lengths)):
        start = "{}{}/".format(prefix, row)
        read = ["{}read {}".format(start, at) for at in range(len(node.input) - 1)]
        place = _held(result.model, numpy.int64(row), start + "place")
        for at, (name, part) in enumerate(zip(node.input[1:], read)):
            nodes.append(make_node("Gather", [name, place], [part], axis=0))
            if at >= states and length < longest:
                nodes[-1].output[0] += " whole"
                sliced = make_node("Slice", nodes[-1].output, [part], starts=[0], ends=[length])
                nodes.append(sliced)
        made = [name and start + name for name in node.output]
        body, directions = settings["body"].g, {"scan_input_directions": ways}
        nodes.append(make_node("Scan", read, made, body=body, num_scan_inputs=count, **directions))
    for at, name in enumerate(node.output):
        parts = ["{}{}/{}".format(prefix, row, name) for row in range(rows)]
        padded = [] if at < states else lengths
        nodes += _batch(name, parts, padded, values, result) if name else []
    result.decisions.update((x, list(filter(None, node.input[:1]))) for x in node.output if x)
    return nodes


def _batch(
    name: str, parts: List[str], lengths: Iterable[int], values: Arrays, result: Unrolled
) -> List[Any]:
    """Return the nodes that make an output of its parts, and of zeros after those *lengths*."""
    from onnx.helper import make_node

    whole, nodes, rows = numpy.asarray(values[name]), [], [part + " as a row" for part in parts]
    for row, length in enumerate(map(int, lengths)):
        zeros = numpy.zeros_like(whole[row, length:])
        if zeros.shape[0]:
            read = [parts[row], _held(result.model, zeros, parts[row] + " after it")]
            parts[row] += " and zeros"
            nodes.append(make_node("Concat", read, [parts[row]], axis=0))
    nodes += [make_node("Unsqueeze", [x], [y], axes=[0]) for x, y in zip(parts, rows)]
    return nodes + [make_node("Concat", rows, [name], axis=0)]


class _Unrolling:
    """The rounds of a node's inner graph, as nodes; the values that they hold go to *result*."""

    def __init__(self, node: Any, graph: Any, values: Arrays, result: Unrolled) -> None:
        self.node, self.graph, self.values, self.result = node, graph, values, result
        self.is_loop = node.op_type == "Loop"
        self.prefix = str(next(filter(None, node.output))) + "/"
        settings = {item.name: item.i for item in node.attribute}
        first_scanned = len(node.input) - settings.get("num_scan_inputs", 0)
        self.scanned = list(node.input[first_scanned:])
        first = {"If": 1, "Loop": 2}.get(node.op_type, 0)
        self.carried = list(node.input[first:first_scanned])
        self.decisions = [name for name in node.input[:first] if name]
        self.lists = {item.name: list(item.ints) for item in node.attribute}
        self.count = 0

    def _ways(self, side: str, count: int) -> List[Tuple[int, int]]:
        """Return (direction, axis) of what a Scan reads (*side* input) or stacks (output)."""
        directions, axes = (
            self.lists.get("scan_{}_{}".format(side, kind)) or [0] * count
            for kind in ("directions", "axes")
        )
        return list(zip(directions, axes))

    def nodes(self, count: int) -> List[Any]:
        """Return the nodes of so many rounds, and those that give the outputs of the node."""
        from onnx.helper import make_node

        kept = {tensor.name: self._hold(tensor, tensor.name) for tensor in self.graph.initializer}
        self.count = count
        nodes: List[Any] = []
        collected: List[List[str]] = []
        split = len(self.carried) if self.node.op_type != "If" else len(self.graph.output)
        for number in range(count):
            inner, outputs = self._round(number, dict(kept))
            nodes += inner
            if self.is_loop:
                self.decisions.append(outputs.pop(0))
            self.carried = outputs[:split]
            collected.append(outputs[split:])
        outputs = list(self.node.output)
        nodes += [make_node("Identity", [x], [y]) for x, y in zip(self.carried, outputs) if y]
        ways = self._ways("output", len(outputs[split:]))
        for place, (name, way) in enumerate(zip(outputs[split:], ways)):
            if name:
                nodes += self._stacked(name, [parts[place] for parts in collected], *way)
        self.result.decisions.update((name, self.decisions) for name in outputs if name)
        return nodes

    def _round(self, number: int, names: Dict[str, str]) -> Tuple[List[Any], List[str]]:
        """Return the nodes of a round, and its outputs. *names*: of what it reads, by its own."""
        from onnx.helper import make_node

        start = "{}/".format(number)
        heads = [self._hold(numpy.int64(number), start + "round")]
        heads.append(self._hold(numpy.bool_(True), start + "goes on"))
        slices, nodes = [], []
        for at, (name, way) in enumerate(zip(self.scanned, self._ways("input", len(self.scanned)))):
            place = self.count - 1 - number if way[0] else number
            read = [name, self._hold(numpy.int64(place), "{}place {}".format(start, at))]
            slices.append("{}{}scanned {}".format(self.prefix, start, at))
            nodes.append(make_node("Gather", read, slices[-1:], axis=way[1]))
        made = [name for node in self.graph.node for name in node.output if name]
        names.update((name, self.prefix + start + name) for name in made)
        read = (heads if self.is_loop else []) + self.carried + slices
        names.update(zip((value.name for value in self.graph.input), read))
        nodes += _renamed(self.graph.node, names)
        return nodes, [names.get(value.name, value.name) for value in self.graph.output]

    def _stacked(self, name: str, parts: List[str], direction: int, axis: int) -> List[Any]:
        """Return the nodes that stack what each round gives; without any values, a constant."""
        from onnx.helper import make_node

        value = numpy.asarray(self.values[name])
        if not value.size:
            self.result.model.graph.initializer.append(_tensor(value, name))
            return []
        rows, one = [part + " as a row" for part in parts], list(value.shape)
        one[axis] = 1
        shape = self._hold(numpy.array(one, "int64"), name + " of a row")
        nodes = [make_node("Reshape", [part, shape], [row]) for part, row in zip(parts, rows)]
        ordered = rows[::-1] if direction else rows
        return nodes + [make_node("Concat", ordered, [name], axis=axis % value.ndim)]

    def _hold(self, value: Any, name: str) -> str:
        """Store a tensor or an array; return its name in the whole graph."""
        return _held(self.result.model, value, self.prefix + name)


def _held(model: Any, value: Any, name: str) -> str:
    """Store a tensor or an array in a model; return its name."""
    tensor = value if hasattr(value, "data_type") else _tensor(value, name)
    stored = model.graph.initializer.add()
    stored.CopyFrom(tensor)
    stored.name = name
    return name


def _tensor(value: Any, name: str) -> Any:
    import onnx

    return onnx.numpy_helper.from_array(numpy.asarray(value), name)


def _renamed(nodes: Iterable[Any], names: Dict[str, str]) -> List[Any]:
    """Return copies of nodes with other names of what they read and write, inner graphs too."""
    copies = []
    for node in nodes:
        copy = type(node)()
        copy.CopyFrom(node)
        copy.name = node.name or next(iter(node.output), "")
        _rename(copy, names)
        copies.append(copy)
    return copies


def _rename(node: Any, names: Dict[str, str]) -> None:
    for listed in (node.input, node.output):
        listed[:] = [names.get(name, name) for name in listed]
    for attribute in node.attribute:
        for graph in [attribute.g, *attribute.graphs]:
            for inner in graph.node:
                _rename(inner, names)
            for value in [*graph.input, *graph.output, *graph.initializer]:
                value.name = names.get(value.name, value.name)
