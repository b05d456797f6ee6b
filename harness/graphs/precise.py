"""A graph in float64: what gold is evaluated by."""

_LESS = (1, 10, 16)  # onnx.TensorProto: FLOAT, FLOAT16, BFLOAT16
_DOUBLE = 11

#: Attributes that name a type of element.
_TYPES = ("to", "dtype", "output_dtype")


def widen(model):
    """Return a copy of *model* in which all that is a float has 64 bits."""
    copy = type(model)()
    copy.CopyFrom(model)
    _graph(copy.graph)
    for function in copy.functions:
        for node in function.node:
            _node(node)
    return copy


def _graph(graph):
    for tensor in graph.initializer:
        _tensor(tensor)
    for value in [*graph.input, *graph.output]:
        if value.type.tensor_type.elem_type in _LESS:
            value.type.tensor_type.elem_type = _DOUBLE
    del graph.value_info[:]  # found again where they are needed
    for node in graph.node:
        _node(node)


def _node(node):
    import numpy
    import onnx

    for attribute in node.attribute:
        if attribute.name in _TYPES and attribute.i in _LESS:
            attribute.i = _DOUBLE
        if attribute.type == onnx.AttributeProto.TENSOR:
            _tensor(attribute.t)
        for inner in [attribute.g, *attribute.graphs]:
            _graph(inner)
    given = {attribute.name: attribute for attribute in node.attribute}
    value = None
    if node.op_type == "Constant" and "value_float" in given:
        value = numpy.float64(given["value_float"].f)
    elif node.op_type == "Constant" and "value_floats" in given:
        value = numpy.array(given["value_floats"].floats, "float64")
    elif node.op_type == "ConstantOfShape" and not given:
        value = numpy.zeros(1, "float64")
    if value is not None:
        del node.attribute[:]
        tensor = onnx.numpy_helper.from_array(numpy.asarray(value))
        node.attribute.append(onnx.helper.make_attribute("value", tensor))


def _tensor(tensor):
    import onnx

    if tensor.data_type in _LESS:
        values = onnx.numpy_helper.to_array(tensor).astype("float64")
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
