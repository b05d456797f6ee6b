"""Flax's modules beside the same layers in plain jax."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if not all(importlib.util.find_spec(name) for name in ("flax", "jax2onnx")):
    pytest.skip("Flax is not here", allow_module_level=True)

import onnxruntime

from harness.frameworks.flax import adapter
from harness.frameworks.jax import adapter as jax_adapter

NUMBERS = np.random.default_rng(0)
RATE = 0.5
PADDING = [[1, 1], [0, 1]]
IMAGES: list[dict[str, Any]] = [
    {
        "name": "conv",
        "kind": "conv",
        "filters": 4,
        "kernel": [3, 2],
        "stride": [2, 1],
        "padding": PADDING,
    },
    {"name": "relu", "kind": "relu"},
    {"name": "lrn", "kind": "lrn", "size": 3, "alpha": 0.5, "beta": 0.75, "k": 2.0},
    {
        "name": "pool",
        "kind": "max_pool",
        "size": [3, 3],
        "stride": [1, 1],
        "padding": [[1, 1], [1, 1]],
    },
    {"name": "joined", "kind": "concat", "axis": 1, "inputs": ["pool", "relu", "conv"]},
    {"name": "tanh", "kind": "tanh"},
    {"name": "sum", "kind": "add", "inputs": ["joined", "tanh"]},
    {"name": "some", "kind": "slice", "axis": 1, "start": 1, "stop": 9},
    {"name": "means", "kind": "global_average_pool", "inputs": ["some"]},
    {"name": "flatten", "kind": "flatten", "inputs": ["some"]},
    {"name": "both", "kind": "concat", "axis": 1, "inputs": ["means", "flatten"]},
]
ATTENTION: list[dict[str, Any]] = [
    {"name": "position", "kind": "position"},
    {"name": "norm", "kind": "layer_norm", "epsilon": 1e-3},
    {"name": "plain", "kind": "multihead_attention", "heads": 2},
    {"name": "causal", "kind": "multihead_attention", "heads": 3, "causal": True},
    {"name": "attention", "kind": "attention", "inputs": ["causal", "position"]},
    {"name": "mean", "kind": "mean"},
]


def recurrent(kind: str, *, both: bool, sequences: bool) -> list[dict[str, Any]]:
    layer = {"name": kind, "kind": kind, "units": 4, "return_sequences": sequences}
    after = [{"name": "mean", "kind": "mean"}] if sequences else []
    return [layer | ({"bidirectional": True} if both else {}), *after]


def continued() -> list[dict[str, Any]]:
    layers = recurrent("gru", both=False, sequences=True)[:1]
    second = {"name": "second", "kind": "gru", "units": 4, "return_sequences": True}
    return [*layers, second | {"inputs": ["input", "gru"]}, {"name": "mean", "kind": "mean"}]


#: By name: the shape of an example, its layers, and the width of what the last of them gives.
NETWORKS = {
    "images": ([2, 5, 6], IMAGES, 8 + 8 * 3 * 6),
    "attention": ([5, 6], ATTENTION, 6),
    "a gru that continues another": ([5, 3], continued(), 4),
    **{
        f"{kind}, both ways {both}, sequences {sequences}": (
            [5, 3],
            recurrent(kind, both=both, sequences=sequences),
            8 if both else 4,
        )
        for kind, both, sequences in (
            ("rnn", False, True),
            ("rnn", True, False),
            ("lstm", False, False),
            ("lstm", True, False),
            ("lstm", True, True),
            ("gru", False, False),
            ("gru", True, True),
        )
    },
}
BOTH_WAYS = "lstm, both ways True, sequences False"
GATES = {"rnn": 1, "lstm": 4, "gru": 3}


def shapes(layer: dict[str, Any], width: int) -> dict[str, tuple[int, ...]]:
    """The shapes of a layer's parameters; *width*: of the network's input."""
    match layer["kind"]:
        case "conv":
            return {"kernel": (4, width, 3, 2), "bias": (4,)}
        case "layer_norm":
            return {"scale": (6,), "offset": (6,)}
        case "position":
            return {"table": (5, 6)}
        case "multihead_attention":
            parts = ("query", "key", "value", "output")
            kernels = {f"{part}_kernel": (6, 6) for part in parts}
            return kernels | {f"{part}_bias": (6,) for part in parts}
        case "rnn" | "lstm" | "gru" as kind:
            rows = 4 * GATES[kind]
            own = {"kernel": (rows, width), "recurrent": (rows, 4), "bias": (rows,)}
            own |= {"recurrent_bias": (rows,)} if kind == "gru" else {}
            both = layer.get("bidirectional", False)
            return own | (
                {f"backward_{name}": shape for name, shape in own.items()} if both else {}
            )
    return {}


@pytest.fixture(scope="module", autouse=True)
def started() -> None:
    adapter.start()
    adapter.configure("cpu", 1)


def made(case: str) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Return a network, its weights and a batch."""
    shape, layers, width = NETWORKS[case]
    last = {"name": "dense", "kind": "dense", "units": 3}
    network = {"input": shape, "classes": 3, "layers": [*layers, last]}
    by_name = {
        f"{layer['name']}.{parameter}": dims
        for layer in layers
        for parameter, dims in shapes(layer, shape[0] if len(shape) == 3 else shape[-1]).items()
    }
    by_name |= {"dense.kernel": (3, width), "dense.bias": (3,)}
    weights = {
        name: NUMBERS.normal(size=dims).astype("float32") / 2 for name, dims in by_name.items()
    }
    x = NUMBERS.normal(size=(7, *shape)).astype("float32")
    return network, weights, (x, np.arange(7) % 3)


