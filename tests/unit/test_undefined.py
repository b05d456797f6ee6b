"""Where the standard leaves an answer open, or contradicts itself, no runtime is accused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.graphs import operators, sums
from harness.graphs.inputs.sample_inputs import Sampling
from harness.record import BASELINE, CONTESTED, FLOAT64, ROUNDING
from harness.runtimes.onnx import adapter, draws, gold, proven

pytest.importorskip("onnxruntime")

PICTURE = np.arange(60, dtype=np.float32).reshape(1, 1, 6, 10)
LINEAR = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}


def model(
    operator: str, inputs: dict[str, np.ndarray], constants: dict[str, np.ndarray], **settings: Any
) -> onnx.ModelProto:
    """Return a node named ``node``; an input whose name begins with an underscore is left out."""
    given = {**inputs, **constants}
    names = ["" if name.startswith("_") else name for name in given]
    graph = helper.make_graph(
        [helper.make_node(operator, names, ["y"], name="node", **settings)],
        "one-node",
        [helper.make_tensor_value_info(name, 1, x.shape) for name, x in inputs.items()],
        [helper.make_tensor_value_info("y", 1, None)],
        [
            onnx.numpy_helper.from_array(x, name)
            for name, x in constants.items()
            if not name.startswith("_")
        ],
    )
    opsets = [helper.make_opsetid("", 19 if operator != "GridSample" else 20)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def resize(scales: list[float], **settings: Any) -> onnx.ModelProto:
    constants = {"_roi": np.zeros(0, np.float32), "scales": np.float32(scales)}
    return model("Resize", {"x": PICTURE}, constants, **settings)


def inspect(folder: Path, proto: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    path = folder / "m.onnx"
    onnx.save(proto, path)
    adapter.start()
    return adapter.inspect("onnx", str(path), inputs, Sampling(0))


def test_the_nearest_value_is_undefined_where_rounding_decides(tmp_path: Path) -> None:
    proto = resize([1, 1, 1, 0.6], mode="nearest", nearest_mode="floor")
    inspected = inspect(tmp_path, proto, {"x": PICTURE})
    # (x + 0.5) / 0.6 - 0.5 is whole at 1 and at 4: there another order of arithmetic may be below.
    np.testing.assert_array_equal(inspected["undefined"]["y"][0, 0, 0], [0, 1, 0, 0, 1, 0])
    (remark,) = inspected["described"]["remarks"]
    assert remark.startswith("Resize 'node' where rounding tells which is nearest is undefined")


@pytest.mark.parametrize("scales", [[1, 1, 2, 2], [1, 1, 1, 3], [1, 1, 0.5, 4]])
def test_the_nearest_value_is_defined_at_scales_that_are_exact(
    tmp_path: Path, scales: list[float]
) -> None:
    for transformation in ("half_pixel", "asymmetric"):
        proto = resize(scales, mode="nearest", coordinate_transformation_mode=transformation)
        assert inspect(tmp_path, proto, {"x": PICTURE})["undefined"] == {}


def test_a_sample_halfway_between_two_values_is_undefined(tmp_path: Path) -> None:
    grid = np.float32([[0.0, 0.0], [0.1, -0.3]]).reshape(1, 1, 2, 2)
    inputs = {"x": PICTURE, "grid": grid}
    inspected = inspect(tmp_path, model("GridSample", inputs, {}, mode="nearest"), inputs)
    np.testing.assert_array_equal(inspected["undefined"]["y"].ravel(), [1, 0])
    linear = inspect(tmp_path, model("GridSample", inputs, {}, mode="linear"), inputs)
    assert linear["undefined"] == {}


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value")
def test_the_mean_of_nothing_is_undefined(tmp_path: Path) -> None:
    inputs = {"x": np.zeros((0, 3), np.float32)}
    axes = {"axes": np.array([0])}
    inspected = inspect(tmp_path, model("ReduceMean", inputs, axes), inputs)
    assert inspected["undefined"]["y"].tolist() == [[1, 1, 1]]
    (remark,) = inspected["described"]["remarks"]
    assert remark.startswith("ReduceMean 'node' of nothing is undefined")
    total = inspect(tmp_path, model("ReduceSum", inputs, axes), inputs)
    assert total["undefined"] == {}


@pytest.mark.parametrize(
    ("scales", "unproven"),
    [([1, 1, 2, 3], []), ([1, 1, 1.5, 1], ["Resize"]), ([1, 1, 0.6, 1], ["Resize"])],
)
def test_corners_of_a_length_that_is_not_whole_are_not_judged_by_one_definition_alone(
    scales: list[float], unproven: list[str]
) -> None:
    """The standard's text counts the result's length there, its own tests the fractional one."""
    assert proven.unproven_operators(resize(scales, **LINEAR)) == unproven
    assert proven.unproven_operators(resize(scales, mode="linear")) == []


def test_scales_that_only_a_run_tells_are_not_trusted() -> None:
    scales = np.float32([1, 1, 2, 2])
    inputs = {"x": PICTURE, "_roi": scales, "scales": scales}
    assert proven.unproven_operators(model("Resize", inputs, {}, **LINEAR)) == ["Resize"]


@pytest.mark.parametrize(
    ("kind", "unproven"), [("INT64", []), ("FLOAT16", []), ("BOOL", []), ("STRING", ["Cast"])]
)
@pytest.mark.parametrize("opset", [9, 11, 13, 15, 19, 21, 23])
def test_a_cast_is_judged_by_its_definition_alone_unless_it_makes_text(
    kind: str, unproven: list[str], opset: int
) -> None:
    proto = model("Cast", {"x": PICTURE}, {}, to=getattr(onnx.TensorProto, kind))
    proto.opset_import[0].version = opset
    assert proven.unproven_operators(proto) == unproven


@pytest.mark.parametrize("operator", ["AveragePool", "If", "Attention", "DynamicQuantizeLinear"])
def test_a_corrected_or_rounded_test_of_the_standard_leaves_its_operator_proven(
    operator: str,
) -> None:
    table = proven.states()["operators"][""][operator]
    assert "wrong" not in {state for state, _ in table.values()}


def selected(*after: onnx.NodeProto, k: int = 3, **settings: Any) -> onnx.ModelProto:
    """Return a TopK of (2, 8) that need not sort; nodes *after* it give ``y`` and ``places``."""
    topk = helper.make_node("TopK", ["x", "k"], ["top", "at"], name="node", **settings)
    after = after or (helper.make_node("Identity", ["top"], ["y"]),)
    nodes = [topk, *after, helper.make_node("Identity", ["at"], ["places"])]
    graph = helper.make_graph(
        nodes,
        "unsorted",
        [helper.make_tensor_value_info("x", 1, (2, 8))],
        [helper.make_empty_tensor_value_info(name) for name in ("y", "places")],
        [onnx.numpy_helper.from_array(np.int64([k]), "k")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9)


ROWS = np.random.default_rng(0).permutation(16).reshape(2, 8).astype(np.float32)


@pytest.mark.parametrize(
    ("settings", "axis"), [({"sorted": 0}, 1), ({"sorted": 0, "axis": 0, "k": 2}, 0)]
)
def test_what_a_topk_that_need_not_sort_selects_is_a_set(
    tmp_path: Path, settings: dict[str, int], axis: int
) -> None:
    inspected = inspect(tmp_path, selected(**settings), {"x": ROWS})
    assert inspected["described"]["unordered"] == {"y": axis, "places": axis}
    assert inspected["described"]["in_order_of"] == {"y": "places"}
    assert inspected["undefined"] == {}
    assert set(inspected["described"]["judged_by"].values()) == {FLOAT64}
    assert any("need not sort" in remark for remark in inspected["described"]["remarks"])


def test_what_a_topk_within_a_branch_selects_is_a_set_too(tmp_path: Path) -> None:
    topk = helper.make_node("TopK", ["x", "k"], ["top", "at"], name="node", sorted=0)
    outputs = [helper.make_empty_tensor_value_info(name) for name in ("top", "at")]
    same = [helper.make_node("Identity", [name], [f"{name}_else"]) for name in ("x", "k")]
    other = [helper.make_empty_tensor_value_info(f"{name}_else") for name in ("x", "k")]
    branches = {
        "then_branch": helper.make_graph([topk], "then", [], outputs),
        "else_branch": helper.make_graph(same, "else", [], other),
    }
    proto = selected(sorted=0)
    del proto.graph.node[:1]
    proto.graph.node.insert(0, helper.make_node("If", ["yes"], ["top", "at"], **branches))
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array(True), "yes"))
    inspected = inspect(tmp_path, proto, {"x": ROWS})
    assert inspected["described"]["unordered"] == {"y": 1, "places": 1}
    assert any("TopK 'node' need not sort" in text for text in inspected["described"]["remarks"])


def test_what_is_in_the_reverse_order_is_not_in_the_same_order(tmp_path: Path) -> None:
    turned = [
        helper.make_node("Constant", [], [name], value_ints=[number])
        for name, number in (("start", -1), ("end", -9), ("axis", 1))
    ]
    read = ["top", "start", "end", "axis", "start"]
    proto = selected(*turned, helper.make_node("Slice", read, ["y"]), sorted=0)
    inspected = inspect(tmp_path, proto, {"x": ROWS})
    assert inspected["described"]["unordered"] == {"y": 1, "places": 1}
    assert inspected["described"]["in_order_of"] == {}


def test_an_order_that_nothing_depends_on_leaves_all_values_defined(tmp_path: Path) -> None:
    for settings in ({"sorted": 1}, {"sorted": 0, "k": 1}):
        inspected = inspect(tmp_path, selected(**settings), {"x": ROWS})
        assert (inspected["described"]["unordered"], inspected["undefined"]) == ({}, {})


def test_what_depends_on_an_open_order_is_undefined_and_a_sum_is_not(tmp_path: Path) -> None:
    axes = helper.make_node("Constant", [], ["axes"], value_ints=[1])
    total = helper.make_node("ReduceSum", ["top", "axes"], ["y"])
    inspected = inspect(tmp_path, selected(axes, total, sorted=0), {"x": ROWS / 7})
    assert inspected["described"]["unordered"] == {"places": 1}
    assert inspected["undefined"] == {}
    scaled = helper.make_node("CumSum", ["top", "axis"], ["y"])
    axis = helper.make_node("Constant", [], ["axis"], value_int=1)
    inspected = inspect(tmp_path, selected(axis, scaled, sorted=0), {"x": ROWS})
    assert inspected["undefined"]["y"].tolist() == [[1, 1, 0]] * 2


@pytest.mark.parametrize(
    ("operator", "factors", "settings"),
    [
        ("Round", [25, 23], {}),
        ("Floor", [10, 7], {}),
        ("Ceil", [10, 7], {}),
        ("Cast", [10, 7], {"to": onnx.TensorProto.INT32}),
        ("Cast", [-10, 1], {"to": onnx.TensorProto.INT64}),
        ("GreaterOrEqual", [10, 7], {}),
        ("Equal", [10, 7], {}),
        ("Mod", [10, 7], {"fmod": 1}),
    ],
)
def test_a_step_that_rounding_may_take_otherwise_is_not_compared(
    tmp_path: Path, operator: str, factors: list[float], settings: dict[str, Any]
) -> None:
    """0.1 * 25 is 2.5 in float32, and above it in float64; 0.1 * 10 is 1, and above it."""
    constants = {"f": np.float32(factors), "one": np.array(1, np.float32)}
    read = ["m", "one"] if operator in ("GreaterOrEqual", "Equal", "Mod") else ["m"]
    kind = settings.get("to", 9 if operator in ("GreaterOrEqual", "Equal") else 1)
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["x", "f"], ["m"]),
            helper.make_node(operator, read, ["y"], **settings),
        ],
        "steps",
        [helper.make_tensor_value_info("x", 1, (1,))],
        [helper.make_tensor_value_info("y", kind, (2,))],
        [onnx.numpy_helper.from_array(x, name) for name, x in constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    inspected = inspect(tmp_path, proto, {"x": np.float32([0.1])})
    assert inspected["undefined"]["y"].tolist() == [ROUNDING, 0]
    (remark,) = inspected["described"]["remarks"]
    assert remark == f"{operator} 'y': rounding decides 1 of 2 values, which are not compared"


def test_one_rounding_alone_takes_another_step_where_the_evaluator_hardly_rounds(
    tmp_path: Path,
) -> None:
    """The product is 2.5 and an ulp: float32 rounds it by 2e-9 only, another order by an ulp."""
    x, factor = np.float32([0.5614602565765381]), np.float32([4.4526753425598145])
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "f"], ["m"]), helper.make_node("Round", ["m"], ["y"])],
        "once",
        [helper.make_tensor_value_info("x", 1, (1,))],
        [helper.make_tensor_value_info("y", 1, (1,))],
        [onnx.numpy_helper.from_array(factor, "f")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    assert inspect(tmp_path, proto, {"x": x})["undefined"]["y"].tolist() == [ROUNDING]


@pytest.mark.parametrize("operator", ["ArgMax", "ArgMin"])
def test_the_first_of_values_that_are_equal_in_every_precision_is_compared(
    tmp_path: Path, operator: str
) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["x", "half"], ["m"]),
            helper.make_node(operator, ["m"], ["y"], axis=1),
        ],
        "equal",
        [helper.make_tensor_value_info("x", 1, (1, 4))],
        [helper.make_tensor_value_info("y", 7, (1, 1))],
        [onnx.numpy_helper.from_array(np.float32(0.5), "half")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    inspected = inspect(tmp_path, proto, {"x": np.float32([[1, 1, 3, 3]])})
    assert (inspected["undefined"], inspected["described"]["apart"]) == ({}, {})


@pytest.mark.parametrize(
    ("operator", "concerned"),
    [("TopK", [0, 0, 1, 1]), ("ArgMax", [0]), ("ArgMin", [1])],
)
def test_a_place_that_rounding_may_take_otherwise_is_not_compared(
    tmp_path: Path, operator: str, concerned: list[int]
) -> None:
    """The least two of the four scores are nearer to each other than the smallest tolerance."""
    is_top = operator == "TopK"
    scores = np.float32([[-4, -12, 1, -11.9999]])
    held = {"k": np.array([4 if is_top else 1], np.int64), "half": np.float32(0.7)}
    outputs = ["values", "places"] if is_top else ["places"]
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["x", "half"], ["m"]),
            helper.make_node("Sigmoid", ["m"], ["s"]),
            helper.make_node(operator, ["s", "k"] if is_top else ["s"], outputs, axis=1),
        ],
        "places",
        [helper.make_tensor_value_info("x", 1, (1, 4))],
        [helper.make_tensor_value_info(x, 1 if x == "values" else 7, None) for x in outputs],
        [onnx.numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    undefined = inspect(tmp_path, proto, {"x": scores})["undefined"]
    found = undefined.get("places", np.zeros(len(concerned)))
    assert (np.ravel(found) == ROUNDING).astype(int).tolist() == concerned
    assert "values" not in undefined


def test_a_detection_whose_place_rounding_decides_is_not_compared_in_any_part(
    tmp_path: Path,
) -> None:
    """Two TopK in turn select among scores of which only the first is no near tie."""
    scores = np.float32([[-12, 1, -11.9999, -11.9998, -12.0001, -12.0002]])
    held = {
        "few": np.array([5], np.int64),
        "half": np.float32(0.7),
        "boxes": np.arange(6, dtype=np.float32).reshape(6, 1) * 10,
        "classes": np.float32([[1], [0], [0], [0], [0], [0]]),
    }
    node = helper.make_node
    graph = helper.make_graph(
        [
            node("Mul", ["x", "half"], ["m"]),
            node("Sigmoid", ["m"], ["s"]),
            node("TopK", ["s", "few"], ["first", "place"], axis=1),
            node("TopK", ["first", "few"], ["score", "again"], axis=1),
            node("GatherElements", ["place", "again"], ["chosen"], axis=1),
            node("Gather", ["boxes", "chosen"], ["box"]),
            node("Gather", ["classes", "chosen"], ["class"]),
            node("Concat", ["box", "class"], ["y"], axis=2),
        ],
        "detector",
        [helper.make_tensor_value_info("x", 1, (1, 6))],
        [helper.make_tensor_value_info("y", 1, (1, 5, 2))],
        [onnx.numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    mask = inspect(tmp_path, proto, {"x": scores})["undefined"]["y"]
    assert (mask == ROUNDING).tolist() == [[[False, False], *[[True, True]] * 4]]


def test_what_is_the_same_in_every_precision_takes_no_other_step(tmp_path: Path) -> None:
    """The largest of products is equal to itself, whatever they are rounded to."""
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["x", "f"], ["m"]),
            helper.make_node("ReduceMax", ["m"], ["most"]),
            helper.make_node("Equal", ["m", "most"], ["y"]),
        ],
        "largest",
        [helper.make_tensor_value_info("x", 1, (3,))],
        [helper.make_tensor_value_info("y", 9, None)],
        [onnx.numpy_helper.from_array(np.float32([0.7]), "f")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    inspected = inspect(tmp_path, proto, {"x": np.float32([0.1, 0.2, 0.3])})
    assert inspected["undefined"] == {}


def test_the_sign_of_what_cancels_is_not_compared(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=1),
            helper.make_node("Sub", ["x", "mean"], ["centred"]),
            helper.make_node("Sign", ["centred"], ["y"]),
        ],
        "sign",
        [helper.make_tensor_value_info("x", 1, (3,))],
        [helper.make_tensor_value_info("y", 1, (3,))],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    inspected = inspect(tmp_path, proto, {"x": np.float32([0.1, 0.2, 0.3])})
    assert inspected["undefined"]["y"].tolist() == [0, ROUNDING, 0]


def test_a_step_of_an_exact_value_is_the_standards(tmp_path: Path) -> None:
    x = np.float32([0.5, 1.5, 2.5, -2.5])
    inspected = inspect(tmp_path, model("Round", {"x": x}, {}), {"x": x})
    assert inspected["undefined"] == {}
    assert inspected["gold"]["y"].tolist() == [0, 2, 2, -2]


@pytest.mark.parametrize("spread", [0.0, 1.0])
@pytest.mark.parametrize("operator", ["ReduceSum", "ReduceMean"])
def test_a_long_sum_is_no_contradiction(tmp_path: Path, operator: str, spread: float) -> None:
    random = np.random.default_rng(1)
    x = random.uniform(-spread, 1, (4, 1_000_000)).astype(np.float32)
    proto = model(operator, {"x": x}, {"axes": np.int64([1])})
    inspected = inspect(tmp_path, proto, {"x": x})
    assert inspected["described"]["judged_by"]["y"] == FLOAT64


@pytest.mark.parametrize("operator", ["ReduceSumSquare", "ReduceL2"])
def test_what_the_baseline_confirms_in_float64_is_rounding_however_much(
    tmp_path: Path, operator: str
) -> None:
    """ONNX Runtime adds a million squares in turn, and loses 4 digits of float32's 7."""
    x = np.random.default_rng(1).uniform(100, 101, (1, 1_000_000)).astype(np.float32)
    proto = model(operator, {"x": x}, {}, axes=[1])
    proto.opset_import[0].version = 13
    inspected = inspect(tmp_path, proto, {"x": x})
    assert inspected["described"]["judged_by"]["y"] == FLOAT64
    assert gold.error_of(inspected["outputs"]["y"], inspected["gold"]["y"]) > 1e-4


