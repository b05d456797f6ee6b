"""Values that the ONNX standard leaves undefined: no runtime is wrong that differs there.

Casts of NaN, of infinities and of what is out of range to an integer; integers divided by zero, or
beyond their range; bits shifted by their width; the mask of a Dropout that does not train, before
opset 12; the largest or smallest value among NaN, and its place; the nearest value where rounding
decides which it is; the mean of nothing; a dynamic quantisation whose range overflows.
They are looked for on the inputs at hand, in the model's own precision. What they reach is tried,
see `reaching`.
"""

import functools
from typing import Any, Callable, Dict, List, NamedTuple, Set

import numpy

from harness import record
from harness.graphs import checks
from harness.graphs.operators import NotEvaluated, aligned_operands, evaluate
from harness.graphs.values import is_float, wider_dtype
from harness.runtimes.onnx.undecided import integers, reaching

#: The opset from which the mask of a Dropout that does not train is true everywhere.
MASK_DEFINED = 12

#: Of onnx.TensorProto: UINT8, INT8, UINT16, INT16, INT32, INT64, UINT32 and UINT64.
INTEGERS = (2, 3, 4, 5, 6, 7, 12, 13)


class Undefined(NamedTuple):
    """What is undefined.

    Attributes:
        masks: by output, of its shape, `harness.record.UNDEFINED_VALUE` where it is.
        reshaped: the outputs of which the shape may be another.
        remarks: one for each node.
    """

    masks: Dict[str, Any]
    reshaped: List[str]
    remarks: List[str]


def masks(graph, inputs, outputs):
    """Return where outputs are undefined.

    Args:
        graph: the model, `unrolled`.
        inputs: arrays by name.
        outputs: arrays by name, as the model's own precision gives them.

    Returns:
        `Undefined`, empty where the evaluator gives no inner values.
    """
    model, nothing = graph.model, Undefined({}, [], [])
    suspects = _suspected_nodes(model, [*inputs.values(), *outputs.values()])
    if not suspects:
        return nothing
    try:
        values = evaluate(model, inputs, intermediate=True)
    except NotEvaluated:
        return nothing
    opset = checks.opsets(model).get("", 1)
    tried = {number: _own_mask(model.graph.node[number], values, opset) for number in suspects}
    own_masks = {number: x for number, x in tried.items() if x is not None and x.any()}
    if not own_masks:
        return nothing
    masked = reaching.masks_of_outputs(model, values, own_masks)
    for node in (model.graph.node[number] for number in own_masks):
        if node.op_type == "Dropout":
            del masked[node.output[0]]  # only its mask is undefined
    reach = reaching.reach(graph, inputs, values, masked, _extremes)
    codes = {
        name: numpy.asarray(mask, "uint8") * numpy.uint8(record.UNDEFINED_VALUE)
        for name, mask in reach.masks().items()
        if mask.any()
    }
    text = "{} '{}' {} is undefined by the standard: {} of {} values are not compared"
    remarks = [
        text.format(kind, name, RULES[kind].what, count, size)
        for (kind, name), (count, size) in reaching.counts(model, tried).items()
    ]
    return Undefined(codes, reach.reshaped, remarks if codes or reach.reshaped else [])


class _Known(NamedTuple):
    """What is known of a model before its values are: see `_suspected_nodes`."""

    opset: int
    constants: Dict[str, Any]
    integers: Set[str]
    has_nan: bool


class _Computed(NamedTuple):
    """A node with the arrays that it read, None where one is left out, and its first output."""

    node: Any
    read: List[Any]
    answer: Any
    settings: Dict[str, Any]
    opset: int

    @property
    def x(self):
        """The first array that it read."""
        return numpy.asarray(self.read[0])


class Rule(NamedTuple):
    """What the standard leaves undefined of an operator.

    Attributes:
        what: it is, for a remark.
        mask: returns, of a node as `_Computed`, where its output is undefined, or None where it
            cannot be.
        is_suspected: returns whether a node's values have to be looked at, of the node and what is
            `_Known`.
    """

    what: str
    mask: Callable[[_Computed], Any]
    is_suspected: Callable[[Any, _Known], bool] = lambda node, known: True  # noqa: ARG005


