"""Quantised arithmetic in an ONNX graph: how far right runtimes may be apart, output by output.

Where a value is quantised, a right runtime may give the next step instead: at a tie, by float32's
rounding, or because it rounds once where the graph rounds twice. So an output that depends on
quantised values is compared by steps, not by a share of float32's rounding. Integer arithmetic
without such a rounding (ConvInteger, MatMulInteger on the model's inputs) stays exact. A float of 8
bits and less has three bits of fraction at most (https://onnx.ai/onnx/technical/float8.html): the
next one is a step as well, of which the size depends on the value.
"""

from typing import Any, Dict

import numpy

from harness.graphs.canonical import nodes_before
from harness.graphs.inputs import onnx_inputs
from harness.graphs.operators import evaluator
from harness.graphs.precise import widen
from harness.graphs.quantisation import allowed_steps, is_step
from harness.graphs.values import wider_dtype

#: Operators that round to a step besides QLinear*.
ROUNDING = ("QuantizeLinear", "DynamicQuantizeLinear")

#: Floats of 8 bits and less, by their numbers in onnx.TensorProto: FLOAT8E4M3FN, FLOAT8E4M3FNUZ,
#: FLOAT8E5M2, FLOAT8E5M2FNUZ, FLOAT4E2M1 and FLOAT8E8M0.
SMALL_FLOATS = (17, 18, 19, 20, 23, 24)

#: Operators that round their first input, and answer in floats.
ROUNDING_WITHIN = ("DynamicQuantizeMatMul", "DynamicQuantizeLSTM")

#: What a model's author allows a MatMulNBits to make of its input A, by its accuracy_level: see
#: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
ALLOWED_TYPES = {2: "float16", 3: "bfloat16", 4: "int8"}

#: One step of these types, over the value.
RELATIVE_STEPS = {"float16": 2.0**-10, "bfloat16": 2.0**-7}

#: Integer outputs that are compared by steps; others are classes and places.
IN_STEPS = ("int8", "uint8", "int16", "uint16", "int32")


def rounds(node):
    """Return whether a node rounds what it computes to steps."""
    if node.op_type == "QGemm":
        return len(node.input) > 7 and bool(node.input[7])
    is_rounding = node.op_type in ROUNDING or node.op_type.startswith("QLinear")
    return is_rounding or _makes_small_floats(node) or _rounds_within(node)


def _makes_small_floats(node):
    """Return whether a node casts to floats of 8 bits or less."""
    kinds = [item.i for item in node.attribute if item.name == "to"]
    return node.op_type == "Cast" and kinds[0] in SMALL_FLOATS


def _rounds_within(node):
    """Return whether a node rounds its first input, and answers in floats."""
    return node.op_type in ROUNDING_WITHIN or bool(_allowed_type(node))


def _allowed_type(node):
    """Return the type to which a node may round its first input though it need not, or nothing."""
    levels = [item.i for item in node.attribute if item.name == "accuracy_level"]
    is_loose = node.op_type == "MatMulNBits" and levels
    return ALLOWED_TYPES.get(levels[0], "") if is_loose else ""


def outputs_in_steps(model, inputs):
    """Return the outputs that depend on quantised values, by name.

    Args:
        model: the model, `unrolled`.
        inputs: arrays by name, as it takes them.

    Returns:
        {output: {"step": largest change of the output when every value that is quantised last on
        the way to it moves by one step, "steps": how many of these are allowed, "allowed_by":
        what in the model allows to round where the graph itself does not, or nothing}}, and of a
        quantised output also its "scale" and "zero_point", where they are constants. Without
        quantised values, or where the model cannot be evaluated, it is empty.
    """
    depths = _roundings(model, set(inputs))
    names = [value.name for value in model.graph.output if depths.get(value.name)]
    if not names:
        return {}
    wide = widen(model)
    try:
        values = evaluator(wide).run(None, onnx_inputs.as_float64(inputs), intermediate=True)
    except Exception:  # the evaluator may raise anything
        return {}
    parameters, stepless = grids(model), {name for _, name, _ in _without_step(model)}
    described = {}
    for name in names:
        step = None if name in stepless else _step(wide, values, name)
        if step is not None and is_step(step):
            described[name] = {"step": step, "steps": allowed_steps(depths[name])}
            described[name].update(parameters.get(name, {}), **_allowance(model, name))
    return described


