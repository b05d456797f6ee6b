"""Sample inputs of decision trees reach their leaves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.graphs.inputs import sample_inputs, thresholds
from harness.graphs.inputs.legal_values import legal_values
from harness.graphs.inputs.onnx_inputs import sample_and_evaluate
from harness.graphs.inputs.sample_inputs import Sampling
from harness.graphs.operators import evaluate

ML = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]

#: Thresholds far from where a standard normal distribution has any value.
SPLITS = {0: (100.0, 200.0, 400.0), 2: (-7e4,)}


def chain(column: int, splits: tuple[float, ...], tree: int) -> dict[str, list[Any]]:
    """Return a tree whose leaf tells between which splits its column is, by its attributes."""
    count = len(splits)
    nodes = range(2 * count + 1)
    is_leaf = [number >= count for number in nodes]
    return {
        "nodes_treeids": [tree] * len(nodes),
        "nodes_nodeids": list(nodes),
        "nodes_featureids": [column] * len(nodes),
        "nodes_modes": ["LEAF" if leaf else "BRANCH_LEQ" for leaf in is_leaf],
        "nodes_values": [*splits, *[0.0] * (count + 1)],
        "nodes_truenodeids": [count + number for number in range(count)] + [0] * (count + 1),
        "nodes_falsenodeids": [*range(1, count), 2 * count, *[0] * (count + 1)],
        "target_treeids": [tree] * (count + 1),
        "target_nodeids": [count + number for number in range(count + 1)],
        "target_ids": [tree] * (count + 1),
        "target_weights": [float(number + 1) for number in range(count + 1)],
    }


def forest(before: list[Any], inputs: dict[str, tuple[int, list[Any]]]) -> Any:
    """Return a model whose outputs are the numbers of the leaves that a tree a column reaches."""
    trees = [chain(column, splits, tree) for tree, (column, splits) in enumerate(SPLITS.items())]
    joined = {name: [item for tree in trees for item in tree[name]] for name in trees[0]}
    ensemble = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=2, **joined
    )
    declared = [helper.make_tensor_value_info(name, *entry) for name, entry in inputs.items()]
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])
    graph = helper.make_graph([*before, ensemble], "trees", declared, [y])
    return helper.make_model(graph, opset_imports=ML)


JOIN = helper.make_node("Concat", ["a", "b", "c"], ["joined"], axis=1)
CAST = helper.make_node("Cast", ["joined"], ["x"], to=TensorProto.FLOAT)


@pytest.mark.parametrize(
    ("before", "inputs"),
    [
        ([], {"x": ("float32", [64, 3])}),
        ([JOIN, CAST], {name: ("int64", [64, 1]) for name in "abc"}),
    ],
)
def test_sample_inputs_reach_every_leaf_of_a_tree(
    before: list[Any], inputs: dict[str, tuple[str, list[int]]]
) -> None:
    kinds = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}
    model = forest(before, {name: (kinds[kind], dims) for name, (kind, dims) in inputs.items()})
    entries = [
        {"name": name, "dtype": dtype, "shape": shape} for name, (dtype, shape) in inputs.items()
    ]
    legal = legal_values(model, entries)
    sampled = sample_inputs.sized(
        [dict(entry, values=legal.get(str(entry["name"]))) for entry in entries], Sampling(0)
    )
    reached = evaluate(model, sampled)["y"]
    assert set(reached[:, 0]) == {1, 2, 3, 4}
    assert set(reached[:, 1]) == {1, 2}


def test_a_tree_ensemble_of_opset_5_has_its_thresholds_in_tensors() -> None:
    node = helper.make_node(
        "TreeEnsemble",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        nodes_modes=numpy_helper.from_array(np.array([0, 6], np.uint8)),
        nodes_featureids=[1, 0],
        nodes_splits=numpy_helper.from_array(np.array([2.5, 9.0])),
    )
    graph = helper.make_graph([node], "trees", [], [])
    found = thresholds.thresholds(helper.make_model(graph), ["x"], {"x": [2, 2]})
    assert found == {"x": {1: (2.5,)}}


def test_rows_that_reach_the_same_leaves_are_warned_about() -> None:
    model = forest([], {"x": (TensorProto.FLOAT, [None, 3])})
    alike, apart = np.zeros((2, 3), np.float32), np.float32([[0, 0, 0], [150, 0, 0]])
    (warning,) = thresholds.remarks(model, evaluate(model, {"x": alike}))
    assert warning.startswith("all 2 rows reach the same leaves")
    assert not thresholds.remarks(model, evaluate(model, {"x": apart}))
    assert not thresholds.remarks(model, evaluate(model, {"x": alike[:1]}))


def test_a_batch_that_is_free_has_many_rows_for_trees() -> None:
    entries = [{"name": "x", "dtype": "float32", "shape": ["N", 3]}]
    sampled = sample_and_evaluate(entries, Sampling(0), lambda inputs: inputs, rows=thresholds.ROWS)
    assert sampled.inputs["x"].shape == (64, 3)
