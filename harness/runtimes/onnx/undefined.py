"""Values that the ONNX standard leaves undefined: no runtime is wrong that differs there.

Casts of NaN, of infinities and of what is out of range to an integer; integers divided by zero, or
beyond their range; the mask of a Dropout that does not train, before opset 12; the largest or
smallest value among NaN, and its place; the nearest value where rounding decides which it is; the
mean of nothing; a dynamic quantisation whose range overflows.
They are looked for on the inputs at hand, in the model's own precision. What they reach is tried,
see `reaching`.
"""

import functools

import numpy

from harness import record
from harness.graphs import checks
from harness.graphs.operators import NotEvaluated, evaluate
from harness.graphs.values import is_float, wider_dtype
from harness.runtimes.onnx import reaching

CASTS = ("Cast", "CastLike")
PLACES = ("ArgMax", "ArgMin", "TopK")
EXTREMES = ("ReduceMax", "ReduceMin", "MaxPool", "GlobalMaxPool")
RESIZING = ("Resize", "Upsample")
DIVISIONS = ("Div", "Mod")

#: Arithmetic that may leave the range of its integers, by the name of NumPy's function.
ARITHMETIC = {"Add": "add", "Sub": "subtract", "Mul": "multiply", "Sum": "add"}

#: The opset from which the mask of a Dropout that does not train is true everywhere.
MASK_DEFINED = 12

#: What of an operator is undefined.
REASONS = dict.fromkeys(CASTS, "of NaN or of what is out of range")
REASONS.update(dict.fromkeys(PLACES + EXTREMES, "of NaN"), ReduceMean="of nothing")
REASONS.update(dict.fromkeys(DIVISIONS, "of integers by zero"))
REASONS.update(dict.fromkeys(ARITHMETIC, "of integers beyond their range"), Dropout="in its mask")
REASONS.update(DynamicQuantizeLinear="of NaN or of a range that overflows")
REASONS.update(dict.fromkeys(RESIZING + ("GridSample",), "where rounding tells which is nearest"))

#: Of onnx.TensorProto: UINT8, INT8, UINT16, INT16, INT32, INT64, UINT32 and UINT64.
INTEGERS = (2, 3, 4, 5, 6, 7, 12, 13)


def masks(graph, inputs, outputs):
    """Return where outputs are undefined.

    Args:
        graph: the model, `unrolled`.
        inputs: arrays by name.
        outputs: arrays by name, as the model's own precision gives them.

    Returns:
        (by output, a mask of its shape, `harness.record.UNDEFINED_VALUE` where it is undefined; a
        remark for each node). Empty where the evaluator gives no inner values.
    """
    model = graph.model
    suspects = _suspects(model, [*inputs.values(), *outputs.values()])
    if not suspects:
        return {}, []
    try:
        values = evaluate(model, inputs, intermediate=True)
    except NotEvaluated:
        return {}, []
    opset = reaching.opset(model)
    tried = {number: _own_mask(model.graph.node[number], values, opset) for number in suspects}
    own_masks = {number: x for number, x in tried.items() if x is not None and x.any()}
    if not own_masks:
        return {}, []
    concerned = _concerned(model, values, own_masks)
    reached, _ = reaching.reach(graph, inputs, values, concerned, _extremes)
    codes = {
        name: numpy.asarray(mask, "uint8") * numpy.uint8(record.UNDEFINED_VALUE)
        for name, mask in reached.items()
        if mask.any()
    }
    text = "{} '{}' {} is undefined by the standard: {} of {} values are not compared"
    remarks = [
        text.format(kind, name, REASONS[kind], count, size)
        for (kind, name), (count, size) in reaching.counts(model, tried).items()
    ]
    return codes, remarks if codes else []


def _concerned(model, values, own_masks):
    """Return masks by name, of all outputs of nodes; of a Dropout, of its mask only."""
    concerned = reaching.masks_of_outputs(model, values, own_masks)
    dropouts = (x for x in map(model.graph.node.__getitem__, own_masks) if x.op_type == "Dropout")
    for node in dropouts:
        del concerned[node.output[0]]
    return concerned


def _suspects(model, arrays):
    """Return the numbers of the nodes whose values have to be looked at.

    *arrays*: inputs and outputs. Where they have no NaN, none is sought within.
    """
    from harness.graphs.operators import resizing

    constants, computed = checks.constants(model), _integers_computed(model)
    has_nan = any(is_float(numpy.asarray(x).dtype) and numpy.isnan(x).any() for x in arrays)
    return [
        number
        for number, node in enumerate(model.graph.node)
        if node.op_type in CASTS + PLACES + ("DynamicQuantizeLinear",)
        or node.output[0] in computed
        or (node.op_type == "Dropout" and _has_undefined_mask(node, reaching.opset(model)))
        or (node.op_type in EXTREMES + ("ReduceMean",) and has_nan)
        or (node.op_type == "GridSample" and _is_nearest(node))
        or (node.op_type in RESIZING and _is_nearest(node) and resizing.may_tie(node, constants))
    ]


def _has_undefined_mask(node, opset):
    return opset < MASK_DEFINED and len(node.output) > 1 and bool(node.output[1])


