"""LiteRT's own interpreter: models whose shape in the file is a placeholder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")

from harness.graphs import WrongInputs
from harness.graphs.inputs.sample_inputs import Sampling
from harness.graphs.tflite import model as tflite
from harness.runtimes.litert import adapter


@pytest.fixture
def product(tmp_path: Path) -> str:
    """Return the path of ``a @ b``, whose a of ?x? is 1x1 in the file, and b 4x2."""
    adapter.start()
    adapter.configure("cpu", 1)
    path = tmp_path / "product.tflite"
    path.write_bytes(adapter._product_model((1, 1), (4, 2)))
    model = tflite.read(str(path))
    model.subgraphs[0].tensors[0].shapeSignature = np.array([-1, -1], "int32")
    tflite.write(model, str(path))
    return str(path)


def test_a_shape_that_is_a_placeholder_gives_way_to_what_a_person_asks(product: str) -> None:
    inspected = adapter.inspect("tflite", product, None, Sampling(0, shapes={"a": (3, 4)}))
    assert inspected["inputs"]["a"].shape == (3, 4)
    assert inspected["outputs"]["product"].shape == (3, 2)
    sizes = {"a.0": (5,), "a.1": (4,)}
    inspected = adapter.inspect("tflite", product, None, Sampling(0, shapes=sizes))
    assert inspected["outputs"]["product"].shape == (5, 2)


def test_a_shape_that_is_a_placeholder_gives_way_to_inputs(product: str) -> None:
    inputs = {"a": np.ones((3, 4), "float32"), "b": np.ones((4, 2), "float32")}
    inspected = adapter.inspect("tflite", product, inputs, Sampling(0))
    np.testing.assert_array_equal(inspected["outputs"]["product"], np.full((3, 2), 4))
    np.testing.assert_array_equal(inspected["gold"]["product"], np.full((3, 2), 4))


@pytest.mark.parametrize("shapes", [{}, {"a": (3, 5)}])
def test_a_shape_that_it_does_not_take_is_said_with_what_to_give(
    product: str, shapes: dict[str, tuple[int, ...]]
) -> None:
    with pytest.raises(
        WrongInputs, match=r"does not take a \(.*: give other sizes with --shape or"
    ):
        adapter.inspect("tflite", product, None, Sampling(0, shapes=shapes))