def test_rounding_grows_with_the_square_root_of_the_longest_sum() -> None:
    x = np.zeros((4, 12_800), np.float32)

    def growth(proto: onnx.ModelProto) -> float:
        return sums.growth(sums.longest_sums(proto, {"x": x})["y"])

    assert growth(model("ReduceSum", {"x": x}, {"axes": np.int64([1])})) == 10
    assert growth(model("Softmax", {"x": x}, {}, axis=0)) == 1
    weights = {"w": np.zeros((12_800, 3), np.float32)}
    assert growth(model("MatMul", {"x": x}, weights)) == 10
    assert growth(model("Relu", {"x": x}, {})) == 1


#: An operator, its settings, the shapes that it reads, and the terms of its sums.
SUMMED: list[tuple[str, dict[str, Any], list[tuple[int, ...]], int]] = [
    ("ReduceMean", {}, [(30, 40)], 1200),
    ("ReduceMax", {}, [(30, 40)], 1),
    ("GlobalMaxPool", {}, [(1, 2, 30, 40)], 1),
    ("GlobalAveragePool", {}, [(1, 2, 30, 40)], 1200),
    ("AveragePool", {"kernel_shape": [3, 5]}, [(1, 2, 30, 40)], 15),
    ("MaxPool", {"kernel_shape": [3, 5]}, [(1, 2, 30, 40)], 1),
    ("Gemm", {"transA": 1}, [(30, 40), (30, 2)], 30),
    ("Conv", {}, [(1, 6, 30, 40), (8, 6, 3, 5)], 90 * 8 // 6),
    ("LSTM", {"hidden_size": 5}, [(7, 1, 30), (1, 20, 30), (1, 20, 5)], 35),
    ("CumSum", {}, [(30, 40), ()], 30),
    ("LayerNormalization", {"axis": 1}, [(2, 30, 40), (30, 40)], 1200),
    ("InstanceNormalization", {}, [(2, 3, 40), (3,), (3,)], 120),
    ("Einsum", {"equation": "ij,jk->ik"}, [(3, 40), (40, 2)], 40),
    ("Relu", {}, [(30, 40)], 1),
]


@pytest.mark.parametrize(("operator", "settings", "shapes", "terms"), SUMMED)
def test_an_operator_sums_so_many_terms(
    operator: str, settings: dict[str, Any], shapes: list[tuple[int, ...]], terms: int
) -> None:
    constants = {
        f"c{at}": np.zeros(shape, np.int64 if operator == "CumSum" else np.float32)
        for at, shape in enumerate(shapes[1:])
    }
    x = np.zeros(shapes[0], np.float32)
    proto = model(operator, {"x": x}, constants, **settings)
    assert sums.longest_sums(proto, {"x": x})["y"] == terms


@pytest.mark.parametrize(("opset", "terms"), [(11, 120_000), (13, 300)])
def test_softmax_before_opset_13_sums_over_all_axes_from_its_own(opset: int, terms: int) -> None:
    x = np.zeros((2, 300, 400), np.float32)
    proto = model("LogSoftmax", {"x": x}, {}, axis=1)
    proto.opset_import[0].version = opset
    assert sums.longest_sums(proto, {"x": x})["y"] == terms


def test_an_ensemble_sums_what_its_trees_give() -> None:
    node = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", nodes_treeids=[0, 0, 0, 7, 9]
    )
    newer = helper.make_node("TreeEnsemble", ["x"], ["y"], domain="ai.onnx.ml", tree_roots=[0, 4])
    for trees, terms in ((node, 3), (newer, 2)):
        graph = helper.make_graph([trees], "trees", [], [])
        assert sums.longest_sums(helper.make_model(graph), {}) == {"y": terms}


