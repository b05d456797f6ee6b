"""A MatMulNBits whose accuracy_level allows its runtime to round activations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from deepmatrix.diagnosis.search.dequantised import (
    OPTION,
    dequantised_product_advice,
    is_dequantised_product,
)
from deepmatrix.diagnosis.search.graph import Graph
from deepmatrix.judging import deviations
from deepmatrix.judging.terms import Terms
from deepmatrix.planning.cells import all_cells
from deepmatrix.store.parts import Quantised
from deepmatrix.store.reported.phases import Node
from deepmatrix.store.truths import Truth
from harness.graphs.inputs.sample_inputs import Sampling
from harness.record import FLOAT64
from harness.runtimes.onnx import adapter
from tests.quantised import floats
from tests.quantised import model as quantised_model
from tests.unit.examples import MATRIX

onnxruntime = pytest.importorskip("onnxruntime")

WIDTH, BLOCK, ROWS = 256, 32, 8
X = np.random.default_rng(3).normal(size=(ROWS, WIDTH)).astype(np.float32)


def layers(level: int | None, count: int) -> onnx.ModelProto:
    """Return layers of weights of 4 bits and Tanh, one after the other."""
    random = np.random.default_rng(count)
    settings: dict[str, Any] = {"K": WIDTH, "N": WIDTH, "bits": 4, "block_size": BLOCK}
    settings.update({} if level is None else {"accuracy_level": level})
    nodes, held, read = [], [], "x"
    for at in range(count):
        packed = random.integers(0, 256, (WIDTH, WIDTH // BLOCK, BLOCK // 2)).astype(np.uint8)
        scales = random.uniform(0.01, 0.02, WIDTH * WIDTH // BLOCK).astype(np.float32)
        held += [
            numpy_helper.from_array(packed, f"w{at}"),
            numpy_helper.from_array(scales, f"s{at}"),
        ]
        product, read = [read, f"w{at}", f"s{at}"], f"t{at}"
        nodes.append(
            helper.make_node("MatMulNBits", product, [f"p{at}"], domain="com.microsoft", **settings)
        )
        nodes.append(helper.make_node("Tanh", [f"p{at}"], [read]))
    nodes[-1].output[0] = "y"
    graph = helper.make_graph(
        nodes, "layers", [floats("x", ROWS, WIDTH)], [floats("y", ROWS, WIDTH)], held
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def judged(
    folder: Path, level: int | None, count: int, factor: float = 1.0
) -> tuple[dict[str, Any], float, float, str]:
    """Return what is inspected, and error, tolerance and basis of ONNX Runtime times a factor."""
    path = str(folder / "model.onnx")
    onnx.save(layers(level, count), path)
    adapter.start()
    inspected = adapter.inspect("onnx", path, {"x": X}, Sampling(0))
    described = inspected["described"]
    (answer,) = onnxruntime.InferenceSession(path).run(None, {"x": X})
    truth = Truth(
        gold=inspected["gold"],
        produced=inspected["outputs"],
        quantised={name: Quantised(**grid) for name, grid in described["quantised"].items()},
    )
    agreement = deviations.compare({"y": answer * np.float32(factor)}, truth)
    (output,) = agreement.outputs
    assert output.error is not None
    return (
        described,
        output.error,
        *Terms(tolerances=MATRIX.tolerances).allowed_of(output, agreement),
    )


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(("level", "name"), [(2, "float16"), (3, "bfloat16"), (4, "int8")])
def test_what_the_author_allows_is_tolerated_and_said(
    tmp_path: Path, level: int, name: str, count: int
) -> None:
    described, error, tolerance, basis = judged(tmp_path, level, count)
    assert described["judged_by"] == {"y": FLOAT64}
    assert error <= tolerance <= 0.1
    assert basis.endswith(f": accuracy_level={level} of MatMulNBits allows {name} activations")


def test_beyond_what_the_author_allows_it_is_a_drift(tmp_path: Path) -> None:
    _, error, tolerance, _ = judged(tmp_path, 4, 1, factor=0.9)
    assert error > tolerance


@pytest.mark.parametrize("level", [None, 0, 1])
def test_without_the_allowance_nothing_is_rounded(tmp_path: Path, level: int | None) -> None:
    described, error, tolerance, basis = judged(tmp_path, level, 1)
    assert described["quantised"] == {}
    assert error <= tolerance < 1e-4
    assert "accuracy_level" not in basis


def dequantised_product(read: str = "x", weights: str = "w") -> tuple[Graph, Node]:
    """Return y = x times w, dequantised, as a graph, and the product."""
    nodes = [
        Node(name="quantise", kind="QuantizeLinear", inputs=["x", "xs"], outputs=["q"]),
        Node(name="inputs", kind="DequantizeLinear", inputs=["q", "xs"], outputs=["dx"]),
        Node(name="weights", kind="DequantizeLinear", inputs=[weights, "ws"], outputs=["dw"]),
        Node(name="product", kind="MatMul", inputs=[read, "dw"], outputs=["y"]),
    ]
    return Graph(nodes=nodes, inputs={"x"}, outputs=["y"], tensors=["y"]), nodes[-1]


def test_a_product_with_dequantised_weights_has_the_option_that_keeps_float32() -> None:
    cells = {cell.id: cell for cell in all_cells(MATRIX)}
    runtime = cells["onnxruntime-cpp-debian13-amd64-cpu"]
    advice = dequantised_product_advice(*dequantised_product(), runtime)
    assert advice is not None
    assert advice.action == "set session.qdq_matmulnbits_accuracy_level to 1"
    openvino = cells["openvino-debian12-amd64-cpu"]
    assert dequantised_product_advice(*dequantised_product(), openvino) is None


def test_quantised_activations_and_computed_weights_are_another_matter() -> None:
    assert is_dequantised_product(*dequantised_product())
    assert not is_dequantised_product(*dequantised_product(read="dx"))
    assert not is_dequantised_product(*dequantised_product(weights="q"))


def test_the_option_that_is_named_keeps_the_product_exact() -> None:
    """ONNX Runtime rounds by default, which is why there is a hint."""
    random = np.random.default_rng(5)
    held = {
        "w": random.integers(-128, 128, (WIDTH, 8)).astype(np.int8),
        "s": random.uniform(0.01, 0.1, 8).astype(np.float32),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["d"], axis=1),
        helper.make_node("MatMul", ["x", "d"], ["y"]),
    ]
    inputs, outputs = [floats("x", ROWS, WIDTH)], [floats("y", ROWS, 8)]
    model = quantised_model(nodes, inputs, outputs, **held).SerializeToString()
    right = X.astype(np.float64) @ (held["w"] * held["s"].astype(np.float64))
    errors = []
    for level in ("4", "1"):
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry(OPTION, level)
        (answer,) = onnxruntime.InferenceSession(model, options).run(None, {"x": X})
        errors.append(np.abs(answer - right).max() / np.abs(right).max())
    assert errors[0] > 1e-4 > errors[1]
