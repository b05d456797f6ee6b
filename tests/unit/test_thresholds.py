"""Samples for decision trees lie around their thresholds, and rows that reach one leaf say so."""

from __future__ import annotations

import cProfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from harness.graphs import operators, shapes
from harness.graphs.inputs import thresholds
from harness.graphs.inputs.sample_inputs import Sampling
from harness.runtimes.onnx import adapter

pytest.importorskip("onnxruntime")

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
ML = "ai.onnx.ml"

#: A tree whose leaves no number near zero tells apart: x0 <= 900, then x2 <= 40 or x2 <= 70.
TREE = {
    "nodes_treeids": [0] * 7,
    "nodes_nodeids": list(range(7)),
    "nodes_featureids": [0, 2, 2, 0, 0, 0, 0],
    "nodes_modes": ["BRANCH_LEQ"] * 3 + ["LEAF"] * 4,
    "nodes_values": [900.0, 40.0, 70.0, 0.0, 0.0, 0.0, 0.0],
    "nodes_truenodeids": [1, 3, 5, 0, 0, 0, 0],
    "nodes_falsenodeids": [2, 4, 6, 0, 0, 0, 0],
    "target_treeids": [0] * 4,
    "target_nodeids": [3, 4, 5, 6],
    "target_ids": [0] * 4,
    "target_weights": [1.0, 2.0, 3.0, 4.0],
    "n_targets": 1,
}


@pytest.fixture(autouse=True)
def started() -> None:
    adapter.start()


def inspect(
    folder: Path,
    inputs: dict[str, list[Any]],
    *before: onnx.NodeProto,
    kind: int = FLOAT,
    given: Any = None,
) -> dict[str, Any]:
    """Inspect the tree, which reads the first input or what the last node before it makes."""
    read = before[-1].output[0] if before else next(iter(inputs))
    tree = helper.make_node("TreeEnsembleRegressor", [read], ["y"], domain=ML, **TREE)
    graph = helper.make_graph(
        [*before, tree],
        "graph",
        [helper.make_tensor_value_info(name, kind, dims) for name, dims in inputs.items()],
        [helper.make_tensor_value_info("y", FLOAT, None)],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(ML, 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), folder / "m.onnx")
    return adapter.inspect("onnx", str(folder / "m.onnx"), given, Sampling(0))


def leaves(inspected: dict[str, Any]) -> set[float]:
    return set(inspected["gold"]["y"].ravel().tolist())


@pytest.mark.parametrize("kind", [FLOAT, INT64])
def test_samples_reach_every_leaf_of_a_small_tree(tmp_path: Path, kind: int) -> None:
    inspected = inspect(tmp_path, {"x": ["n", 3]}, kind=kind)
    x = inspected["inputs"]["x"]
    assert x.shape == (thresholds.ROWS, 3)
    assert leaves(inspected) == {1.0, 2.0, 3.0, 4.0}
    assert 900 in x[:, 0], "what equals a threshold is tried, too"
    assert inspected["described"]["values"]["x"] == "between the thresholds of trees"
    assert not any("trees" in remark for remark in inspected["described"]["remarks"])


def test_thresholds_are_followed_through_a_scaler_and_joined_columns(tmp_path: Path) -> None:
    before = [
        helper.make_node("Concat", ["a", "b"], ["ab"], axis=1),
        helper.make_node(
            "Scaler", ["ab"], ["s"], domain=ML, offset=[5.0, 0.0, 1.0], scale=[100.0, 1.0, 0.5]
        ),
    ]
    inspected = inspect(tmp_path, {"a": ["n", 1], "b": ["n", 2]}, *before)
    assert leaves(inspected) == {1.0, 2.0, 3.0, 4.0}
    assert 14.0 not in inspected["inputs"]["a"], "900 / 100 + 5: rounding decides its branch"


def test_a_fixed_batch_is_kept_and_one_row_is_warned_of(tmp_path: Path) -> None:
    inspected = inspect(tmp_path, {"x": [1, 3]})
    assert inspected["inputs"]["x"].shape == (1, 3)
    assert any("a single row" in remark for remark in inspected["described"]["remarks"])


def test_rows_that_reach_the_same_leaf_are_warned_of(tmp_path: Path) -> None:
    given = {"x": np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)}
    remarks = inspect(tmp_path, {"x": ["n", 3]}, given=given)["described"]["remarks"]
    assert any("give all 5 rows the same answer" in remark for remark in remarks)
    given["x"][0] = 1000
    remarks = inspect(tmp_path, {"x": ["n", 3]}, given=given)["described"]["remarks"]
    assert not any("trees" in remark for remark in remarks)


def test_the_trees_of_version_5_whose_leaves_are_apart_are_sampled_around_thresholds(
    tmp_path: Path,
) -> None:
    tree = helper.make_node(
        "TreeEnsemble",
        ["x"],
        ["y"],
        domain=ML,
        n_targets=1,
        aggregate_function=1,
        post_transform=0,
        tree_roots=[0],
        nodes_featureids=[0, 2],
        nodes_splits=onnx.numpy_helper.from_array(np.float32([900, 40])),
        nodes_modes=onnx.numpy_helper.from_array(np.uint8([0, 0])),
        nodes_truenodeids=[1, 0],
        nodes_trueleafs=[0, 1],
        nodes_falsenodeids=[2, 1],
        nodes_falseleafs=[1, 1],
        leaf_targetids=[0, 0, 0],
        leaf_weights=onnx.numpy_helper.from_array(np.float32([1, 2, 3])),
    )
    graph = helper.make_graph(
        [tree],
        "graph",
        [helper.make_tensor_value_info("x", FLOAT, ["rows", 3])],
        [helper.make_tensor_value_info("y", FLOAT, None)],
    )
    opsets = [helper.make_opsetid("", 19), helper.make_opsetid(ML, 5)]
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    inspected = adapter.inspect("onnx", str(path), None, Sampling(0))
    assert set(np.unique(inspected["outputs"]["y"])) == {1, 2, 3}


def many(count: int) -> onnx.ModelProto:
    """Return an ensemble of this many copies of the tree."""
    numbers = {name: value * count for name, value in TREE.items() if isinstance(value, list)}
    for name in ("nodes_treeids", "target_treeids"):
        numbers[name] = np.repeat(np.arange(count), len(TREE[name])).tolist()
    tree = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain=ML, n_targets=1, **numbers
    )
    inputs = [helper.make_tensor_value_info("x", FLOAT, [2, 3])]
    outputs = [helper.make_tensor_value_info("y", FLOAT, None)]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(ML, 3)]
    graph = helper.make_graph([tree], "graph", inputs, outputs)
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def calls(ensemble: onnx.ModelProto) -> int:
    """Return how many functions run to find the thresholds of an ensemble, and to read it."""
    profile = cProfile.Profile()
    with profile:
        entries = [{"name": "x", "dtype": "float32", "shape": [2, 3]}]
        found = thresholds.columns_between_thresholds(ensemble, entries)
        operators.evaluator(ensemble)
        assert shapes.infer(ensemble, entries)["y"] == [2, 1]
    assert found == {"x": {0: (0.0, 900.0, 1800.0), 2: (25.0, 40.0, 55.0, 70.0, 85.0)}}
    return sum(entry.callcount for entry in profile.getstats())


def test_an_ensemble_is_read_without_a_loop_over_its_nodes() -> None:
    calls(many(1))  # imports what is needed
    assert calls(many(500)) < calls(many(5)) + 50
