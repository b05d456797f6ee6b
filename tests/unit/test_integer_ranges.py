"""Integers at the ends of their range: what is beyond it is undefined, what is in it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx.numpy_helper import from_array

from harness.graphs.operators import evaluate
from harness.graphs.unrolling import unrolled
from harness.record import ROUNDING
from harness.runtimes.onnx.undecided import steps, undefined
from tests.unit.one_node import Case

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

LEAST, MOST = np.iinfo("int64").min, np.iinfo("int64").max


def mask(case: Case, kind: int) -> list[int]:
    """Return the mask of a case's output, whose type is *kind*."""
    model, fed = case.model(), case.fed()
    model.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("y0", kind, None))
    answers = evaluate(model, fed)
    masks = undefined.masks(unrolled(model, fed), fed, answers).masks
    return np.ravel(masks.get("y0", np.zeros(answers["y0"].shape, int))).tolist()


@pytest.mark.parametrize(
    ("kind", "least", "beyond"),
    [("INT64", -(2.0**63), 2.0**63), ("UINT64", 0.0, 2.0**64), ("INT32", -(2.0**31), 2.0**31)],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_power_of_two_beyond_the_largest_integer_is_out_of_range_of_a_cast(
    dtype: str, kind: str, least: float, beyond: float
) -> None:
    within = np.nextafter(np.array(beyond, dtype), np.array(0, dtype))
    number = getattr(onnx.TensorProto, kind)
    case = Case("Cast", [np.array([beyond, least, within, 2], dtype)], {"to": number})
    assert mask(case, number) == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("operator", "inputs", "settings", "beyond"),
    [
        ("Add", [[MOST - 1, MOST], [1, 1]], {}, [0, 1]),
        ("Sub", [[LEAST + 1, LEAST], [1, 1]], {}, [0, 1]),
        ("Mul", [[3037000500, 3037000499], [3037000500, 3037000499]], {}, [1, 0]),
        ("Neg", [[LEAST, MOST]], {}, [1, 0]),
        ("Abs", [[LEAST, LEAST + 1]], {}, [1, 0]),
        ("Pow", [[2, 2, -2, 3], [62, 63, 63, 40]], {}, [0, 1, 0, 1]),
        ("CumSum", [[MOST - 2, 1, 1, 1], 0], {}, [0, 0, 0, 1]),
        ("CumSum", [[1, 1, 1, MOST - 2], 0], {"reverse": 1}, [1, 0, 0, 0]),
        ("CumSum", [[MOST, 1, 1], 0], {"exclusive": 1}, [0, 0, 1]),
        ("ReduceSum", [[[MOST, 1, -1], [MOST, 1, 0]], [1]], {}, [0, 1]),
        ("ReduceSum", [[[MOST, 1], [MOST, 1]]], {"noop_with_empty_axes": 1}, [0] * 4),
        ("ReduceProd", [[[2**31, 2**31], [2**31, 2**32]]], {"axes": [1]}, [0, 1]),
        ("ReduceSumSquare", [[[3037000499, 1], [3037000500, 0]]], {"axes": [1]}, [0, 1]),
        ("ReduceL1", [[[LEAST, 0], [LEAST + 1, 0]]], {"axes": [1], "keepdims": 0}, [1, 0]),
    ],
)
def test_what_is_beyond_the_range_of_its_integers_is_undefined_and_the_last_within_is_not(
    operator: str, inputs: list[Any], settings: dict[str, Any], beyond: list[int]
) -> None:
    case = Case(operator, [np.array(x, np.int64) for x in inputs], settings)
    assert mask(case, onnx.TensorProto.INT64) == beyond


def test_bits_shifted_by_the_width_of_their_integers_are_undefined() -> None:
    inputs = [np.array([1, 1, 1], np.uint8), np.array([7, 8, 200], np.uint8)]
    for direction in ("LEFT", "RIGHT"):
        case = Case("BitShift", inputs, {"direction": direction})
        assert mask(case, onnx.TensorProto.UINT8) == [0, 1, 1]


def test_integers_along_an_axis_of_opset_6_are_beyond_their_range_where_they_meet() -> None:
    inputs = [np.array([[1, 2, 3], [MOST, 4, 5]], np.int64), np.array([0, 1], np.int64)]
    case = Case("Add", inputs, {"axis": 0, "broadcast": 1}, version=6)
    assert mask(case, onnx.TensorProto.INT64) == [0, 0, 0, 1, 0, 0]


def test_floats_compared_along_an_axis_of_opset_6_are_looked_at_for_steps() -> None:
    """0.1 * 10 is 1 in float32, and above it in float64."""
    rows = np.float32([[0.1, 0.1, 0.1], [0.2, 0.2, 0.2]])
    case = Case("Greater", [rows, np.float32([1, 1])], version=6)
    nodes = [
        onnx.helper.make_node("Constant", [], ["ten"], value=from_array(np.float32([10]))),
        onnx.helper.make_node("Mul", ["x0", "ten"], ["m"], broadcast=1),
        onnx.helper.make_node("Greater", ["m", "x1"], ["y0"], broadcast=1, axis=0),
    ]
    model = case.model_of(nodes, {"": 6})
    found = steps.steps(unrolled(model, case.fed()), case.fed(), {})
    assert found.masks["y0"].tolist() == [[ROUNDING] * 3, [0] * 3]
