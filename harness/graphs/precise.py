"""An ONNX graph in float64, which gives the gold outputs."""

from typing import Any, Dict

from harness.graphs.canonical import inlined, names_read
from harness.graphs.shapes import element_types

_NARROW = (1, 10, 16)  # onnx.TensorProto: FLOAT, FLOAT16, BFLOAT16
_DOUBLE = 11

#: A widened model says so by this name among its opsets: attributes that are floats have no type,
#: so that an operator that makes floats of integers or of text would not know in which precision.
WIDE = "harness.float64"

#: Operators that compare what they are given with numbers of their own, so that these stay: what is
#: equal to a threshold in float32 may be above it in float64, and takes another branch.
_COMPARING = ("TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor")

#: Attributes that name an element type.
_TYPES = ("to", "dtype", "output_dtype", "output_datatype")

#: Operators that make floats of integers, of the type that an attribute names, else float32.
_MAKING = ("BlackmanWindow", "HammingWindow", "HannWindow", "MelWeightMatrix")


#: The float types below float32 by their numbers in onnx.TensorProto, the least exact first.
_REDUCED = {16: "bfloat16", 10: "float16"}


def computed_in(model: Any) -> Dict[str, str]:
    """Return, by output, the least exact float type below float32 that a node before it gives.

    An output in float32 may come from float16: converters keep the types of inputs and outputs.
    """
    model = inlined(model)
    types = element_types(model)
    reduced: Dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type == "Constant":  # it stores values, and computes none
            continue
        own = {_REDUCED[types[name]] for name in node.output if types.get(name) in _REDUCED}
        own.update(reduced[name] for name in names_read(node) if name in reduced)
        least = [name for name in _REDUCED.values() if name in own]
        reduced.update(dict.fromkeys(node.output, least[0]) if least else {})
    return {
        value.name: reduced[value.name] for value in model.graph.output if value.name in reduced
    }


def widen(model: Any) -> Any:
    """Return a copy of *model* in which every float tensor and attribute is float64."""
    copy = type(model)()
    copy.CopyFrom(inlined(model))  # what a function links has no value before
    _widen_graph(copy.graph)
    copy.opset_import.add(domain=WIDE, version=1)
    for function in copy.functions:
        function.opset_import.add(domain=WIDE, version=1)
        for node in function.node:
            _widen_node(node)
    return copy


def _widen_graph(graph: Any) -> None:
    for tensor in graph.initializer:
        _widen_tensor(tensor)
    for value in [*graph.input, *graph.output]:
        if value.type.tensor_type.elem_type in _NARROW:
            value.type.tensor_type.elem_type = _DOUBLE
    del graph.value_info[:]  # inferred again where they are needed
    for node in graph.node:
        _widen_node(node)


def _widen_node(node: Any) -> None:
    import numpy
    import onnx

    for attribute in node.attribute:
        if attribute.name in _TYPES and attribute.i in _NARROW:
            attribute.i = _DOUBLE
        if attribute.type == onnx.AttributeProto.TENSOR and node.op_type not in _COMPARING:
            _widen_tensor(attribute.t)
        for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
            _widen_graph(inner)  # else it would be there: ONNX Runtime refuses that
    attributes = {attribute.name: attribute for attribute in node.attribute}
    if node.op_type in _MAKING and "output_datatype" not in attributes:
        node.attribute.append(onnx.helper.make_attribute("output_datatype", _DOUBLE))
    value: Any = None
    if node.op_type == "Constant" and "value_float" in attributes:
        value = numpy.float64(attributes["value_float"].f)
    elif node.op_type == "Constant" and "value_floats" in attributes:
        value = numpy.array(attributes["value_floats"].floats, "float64")
    elif node.op_type == "ConstantOfShape" and not attributes:
        value = numpy.zeros(1, "float64")
    if value is not None:
        del node.attribute[:]
        tensor = onnx.numpy_helper.from_array(numpy.asarray(value))
        node.attribute.append(onnx.helper.make_attribute("value", tensor))


def _widen_tensor(tensor: Any) -> None:
    import onnx

    if tensor.data_type in _NARROW:
        values = onnx.numpy_helper.to_array(tensor).astype("float64")
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