def _integers_computed(model):
    """Return the names of what divisions and other arithmetic of integers give."""
    from harness.graphs import shapes

    names = {x.output[0] for x in model.graph.node if x.op_type in (*DIVISIONS, *ARITHMETIC)}
    types = shapes.element_types(model) if names else {}
    return {name for name in names if types.get(name) in INTEGERS}


def _is_nearest(node):
    default = b"linear" if node.op_type == "GridSample" else b"nearest"
    modes = [attribute.s for attribute in node.attribute if attribute.name == "mode"]
    return (modes or [default]) == [b"nearest"]


def _extremes(node, name, values):
    """Return the least and the largest value that a runtime may give where it is undefined."""
    dtype = numpy.asarray(values[name]).dtype
    if is_float(dtype):
        return -1.0, 1.0
    if dtype.kind == "b":
        return False, True
    if node.op_type in PLACES and dtype == "int64":
        return 0, max(numpy.shape(values[node.input[0]])) - 1
    return _range(dtype)


def _own_mask(node, values, opset):
    """Return where a node's own output is undefined, or None where it cannot be."""
    import onnx

    from harness.graphs.operators import resizing, sampling

    read = [values.get(name) for name in node.input]
    if not hasattr(read[0], "dtype"):
        return None
    x, y = numpy.asarray(read[0]), numpy.asarray(values[node.output[0]])
    attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    if node.op_type in RESIZING:
        return resizing.tie_mask(opset, x.shape, read[1:], attributes)
    if node.op_type == "GridSample":
        return sampling.tie_mask(x, read[1], attributes)
    if node.op_type in DIVISIONS:
        return _is_divided_wrongly(x, numpy.asarray(read[1])) if x.dtype.kind in "iu" else None
    if node.op_type in ARITHMETIC:
        return _leaves_range(node.op_type, read, y.dtype) if y.dtype.kind in "iu" else None
    if node.op_type == "Dropout":
        return numpy.ones(y.shape, bool)
    if not is_float(x.dtype):
        return None
    if node.op_type in CASTS:
        limits = _range(y.dtype)
        return _outside(x, *limits) if limits else None
    if node.op_type == "ReduceMean":
        return numpy.full(y.shape, x.size == 0)
    if node.op_type == "DynamicQuantizeLinear":
        with numpy.errstate(over="ignore", invalid="ignore"):
            span = numpy.maximum(x.max(), x.dtype.type(0)) - numpy.minimum(x.min(), x.dtype.type(0))
        return numpy.full(y.shape, not numpy.isfinite(span))
    if node.op_type in EXTREMES:
        return _extreme_mask(node, x, read[1:], attributes)
    axis = attributes.get("axis", -1 if node.op_type == "TopK" else 0)
    among = numpy.isnan(x).any(axis=axis, keepdims=True)
    if node.op_type == "TopK":
        return numpy.broadcast_to(among, y.shape).copy()
    return among if attributes.get("keepdims", 1) else numpy.squeeze(among, axis)


def _is_divided_wrongly(x, divisor):
    """Return where integers are divided by zero, or the least one by -1, which is out of range."""
    by_zero = numpy.broadcast_arrays(x, divisor)[1] == 0
    if x.dtype.kind == "u":
        return by_zero
    return by_zero | ((divisor == -1) & (x == numpy.iinfo(x.dtype).min))


def _leaves_range(operator, read, dtype):
    """Return where a sum, a difference or a product of integers is beyond their range."""
    limits = numpy.iinfo(dtype)
    function = getattr(numpy, ARITHMETIC[operator])
    exact = functools.reduce(function, (numpy.asarray(x, "float64") for x in read))
    return (exact < float(limits.min)) | (exact >= float(limits.max) + 1)


def _extreme_mask(node, x, read, attributes):
    """Return where the largest or smallest value is one among NaN, as large as the output."""
    from harness.graphs.operators import pooling

    is_nan = numpy.isnan(x)
    if node.op_type == "MaxPool":
        settings = {name: x for name, x in attributes.items() if name != "storage_order"}
        kernel = settings.pop("kernel_shape")
        every = pooling.steps(is_nan, kernel, **settings)
        return functools.reduce(numpy.logical_or, (values & inside for values, inside, _ in every))
    if node.op_type == "GlobalMaxPool":
        return is_nan.any(axis=tuple(range(2, x.ndim)), keepdims=True)
    axes = read[0] if read and read[0] is not None else attributes.get("axes", ())
    axes = tuple(int(axis) for axis in numpy.ravel(axes))
    if not axes and attributes.get("noop_with_empty_axes"):
        return None
    return is_nan.any(axis=axes or None, keepdims=bool(attributes.get("keepdims", 1)))


def _range(dtype):
    """Return the least and the largest integer of a dtype, None where it has no integers."""
    if dtype.kind in "iu":
        return numpy.iinfo(dtype).min, numpy.iinfo(dtype).max
    if "int" not in wider_dtype(dtype.name):
        return None
    import ml_dtypes

    limits = ml_dtypes.iinfo(dtype)
    return limits.min, limits.max


def _outside(x, least, most):
    """Return where values are no integers within a range."""
    whole = numpy.trunc(x.astype("float64"))
    return ~(numpy.isfinite(whole) & (whole >= least) & (whole <= most))
