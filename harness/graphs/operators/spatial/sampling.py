"""What samples between places."""

import itertools

import numpy
import onnx
from onnx.reference.ops import op_roi_align

from harness.graphs.operators.base import Operator
from harness.graphs.operators.spatial.resizing import ROUNDING, cubic_weights, text


class RoiAlign(op_roi_align.RoiAlign):
    """Before opset 16 there is no shift by half a pixel."""

    def __init__(self, onnx_node, run_params):
        opsets = run_params["opsets"]
        opset = opsets.get("", 1)
        schema = onnx.defs.get_schema("RoiAlign", opset)
        op_roi_align.RoiAlign.__init__(self, onnx_node, run_params, schema)
        if opset < 16:
            self.coordinate_transformation_mode = "output_half_pixel"
            self.attributes_names_.add("coordinate_transformation_mode")


def places_in(grid, dims, align_corners):
    """Return a grid's places (N, ..., r), from -1 to 1, as indices, the first dimension first."""
    sizes = numpy.array(dims, "float64")
    places = grid[..., ::-1].astype("float64")
    if align_corners:
        return (places + 1) / 2 * (sizes - 1)
    return ((places + 1) * sizes - 1) / 2


def tie_mask(x, grid, settings):
    """Return where rounding of places decides which value is the nearest: a mask of the result."""
    places = places_in(grid, x.shape[2:], settings.get("align_corners"))
    distance = numpy.abs(numpy.abs(places - numpy.floor(places)) - 0.5)
    ties = (distance <= ROUNDING * (1 + numpy.abs(places))).any(axis=-1)
    return numpy.broadcast_to(ties[:, None], x.shape[:2] + ties.shape[1:]).copy()


def _bounded(index, size, padding, align_corners):
    """Return indices within a dimension for those beyond it, and whether their values count."""
    if padding == "zeros":
        return numpy.clip(index, 0, size - 1), (index >= 0) & (index < size)
    if padding == "reflection":
        period = 2 * (size - 1) if align_corners else 2 * size
        index = index % period if period else numpy.zeros_like(index)
        index = numpy.where(index >= size, period - index - (0 if align_corners else 1), index)
    return numpy.clip(index, 0, size - 1), numpy.ones(index.shape, bool)


def _taps(where, mode):
    """Return the indices around places, and their weights, each (K, ...)."""
    if mode == "nearest":
        return numpy.rint(where)[None].astype("int64"), numpy.ones((1,) + where.shape)
    low = numpy.floor(where)
    steps = numpy.arange(-1, 3) if mode == "cubic" else numpy.arange(2)
    index = low + steps.reshape((-1,) + (1,) * where.ndim)
    distance = index - where
    weights = cubic_weights(distance, -0.75) if mode == "cubic" else 1 - numpy.abs(distance)
    return index.astype("int64"), weights


class GridSample(Operator):
    """Padding comes before interpolation: every value around a place is looked up beyond the edge.

    Until opset 19 its modes are called bilinear and bicubic. The evaluator moves a place that is
    outside to the border, and keeps places in float32.
    """

    def _run(self, x, grid, **settings):
        mode = text(settings, "mode", "linear")
        mode = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
        padding = text(settings, "padding_mode", "zeros")
        align_corners = settings.get("align_corners")
        dims = x.shape[2:]
        answer = numpy.zeros(x.shape[:2] + grid.shape[1:-1])
        if not answer.size:
            return (answer.astype(x.dtype),)
        places = places_in(grid, dims, align_corners)
        around = []
        for at, size in enumerate(dims):
            index, weights = _taps(places[..., at], mode)
            index, counts = _bounded(index, size, padding, align_corners)
            around.append([(i, w * c) for i, w, c in zip(index, weights, counts)])
        for corner in itertools.product(*around):
            weight = numpy.prod([weights for _, weights in corner], axis=0)
            for number in range(x.shape[0]):
                picked = tuple(index[number] for index, _ in corner)
                answer[number] += x[number][(slice(None),) + picked] * weight[number]
        return (answer.astype(x.dtype),)


OPERATORS = [RoiAlign, GridSample]
