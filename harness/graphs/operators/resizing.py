"""Upsample, Resize and what samples between places."""

import functools

import numpy
import onnx
from onnx.reference.ops import op_grid_sample, op_resize, op_roi_align

from harness.graphs.operators.base import Operator


def _text(value):
    return value.decode() if isinstance(value, bytes) else value


def _weights(size, scaled, linear, place, nearest):
    """Return (scaled, size) weights along a dimension; *place* maps a place of the result."""
    matrix = numpy.zeros((scaled, size))
    for at in range(scaled):
        where = place(at)
        if linear:
            where = min(max(where, 0.0), size - 1.0)
            low = int(numpy.floor(where))
            matrix[at, low] += 1 - (where - low)
            matrix[at, min(low + 1, size - 1)] += where - low
        else:
            matrix[at, int(min(max(nearest(where), 0), size - 1))] = 1
    return matrix


def _scaled(x, scales, mode, place, nearest):
    """Return x with every dimension scaled, one after the other.

    Args:
        x: an array of any number of dimensions.
        scales: a number a dimension.
        mode: ``nearest``, ``linear`` or ``bilinear``.
        place: (a place of the result, the scale) -> the place of the input.
        nearest: (a place of the input, the scale) -> the index that is nearest.
    """
    linear = _text(mode) in ("linear", "bilinear")
    answer = x.astype("float64")
    for axis, scale in enumerate(float(scale) for scale in numpy.asarray(scales).ravel()):
        if scale != 1:
            size = x.shape[axis]
            scaled = int(numpy.floor(size * scale + 1e-9))
            matrix = _weights(
                size,
                scaled,
                linear,
                functools.partial(place, scale),
                functools.partial(nearest, scale),
            )
            answer = numpy.moveaxis(numpy.tensordot(matrix, answer, (1, axis)), 0, axis)
    return answer.astype(x.dtype)


def _asymmetric(scale, at):
    return at / scale


def _simple(scale, where):
    """As ONNX Runtime did before opset 11: the standard says nothing of it."""
    return numpy.floor(where) if scale > 1 else numpy.ceil(where)


_NEAREST = {
    "round_prefer_floor": lambda scale, where: numpy.ceil(where - 0.5),
    "round_prefer_ceil": lambda scale, where: numpy.floor(where + 0.5),
    "floor": lambda scale, where: numpy.floor(where),
    "ceil": lambda scale, where: numpy.ceil(where),
}


class Upsample(Operator):
    """Opset 7 has the scales as an attribute, later ones as an input."""

    def _run(self, x, scales=None, mode="nearest"):
        return (_scaled(x, scales, mode, _asymmetric, _simple),)


class Resize(Operator):
    """Opset 10 is Upsample, also to smaller sizes; opsets 11 to 12 have a mode of TensorFlow's."""

    def _run(self, x, *optional, **settings):
        if self.opset < 11:
            return (_scaled(x, optional[0], settings.get("mode"), _asymmetric, _simple),)
        if _text(settings.get("coordinate_transformation_mode")) == "tf_half_pixel_for_nn":
            scales, sizes = (list(optional) + [None, None, None])[1:3]
            if sizes is not None and numpy.asarray(sizes).size:
                scales = [float(new) / old for new, old in zip(sizes, x.shape)]
            nearest = _NEAREST[_text(settings.get("nearest_mode") or "round_prefer_floor")]
            mode = settings.get("mode")
            return (_scaled(x, scales, mode, lambda scale, at: (at + 0.5) / scale, nearest),)
        if settings.get("keep_aspect_ratio_policy") is None:  # which came with opset 18
            settings["keep_aspect_ratio_policy"] = "stretch"
        return op_resize.Resize._run(self, x, *optional, **settings)


class RoiAlign(op_roi_align.RoiAlign):
    """Before opset 16 there is no shift by half a pixel."""

    def __init__(self, onnx_node, run_params):
        opsets = run_params["opsets"]
        opset = opsets.get("", opsets.get("ai.onnx", 1))
        schema = onnx.defs.get_schema("RoiAlign", opset)
        op_roi_align.RoiAlign.__init__(self, onnx_node, run_params, schema)
        if opset < 16:
            self.coordinate_transformation_mode = "output_half_pixel"
            self.attributes_names_.add("coordinate_transformation_mode")


class GridSample(op_grid_sample.GridSample):
    """Until opset 19 its modes are called bilinear and bicubic."""

    def _run(self, x, grid, mode=None, **settings):
        mode = {"bilinear": "linear", "bicubic": "cubic"}.get(_text(mode), _text(mode))
        return op_grid_sample.GridSample._run(self, x, grid, mode=mode or "linear", **settings)


OPERATORS = [Upsample, Resize, RoiAlign, GridSample]
