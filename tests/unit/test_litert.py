"""LiteRT's own interpreter: models whose shape in the file is a placeholder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")

from deepmatrix.judging import deviations
from deepmatrix.judging.terms import Terms
from deepmatrix.models.following import follow
from deepmatrix.store.parts import Quantised
from deepmatrix.store.truths import Truth
from harness.graphs import WrongInputs
from harness.graphs.inputs.sample_inputs import Sampling
from harness.graphs.tflite import model as tflite
from harness.runtimes.litert import adapter
from tests.unit.examples import MATRIX

MODELS = Path(__file__).resolve().parents[1] / "models"


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


def inspected(name: str, inputs: dict[str, np.ndarray] | None = None) -> tuple[Any, Truth]:
    """Inspect one of the models; return what comes of it, and what judges it."""
    adapter.start()
    adapter.configure("cpu", 1)
    result = adapter.inspect("tflite", str(MODELS / name), inputs, Sampling(0))
    described = result["described"]
    assert set(described["judged_by"]) == set(result["gold"])
    grids = {output: Quantised(**grid) for output, grid in described["quantised"].items()}
    truth = Truth(
        gold=result["gold"],
        produced=result["outputs"],
        rounded=frozenset(described["rounded"]),
        quantised=grids,
    )
    return result, truth


def excess(answers: dict[str, np.ndarray], truth: Truth) -> float:
    """Return the error of the only output over its tolerance."""
    agreement = deviations.compare(answers, truth)
    (output,) = agreement.outputs
    allowed, _ = Terms(tolerances=MATRIX.tolerances).allowed_of(output, agreement)
    assert output.error is not None
    return output.error / allowed


@pytest.mark.parametrize("name", ["tfl_float.tflite", "tfl_int8.tflite"])
def test_a_right_answer_of_another_rounding_matches_and_a_wrong_one_does_not(name: str) -> None:
    result, truth = inspected(name)
    served = adapter.answer(adapter.load("tflite", str(MODELS / name)), result["inputs"])
    assert excess(served, truth) <= 1
    ((output, values),) = served.items()
    wrong = values.copy()
    wrong.flat[0] = -values.flat[0] + values.dtype.type(5)
    assert excess({output: wrong}, truth) > 1


def test_a_model_of_8_bits_takes_the_inputs_of_its_float_original_and_answers_as_it_does() -> None:
    original, first = inspected("tfl_float.tflite")
    result, truth = inspected("tfl_int8.tflite", original["inputs"])
    ((_, x),) = result["inputs"].items()
    assert x.dtype == np.int8
    against = follow(first, truth, list(result["outputs"]), "tfl_float")
    assert excess(result["outputs"], against) <= 1