def test_a_sum_may_err_by_the_last_place_of_each_term() -> None:
    assert sums.largest_error(1000, np.dtype("float32")) == 1000 * 2.0**-23


def test_a_sum_counts_for_what_comes_from_it_only() -> None:
    x = np.zeros((2, 500), np.float32)
    branch = helper.make_graph(
        [helper.make_node("Add", ["s", "one"], ["t"])],
        "branch",
        [],
        [helper.make_tensor_value_info("t", TensorProto.FLOAT, None)],
    )
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["s"]),
        helper.make_node("Relu", ["x"], ["apart"]),
        helper.make_node("Cast", ["one"], ["is"], to=TensorProto.BOOL),
        helper.make_node("If", ["is"], ["inside"], then_branch=branch, else_branch=branch),
    ]
    graph = helper.make_graph(
        nodes,
        "sums",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("inside", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones(1, np.float32), "one")],
    )
    terms = sums.longest_sums(helper.make_model(graph), {"x": x})
    assert terms == {"s": 1000, "apart": 1, "is": 1, "inside": 1000}


def dropout(training: bool) -> onnx.ModelProto:
    return model(
        "Dropout",
        {"x": np.zeros(4, np.float32)},
        {"ratio": np.float32(0.5), "training": np.bool_(training)},
    )


