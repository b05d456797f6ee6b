"""A user's inputs that no runtime can take are refused in words that say what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.graphs import BadModel, WrongInputs
from harness.graphs.inputs.sample_inputs import Sampling
from harness.runtimes.onnx import adapter

pytest.importorskip("onnxruntime")

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
node, value = helper.make_node, helper.make_tensor_value_info
TABLE = numpy_helper.from_array(np.ones((500, 4), np.float32), "table")
IDS = np.array([[1, 2, 499]])


@pytest.fixture(autouse=True)
def started() -> None:
    adapter.start()


def inspect(
    folder: Path,
    nodes: list[onnx.NodeProto],
    declared: list[onnx.ValueInfoProto],
    given: dict[str, Any] | None,
    sampling: Sampling = Sampling(0),  # noqa: B008 - a tuple
) -> dict[str, Any]:
    outputs = [value(nodes[-1].output[0], FLOAT, None)]
    graph = helper.make_graph(nodes, "graph", declared, outputs, [TABLE])
    opsets = [helper.make_opsetid("", 17)]
    path = folder / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return adapter.inspect("onnx", str(path), given, sampling)


def embedded(folder: Path, **given: np.ndarray) -> dict[str, Any]:
    """Inspect an embedding whose rows are multiplied with a mask."""
    nodes = [
        node("Gather", ["table", "ids"], ["rows"]),
        node("Unsqueeze", ["mask", "last"], ["column"]),
        node("Mul", ["rows", "column"], ["y"]),
    ]
    constant = node("Constant", [], ["last"], value=numpy_helper.from_array(np.array([-1])))
    declared = [value("ids", INT64, ["n", "ids_length"]), value("mask", FLOAT, ["n", "length"])]
    return inspect(folder, [constant, *nodes], declared, given)


def mask(length: int) -> np.ndarray:
    return np.ones((1, length), np.float32)


@pytest.mark.parametrize(("wrong", "said"), [(586, "586"), (-501, "-501")])
def test_an_id_beyond_the_table_is_named(tmp_path: Path, wrong: int, said: str) -> None:
    message = f"^ids holds {said}; the table that it is looked up in has 500 rows$"
    with pytest.raises(WrongInputs, match=message):
        embedded(tmp_path, ids=np.array([[1, wrong, 2]]), mask=mask(3))


@pytest.mark.parametrize("wanted", [(0, 30_521), (-501, 3), (500, 500)])
def test_a_range_beyond_the_table_is_refused(tmp_path: Path, wanted: tuple[int, int]) -> None:
    sampling = Sampling(0, {}, {"ids": wanted})
    message = r"the table that ids is looked up in has 500 rows; the largest range is 0:499$"
    nodes, declared = [node("Gather", ["table", "ids"], ["y"])], [value("ids", INT64, ["n", 3])]
    with pytest.raises(BadModel, match=message):
        inspect(tmp_path, nodes, declared, None, sampling)
    known = inspect(tmp_path, nodes, declared, None, Sampling(0, {}, {"ids": (490, 499)}))
    assert known["inputs"]["ids"].min() >= 490


def test_sizes_that_differ_between_inputs_are_named(tmp_path: Path) -> None:
    message = "ids has the size 3 at axis 1, mask has the size 7 at axis 1; .*equal sizes"
    with pytest.raises(WrongInputs, match=message):
        embedded(tmp_path, ids=IDS, mask=mask(7))


def test_a_batch_that_differs_is_named_where_the_graph_declares_it(tmp_path: Path) -> None:
    declared = [value("a", FLOAT, ["n", 2]), value("b", FLOAT, ["n", 2])]
    nodes = [node("Mul", ["a", "b"], ["y"])]
    a, b = np.ones((2, 2), np.float32), np.ones((3, 2), np.float32)
    with pytest.raises(WrongInputs, match="a has the size 2 at axis 0, b has the size 3 at axis 0"):
        inspect(tmp_path, nodes, declared, {"a": a, "b": b})
    wide = inspect(tmp_path, nodes, declared, {"a": a, "b": b[:1]})
    assert wide["gold"]["y"].shape == (2, 2), "what can be computed is not refused"


def test_inputs_that_the_model_takes_are_not_refused(tmp_path: Path) -> None:
    assert embedded(tmp_path, ids=IDS - 500, mask=mask(3))["gold"]["y"].shape == (1, 3, 4)


def bare() -> tuple[list[onnx.NodeProto], list[onnx.ValueInfoProto]]:
    """Return a node, and an input that declares no shape."""
    return [node("Softmax", ["x"], ["y"])], [value("x", FLOAT, None)]


@pytest.mark.parametrize("name", ["x", "any"])
def test_an_input_without_a_declared_shape_takes_arrays_of_any(tmp_path: Path, name: str) -> None:
    given = np.ones((2, 3, 4), np.float32)
    inspected = inspect(tmp_path, *bare(), {name: given})
    assert inspected["gold"]["y"].shape == (2, 3, 4)


def test_samples_for_an_input_without_a_declared_shape_need_one(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match=r"x declares no shape.*--shape x=1x3x224x224, or give"):
        inspect(tmp_path, *bare(), None)
    inspected = inspect(tmp_path, *bare(), None, Sampling(0, {"x": (2, 5)}))
    assert inspected["inputs"]["x"].shape == (2, 5)