def _suspected_nodes(model, arrays):
    """Return the numbers of the nodes whose values have to be looked at.

    *arrays*: inputs and outputs. Where they have no NaN, none is sought within.
    """
    known = _Known(
        checks.opsets(model).get("", 1),
        checks.constants(model),
        _integers_computed(model),
        any(is_float(numpy.asarray(x).dtype) and numpy.isnan(x).any() for x in arrays),
    )
    return [
        number
        for number, node in enumerate(model.graph.node)
        if node.op_type in RULES and RULES[node.op_type].is_suspected(node, known)
    ]


def _integers_computed(model):
    """Return the names of what divisions and other arithmetic of integers give."""
    from harness.graphs import shapes

    kinds = [kind for kind, rule in RULES.items() if rule.is_suspected is _computes_integers]
    names = {node.output[0] for node in model.graph.node if node.op_type in kinds}
    types = shapes.element_types(model) if names else {}
    return {name for name in names if types.get(name) in INTEGERS}


def _extremes(node, name, values):
    """Return the least and the largest value that a runtime may give where it is undefined."""
    dtype = numpy.asarray(values[name]).dtype
    if is_float(dtype):
        return -1.0, 1.0
    if dtype.kind == "b":
        return False, True
    if RULES[node.op_type].mask is _of_place and dtype == "int64":
        return 0, max(numpy.shape(values[node.input[0]])) - 1
    return _range(dtype)


def _own_mask(node, values, opset):
    """Return where a node's own output is undefined, or None where it cannot be."""
    import onnx

    read = [values.get(name) for name in node.input]
    if not hasattr(read[0], "dtype"):
        return None
    read = aligned_operands(node, read)
    settings = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    answer = numpy.asarray(values[node.output[0]])
    return RULES[node.op_type].mask(_Computed(node, read, answer, settings, opset))


def _of_floats(mask):
    """Return a rule's mask of what reads floats."""
    return lambda computed: mask(computed) if is_float(computed.x.dtype) else None


def _of_cast(computed):
    limits = _range(computed.answer.dtype)
    if not limits or not is_float(computed.x.dtype):
        return None
    return _outside(computed.x, *limits)


def _of_place(computed):
    """Return which places are among NaN."""
    if not is_float(computed.x.dtype):
        return None
    settings, is_top = computed.settings, computed.node.op_type == "TopK"
    axis = settings.get("axis", -1 if is_top else 0)
    among = numpy.isnan(computed.x).any(axis=axis, keepdims=True)
    if is_top:
        return numpy.broadcast_to(among, computed.answer.shape).copy()
    return among if settings.get("keepdims", 1) else numpy.squeeze(among, axis)


def _of_division(computed):
    """Return where integers are divided by zero, or the least one by -1, which is out of range."""
    x, divisor = computed.x, numpy.asarray(computed.read[1])
    if x.dtype.kind not in "iu":
        return None
    by_zero = numpy.broadcast_arrays(x, divisor)[1] == 0
    if x.dtype.kind == "u":
        return by_zero
    return by_zero | ((divisor == -1) & (x == numpy.iinfo(x.dtype).min))


def _of_arithmetic(computed):
    """Return where a result of integers is beyond their range."""
    dtype = computed.answer.dtype
    if dtype.kind not in "iu":
        return None
    kind, settings = computed.node.op_type, computed.settings
    return integers.beyond_range(kind, computed.read, settings, dtype)


def _of_shift(computed):
    """Return where bits are shifted by as many as there are, or by more."""
    dtype = computed.answer.dtype
    shifts = numpy.broadcast_to(computed.read[1], computed.answer.shape)
    return shifts >= 8 * dtype.itemsize if dtype.kind in "iu" else None


def _of_range(computed):
    """Return whether the range of what is quantised overflows."""
    x, zero = computed.x, computed.x.dtype.type(0)
    with numpy.errstate(over="ignore", invalid="ignore"):
        span = numpy.maximum(x.max(), zero) - numpy.minimum(x.min(), zero)
    return numpy.full(computed.answer.shape, not numpy.isfinite(span))