def test_dropout_is_random_only_while_it_trains() -> None:
    assert draws.random_outputs(dropout(training=True), {}) == ["y"]
    assert draws.random_outputs(dropout(training=False), {}) == []


@pytest.mark.parametrize("through", [None, "Identity", "Cast"])
@pytest.mark.parametrize("training", [True, False])
def test_an_input_may_say_that_dropout_trains(training: bool, through: str | None) -> None:
    proto = dropout(training=training)
    (flag,) = [tensor for tensor in proto.graph.initializer if tensor.name == "training"]
    proto.graph.initializer.remove(flag)
    proto.graph.input.append(helper.make_tensor_value_info("training", TensorProto.BOOL, []))
    if through:
        settings = {"to": TensorProto.BOOL} if through == "Cast" else {}
        passing = helper.make_node(through, ["training"], ["passed"], **settings)
        proto.graph.node[0].input[2] = "passed"
        proto.graph.node.insert(0, passing)
    given = {"x": np.zeros(4, np.float32), "training": np.bool_(training)}
    assert draws.random_outputs(proto, given) == (["y"] if training else [])


def test_dropout_before_opset_7_trains_unless_it_is_tested() -> None:
    for attributes, random in (({}, ["y"]), ({"is_test": 0}, ["y"]), ({"is_test": 1}, [])):
        proto = model("Dropout", {"x": np.zeros(4, np.float32)}, {}, **attributes)
        proto.opset_import[0].version = 6
        assert draws.random_outputs(proto, {}) == random


