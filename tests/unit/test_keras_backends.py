"""Keras by its own API, on whichever of its backends is installed."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import numpy as np
import pytest

BACKENDS = [name for name in ("jax", "tensorflow", "torch") if importlib.util.find_spec(name)]
if not (BACKENDS and importlib.util.find_spec("keras")):
    pytest.skip("Keras and a backend are not here", allow_module_level=True)
os.environ.setdefault("KERAS_BACKEND", BACKENDS[0])

from harness.frameworks.keras import adapter  # noqa: E402 - after its backend is chosen

NETWORK = {
    "input": [2, 8, 8],
    "classes": 3,
    "layers": [
        {
            "name": "conv",
            "kind": "conv",
            "filters": 6,
            "kernel": [3, 3],
            "stride": [2, 2],
            "padding": [[1, 1], [1, 1]],
        },
        {"name": "lrn", "kind": "lrn", "size": 5, "alpha": 0.5, "beta": 0.75, "k": 2.0},
        {
            "name": "pool",
            "kind": "max_pool",
            "size": [3, 3],
            "stride": [2, 2],
            "padding": [[1, 1], [1, 1]],
        },
        {"name": "flatten", "kind": "flatten"},
        {"name": "dense", "kind": "dense", "units": 3},
    ],
}
NUMBERS = np.random.default_rng(0)
WEIGHTS = {
    "conv.kernel": NUMBERS.normal(size=(6, 2, 3, 3)).astype("float32"),
    "conv.bias": NUMBERS.normal(size=6).astype("float32"),
    "dense.kernel": NUMBERS.normal(size=(3, 24)).astype("float32") / 5,
    "dense.bias": np.zeros(3, "float32"),
}
X, Y = NUMBERS.normal(size=(7, 2, 8, 8)).astype("float32"), np.arange(7) % 3
RATE = 0.5


@pytest.fixture(scope="module")
def started() -> None:
    adapter.start()
    adapter.configure("cpu", 1)


@pytest.fixture
def model(started: None) -> Any:  # noqa: ARG001 - it goes before
    return adapter.build(NETWORK, WEIGHTS, RATE)


@pytest.mark.usefixtures("started")
def test_keras_says_which_backend_computes() -> None:
    described = adapter.describe()
    assert list(described["versions"])[:2] == ["keras", os.environ["KERAS_BACKEND"]]
    assert described["device"] == "cpu"
    assert described["threads"] <= 1


def test_a_step_takes_off_the_recorded_gradient_times_the_rate(model: Any) -> None:
    batch = adapter.put(X, Y)
    gradients = adapter.gradients(model, batch)
    for name, value in adapter.get_weights(model).items():
        np.testing.assert_array_equal(value, WEIGHTS[name])
    logits = adapter.predict(model, X).astype("float64")
    chosen = np.exp(logits)[np.arange(7), Y] / np.exp(logits).sum(axis=1)
    assert float(adapter.step(model, batch)) == pytest.approx(-np.log(chosen).mean(), rel=1e-5)
    for name, value in adapter.get_weights(model).items():
        expected = WEIGHTS[name] - RATE * gradients[name]
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
        assert np.abs(gradients[name]).max() > 1e-3


def test_at_a_rate_of_zero_nothing_is_learned(model: Any) -> None:
    adapter.set_rate(model, 0.0)
    adapter.step(model, adapter.put(X, Y))
    adapter.synchronise()
    for name, value in adapter.get_weights(model).items():
        np.testing.assert_array_equal(value, WEIGHTS[name])


def test_what_keras_has_no_layer_for_is_the_neutral_one(model: Any) -> None:
    outputs = adapter.activations(model, X)
    conv = outputs["conv"].astype("float64")
    around = np.pad(conv**2, [(0, 0), (2, 2), (0, 0), (0, 0)])
    total = sum(around[:, shift : shift + 6] for shift in range(5))
    lrn = conv * (2.0 + 0.1 * total) ** -0.75
    np.testing.assert_allclose(outputs["lrn"], lrn, rtol=1e-5, atol=1e-6)
    padded = np.pad(lrn, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::2, ::2]
    np.testing.assert_allclose(outputs["pool"], windows.max(axis=(4, 5)), rtol=1e-5, atol=1e-6)
