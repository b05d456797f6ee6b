"""Edges of operators that the judge defines: each value of an attribute that names its values.

Besides: scales that give no whole length, negative axes, empty dimensions, those of size 1, ties.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from tests.unit.fused_edges import (
    aligning,
    classical,
    fused,
    has_two_classes_with_leaves,
    quantised,
)
from tests.unit.one_node import Case, drawn, floats, scalar, whole

ROUNDED = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
TRANSFORMATIONS = (
    *("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"),
    "tf_crop_and_resize",
)
SCALES = ([2.0, 2.0], [0.6, 0.8], [1.7, 2.3], [1.5, 0.3], [3.0, 1.0])
PADDED = ("SAME_UPPER", "SAME_LOWER", "VALID")


def resizing() -> Iterator[Case]:
    x, region = floats(1, 1, 5, 7), np.float32([0, 0, 0.2, -0.1, 1, 1, 0.9, 0.7])
    for mode, name in itertools.product(("nearest", "linear", "cubic"), TRANSFORMATIONS):
        settings = {"mode": mode, "coordinate_transformation_mode": name}
        if name == "tf_crop_and_resize":
            settings["extrapolation_value"] = 3.0
        roi = region if name == "tf_crop_and_resize" else None
        for scales in SCALES if roi is None else ():
            yield Case("Resize", [x, None, np.float32([1, 1, *scales])], settings, version=19)
        for size in ((1, 3), (4, 4), (10, 1), (5, 7)):
            yield Case("Resize", [x, roi, None, whole(1, 1, *size)], settings, version=19)
    for nearest, name, scales in itertools.product(ROUNDED, TRANSFORMATIONS[:-1], SCALES):
        settings = {"nearest_mode": nearest, "coordinate_transformation_mode": name}
        yield Case("Resize", [x, None, np.float32([1, 1, *scales])], settings, version=19)
    for mode, outside, scales in itertools.product(("linear", "cubic"), (0, 1), SCALES):
        settings = {"mode": mode, "antialias": 1, "exclude_outside": outside}
        yield Case("Resize", [x, None, np.float32([1, 1, *scales])], settings, version=18)
    for policy, size in itertools.product(
        ("not_larger", "not_smaller", "stretch"), ((3, 9), (9, 3))
    ):
        settings = {"mode": "linear", "keep_aspect_ratio_policy": policy, "axes": [2, 3]}
        yield Case("Resize", [x, None, None, whole(*size)], settings, version=18)
    for factor in (0.7, 0.1, 0.3, 1.1):  # of which the float32 times ten is not quite whole
        scales = np.float32([1, 1, 1, factor])
        yield Case("Resize", [floats(1, 1, 1, 10), None, scales], {"mode": "linear"}, version=18)
    settings = {"mode": "cubic", "cubic_coeff_a": -0.5, "exclude_outside": 1}
    nothing = np.zeros(0, np.float32)
    yield Case("Resize", [x, nothing, np.float32([1, 1, 1.4, 0.7])], settings, version=11)
    settings = {"coordinate_transformation_mode": "tf_half_pixel_for_nn"}
    yield Case("Resize", [x, nothing, np.float32([1, 1, 2, 2])], settings, version=11)
    for mode, scales in itertools.product(("nearest", "linear"), SCALES):
        yield Case("Resize", [x, np.float32([1, 1, *scales])], {"mode": mode}, version=10)
        if min(scales) >= 1:
            yield Case("Upsample", [x, np.float32([1, 1, *scales])], {"mode": mode}, version=9)
            yield Case("Upsample", [x], {"mode": mode, "scales": [1.0, 1.0, *scales]}, version=7)


def sampling() -> Iterator[Case]:
    x, grid = floats(2, 2, 4, 5), 1.4 * np.tanh(floats(2, 3, 3, 2)).astype(np.float32)
    corners = np.float32([[-1, -1], [1, 1], [0, 0], [-1, 1]]).reshape(1, 1, 4, 2)
    for modes, version in (
        (("linear", "nearest", "cubic"), 20),
        (("bilinear", "nearest", "bicubic"), 16),
    ):
        for mode, padding, align in itertools.product(
            modes, ("zeros", "border", "reflection"), (0, 1)
        ):
            settings = {"mode": mode, "padding_mode": padding, "align_corners": align}
            yield Case("GridSample", [x, grid], settings, version=version)
            yield Case("GridSample", [x[:1], corners], settings, version=version)
            if version == 20 and mode != "cubic":
                volume = [floats(1, 1, 2, 3, 4), floats(1, 2, 2, 2, 3, low=-1.2, high=1.2)]
                yield Case("GridSample", volume, settings, version=version)
    boxes = [np.float32([[0, 0, 4, 4], [1, 2, 7, 7.5], [3, 3, 3.2, 3.1]]), whole(0, 0, 0)]
    for mode, ratio, version in itertools.product(("avg", "max"), (0, 2), (10, 16)):
        settings = {"mode": mode, "sampling_ratio": ratio, "spatial_scale": 0.9}
        settings.update(output_height=3, output_width=2)
        yield Case("RoiAlign", [floats(1, 2, 8, 8), *boxes], settings, version=version)
    for name in ("half_pixel", "output_half_pixel"):
        settings = {"coordinate_transformation_mode": name, "output_height": 2, "output_width": 2}
        yield Case("RoiAlign", [floats(1, 2, 8, 8), *boxes], settings, version=16)


def normalizing() -> Iterator[Case]:
    x = floats(2, 3, 4)
    for p, axis, version in itertools.product((1, 2), (-1, 0, 1), (1, 22)):
        yield Case("LpNormalization", [x], {"p": p, "axis": axis}, version=version)
        zero = np.where(np.arange(4) < 2, 0, x).astype(np.float32)
        yield Case("LpNormalization", [zero], {"p": p, "axis": axis}, version=version)
    for axes in ([0, 2, 3], [1], [-1], [2, 3]):
        yield Case("MeanVarianceNormalization", [floats(2, 3, 4, 5)], {"axes": axes}, version=13)
    for size in (1, 3, 5, 7):
        yield Case("LRN", [floats(2, 5, 2, 3)], {"size": size, "alpha": 0.5, "bias": 2.0})
    statistics = [floats(3), floats(3), floats(3), floats(3, low=0.1)]
    for version in (7, 9, 14, 15):
        yield Case("BatchNormalization", [floats(2, 3, 4), *statistics], version=version)
    for axis in (-1, 1):
        inputs, settings = [x, floats(*x.shape[axis:])], {"axis": axis, "epsilon": 0.1}
        yield Case("SimplifiedLayerNormalization", inputs, settings)
        yield Case("RMSNormalization", inputs, settings, version=23)
        bias = [floats(*x.shape[axis:])]
        yield Case("LayerNormalization", inputs, settings, 3)
        yield Case("LayerNormalization", inputs + bias, settings, 3)
    for version in (6, 22):
        inputs = [x, floats(3), floats(3)]
        yield Case("InstanceNormalization", inputs, {"epsilon": 0.1}, version=version)


def pooling() -> Iterator[Case]:
    x = floats(1, 2, 6, 7)
    shapes = ({"strides": [2, 2]}, {"strides": [3, 3], "dilations": [2, 1]})
    for shape, ceil, include in itertools.product(shapes, (0, 1), (0, 1)):
        settings = {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1], "ceil_mode": ceil, **shape}
        averaged = {**settings, "count_include_pad": include}
        yield Case("AveragePool", [x], averaged, version=19)
        yield Case("LpPool", [x], {**settings, "p": 1 + 2 * include}, version=18)
        yield Case("MaxPool", [x], {**settings, "storage_order": include}, 2, version=12)
    for auto_pad, kernel in itertools.product(PADDED, ([3, 3], [2, 1])):
        settings = {"auto_pad": auto_pad, "kernel_shape": kernel, "strides": [2, 2]}
        for operator in ("AveragePool", "LpPool", "MaxPool"):
            yield Case(operator, [x], settings, version=18 if operator == "LpPool" else 11)
    for operator, shape in itertools.product(
        ("GlobalMaxPool", "GlobalLpPool"), ((5,), (1, 4), (2, 3, 4))
    ):
        yield Case(operator, [floats(2, 3, *shape)])
    yield Case("GlobalLpPool", [x], {"p": 1})
    infinite = np.float32([[-np.inf, -np.inf, -np.inf], [-np.inf, 1, 2], [np.inf, 1, -np.inf]])
    for keepdims, values in itertools.product((0, 1), (infinite, floats(3, 4), floats(2, 3) * 99)):
        settings = {"keepdims": keepdims}
        yield Case("ReduceLogSumExp", [values], {**settings, "axes": [1]}, version=11)
        yield Case("ReduceLogSumExp", [values, whole(-2)], settings, version=18)
        yield Case("ReduceLogSumExp", [values], settings, version=13)
    yield Case("ReduceLogSumExp", [infinite], {"noop_with_empty_axes": 1}, version=18)
    w = floats(2, 3, 3, 3)
    for auto_pad, strides in itertools.product(PADDED, ([2, 2], [1, 3])):
        settings = {"auto_pad": auto_pad, "strides": strides}
        yield Case("ConvTranspose", [floats(1, 2, 5, 4), w], settings)
    settings = {"output_shape": [10, 11], "strides": [2, 2]}
    yield Case("ConvTranspose", [floats(1, 2, 5, 5), w], settings)
    settings = {"dilations": [2, 1], "output_padding": [1, 0], "strides": [2, 2]}
    yield Case("ConvTranspose", [floats(1, 2, 5, 5), w], {**settings, "pads": [1, 0, 0, 1]})


def selecting() -> Iterator[Case]:
    x, tied = floats(2, 3, 4), np.float32([[1, 1, 0], [0, 2, 2], [3, 3, 3]])
    for operator, axis in itertools.product(("Softmax", "LogSoftmax", "Hardmax"), (-1, 0, 1)):
        for version in (11, 13):
            yield Case(operator, [x], {"axis": axis}, version=version)
            yield Case(operator, [floats(0, 3, 4)], {"axis": axis}, version=version)
            yield Case(operator, [floats(2, 1, 1)], {"axis": axis}, version=version)
        yield Case(operator, [tied], {"axis": -1}, version=13)
    for operator, axis, kept in itertools.product(("ArgMax", "ArgMin"), (-1, 0), (0, 1)):
        for last in (0, 1):
            settings = {"axis": axis, "keepdims": kept, "select_last_index": last}
            yield Case(operator, [tied], settings, version=13)
    for exclusive, reverse, axis in itertools.product((0, 1), (0, 1), (-1, 0)):
        settings = {"exclusive": exclusive, "reverse": reverse}
        yield Case("CumSum", [x, scalar(axis, "int64")], settings, version=14)
        yield Case("CumSum", [floats(3, 0), scalar(0, "int64")], settings, version=14)
    for axis in (-2, -1, 0, 1):
        inputs = [whole(-1, 0, 5, -4), scalar(3, "int64"), np.float32([0.5, 9])]
        yield Case("OneHot", inputs, {"axis": axis}, version=11)
    for axis, indices in ((0, [[0, 2, 1]]), (1, [[2, 0, 1], [0, 1, 2], [1, 2, 0]]), (-1, [[2]])):
        places = np.array(indices)
        inputs = [floats(3, 3), places, floats(*places.shape)]
        yield Case("Scatter", inputs, {"axis": axis}, version=9)
    for axis, places in ((0, [[0, -1, 1]]), (1, [[69, 0], [-70, 1]]), (-1, [[3], [68]])):
        yield Case("GatherElements", [floats(2, 70), np.array(places)], {"axis": axis}, version=13)
    for axes in ([0], [-1], [3, 0], [0, 1, -1]):
        yield Case("Unsqueeze", [x, whole(*axes)], version=13)
        yield Case("Unsqueeze", [floats(0, 2), whole(*axes)], version=13)
        if min(axes) >= 0:
            yield Case("Unsqueeze", [x], {"axes": axes}, version=1)


def padding() -> Iterator[Case]:
    x, pads = floats(3, 5), ([1, 2, 0, 1], [-1, 2, 0, -2], [1, -1, -1, 0], [-1, -2, -1, -1])
    for mode, widths in itertools.product(("constant", "reflect", "edge"), pads):
        yield Case("Pad", [x, whole(*widths), scalar(0.5)], {"mode": mode}, version=13)
        yield Case("Pad", [x], {"mode": mode, "pads": widths, "value": 0.5}, version=2)
    for axes, mode in itertools.product(([1], [-2], [1, 0]), ("constant", "wrap")):
        widths = whole(*[1, -1][: len(axes)], *[2, 1][: len(axes)])
        yield Case("Pad", [x, widths, None, whole(*axes)], {"mode": mode}, version=19)
    yield Case("Pad", [floats(0, 2), whole(1, 0, 0, 1)], version=13)


def flattening() -> Iterator[Case]:
    for shape, axis in itertools.product(((0, 3), (2, 0), (2, 3), (4, 1)), (-2, -1, 0, 1, 2)):
        yield Case("Flatten", [floats(*shape)], {"axis": axis}, version=13)
    yield Case("Flatten", [floats(2, 0, 3)])


def suppressing() -> Iterator[Case]:
    corners = floats(1, 6, 2, low=0, high=2)
    boxes = np.concatenate([corners, corners + floats(1, 6, 2, low=1, high=2)], -1)
    scores, least = floats(1, 2, 6, low=0, high=1), scalar(0.4)
    for center in (0, 1):
        settings = {"center_point_box": center}
        for limits in (
            [scalar(3, "int64"), scalar(0.3), least],
            [whole(3), np.float32([0.3]), np.float32([0.4])],
            [scalar(3, "int64"), None, least],
            [scalar(3, "int64"), scalar(0.3)],
            [scalar(3, "int64")],
            [scalar(0, "int64"), scalar(0.3)],
            [],
        ):
            yield Case("NonMaxSuppression", [boxes, scores, *limits], settings, version=11)


def recurrent() -> Iterator[Case]:
    sizes = {"RNN": 1, "GRU": 3, "LSTM": 4}
    for (operator, gates), direction in itertools.product(
        sizes.items(), ("forward", "reverse", "bidirectional")
    ):
        count = 2 if direction == "bidirectional" else 1
        weights = [
            floats(count, 4 * gates, 3),
            floats(count, 4 * gates, 4),
            floats(count, 8 * gates),
        ]
        settings: dict[str, Any] = {"direction": direction, "hidden_size": 4}
        outputs = 3 if operator == "LSTM" else 2
        yield Case(
            operator, [floats(4, 2, 3), *weights, whole(4, 2, dtype="int32")], settings, outputs
        )
        yield Case(operator, [floats(1, 1, 3), *weights], {**settings, "clip": 0.3}, outputs)
        functions = ["Sigmoid", "Softsign", "HardSigmoid"][
            : {"RNN": 1, "GRU": 2, "LSTM": 3}[operator]
        ]
        yield Case(
            operator,
            [floats(3, 2, 3), *weights],
            {**settings, "activations": functions * count},
            outputs,
        )
        if operator == "GRU":
            yield Case(
                operator,
                [floats(3, 2, 3), *weights],
                {**settings, "linear_before_reset": 1},
                outputs,
            )
        if operator == "LSTM":
            yield Case(
                operator, [floats(3, 2, 3), *weights], {**settings, "input_forget": 1}, outputs
            )


def loop(shape: list[int], trips: int) -> Case:
    """Return a Loop over a sum; *shape* of the sum, as its body declares it."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["goes"]),
            helper.make_node("Add", ["sum", "sum"], ["next"]),
            helper.make_node("Cast", ["next"], ["row"], to=TensorProto.INT32),
        ],
        "body",
        [
            value("at", TensorProto.INT64, []),
            value("going", TensorProto.BOOL, []),
            value("sum", TensorProto.FLOAT, shape),
        ],
        [
            value("goes", TensorProto.BOOL, []),
            value("next", TensorProto.FLOAT, shape),
            value("row", TensorProto.INT32, shape),
        ],
    )
    return Case(
        "Loop", [scalar(trips, "int64"), None, floats(*shape, low=10, high=99)], {"body": body}, 2
    )