def test_a_seed_makes_no_evaluation_of_what_is_random_doubtful(tmp_path: Path) -> None:
    x = np.zeros(4, np.float32)
    seeded = model("RandomNormalLike", {"x": x}, {}, seed=3.0)
    described = inspect(tmp_path, seeded, {"x": x})["described"]
    assert described["random"] == ["y"]
    assert described["judged_by"]["y"] == FLOAT64


@pytest.mark.parametrize("seed", [{}, {"seed": 3.0}])
def test_a_shape_that_is_random_shows_in_two_draws(tmp_path: Path, seed: dict[str, float]) -> None:
    x = np.zeros((1, 6), np.float32)
    proto = model("RandomNormalLike", {"x": x}, {}, **seed)
    proto.graph.node[0].output[0] = "drawn"
    proto.graph.node.append(helper.make_node("Relu", ["drawn"], ["positive"]))
    proto.graph.node.append(helper.make_node("NonZero", ["positive"], ["y"]))
    proto.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    inspected = inspect(tmp_path, proto, {"x": x})
    shapes = [inspected[name]["y"].shape for name in ("gold", "outputs")]
    assert [rows for rows, _ in shapes] == [2, 2]
    assert shapes[0] != shapes[1]


def test_what_is_random_within_a_function_of_the_model_is_random() -> None:
    noise = helper.make_function(
        "own",
        "Noise",
        ["x"],
        ["y"],
        [helper.make_node("RandomNormalLike", ["x"], ["y"])],
        [helper.make_opsetid("", 19)],
    )
    graph = helper.make_graph(
        [helper.make_node("Noise", ["x"], ["y"], domain="own")],
        "noise",
        [helper.make_tensor_value_info("x", 1, (3,))],
        [helper.make_tensor_value_info("y", 1, (3,))],
    )
    opsets = [helper.make_opsetid("", 19), helper.make_opsetid("own", 1)]
    proto = helper.make_model(graph, opset_imports=opsets, functions=[noise], ir_version=9)
    assert draws.random_outputs(proto, {}) == ["y"]


