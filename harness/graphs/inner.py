"""The inside of an ONNX graph: every node's values, and models made from parts of it."""

from typing import Any, Dict, Iterable, List, Set, Tuple

import numpy

from harness.adapters import Arrays
from harness.graphs import BadModel, operators
from harness.graphs.canonical import names_read
from harness.graphs.inputs import onnx_inputs
from harness.graphs.precise import widen
from harness.graphs.shapes import element_types
from harness.graphs.values import as_array


def nodes(model: Any) -> List[Dict[str, Any]]:
    """Return name, kind, inputs and outputs of the nodes in their order, for JSON.

    An inner graph belongs to its node: what it reads from outside is among the node's inputs.
    """
    return [
        {
            "name": node.name or f"{node.op_type}.{number}",
            "kind": node.op_type,
            "inputs": list(names_read(node)),
            "outputs": [name for name in node.output if name],
        }
        for number, node in enumerate(model.graph.node)
    ]


def evaluate(model: Any, inputs: Arrays) -> Tuple[Arrays, Arrays]:
    """Return every tensor's value by name, in the order of the nodes: (in float64, in its own).

    Raises NotEvaluated.
    """
    return _tensors(widen(model), onnx_inputs.as_float64(inputs)), _tensors(model, inputs)


def _tensors(model: Any, inputs: Arrays) -> Arrays:
    values = operators.evaluate(model, inputs, intermediate=True)
    held = {tensor.name for tensor in model.graph.initializer}
    return {
        name: numpy.asarray(values[name])
        for node in model.graph.node
        for name in node.output
        if name
        and name not in held
        and isinstance(values.get(name), (numpy.ndarray, numpy.generic))
    }


def expose(model: Any, tensors: Iterable[Dict[str, Any]]) -> None:
    """Add inner tensors, each ``name``, ``dtype`` and ``rank``, to a graph's outputs."""
    import onnx

    present = {value.name for value in model.graph.output}
    types = element_types(model)
    for tensor in tensors:
        if tensor["name"] in present:
            continue
        kind = onnx.helper.np_dtype_to_tensor_dtype(numpy.dtype(tensor["dtype"]))
        if types.get(tensor["name"]) == onnx.TensorProto.BFLOAT16:  # its values come as float32
            kind = onnx.TensorProto.BFLOAT16
        dims = [f"{tensor['name']}.{axis}" for axis in range(tensor["rank"])]
        value = onnx.helper.make_tensor_value_info(tensor["name"], kind, dims)
        model.graph.output.append(value)


def cut(model: Any, values: Arrays, inputs: Arrays, number: int) -> Tuple[Any, Arrays]:
    """Return (a model of one node alone, its inputs by name).

    What does not depend on the graph's inputs stays in it as a constant: runtimes require that.
    Raises BadModel where the node reads or gives a sequence or a map.
    """
    import onnx

    node = model.graph.node[number]
    feed = operators.typed(model, inputs)
    known: Dict[str, Any] = dict(values, **feed)
    moving = _input_dependent(model, feed)
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    read = list(dict.fromkeys(names_read(node)))
    for name in [*read, *filter(None, node.output)]:
        if name not in held and not isinstance(known.get(name), (numpy.ndarray, numpy.generic)):
            raise BadModel(f"node {number} reads or gives {name}, which is no tensor")
    free = [name for name in read if name in moving]
    constant = [
        held[name] if name in held else onnx.numpy_helper.from_array(known[name], name)
        for name in read
        if name not in moving
    ]
    graph = onnx.helper.make_graph(
        [node],
        "one-node",
        [_info(onnx, name, known[name]) for name in free],
        [_info(onnx, name, known[name]) for name in node.output if name],
        initializer=constant,
    )
    single_node = onnx.helper.make_model(
        graph,
        opset_imports=list(model.opset_import),
        functions=list(model.functions),
        ir_version=model.ir_version,
    )
    return single_node, {name: as_array(known[name]) for name in free}


def _info(onnx: Any, name: str, value: "numpy.ndarray") -> Any:
    is_text = value.dtype.kind in "OU"
    string, number = onnx.TensorProto.STRING, onnx.helper.np_dtype_to_tensor_dtype
    kind = string if is_text else number(value.dtype)
    return onnx.helper.make_tensor_value_info(name, kind, list(value.shape))


def _input_dependent(model: Any, inputs: Iterable[str]) -> Set[str]:
    """Return the names of the tensors that depend on the graph's inputs."""
    dependent = set(inputs)
    for node in model.graph.node:
        if not dependent.isdisjoint(names_read(node)):
            dependent.update(node.output)
    return dependent