def looping() -> Iterator[Case]:
    for shape, trips in itertools.product(([2, 3], [1], []), (0, 1, 3)):
        yield loop(shape, trips)


def scan(*inputs: np.ndarray | None, version: int = 11, **settings: Any) -> Case:
    """Return a Scan that adds what it scans to a state (3,), and gives twice as much of the sum."""
    value = partial(helper.make_tensor_value_info, elem_type=TensorProto.FLOAT, shape=[3])
    names = [f"part{at}" for at in range(settings["num_scan_inputs"])]
    body = helper.make_graph(
        [
            helper.make_node("Sum", ["sum", *names], ["next"]),
            helper.make_node("Add", ["next", "next"], ["row"]),
            helper.make_node("Cast", ["next"], ["whole"], to=TensorProto.INT32),
        ],
        "body",
        [value("sum"), *map(value, names)],
        [value("next"), value("row"), value("whole", elem_type=TensorProto.INT32)],
    )
    return Case("Scan", inputs, {"body": body, **settings}, 3, version)


def scanning() -> Iterator[Case]:
    state, rows, columns = floats(3), floats(4, 3), floats(3, 4)
    for version, backwards in itertools.product((9, 11, 16), (0, 1)):
        settings: dict[str, Any] = {"scan_input_directions": [backwards], "num_scan_inputs": 1}
        yield scan(state, rows, version=version, **settings)
        settings["scan_output_directions"] = [1 - backwards, backwards]
        yield scan(state, columns, version=version, scan_input_axes=[1], **settings)
    settings = {"scan_input_directions": [0, 1], "num_scan_inputs": 2}
    yield scan(state, columns, rows, scan_input_axes=[-1, 0], scan_output_axes=[1, -1], **settings)
    yield scan(state, rows, columns, scan_input_axes=[0, 1], scan_output_axes=[-2, 0], **settings)
    states, parts = floats(2, 3), floats(2, 4, 3)
    for lengths, directions in itertools.product((None, whole(4, 2)), ([], [1])):
        settings = {"directions": directions} if directions else {}
        yield scan(lengths, states, parts, version=8, num_scan_inputs=1, **settings)
    yield scan(None, states, parts, floats(2, 4, 3), version=8, num_scan_inputs=2)