def _allowance(model, output):
    """Return {"allowed_by": what allows to round on the way to an output}, or an empty dict."""
    allowed = {_allowed_type(node) for _, node in nodes_before(model, output)}
    levels = [level for level, name in ALLOWED_TYPES.items() if name in allowed]
    if not levels:
        return {}
    text = "accuracy_level={} of MatMulNBits allows {} activations"
    return {"allowed_by": text.format(max(levels), ALLOWED_TYPES[max(levels)])}


def _roundings(model, inputs):
    """Return by tensor how many roundings follow one another on the longest way to it."""
    depths: Dict[str, int] = dict.fromkeys(inputs, 0)
    for node in model.graph.node:
        before = [depths[name] for name in node.input if name in depths]
        if before:
            is_exact = _makes_small_floats(node) and node.input[0] in inputs
            count = max(before) + (rounds(node) and not is_exact)
            depths.update({name: count for name in node.output if name})
    return depths


def _step(model, values, output):
    """Return how far an output moves with the values that are quantised last before it."""
    before = list(nodes_before(model, output, ends_at=rounds))
    needed = {name for name, node in before if not rounds(node) or _rounds_within(node)}
    random = numpy.random.RandomState(0)
    moved = dict(values)
    for node in {id(node): node for _, node in before if rounds(node)}.values():
        if _rounds_within(node):
            read = numpy.asarray(values[node.input[0]])
            moved[node.input[0]] = read + _input_step(node, read) * _signs(read, random)
        else:
            moved[node.output[0]] = _moved(numpy.asarray(values[node.output[0]]), random)
    try:
        own = _evaluate(model, values, needed, output)
        after = _evaluate(model, moved, needed, output)
    except Exception:  # the evaluator may raise anything
        return None
    if own.dtype.kind != "f" and own.dtype.name not in IN_STEPS:
        return None
    change = numpy.abs(after.astype("float64") - own.astype("float64"))
    return float(change[numpy.isfinite(change)].max(initial=0.0))


def _evaluate(model, values, needed, output):
    """Return an output, evaluated from the tensors that are not *needed*."""
    import onnx

    if output not in needed:
        return numpy.asarray(values[output])
    nodes = [node for node in model.graph.node if not needed.isdisjoint(node.output)]
    held = {tensor.name for tensor in model.graph.initializer}
    read = dict.fromkeys(name for node in nodes for name in node.input if name)
    feeds = {name: numpy.asarray(values[name]) for name in read if name not in needed | held}
    part = type(model)()
    part.CopyFrom(model)
    del part.graph.node[:], part.graph.input[:], part.graph.output[:]
    part.graph.node.extend(nodes)
    for name, value in feeds.items():
        kind = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
        part.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, None))
    part.graph.output.append(onnx.helper.make_tensor_value_info(output, 0, None))
    return numpy.asarray(evaluator(part).run(None, feeds)[0])


def _moved(values, random):
    """Return quantised values, each a step up or down, within the range of their type."""
    name, signs = values.dtype.name, _signs(values, random)
    if "float" in name and wider_dtype(name):
        return _next_floats(values, signs)
    limits = limits_of(values.dtype)
    if limits is None:
        return values
    whole = values.astype("int64")
    signs = numpy.where(whole == int(limits.max), -1, signs)
    signs = numpy.where(whole == int(limits.min), 1, signs)
    return (whole + signs).astype(values.dtype)