def _of_pool(computed):
    from harness.graphs.operators.spatial import pooling

    settings = {name: x for name, x in computed.settings.items() if name != "storage_order"}
    kernel = settings.pop("kernel_shape")
    every = pooling.steps(numpy.isnan(computed.x), kernel, **settings)
    return functools.reduce(numpy.logical_or, (values & inside for values, inside, _ in every))


def _of_global_pool(computed):
    axes = tuple(range(2, computed.x.ndim))
    return numpy.isnan(computed.x).any(axis=axes, keepdims=True)


def _of_mean(computed):
    return numpy.full(computed.answer.shape, computed.x.size == 0)


def _of_dropout(computed):
    return numpy.ones(computed.answer.shape, bool)


def _of_extreme(computed):
    """Return where the largest or smallest value is one among NaN."""
    axes, keeps = integers.reduced_axes(computed.read, computed.settings)
    return None if axes is None else numpy.isnan(computed.x).any(axis=axes, keepdims=keeps)


def _of_resizing(computed):
    from harness.graphs.operators.spatial import resizing

    shape = computed.x.shape
    return resizing.tie_mask(computed.opset, shape, computed.read[1:], computed.settings)


def _of_sampling(computed):
    from harness.graphs.operators.spatial import sampling

    return sampling.tie_mask(computed.x, computed.read[1], computed.settings)


def _has_nan(node, known):
    del node
    return known.has_nan


def _computes_integers(node, known):
    return node.output[0] in known.integers


def _has_undefined_mask(node, known):
    return known.opset < MASK_DEFINED and len(node.output) > 1 and bool(node.output[1])


def _is_nearest(node, known):
    del known
    default = b"linear" if node.op_type == "GridSample" else b"nearest"
    modes = [attribute.s for attribute in node.attribute if attribute.name == "mode"]
    return (modes or [default]) == [b"nearest"]


def _may_tie(node, known):
    from harness.graphs.operators.spatial import resizing

    return _is_nearest(node, known) and resizing.may_tie(node, known.constants)


_OF_CAST = Rule("of NaN or of what is out of range", _of_cast)
_OF_PLACE = Rule("of NaN", _of_place)
_OF_EXTREME = Rule("of NaN", _of_floats(_of_extreme), _has_nan)
_OF_RESIZING = Rule("where rounding tells which is nearest", _of_resizing, _may_tie)
_OF_DIVISION = Rule("of integers by zero", _of_division, _computes_integers)

RULES = {
    "Cast": _OF_CAST,
    "CastLike": _OF_CAST,
    "ArgMax": _OF_PLACE,
    "ArgMin": _OF_PLACE,
    "TopK": _OF_PLACE,
    "ReduceMax": _OF_EXTREME,
    "ReduceMin": _OF_EXTREME,
    "MaxPool": Rule("of NaN", _of_floats(_of_pool), _has_nan),
    "GlobalMaxPool": Rule("of NaN", _of_floats(_of_global_pool), _has_nan),
    "ReduceMean": Rule("of nothing", _of_floats(_of_mean), _has_nan),
    "DynamicQuantizeLinear": Rule("of NaN or of a range that overflows", _of_floats(_of_range)),
    "Div": _OF_DIVISION,
    "Mod": _OF_DIVISION,
    "BitShift": Rule("by the width of its integers", _of_shift, _computes_integers),
    "Dropout": Rule("in its mask", _of_dropout, _has_undefined_mask),
    "Resize": _OF_RESIZING,
    "Upsample": _OF_RESIZING,
    "GridSample": Rule("where rounding tells which is nearest", _of_sampling, _is_nearest),
}
RULES.update(
    dict.fromkeys(
        integers.ARITHMETIC,
        Rule("of integers beyond their range", _of_arithmetic, _computes_integers),
    )
)


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
    return ~((whole >= least) & (whole < float(most) + 1))  # the largest of 64 bits is no float
