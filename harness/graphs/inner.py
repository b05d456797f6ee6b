"""The inside of an ONNX graph: every node's values, and models made from parts of it."""

from harness.graphs import making
from harness.graphs.operators import evaluator
from harness.graphs.precise import widen


def nodes(model):
    """Return name, kind, inputs and outputs of the nodes in their order, for JSON.

    An inner graph belongs to its node: what it reads from outside is among the node's inputs.
    """
    return [
        {
            "name": node.name or f"{node.op_type}.{at}",
            "kind": node.op_type,
            "inputs": [name for name in [*node.input, *_captured(node)] if name],
            "outputs": [name for name in node.output if name],
        }
        for at, node in enumerate(model.graph.node)
    ]


def evaluate(model, inputs):
    """Return every tensor's value by name, in the order of the nodes: (in float64, in float32)."""
    return _all(widen(model), making.as_float64(inputs)), _all(model, inputs)


def _all(model, inputs):
    import numpy

    values = evaluator(model).run(None, inputs, intermediate=True)
    held = {tensor.name for tensor in model.graph.initializer}
    return {
        name: numpy.asarray(values[name])
        for node in model.graph.node
        for name in node.output
        if name
        and name not in held
        and isinstance(values.get(name), (numpy.ndarray, numpy.generic))
    }


def expose(model, tensors):
    """Add inner tensors to what a graph gives: dtype and number of sides by name."""
    import numpy
    import onnx

    there = {value.name for value in model.graph.output}
    for one in tensors:
        if one["name"] in there:
            continue
        kind = onnx.helper.np_dtype_to_tensor_dtype(numpy.dtype(one["dtype"]))
        sides = [f"{one['name']}.{at}" for at in range(one["sides"])]
        value = onnx.helper.make_tensor_value_info(one["name"], kind, sides)
        model.graph.output.append(value)


def cut(model, values, inputs, number):
    """Return (a model of one node alone, its inputs by name).

    What does not depend on the graph's inputs stays in it as a constant: runtimes ask for that.
    """
    import onnx

    node = model.graph.node[number]
    known = dict(values)
    known.update(inputs)
    moving = _moving(model, inputs)
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    taken = list(dict.fromkeys(name for name in [*node.input, *_captured(node)] if name))
    free = [name for name in taken if name in moving]
    constant = [
        held[name] if name in held else onnx.numpy_helper.from_array(known[name], name)
        for name in taken
        if name not in moving
    ]
    graph = onnx.helper.make_graph(
        [node],
        "one-node",
        [_info(onnx, name, known[name]) for name in free],
        [_info(onnx, name, known[name]) for name in node.output if name],
        initializer=constant,
    )
    alone = onnx.helper.make_model(
        graph,
        opset_imports=list(model.opset_import),
        functions=list(model.functions),
        ir_version=model.ir_version,
    )
    return alone, {name: known[name] for name in free}


def _info(onnx, name, value):
    kind = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
    return onnx.helper.make_tensor_value_info(name, kind, list(value.shape))


def _moving(model, inputs):
    """Return the names of what depends on the graph's inputs."""
    found = set(inputs)
    for node in model.graph.node:
        if not found.isdisjoint([*node.input, *_captured(node)]):
            found.update(node.output)
    return found


def _captured(node):
    """Return the names that the inner graphs of a node read from outside."""
    found = []
    for attribute in node.attribute:
        for graph in [attribute.g, *attribute.graphs]:
            own = {value.name for value in graph.input}
            own.update(tensor.name for tensor in graph.initializer)
            for inner in graph.node:
                found += [name for name in [*inner.input, *_captured(inner)] if name not in own]
                own.update(inner.output)
            found += [value.name for value in graph.output if value.name not in own]
    return found
