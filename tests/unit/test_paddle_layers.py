"""PaddlePaddle's own layers: what they are left with, and what is exported."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if not all(importlib.util.find_spec(name) for name in ("paddle", "paddle2onnx")):
    pytest.skip("PaddlePaddle is not here", allow_module_level=True)

import onnx
from onnx.reference import ReferenceEvaluator

from harness.frameworks.paddle import adapter

NUMBERS = np.random.default_rng(0)
RATE = 0.5
UNEVEN = [[1, 0], [0, 2]]
IMAGES: list[dict[str, Any]] = [
    {
        "name": "conv",
        "kind": "conv",
        "filters": 4,
        "kernel": [3, 2],
        "stride": [2, 1],
        "padding": UNEVEN,
    },
    {"name": "pool", "kind": "max_pool", "size": [2, 2], "stride": [2, 2], "padding": [[0, 1]] * 2},
    {"name": "flatten", "kind": "flatten"},
]
GATES = {"rnn": 1, "lstm": 4, "gru": 3}


def random(*shape: int) -> Any:
    return NUMBERS.normal(size=shape).astype("float32")


def images() -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Return a network, its weights and a batch."""
    layers = [*IMAGES, {"name": "dense", "kind": "dense", "units": 3}]
    weights = {"conv.kernel": random(4, 2, 3, 2), "conv.bias": random(4)}
    weights |= {"dense.kernel": random(3, 16), "dense.bias": random(3)}
    network = {"input": [2, 5, 6], "classes": 3, "layers": layers}
    return network, weights, (random(7, 2, 5, 6), np.arange(7) % 3)


def recurrent(kind: str) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Return the same with a layer of this kind, which reads in both directions."""
    layers = [
        {"name": kind, "kind": kind, "units": 4, "return_sequences": False, "bidirectional": True},
        {"name": "dense", "kind": "dense", "units": 3},
    ]
    rows = 4 * GATES[kind]
    own = {"kernel": (rows, 3), "recurrent": (rows, 4), "bias": (rows,)}
    own |= {"recurrent_bias": (rows,)} if kind == "gru" else {}
    weights = {
        f"{kind}.{prefix}{name}": random(*shape) / 2
        for prefix in ("", "backward_")
        for name, shape in own.items()
    }
    weights |= {"dense.kernel": random(3, 8), "dense.bias": random(3)}
    network = {"input": [5, 3], "classes": 3, "layers": layers}
    return network, weights, (random(7, 5, 3), np.arange(7) % 3)


CASES = [images(), *map(recurrent, GATES)]


@pytest.fixture(scope="module", autouse=True)
def started() -> None:
    adapter.start()
    adapter.configure("cpu", 1)


def test_paddle_says_what_computes() -> None:
    described = adapter.describe()
    assert list(described["versions"]) == ["paddle"]
    assert (described["device"], described["threads"]) == ("cpu", 1)


@pytest.mark.parametrize("case", CASES)
def test_a_step_takes_off_its_own_gradient_only_whatever_came_before(case: Any) -> None:
    network, weights, batch = case
    model = adapter.build(network, weights, RATE)
    on_device = adapter.put(*batch)
    gradients = [adapter.gradients(model, on_device) for _ in range(2)]
    adapter.step(model, on_device)
    for name, value in adapter.get_weights(model).items():
        np.testing.assert_array_equal(gradients[0][name], gradients[1][name])
        expected = weights[name] - RATE * gradients[0][name]
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
        assert np.abs(gradients[0][name]).max() > 1e-4


@pytest.mark.parametrize("kind", ["rnn", "lstm"])
def test_the_second_bias_stays_zero(kind: str) -> None:
    network, weights, batch = recurrent(kind)
    model = adapter.build(network, weights, RATE)
    adapter.step(model, adapter.put(*batch))
    cell = model.layers[kind].cell
    for bias in (cell.bias_hh_l0, cell.bias_hh_l0_reverse):
        np.testing.assert_array_equal(bias.numpy(), 0)


def test_uneven_padding_is_zeros_around_a_convolution_and_never_wins_a_maximum() -> None:
    network, weights, (x, _) = images()
    outputs = adapter.activations(adapter.build(network, weights, RATE), x)
    padded = np.pad(x.astype("float64"), [(0, 0), (0, 0), *UNEVEN])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 2), axis=(2, 3))[:, :, ::2]
    conv = np.einsum("nchwij,ocij->nohw", windows, weights["conv.kernel"].astype("float64"))
    conv += weights["conv.bias"][:, None, None]
    np.testing.assert_allclose(outputs["conv"], conv, rtol=1e-5, atol=1e-5)
    padded = np.pad(conv, [(0, 0), (0, 0), (0, 1), (0, 1)], constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2, 2), axis=(2, 3))
    pooled = windows[:, :, ::2, ::2].max(axis=(4, 5))
    np.testing.assert_allclose(outputs["pool"], pooled, rtol=1e-5, atol=1e-5)


def test_an_export_answers_as_the_model_does_for_any_number_of_rows(tmp_path: Path) -> None:
    network, weights, (x, _) = images()
    model = adapter.build(network, weights, RATE)
    path = str(tmp_path / "model.onnx")
    assert adapter.export(model, "onnx", path, x)["opset"] == adapter.OPSET
    for rows in (1, 7):
        (answers,) = ReferenceEvaluator(path).run(None, {"input": x[:rows]})
        np.testing.assert_allclose(answers, adapter.predict(model, x[:rows]), rtol=1e-4, atol=1e-5)


def test_a_model_that_paddle2onnx_writes_but_calls_invalid_is_no_export(tmp_path: Path) -> None:
    network, weights, (x, _) = recurrent("rnn")
    model = adapter.build(network, weights, RATE)
    with pytest.raises(onnx.checker.ValidationError, match=r"rnn"):
        adapter.export(model, "onnx", str(tmp_path / "model.onnx"), x)