def test_what_a_branch_reads_of_a_random_value_is_random() -> None:
    branch = helper.make_graph(
        [helper.make_node("Relu", ["noise"], ["t"])],
        "branch",
        [],
        [helper.make_tensor_value_info("t", TensorProto.FLOAT, None)],
    )
    proto = model("RandomNormalLike", {"x": np.zeros(3, np.float32)}, {"is": np.array(True)})
    del proto.graph.node[0].input[1], proto.graph.node[0].output[:]
    proto.graph.node[0].output.append("noise")
    taken = helper.make_node("If", ["is"], ["y"], then_branch=branch, else_branch=branch)
    proto.graph.node.append(taken)
    assert draws.random_outputs(proto, {}) == ["y"]


def test_an_evaluation_counts_only_where_it_is_finite_as_the_baseline_is(tmp_path: Path) -> None:
    infinite = np.float32([np.inf, -np.inf, 1])
    clip = model("Clip", {"x": infinite}, {})
    inspected = inspect(tmp_path, clip, {"x": infinite})
    assert inspected["described"]["judged_by"]["y"] != FLOAT64


def test_a_definition_that_is_not_proven_gives_way_to_a_small_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = operators.definition("", "Softmax").along
    monkeypatch.setattr(
        operators.definition("", "Softmax"),
        "along",
        lambda self, x, axis: definition(self, x, axis) * 1.0005,
    )
    monkeypatch.setattr(gold, "unproven_operators", lambda _: ["Softmax"])
    x = np.float32([[1, 2, 3]])
    inspected = inspect(tmp_path, model("Softmax", {"x": x}, {}), {"x": x})
    assert inspected["described"]["judged_by"]["y"] == BASELINE


