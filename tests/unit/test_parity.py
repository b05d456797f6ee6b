"""Parity finds a framework's mistake, and names the layer that made it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepmatrix.judging import parity
from deepmatrix.store.arrays import Floats, Unreadable
from deepmatrix.store.records import Parity
from deepmatrix.workloads import gold, networks
from deepmatrix.workloads.networks import Network
from deepmatrix.workloads.networks.weights import initial_weights
from tests.unit.examples import MATRIX

LABELS = np.arange(8) % 10


def network(name: str) -> Network:
    return copy.deepcopy(networks.NETWORKS[name])


def weights(of: Network) -> dict[str, Any]:
    """Initial weights with biases that are not zero, or no test would miss one."""
    random = np.random.default_rng(1)
    return {
        name: value + (0.1 * random.standard_normal(value.shape) if "bias" in name else 0)
        for name, value in initial_weights(of, 0).items()
    }


def x(of: Network) -> Floats:
    return np.random.default_rng(2).random((len(LABELS), *of["input"]))


def first_step(of: Network, start: dict[str, Any], batch: Floats) -> dict[str, Floats]:
    outputs = gold.activations(of, start, batch)
    logits = outputs[of["layers"][-1]["name"]]
    labels = np.resize(LABELS, logits.shape[-2::-1]).T  # (N,), or (N, T) of sequences
    _, gradients = gold.loss_and_gradients(of, start, batch, labels)
    arrays = {f"output/{name}": value for name, value in outputs.items()}
    return arrays | {f"gradient/{name}": value for name, value in gradients.items()}


def judged(
    folder: Path, of: Network, answers: dict[str, Floats], truth: dict[str, Floats] | None = None
) -> Parity:
    """Compare what a framework, in float32, would say with gold."""
    truth = truth or first_step(of, weights(of), x(of))
    np.savez(
        folder / "said.npz", **{name: array.astype(np.float32) for name, array in answers.items()}
    )
    return parity.compare(of, truth, folder / "said.npz")


def wrong(of: Network, step: Parity) -> str:
    return parity.first_wrong(step, of, MATRIX.tolerances)


@pytest.mark.parametrize("name", ["digits-conv", "digits-lstm"])
def test_the_same_step_in_float32_is_within_tolerance(tmp_path: Path, name: str) -> None:
    of = network(name)
    step = judged(tmp_path, of, first_step(of, weights(of), x(of)))
    assert wrong(of, step) == ""
    assert 0 < (parity.worst_parity_error(step.outputs) or 0) < 1e-6
    assert list(step.outputs) == [layer["name"] for layer in of["layers"]]


def test_a_wrong_gate_order_is_the_recurrent_layers(tmp_path: Path) -> None:
    of, start = network("digits-lstm"), weights(network("digits-lstm"))
    for name in ("lstm.kernel", "lstm.recurrent", "lstm.bias"):
        i, f, g, o = np.split(start[name], 4)
        start[name] = np.concatenate([i, f, o, g])
    assert wrong(of, judged(tmp_path, of, first_step(of, start, x(of)))) == "output of lstm"


def test_a_missing_bias_is_its_layers(tmp_path: Path) -> None:
    of, start = network("digits-conv"), weights(network("digits-conv"))
    start["conv2.bias"] = np.zeros_like(start["conv2.bias"])
    assert wrong(of, judged(tmp_path, of, first_step(of, start, x(of)))) == "output of conv2"


def test_a_cast_to_float16_is_the_first_layers_that_is_cast(tmp_path: Path) -> None:
    of, start = network("digits-conv"), weights(network("digits-conv"))
    start["conv2.kernel"] = start["conv2.kernel"].astype(np.float16).astype(np.float64)
    assert wrong(of, judged(tmp_path, of, first_step(of, start, x(of)))) == "output of conv2"


def test_one_corrupted_weight_is_its_layers(tmp_path: Path) -> None:
    of, start = network("digits-conv"), weights(network("digits-conv"))
    start["conv1.kernel"][5, 0, 1, 1] *= 1.1
    assert wrong(of, judged(tmp_path, of, first_step(of, start, x(of)))) == "output of conv1"


def test_swapped_padding_is_its_layers(tmp_path: Path) -> None:
    of, start = network("alexnet-tiny"), weights(network("alexnet-tiny"))
    truth = first_step(of, start, x(of))
    changed = network("alexnet-tiny")
    layer = next(layer for layer in changed["layers"] if layer["name"] == "pool2")
    layer["padding"] = [[after, before] for before, after in layer["padding"]]
    answers = first_step(changed, start, x(of))
    assert wrong(of, judged(tmp_path, of, answers, truth)) == "output of pool2"


@pytest.mark.parametrize("name", [name for name in networks.NETWORKS if name.endswith("-tiny")])
def test_a_corrupted_weight_of_any_layer_is_that_layers(tmp_path: Path, name: str) -> None:
    of = network(name)
    truth = first_step(of, weights(of), x(of))
    for parameter in weights(of):
        start = weights(of)
        felt = np.abs(truth[f"gradient/{parameter}"])
        if felt.max() < 1e-9:
            continue  # nothing depends on it: behind a kernel that starts at zero, or a key's bias
        start[parameter][np.unravel_index(felt.argmax(), felt.shape)] += 0.5
        answers = first_step(of, start, x(of))
        assert (
            wrong(of, judged(tmp_path, of, answers, truth))
            == f"output of {parameter.split('.')[0]}"
        )


def test_a_wrong_gradient_after_right_outputs_is_named(tmp_path: Path) -> None:
    of = network("digits-conv")
    answers = first_step(of, weights(of), x(of))
    answers["gradient/conv1.bias"] = answers["gradient/conv1.bias"] * len(LABELS)  # a sum, no mean
    assert wrong(of, judged(tmp_path, of, answers)) == "gradient of conv1.bias"


def test_what_is_not_finite_is_outside_tolerance(tmp_path: Path) -> None:
    of = network("digits-conv")
    answers = first_step(of, weights(of), x(of))
    answers["output/relu1"] = np.full_like(answers["output/relu1"], np.nan)
    step = judged(tmp_path, of, answers)
    assert step.outputs["relu1"] is None
    assert parity.worst_parity_error(step.outputs) is None
    assert wrong(of, step) == "output of relu1"


def test_a_gradient_that_is_all_rounding_is_judged_by_the_others_scale(tmp_path: Path) -> None:
    of = network("digits-conv")
    truth = first_step(of, weights(of), x(of))
    truth["gradient/conv1.kernel"] = np.zeros_like(truth["gradient/conv1.kernel"])
    answers = dict(truth)
    answers["gradient/conv1.kernel"] = np.full_like(truth["gradient/conv1.kernel"], 1e-9)
    assert wrong(of, judged(tmp_path, of, answers, truth)) == ""


@pytest.mark.parametrize("change", ["missing", "shape"])
def test_a_layer_that_is_not_there_is_unreadable(tmp_path: Path, change: str) -> None:
    of = network("digits-conv")
    answers = first_step(of, weights(of), x(of))
    name = "output/pool1"
    if change == "missing":
        del answers[name]
    else:
        answers[name] = answers[name][:, :, :2]
    with pytest.raises(Unreadable, match="pool1"):
        judged(tmp_path, of, answers)
