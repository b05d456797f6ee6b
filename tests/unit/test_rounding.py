"""What rounding decides: no runtime is accused that rounds otherwise, and none is let off else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from deepmatrix.judging import deviations
from deepmatrix.store.truths import Truth
from harness.graphs.inputs.sample_inputs import Sampling
from harness.record import FLOAT64, OVERFLOW, ROUNDING, UNDEFINED_VALUE
from harness.runtimes.onnx import adapter

pytest.importorskip("onnxruntime")

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64

node = helper.make_node


def inspect(
    folder: Path,
    nodes: list[onnx.NodeProto],
    inputs: dict[str, Any],
    outputs: dict[str, int],
    held: dict[str, Any] | None = None,
    opset: int = 17,
) -> dict[str, Any]:
    """Return the inspection of a graph; *outputs* are types by name, *held* its constants."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, FLOAT, np.shape(x)) for name, x in inputs.items()],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()],
        [onnx.numpy_helper.from_array(np.asarray(x), name) for name, x in (held or {}).items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    path = folder / "m.onnx"
    onnx.save(proto, path)
    adapter.start()
    return adapter.inspect("onnx", str(path), inputs, Sampling(0))


#: A Cast from float32 to bfloat16 and what follows, and which of its values are not compared.
OF_BFLOAT16 = {
    "cast": (
        [node("Cast", ["b"], ["y"], to=TensorProto.INT32)],
        [1.5, np.nan, 1e30],
        [0, UNDEFINED_VALUE, UNDEFINED_VALUE],
    ),
    "floor": (
        [
            node("Mul", ["b", "ten"], ["m"]),
            node("Floor", ["m"], ["f"]),
            node("Cast", ["f"], ["y"], to=FLOAT),
        ],
        [0.1, 0.15],
        [ROUNDING, 0],
    ),
    "place": (
        [node("Mul", ["b", "b"], ["m"]), node("ArgMax", ["m"], ["y"], keepdims=1)],
        [1.0, 2.501, 2.5],
        [ROUNDING],
    ),
}


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("case", OF_BFLOAT16)
def test_values_of_bfloat16_are_not_compared_where_those_of_float32_are_not(
    case: str, tmp_path: Path
) -> None:
    nodes, x, codes = OF_BFLOAT16[case]
    ten = helper.make_tensor("value", TensorProto.BFLOAT16, [], [10.0])
    nodes = [
        node("Cast", ["x"], ["b"], to=TensorProto.BFLOAT16),
        node("Constant", [], ["ten"], value=ten),
        *nodes,
    ]
    kind = {"cast": TensorProto.INT32, "floor": FLOAT, "place": INT64}[case]
    inspected = inspect(tmp_path, nodes, {"x": np.float32(x)}, {"y": kind})
    assert inspected["undefined"]["y"].tolist() == codes


def compare(inspected: dict[str, Any], **answers: Any) -> dict[str, deviations.Deviation]:
    """Return the deviations of answers by output; outputs that are not given are gold's own."""
    described = inspected["described"]
    truth = Truth(
        gold=inspected["gold"],
        produced=inspected["outputs"],
        masks=inspected["undefined"],
        apart=described["apart"],
        reshaped=described["reshaped"],
    )
    agreement = deviations.compare({**inspected["gold"], **answers}, truth)
    return {output.name: output for output in agreement.outputs}


#: Nodes that select by a sum *s* (1, 3) of which one is so near to the threshold that rounding
#: decides, and how many values they answer in float64.
SELECTING = {
    "Compress": [
        node("Greater", ["s", "t"], ["g"]),
        node("Squeeze", ["g", "first"], ["g1"]),
        node("Compress", ["s", "g1"], ["y"], axis=1),
    ],
    "NonZero": [
        node("Greater", ["s", "t"], ["g"]),
        node("NonZero", ["g"], ["n"]),
        node("Cast", ["n"], ["y"], to=FLOAT),
    ],
    "NonZero of floats": [
        node("Sub", ["s", "t"], ["d"]),
        node("NonZero", ["d"], ["n"]),
        node("Cast", ["n"], ["y"], to=FLOAT),
    ],
    "TopK": [
        node("Greater", ["s", "t"], ["g"]),
        node("Cast", ["g"], ["whole"], to=INT64),
        node("ReduceSum", ["whole", "second"], ["k"], keepdims=0),
        node("TopK", ["s", "k"], ["y", "places"], axis=1),
    ],
    "NonMaxSuppression": [
        node("Unsqueeze", ["s", "first"], ["scores"]),
        node("NonMaxSuppression", ["boxes", "scores", "most", "overlap", "t"], ["n"]),
        node("Cast", ["n"], ["y"], to=FLOAT),
    ],
}


def select(folder: Path, nodes: list[onnx.NodeProto], threshold: float) -> dict[str, Any]:
    """Return the inspection of a graph that selects among 0.1 * (1, 3, 10) by a threshold."""
    corners = np.float32([[0, 0, 1, 1], [2, 2, 3, 3], [4, 4, 5, 5]])
    held = {
        "f": np.float32([[1, 3, 10]]),
        "t": np.float32([threshold]),
        "first": np.array([0]),
        "second": np.array([1]),
        "boxes": corners[None],
        "most": np.array([3]),
        "overlap": np.float32([0.5]),
    }
    nodes = [node("Mul", ["x", "f"], ["s"]), node("Relu", ["x"], ["z"]), *nodes]
    return inspect(folder, nodes, {"x": np.float32([[0.1]])}, {"y": FLOAT, "z": FLOAT}, held)


@pytest.mark.parametrize("operator", SELECTING)
def test_a_shape_that_rounding_decides_accuses_nobody(operator: str, tmp_path: Path) -> None:
    """0.1 * 10 is 1 in float32, and above it in float64."""
    inspected = select(tmp_path, SELECTING[operator], 1.0)
    gold = inspected["gold"]["y"]
    assert inspected["described"]["judged_by"]["y"] == FLOAT64
    for axis in range(gold.ndim):
        for shape in (np.delete(gold, slice(1), axis), np.concatenate([gold, gold], axis)):
            output = compare(inspected, y=shape)["y"]
            assert (output.error, output.unjudged) == (0.0, False)
            assert output.caution.startswith("rounding decides its shape")
    assert compare(inspected, y=gold[None])["y"].error is None
    assert compare(inspected, y=gold.astype(np.int64))["y"].error is None
    assert compare(inspected, z=np.float32([[0.2]]))["z"].error == pytest.approx(0.4)


@pytest.mark.parametrize("operator", SELECTING)
def test_a_shape_that_no_rounding_decides_is_compared(operator: str, tmp_path: Path) -> None:
    inspected = select(tmp_path, SELECTING[operator], 0.5)
    gold = inspected["gold"]["y"]
    assert inspected["described"]["reshaped"] == {}
    assert compare(inspected)["y"].error == 0.0
    assert compare(inspected, y=np.concatenate([gold, gold], 1))["y"].error is None


def test_nothing_is_judged_where_rounding_decides_all_shapes(tmp_path: Path) -> None:
    nodes = [node("Mul", ["x", "f"], ["s"]), *SELECTING["Compress"]]
    held = {"f": np.float32([[1, 10]]), "t": np.float32([1]), "first": np.array([0])}
    inspected = inspect(tmp_path, nodes, {"x": np.float32([[0.1]])}, {"y": FLOAT}, held)
    output = compare(inspected, y=np.zeros((1, 0), np.float32))["y"]
    assert (output.error, output.unjudged) == (None, True)
    assert "rounding decides its shape" in output.note
    assert compare(inspected, y=np.zeros(0, np.float32))["y"].unjudged is False


def quantising(folder: Path, step: float, opset: int = 17) -> dict[str, Any]:
    """Return the inspection of a hidden layer, rounded to a step at a near tie, before another."""
    rng = np.random.default_rng(0)
    held = {
        "step": np.float32(step),
        "in": rng.normal(size=(1, 64)).astype(np.float32),
        "out": rng.normal(size=(64, 10)).astype(np.float32) / 8,
    }
    held["in"][0, 5] = 25 * step * 10  # 0.1 * 25 is 2.5 in float32, and above it in float64
    nodes = [
        node("MatMul", ["x", "in"], ["a"]),
        node("Div", ["a", "step"], ["d"]),
        node("Floor", ["d"], ["q"]),
        node("Mul", ["q", "step"], ["r"]),
        node("MatMul", ["r", "out"], ["y"]),
    ]
    return inspect(folder, nodes, {"x": np.float32([[0.1]])}, {"y": FLOAT}, held, opset)


def test_what_rounding_moves_a_little_is_compared_with_a_larger_tolerance(tmp_path: Path) -> None:
    inspected = quantising(tmp_path, 1e-4)
    output = compare(inspected)["y"]
    assert inspected["undefined"] == {}
    assert output.producer_error is not None
    assert 1e-5 < output.producer_error < 1e-3
    coarse = quantising(tmp_path, 0.06)
    assert (coarse["undefined"]["y"] == ROUNDING).all()


def test_only_what_moves_beyond_the_smallest_tolerance_is_not_compared(tmp_path: Path) -> None:
    """0.1 * 10 is 1 in float32, and above it in float64."""
    nodes = [
        node("Mul", ["x", "ten"], ["m"]),
        node("Floor", ["m"], ["f"]),
        node("Mul", ["f", "w"], ["y"]),
    ]
    held = {"ten": np.float32([10]), "w": np.float32([1, 1e-8, 0])}
    inspected = inspect(tmp_path, nodes, {"x": np.float32([0.1])}, {"y": FLOAT}, held)
    assert inspected["undefined"]["y"].tolist() == [ROUNDING, 0, 0]


@pytest.mark.parametrize("opset", [8, 9])
def test_what_is_discarded_reaches_nothing_in_any_opset(opset: int, tmp_path: Path) -> None:
    nodes = [
        node("Cast", ["x"], ["c"], to=TensorProto.UINT8),
        node("Cast", ["c"], ["d"], to=FLOAT),
        node("Mul", ["d", "w"], ["e"]),
        node("Add", ["x", "e"], ["y"]),
    ]
    x, held = np.float32([1, 300, -7, 800]), {"w": np.float32([1, 0, 0, 1])}
    inspected = inspect(tmp_path, nodes, {"x": x}, {"y": FLOAT}, held, opset)
    assert inspected["undefined"]["y"].tolist() == [0, 0, 0, UNDEFINED_VALUE]


@pytest.mark.filterwarnings("ignore:invalid value")
def test_an_integer_is_right_only_as_far_from_gold_as_rounding_takes_it(tmp_path: Path) -> None:
    nodes = [node("Mul", ["x", "f"], ["m"]), node("Cast", ["m"], ["y"], to=INT64)]
    x, held = np.float32([0.1, 0.7, -1.3, 0]), {"f": np.float32(1e9 + 64)}
    inspected = inspect(tmp_path, nodes, {"x": x}, {"y": INT64}, held)
    assert (inspected["undefined"]["y"] == ROUNDING).any()
    gold, own = inspected["gold"]["y"], (x * held["f"]).astype(np.int64)
    assert compare(inspected, y=own)["y"].error == 0.0
    assert (compare(inspected, y=own * 0)["y"].error or 0) >= 1
    assert (compare(inspected, y=gold + 100_000)["y"].error or 0) >= 1


def test_a_place_is_right_only_among_near_ties(tmp_path: Path) -> None:
    nodes = [
        node("Mul", ["x", "f"], ["m"]),
        node("Sigmoid", ["m"], ["s"]),
        node("ArgMin", ["s"], ["y"], axis=1),
    ]
    x, held = np.float32([[-4, 1, 2, -12, -11.9999, 3]]), {"f": np.float32(0.7)}
    inspected = inspect(tmp_path, nodes, {"x": x}, {"y": INT64}, held)
    assert inspected["gold"]["y"].item() == 3
    for place in (3, 4):
        assert compare(inspected, y=np.array([[place]]))["y"].error in (0.0, None)
    for place in (0, 1, 5):
        assert (compare(inspected, y=np.array([[place]]))["y"].error or 0) >= 1


def test_places_that_are_farther_apart_than_rounding_are_compared(tmp_path: Path) -> None:
    nodes = [node("Mul", ["x", "f"], ["m"]), node("ArgMin", ["m"], ["y"], axis=0)]
    x, held = np.float32([1, 0.3, 0.3001]), {"f": np.float32(0.7)}
    inspected = inspect(tmp_path, nodes, {"x": x}, {"y": INT64}, held)
    assert inspected["undefined"] == {}


@pytest.mark.filterwarnings("ignore:overflow")
def test_an_overflow_leaves_what_is_only_rounded_compared(tmp_path: Path) -> None:
    nodes = [
        node("Exp", ["x"], ["y"]),
        node("Cast", ["x"], ["half"], to=TensorProto.FLOAT16),
        node("Cast", ["half"], ["z"], to=FLOAT),
    ]
    x = np.float32([100, 0.1])
    inspected = inspect(tmp_path, nodes, {"x": x}, {"y": FLOAT, "z": FLOAT})
    assert inspected["undefined"]["y"].tolist() == [OVERFLOW, 0]
    assert "z" not in inspected["undefined"]


def test_two_near_ties_that_undo_each_other_decide_a_shape_too(tmp_path: Path) -> None:
    """0.1 * 10 is not above 1 in float32; the other product is above its threshold, by one ulp."""
    x, factors = np.float32([[0.1]]), np.float32([[10, 7]])
    below = np.nextafter((x * factors)[0, 1], np.float32(0))
    nodes = [node("Mul", ["x", "f"], ["s"]), *SELECTING["Compress"]]
    held = {"f": factors, "t": np.float32([[1, below]]), "first": np.array([0])}
    inspected = inspect(tmp_path, nodes, {"x": x}, {"y": FLOAT}, held)
    assert list(inspected["described"]["reshaped"]) == ["y"]


def test_a_score_that_is_near_its_threshold_decides_a_shape(tmp_path: Path) -> None:
    """The evaluation selects the same in float32 and in float64; other rounding may not."""
    product = np.float32(0.1) * np.float32(3)
    threshold = np.nextafter(np.nextafter(product, np.float32(0)), np.float32(0))
    inspected = select(tmp_path, SELECTING["NonMaxSuppression"], float(threshold))
    assert list(inspected["described"]["reshaped"]) == ["y"]