def limits_of(dtype):
    """Return the limits of a type of integers, which numpy may lack; None of others."""
    if dtype.kind in "iu":
        return numpy.iinfo(dtype)
    if "int" not in dtype.name:
        return None
    import ml_dtypes

    return ml_dtypes.iinfo(dtype)


def _next_floats(values, signs):
    """Return the next floats of a type that numpy lacks, up or down, within its range."""
    import ml_dtypes

    limits = ml_dtypes.finfo(values.dtype)
    ends = numpy.where(signs > 0, limits.max, limits.min).astype(values.dtype)
    moved, back = (numpy.nextafter(values, x) for x in (ends, numpy.ones_like(values)))
    return numpy.where(moved == values, back, moved)


def _signs(values, random):
    return random.randint(0, 2, values.shape) * 2 - 1


def _input_step(node, values):
    """Return the step to which a node rounds its first input: one, or one a value."""
    allowed = _allowed_type(node)
    if not allowed:
        return (max(values.max(), 0.0) - min(values.min(), 0.0)) / 255
    if allowed in RELATIVE_STEPS:
        return numpy.abs(values) * RELATIVE_STEPS[allowed]
    size = next(item.i for item in node.attribute if item.name == "block_size")
    starts = numpy.arange(0, values.shape[-1], size)
    largest = numpy.maximum.reduceat(numpy.abs(values), starts, axis=-1)
    return numpy.repeat(largest, size, axis=-1)[..., : values.shape[-1]] / 127


def grids(model):
    """Return {"scale", "zero_point"} of quantised inputs and outputs of a model by name.

    Only where both are constants of one value: what DequantizeLinear and QLinear* read of an
    input, and QuantizeLinear and QLinear* write to an output.
    """
    known: Dict[str, Dict[str, Any]] = {}
    for _, name, grid in _constant_grids(model):
        if is_step(grid["scale"]):
            known.setdefault(name, grid)
    return known


def remarks(model):
    """Return a remark for each node whose scale is zero, negative, infinite or NaN."""
    return [
        "{} '{}': its scale is {:g}, which is no step: {} is not compared by steps".format(
            node.op_type, node.name or node.output[0], grid["scale"], name
        )
        for node, name, grid in _without_step(model)
    ]


def _without_step(model):
    return [entry for entry in _constant_grids(model) if not is_step(entry[2]["scale"])]


def _constant_grids(model):
    """Return (node, quantised tensor, its grid) where that is constant and of one value."""
    import onnx

    held = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            held[node.output[0]] = node.attribute[0].t
    described = []
    for node in model.graph.node:
        for name, scale, zero_point in _parameters(node):
            if scale not in held or (zero_point and zero_point not in held):
                continue
            scales = onnx.numpy_helper.to_array(held[scale])
            zeros = onnx.numpy_helper.to_array(held[zero_point]) if zero_point else numpy.zeros(1)
            if scales.size == 1 and zeros.size == 1:
                grid = {"scale": float(scales.item()), "zero_point": int(zeros.item())}
                described.append((node, name, grid))
    return described


def _parameters(node):
    """Return (quantised tensor, its scale, its zero point) for those of a node, by names."""
    read = [*node.input, "", "", ""]
    if node.op_type == "DequantizeLinear":
        return [tuple(read[:3])]
    if node.op_type == "QuantizeLinear":
        return [(node.output[0], read[1], read[2])]
    if node.op_type in ("QLinearConv", "QLinearMatMul"):
        return [tuple(read[:3]), (node.output[0], read[6], read[7])]
    if node.op_type in ("QLinearAdd", "QLinearMul"):
        return [tuple(read[:3]), tuple(read[3:6]), (node.output[0], read[6], read[7])]
    if node.op_type.startswith("QLinear") and node.op_type != "QLinearConcat":
        return [tuple(read[:3]), (node.output[0], read[3], read[4])]
    return []
