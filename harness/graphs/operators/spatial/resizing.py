"""Upsample and Resize: every dimension of the result is weighted sums along it.

The formulas are those of the standard's text, https://onnx.ai/onnx/operators/onnx__Resize.html.
"""

from typing import Any, Callable, Dict, NamedTuple

import numpy
import onnx

from harness.graphs.operators.base import Operator, present

#: Coordinates closer to where rounding changes than this, relative to them, are there: a scale of
#: float32, and arithmetic in it, are no more exact.
ROUNDING = 1e-6

#: Coordinates for which the length of the result counts.
_BY_LENGTH = ("align_corners", "tf_crop_and_resize")

_NEAREST: Dict[str, Callable[[Any], Any]] = {
    "round_prefer_floor": lambda where: numpy.ceil(where - 0.5),
    "round_prefer_ceil": lambda where: numpy.floor(where + 0.5),
    "floor": numpy.floor,
    "ceil": numpy.ceil,
}


class Resized(NamedTuple):
    """A dimension, its size before and its length after, the scale, and the region that is read."""

    axis: int
    size: int
    length: int
    scale: float
    start: float
    end: float

    def is_unchanged(self):
        """Return whether the result has the same values along this dimension."""
        whole = self.start == 0 and self.end == 1
        return self.scale == 1 and self.length == self.size and whole

    def coordinates(self, transformation):
        """Return the places in the input, (length,) in float64, of the result's."""
        at = numpy.arange(self.length, dtype="float64")
        last, steps = self.size - 1, max(self.length - 1, 1)
        if transformation == "asymmetric":
            return at / self.scale
        if transformation == "tf_half_pixel_for_nn":
            return (at + 0.5) / self.scale
        if transformation == "align_corners":
            return at * last / steps
        if transformation == "tf_crop_and_resize":
            if self.length > 1:
                return last * (self.start + at * (self.end - self.start) / steps)
            return numpy.full(self.length, 0.5 * (self.start + self.end) * last)
        if transformation == "pytorch_half_pixel" and self.length == 1:
            return numpy.zeros(1)
        shift = 0.0
        if transformation == "half_pixel_symmetric":
            shift = self.size / 2.0 * (1 - self.length / (self.scale * self.size))
        return shift + (at + 0.5) / self.scale - 0.5


def text(settings, name, default):
    """Return an attribute that is text, or what it is where it is left out."""
    value = settings.get(name) or default
    return value.decode() if isinstance(value, bytes) else value


def transformation_of(opset, settings):
    """Return the name of the coordinates' transformation."""
    if opset < 11:
        return "asymmetric"
    return text(settings, "coordinate_transformation_mode", "half_pixel")


def resized_dimensions(opset, shape, optional, settings):
    """Return what becomes of every dimension that is scaled.

    Args:
        opset: of the model.
        shape: of the input.
        optional: the other inputs: scales until opset 10, later region, scales and sizes.
        settings: the node's attributes by name.
    """
    if opset < 11:
        region, scales, sizes = None, present(optional, 0), None
        scales = settings.get("scales") if scales is None else scales
    else:
        region, scales, sizes = (present(optional, at) for at in range(3))
    axes = settings.get("axes")
    axes = range(len(shape)) if axes is None else [axis % len(shape) for axis in axes]
    dims = [shape[axis] for axis in axes]
    if sizes is not None and numpy.asarray(sizes).size:
        factors, lengths = _fitted([int(size) for size in sizes], dims, settings)
    else:
        factors = [float(scale) for scale in numpy.asarray(scales).ravel()]
        # The product is float32's: 0.7 of 10 is 7, though the float32 next to 0.7 is less.
        lengths = [int(numpy.float32(s) * numpy.float32(dim)) for s, dim in zip(factors, dims)]
    if region is None or transformation_of(opset, settings) != "tf_crop_and_resize":
        region = [0.0] * len(dims) + [1.0] * len(dims)
    return [
        Resized(
            axis,
            dims[at],
            lengths[at],
            factors[at],
            float(region[at]),
            float(region[len(dims) + at]),
        )
        for at, axis in enumerate(axes)
    ]