def falsify(monkeypatch: pytest.MonkeyPatch, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Make the definition of BatchNormalization wrong, though it counts as proven."""
    operator = operators.definition("", "BatchNormalization")
    right = operator._run
    monkeypatch.setattr(
        operator, "_run", lambda *args, **settings: tuple(map(change, right(*args, **settings)))
    )
    monkeypatch.setattr(gold, "unproven_operators", lambda _: [])


def normalisation() -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)
    held = {name: np.float32([0.5, 1, 2]) for name in ("scale", "bias", "mean", "variance")}
    return model("BatchNormalization", {"x": x}, held), {"x": x}


def test_a_proven_definition_that_is_wrong_by_a_little_widens_no_tolerance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    falsify(monkeypatch, lambda y: y + y.dtype.type(1e-4))
    inspected = inspect(tmp_path, *normalisation())
    assert inspected["described"]["judged_by"]["y"] == CONTESTED
    assert gold.error_of(inspected["outputs"]["y"], inspected["gold"]["y"]) <= 1e-6


def test_an_evaluation_is_held_to_the_type_that_the_graph_declares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    falsify(monkeypatch, lambda y: y.astype(np.float16))
    inspected = inspect(tmp_path, *normalisation())
    assert inspected["outputs"]["y"].dtype == np.float32
    assert inspected["described"]["judged_by"]["y"] == BASELINE
    reason = "output 'y' is float16, and its graph declares float32"
    assert inspected["described"]["unanswered"] == reason


NAN = np.float32([[1, np.nan, 3], [4, 5, 6]])


@pytest.mark.parametrize(
    ("operator", "x", "constants", "settings", "mask"),
    [
        ("ReduceMax", NAN, {"axes": np.int64([1])}, {}, [[1], [0]]),
        ("ReduceMin", NAN, {"axes": np.int64([0])}, {"keepdims": 0}, [0, 1, 0]),
        ("ReduceMax", NAN, {}, {}, [[1]]),
        ("ReduceMin", NAN, {}, {"noop_with_empty_axes": 1}, None),
        ("MaxPool", NAN[None], {}, {"kernel_shape": [2]}, [[[1, 1], [0, 0]]]),
        ("GlobalMaxPool", NAN[None], {}, {}, [[[1], [0]]]),
        ("ReduceSum", NAN, {"axes": np.int64([1])}, {}, None),
    ],
)
def test_the_largest_value_among_nan_is_undefined(
    tmp_path: Path,
    operator: str,
    x: np.ndarray,
    constants: dict[str, np.ndarray],
    settings: dict[str, Any],
    mask: list[Any] | None,
) -> None:
    proto = model(operator, {"x": x}, constants, **settings)
    proto.opset_import[0].version = 18
    inspected = inspect(tmp_path, proto, {"x": x})
    if mask is None:
        assert inspected["undefined"] == {}
        return
    assert inspected["undefined"]["y"].tolist() == mask
    assert f"{operator} 'node' of NaN is undefined" in " ".join(inspected["described"]["remarks"])


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize(
    ("x", "is_undefined"),
    [([3e38, -3e38], 1), ([np.nan, 1], 1), ([3e38, 1], 0), ([3, -3], 0)],
)
def test_a_dynamic_quantisation_whose_range_overflows_is_undefined(
    tmp_path: Path, x: list[float], is_undefined: int
) -> None:
    graph = helper.make_graph(
        [helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "scale", "zero"], name="node")],
        "dynamic",
        [helper.make_tensor_value_info("x", 1, (2,))],
        [helper.make_tensor_value_info(*each, None) for each in (("y", 2), ("scale", 1))]
        + [helper.make_tensor_value_info("zero", 2, None)],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=9)
    undefined = inspect(tmp_path, proto, {"x": np.float32(x)})["undefined"]
    names = ["y", "scale", "zero"] if is_undefined else []
    assert sorted(undefined) == sorted(names)
    assert all(undefined[name].all() for name in names)


def arithmetic(operator: str, inputs: dict[str, np.ndarray]) -> onnx.ModelProto:
    """Return a model of one operator, whose output is of the type of its inputs."""
    kind = helper.np_dtype_to_tensor_dtype(next(iter(inputs.values())).dtype)
    graph = helper.make_graph(
        [helper.make_node(operator, list(inputs), ["y"], name="node")],
        "arithmetic",
        [helper.make_tensor_value_info(name, kind, x.shape) for name, x in inputs.items()],
        [helper.make_tensor_value_info("y", kind, None)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=9)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("operator", "dtype", "divisors", "mask"),
    [
        ("Div", "int32", [2, 0, -1], [0, 1, 1]),
        ("Mod", "int64", [2, 0, -1], [0, 1, 1]),
        ("Mod", "uint8", [2, 0, 255], [0, 1, 0]),
        ("Div", "float32", [2, 0, -1], None),
        ("Div", "int32", [2, 3, 4], None),
    ],
)
def test_integers_divided_by_zero_are_undefined(
    tmp_path: Path, operator: str, dtype: str, divisors: list[int], mask: list[int] | None
) -> None:
    least = np.iinfo(dtype).min if dtype != "float32" else 1
    inputs = {"x": np.array([7, 7, least], dtype), "divisor": np.array(divisors, dtype)}
    inspected = inspect(tmp_path, arithmetic(operator, inputs), inputs)
    if mask is None:
        assert inspected["undefined"] == {}
        return
    assert inspected["undefined"]["y"].tolist() == mask
    remarks = " ".join(inspected["described"]["remarks"])
    assert f"{operator} 'node' of integers by zero is undefined" in remarks


@pytest.mark.parametrize("kind", ["UINT4", "INT4"])
def test_a_cast_to_four_bits_out_of_range_is_undefined(tmp_path: Path, kind: str) -> None:
    x = np.float32([1, 99, -99, np.nan, 7])
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["c"], to=getattr(onnx.TensorProto, kind), name="node"),
            helper.make_node("Cast", ["c"], ["y"], to=onnx.TensorProto.FLOAT),
        ],
        "narrow",
        [helper.make_tensor_value_info("x", 1, (5,))],
        [helper.make_tensor_value_info("y", 1, None)],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    inspected = inspect(tmp_path, proto, {"x": x})
    assert inspected["undefined"]["y"].tolist() == [0, 1, 1, 1, 0]


@pytest.mark.parametrize(
    ("operator", "dtype", "second", "mask"),
    [
        ("Mul", "int32", [2, 3, 2**30], [0, 0, 1]),
        ("Add", "uint8", [1, 255, 9], [0, 1, 0]),
        ("Sum", "float32", [2, 3, 4], None),
        ("Sub", "int64", [-1, 2**62, -(2**63)], [0, 0, 1]),
    ],
)
def test_integers_beyond_their_range_are_undefined(
    tmp_path: Path, operator: str, dtype: str, second: list[int], mask: list[int] | None
) -> None:
    inputs = {"a": np.array([7, 7, 7], dtype), "b": np.array(second, dtype)}
    inspected = inspect(tmp_path, arithmetic(operator, inputs), inputs)
    if mask is None:
        assert inspected["undefined"] == {}
        return
    assert inspected["undefined"]["y"].tolist() == mask
    remarks = " ".join(inspected["described"]["remarks"])
    assert f"{operator} 'node' of integers beyond their range is undefined" in remarks


@pytest.mark.parametrize(("opset", "masked"), [(7, ["m"]), (10, ["m"]), (12, [])])
def test_the_mask_of_a_dropout_that_does_not_train_is_undefined_before_opset_12(
    tmp_path: Path, opset: int, masked: list[str]
) -> None:
    graph = helper.make_graph(
        [helper.make_node("Dropout", ["x"], ["y", "m"], name="node")],
        "dropout",
        [helper.make_tensor_value_info("x", 1, (3,))],
        [
            helper.make_tensor_value_info("y", 1, None),
            helper.make_tensor_value_info("m", 1 if opset < 10 else 9, None),
        ],
    )
    opsets = [helper.make_opsetid("", opset)]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=6)
    undefined = inspect(tmp_path, proto, {"x": np.float32([1, 2, 3])})["undefined"]
    assert list(undefined) == masked
    assert all(mask.all() for mask in undefined.values())


def test_another_draw_of_a_random_mask_is_no_rounding(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Dropout", ["x", "ratio", "trains"], ["y", "m"])],
        "dropout",
        [helper.make_tensor_value_info("x", 1, (500,))],
        [helper.make_tensor_value_info("y", 1, None), helper.make_tensor_value_info("m", 9, None)],
        [
            onnx.numpy_helper.from_array(np.array(0.3, np.float32), "ratio"),
            onnx.numpy_helper.from_array(np.array(True), "trains"),
        ],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    inspected = inspect(tmp_path, proto, {"x": np.ones(500, np.float32)})
    assert inspected["described"]["random"] == ["y", "m"]
    assert inspected["undefined"] == {}


@pytest.mark.parametrize("settings", [{}, {"output_datatype": 1}])
def test_a_window_is_evaluated_in_float64(tmp_path: Path, settings: dict[str, int]) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("HannWindow", ["size"], ["window"], **settings),
            helper.make_node("MatMul", ["x", "window"], ["y"]),
        ],
        "window",
        [helper.make_tensor_value_info("x", 1, (3, 100))],
        [helper.make_tensor_value_info("y", 1, None)],
        [onnx.numpy_helper.from_array(np.int64(100), "size")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    inspected = inspect(tmp_path, proto, {"x": np.ones((3, 100), np.float32)})
    assert inspected["described"]["judged_by"] == {"y": FLOAT64}
    np.testing.assert_allclose(inspected["gold"]["y"], 50, rtol=1e-12)