@pytest.mark.parametrize("case", NETWORKS)
def test_every_output_and_gradient_is_that_of_plain_jax(case: str) -> None:
    network, weights, batch = made(case)
    mine, plain = (module.build(network, weights, RATE) for module in (adapter, jax_adapter))
    for name, value in adapter.get_weights(mine).items():
        np.testing.assert_array_equal(value, weights[name])
    values = adapter.activations(mine, batch[0])
    assert values.keys() == {layer["name"] for layer in network["layers"]}
    for name, expected in jax_adapter.activations(plain, batch[0]).items():
        np.testing.assert_allclose(values[name], expected, rtol=1e-5, atol=2e-6)
    gradients = adapter.gradients(mine, adapter.put(*batch))
    expected_gradients = jax_adapter.gradients(plain, jax_adapter.put(*batch))
    assert gradients.keys() == expected_gradients.keys() == weights.keys()
    for name, expected in expected_gradients.items():
        np.testing.assert_allclose(gradients[name], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", ["images", "attention", BOTH_WAYS])
def test_a_step_takes_off_the_gradient_times_the_rate_and_compiles_once(case: str) -> None:
    network, weights, batch = made(case)
    model = adapter.build(network, weights, RATE)
    on_device = adapter.put(*batch)
    gradients = adapter.gradients(model, on_device)
    for rate in (RATE, RATE / 2):
        adapter.set_weights(model, weights)
        adapter.set_rate(model, rate)
        before = adapter.compile_s()
        adapter.step(model, on_device)
        adapter.synchronise()
        assert (adapter.compile_s() > before) == (rate == RATE)
        for name, value in adapter.get_weights(model).items():
            expected = weights[name] - rate * gradients[name]
            np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)
    before = adapter.compile_s()
    adapter.step(model, on_device)
    assert adapter.compile_s() == before


def test_what_is_waited_for_is_what_a_step_changes() -> None:
    network = {"input": [3], "layers": [{"name": "dense", "kind": "dense", "units": 2}]}
    start = {"dense.kernel": np.ones((2, 3), "float32"), "dense.bias": np.zeros(2, "float32")}
    model = adapter.build(network, start, RATE)
    adapter.step(model, adapter.put(np.ones((4, 3), "float32"), np.zeros(4, "int64")))
    leaves = jax_adapter.jax.tree.leaves(jax_adapter.pending)
    changed = adapter.get_weights(model)["dense.bias"]
    assert any(np.array_equal(leaf, changed) for leaf in leaves)
    assert not np.array_equal(changed, start["dense.bias"])


def test_flax_says_its_version_first() -> None:
    described = adapter.describe()
    assert list(described["versions"]) == ["flax", "jax", "optax"]
    assert (described["device"], described["execution"]) == ("cpu", "compiled")


@pytest.mark.parametrize("case", ["images", BOTH_WAYS])
def test_an_export_answers_as_the_model_does_for_any_number_of_rows(
    case: str, tmp_path: Path
) -> None:
    network, weights, (x, _) = made(case)
    model = adapter.build(network, weights, RATE)
    path = str(tmp_path / "model")
    adapter.export(model, "jax-export", path, x)
    served = jax_adapter.load("jax-export", path)
    answers = jax_adapter.answer(served, {"x": x[:3]})["y"]
    np.testing.assert_allclose(answers, adapter.predict(model, x)[:3], rtol=1e-5, atol=1e-6)
    adapter.export(model, "onnx", path, x)
    session = onnxruntime.InferenceSession(path)
    (answers,) = session.run(None, {session.get_inputs()[0].name: x[:3]})
    np.testing.assert_allclose(answers, adapter.predict(model, x)[:3], rtol=1e-5, atol=1e-6)