def _fitted(sizes, dims, settings):
    """Return the scales and lengths for sizes, under the policy of the aspect's ratio."""
    scales = [size / dim if dim else 1.0 for size, dim in zip(sizes, dims)]
    policy = text(settings, "keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return scales, sizes
    scale = min(scales) if policy == "not_larger" else max(scales)
    return [scale] * len(dims), [int(scale * dim + 0.5) for dim in dims]


def _snapped(where):
    """Return coordinates, those whole or halfway up to rounding made exactly so."""
    exact = numpy.round(2 * where) / 2
    return numpy.where(numpy.abs(where - exact) <= ROUNDING * (1 + numpy.abs(where)), exact, where)


def _is_exact(scale):
    """Return whether coordinates of a scale have no rounding that decides."""
    return scale == round(scale) or numpy.log2(scale) == round(numpy.log2(scale))


def may_tie(node, constants):
    """Return whether rounding may decide which value a node takes: not at scales that are whole."""
    scales = [constants.get(name) for name in node.input[1:] if name]
    stated = [item.floats for item in node.attribute if item.name == "scales"]
    known = [numpy.asarray(x) for x in scales + stated if x is not None and len(x)]
    if len(known) != len(scales + stated) or any(x.dtype.kind != "f" for x in known):
        return True
    return not all(_is_exact(float(scale)) for x in known for scale in x)


def tie_mask(opset, shape, optional, settings):
    """Return where rounding decides which value is the nearest: a mask of the result.

    Coordinates that are computed in another order, in float32, may be on a tie's other side.
    """
    dimensions = resized_dimensions(opset, shape, optional, settings)
    lengths = list(shape)
    for dimension in dimensions:
        lengths[dimension.axis] = dimension.length
    mask = numpy.zeros(lengths, bool)
    for dimension in dimensions:
        if dimension.is_unchanged() or _is_exact(dimension.scale):
            continue
        where = dimension.coordinates(transformation_of(opset, settings))
        shifts = ROUNDING * (1 + numpy.abs(where))
        lowest, highest = (
            _nearest(opset, dimension, where + by * shifts, settings) for by in (-1, 1)
        )
        ties = (lowest != highest) & (where != 0)
        mask |= ties.reshape([-1 if at == dimension.axis else 1 for at in range(len(shape))])
    return mask


def _nearest(opset, dimension, where, settings):
    """Return the indices of the nearest values."""
    if opset < 11:  # as ONNX Runtime does: the standard says nothing of it
        nearest = _NEAREST["floor" if dimension.scale > 1 else "ceil"]
    else:
        nearest = _NEAREST[text(settings, "nearest_mode", "round_prefer_floor")]
    return numpy.clip(nearest(where), 0, dimension.size - 1).astype("int64")


def _linear(distance, _):
    return numpy.maximum(1 - numpy.abs(distance), 0)


def cubic_weights(distance, a):
    """Return Keys' weights, equation (4) of https://ieeexplore.ieee.org/document/1163711."""
    x = numpy.abs(distance)
    inner = ((a + 2) * x - (a + 3)) * x * x + 1
    outer = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return numpy.where(x <= 1, inner, numpy.where(x < 2, outer, 0))


def _weights(opset, dimension, settings):
    """Return (length, size) weights along a dimension."""
    where = dimension.coordinates(transformation_of(opset, settings))
    matrix = numpy.zeros((dimension.length, dimension.size))
    rows = numpy.arange(dimension.length)
    mode = text(settings, "mode", "nearest")
    if mode == "nearest":
        matrix[rows, _nearest(opset, dimension, _snapped(where), settings)] = 1
        return matrix
    kernel, support = (cubic_weights, 2) if mode == "cubic" else (_linear, 1)
    narrowing = min(dimension.scale, 1.0) if settings.get("antialias") else 1.0
    reach = int(numpy.ceil(support / narrowing))
    a = settings.get("cubic_coeff_a")
    a = -0.75 if a is None else float(a)
    taps = numpy.floor(where)[:, None] + numpy.arange(-reach, reach + 2)
    weights = kernel(narrowing * (taps - where[:, None]), a)
    if settings.get("exclude_outside"):
        weights = numpy.where((taps < 0) | (taps >= dimension.size), 0, weights)
    weights = weights / weights.sum(axis=1, keepdims=True)
    places = numpy.clip(taps, 0, dimension.size - 1).astype("int64")
    numpy.add.at(matrix, (rows[:, None], places), weights)
    return matrix


class Resize(Operator):
    """Until opset 10 coordinates are asymmetric."""

    @classmethod
    def is_trusted(cls, node, constants):
        """Return whether the standard's text and its own tests agree on a node.

        Where a scale gives no whole length, the text computes coordinates from the length that the
        result has, as runtimes do, and the tests from the fractional one.
        """
        attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
        if text(attributes, "coordinate_transformation_mode", "") not in _BY_LENGTH:
            return True
        names = list(node.input) + [""] * 4
        if names[3]:
            return True
        scales = constants.get(names[2])
        return scales is not None and bool((numpy.round(scales) == scales).all())

    def _run(self, x, *optional, **settings):
        answer = x.astype("float64")
        outside = []
        for dimension in resized_dimensions(self.opset, x.shape, optional, settings):
            if dimension.is_unchanged():
                continue
            matrix = _weights(self.opset, dimension, settings)
            axis = dimension.axis
            answer = numpy.moveaxis(numpy.tensordot(matrix, answer, (1, axis)), 0, axis)
            where = dimension.coordinates(transformation_of(self.opset, settings))
            outside.append((axis, (where < 0) | (where > dimension.size - 1)))
        if transformation_of(self.opset, settings) == "tf_crop_and_resize":
            for axis, beyond in outside:
                picked = (slice(None),) * axis + (beyond,)
                answer[picked] = settings.get("extrapolation_value") or 0
        return (onnx.numpy_helper.saturate_cast(answer, x.dtype),)


class Upsample(Resize):
    """Opset 7 has the scales as an attribute, later ones as an input."""


class Pad(Operator):
    """A negative pad takes values away; these are gone before the rest is padded.

    Until opset 10 pads and value are attributes, in opset 1 the pads are called paddings.
    """

    def _run(self, data, pads=None, constant_value=None, axes=None, **settings):
        pads = settings.get("paddings") if pads is None else pads
        begin, end = numpy.asarray(pads, "int64").reshape(2, -1)
        widths = numpy.zeros((data.ndim, 2), "int64")
        numbers = range(data.ndim) if axes is None else numpy.asarray(axes).ravel()
        for axis, width in zip(numbers, zip(begin, end)):
            widths[axis] = width
        removed, added = numpy.maximum(-widths, 0), numpy.maximum(widths, 0)
        data = data[tuple(slice(a, max(n - b, a)) for n, (a, b) in zip(data.shape, removed))]
        mode = text(settings, "mode", "constant")
        if mode != "constant":
            return (numpy.pad(data, added, mode=mode),)
        value = settings.get("value") if constant_value is None else constant_value
        if value is None:
            value = "" if data.dtype.kind in "OU" else 0
        value = numpy.asarray(value).ravel()[0]
        return (numpy.pad(data, added, mode=mode, constant_values=value).astype(data.dtype),)


OPERATORS = [Pad, Upsample, Resize]