def dropping() -> Iterator[Case]:
    yield from (
        Case("Dropout", [floats(3, 4)], outputs=2, version=number) for number in (10, 12, 13)
    )
    yield Case("Dropout", [floats(3, 4)], {"ratio": 0.3}, version=7)
    yield Case("Dropout", [floats(3, 4), None, scalar(False, "bool")], version=13)
    yield Case("Dropout", [floats(3, 4), scalar(0.0), scalar(True, "bool")], version=13)


def casting() -> Iterator[Case]:
    numbers = np.float32([[-2.5, -1.0, -0.4], [0.0, 0.9, 3.7]])
    kinds = ("INT32", "INT64", "INT8", "BOOL", "FLOAT16", "DOUBLE")
    for version, kind in itertools.product((9, 13, 19, 21), kinds):
        yield Case("Cast", [numbers], {"to": getattr(TensorProto, kind)}, version=version)
    for array in (whole(-3, 0, 7), np.bool_([True, False]), np.uint8([0, 255])):
        yield Case("Cast", [array], {"to": TensorProto.FLOAT}, version=13)


FAMILIES = (
    *(resizing, sampling, normalizing, pooling, selecting, padding, flattening, suppressing),
    *(recurrent, looping, scanning, dropping, casting, aligning, quantised, fused, classical),
)

EDGES: list[Case] = [
    case for family in FAMILIES for case in drawn(family.__name__, partial(list, family()))
]


def is_cropped_to_its_own_size(case: Case) -> bool:
    return case.attributes.get(
        "coordinate_transformation_mode"
    ) == "tf_crop_and_resize" and case.inputs[0].shape == tuple(case.inputs[3])


#: Where the judge and ONNX Runtime's kernel differ, and why.
DIFFERENCES: dict[str, Callable[[Case], bool]] = {
    "the kernel copies the input where no size changes, though a region is cropped": (
        is_cropped_to_its_own_size
    ),
    "of two classes that both have leaves the kernel answers places, not labels, and takes one "
    "class's score for the negative of the other's": has_two_classes_with_leaves,
}
