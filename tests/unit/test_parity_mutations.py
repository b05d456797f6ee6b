"""What parity, as `matrix.yaml` has it, sees of a mistake; and that float32 is none.

Networks, weights and batches are those of the workloads at `tiny` and `small`. Gold with a mistake
in it stands for a framework that makes it; gold in float32 for one that makes none.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike

from deepmatrix.config.sections import Tolerances
from deepmatrix.judging import parity
from deepmatrix.store.arrays import Floats
from deepmatrix.store.records import Parity
from deepmatrix.workloads import gold, inputs, networks
from deepmatrix.workloads.networks import Network
from deepmatrix.workloads.networks.weights import Weights, initial_weights
from tests.unit.examples import MATRIX

TIGHT = MATRIX.tolerances

#: As they were.
WIDE = TIGHT.model_copy(update={"parity": 1e-4, "layers": {}, "gradient": 1e-4, "loss": 1e-4})

#: Without those that are only for times.
TRAINED = [
    name for name in MATRIX.workloads if not name.endswith("-imagenet") and "-length-" not in name
]
TINY = [name for name in TRAINED if name.endswith("-tiny")]

Batch = tuple[Any, Any]
Arrays = dict[str, Floats]


@functools.cache
def batches(name: str) -> list[Batch]:
    """Return the batches of the steps whose losses are judged."""
    workload = MATRIX.workloads[name]
    data = inputs.load_data(network(name))
    rows = inputs.batch_order(
        len(data["train_x"]), batch=workload.batch, epochs=workload.epochs, seed=0
    )
    return list(inputs.batches(data, rows[: TIGHT.steps]))


def network(name: str) -> Network:
    return networks.NETWORKS[MATRIX.workloads[name].network]


def start(name: str) -> dict[str, Floats]:
    return {key: np.asarray(value) for key, value in initial_weights(network(name), 0).items()}


def first_step(of: Network, weights: Weights, batch: Batch, dtype: DTypeLike = float) -> Arrays:
    outputs = gold.activations(of, weights, batch[0], dtype)
    _, gradients = gold.loss_and_gradients(of, weights, *batch, dtype)
    arrays = {f"output/{name}": value for name, value in outputs.items()}
    return arrays | {f"gradient/{name}": value for name, value in gradients.items()}


@functools.cache
def truth(name: str) -> Arrays:
    return first_step(network(name), start(name), batches(name)[0])


def judged(folder: Path, name: str, said: Arrays) -> Parity:
    np.savez(folder / "said.npz", **said)
    return parity.compare(network(name), truth(name), folder / "said.npz")


def wrong(folder: Path, name: str, said: Arrays, tolerances: Tolerances = TIGHT) -> str:
    """Return the first place where a framework that *said* this is wrong."""
    return parity.first_wrong(judged(folder, name, said), network(name), tolerances)


def changed(name: str, layer: str, **settings: object) -> Arrays:
    """Return the first step of a network one layer of which has other settings."""
    mutant = copy.deepcopy(network(name))
    next(of for of in mutant["layers"] if of["name"] == layer).update(settings)
    return first_step(mutant, start(name), batches(name)[0])


@pytest.mark.parametrize("name", TRAINED)
def test_float32_uses_at_most_half_of_every_tolerance(tmp_path: Path, name: str) -> None:
    half = TIGHT.model_copy(
        update={
            "parity": TIGHT.parity / 2,
            "layers": {kind: error / 2 for kind, error in TIGHT.layers.items()},
            "gradient": TIGHT.gradient / 2,
        }
    )
    said = first_step(network(name), start(name), batches(name)[0], np.float32)
    assert {value.dtype for value in said.values()} == {np.dtype(np.float32)}
    assert wrong(tmp_path, name, said, half) == ""


def losses(name: str, update: Callable[[Arrays, Arrays], Arrays], dtype: DTypeLike) -> Floats:
    """Return the losses of training by *update*: weights and gradients to what is subtracted."""
    weights = {key: value.astype(dtype) for key, value in start(name).items()}
    rates = inputs.learning_rates(MATRIX.workloads[name], 10**4)
    found = []
    for batch, rate in zip(batches(name), rates, strict=False):
        loss, gradients = gold.loss_and_gradients(network(name), weights, *batch, dtype)
        found.append(loss)
        step = update(weights, gradients)
        weights = {
            key: value - np.asarray(rate, dtype) * step[key] for key, value in weights.items()
        }
    return np.asarray(found)


def descend(weights: Arrays, gradients: Arrays) -> Arrays:
    del weights
    return gradients


def momentum() -> Callable[[Arrays, Arrays], Arrays]:
    velocity: Arrays = {}

    def update(weights: Arrays, gradients: Arrays) -> Arrays:
        del weights
        for name, gradient in gradients.items():
            velocity[name] = 0.1 * velocity.get(name, 0.0) + gradient
        return velocity

    return update


def decay(weights: Arrays, gradients: Arrays) -> Arrays:
    return {name: gradient + 1e-4 * weights[name] for name, gradient in gradients.items()}


@pytest.mark.parametrize("name", TINY)
def test_losses_show_momentum_and_decay_and_no_rounding(name: str) -> None:
    right = losses(name, descend, float)

    def apart(update: Callable[[Arrays, Arrays], Arrays], dtype: DTypeLike = float) -> float:
        return float(np.abs(losses(name, update, dtype) - right).max())

    assert apart(descend, np.float32) < TIGHT.loss / 2
    assert apart(momentum()) > 10 * TIGHT.loss
    assert apart(decay) > TIGHT.loss


def test_a_wide_tolerance_let_a_decay_of_the_weights_through() -> None:
    off = losses("conv3d-tiny", decay, float) - losses("conv3d-tiny", descend, float)
    assert TIGHT.loss < np.abs(off).max() < WIDE.loss


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("transformer-tiny", "norm1_1"),
        ("transformer-tiny", "norm1_2"),
        ("transformer-tiny", "norm"),
        ("transformer-small", "norm1_1"),
        ("transformer-small", "norm1_2"),
        ("transformer-small", "norm2_1"),
    ],
)
def test_another_epsilon_is_seen_where_it_was_not(tmp_path: Path, name: str, layer: str) -> None:
    said = changed(name, layer, epsilon=1e-6)
    assert wrong(tmp_path, name, said) == f"output of {layer}"
    assert not wrong(tmp_path, name, said, WIDE).startswith("output")


@pytest.mark.parametrize("layer", ["norm2_2", "norm"])
def test_another_epsilon_beside_a_large_variance_is_rounding(tmp_path: Path, layer: str) -> None:
    step = judged(tmp_path, "transformer-small", changed("transformer-small", layer, epsilon=1e-6))
    assert (step.outputs[layer] or 0) < TIGHT.of_layer("layer_norm")


@pytest.mark.parametrize("name", ["googlenet-tiny", "googlenet-small"])
@pytest.mark.parametrize("setting", [{"size": 3}, {"beta": 0.5}, {"alpha": 5e-4}, {"k": 2.0}])
@pytest.mark.parametrize("layer", ["lrn1", "lrn2"])
def test_another_normalization_is_seen(
    tmp_path: Path, name: str, layer: str, setting: dict[str, float]
) -> None:
    assert wrong(tmp_path, name, changed(name, layer, **setting)) == f"output of {layer}"


def test_another_size_of_a_normalization_was_seen_in_no_output(tmp_path: Path) -> None:
    said = changed("googlenet-tiny", "lrn1", size=3)
    assert not wrong(tmp_path, "googlenet-tiny", said, WIDE).startswith("output")


#: Layers with padding, but for those that see the same on either side, and those with zero kernels.
PADDED = [
    (name, layer["name"], layer["padding"])
    for name in ("alexnet-tiny", "resnet-tiny", "conv1d-tiny", "conv3d-tiny")
    for layer in network(name)["layers"]
    if np.any(layer.get("padding", 0)) and not layer["name"].endswith(("_conv2", "pool5"))
]


@pytest.mark.parametrize(("name", "layer", "padding"), PADDED)
def test_padding_of_the_other_side_is_seen(
    tmp_path: Path, name: str, layer: str, padding: list[list[int]]
) -> None:
    moved = [[before + after, 0] for before, after in padding]
    if moved == [list(sides) for sides in padding]:
        moved = [[0, before + after] for before, after in padding]
    assert wrong(tmp_path, name, changed(name, layer, padding=moved)) == f"output of {layer}"


@pytest.mark.parametrize("name", TINY)
def test_the_sign_of_one_weight_is_seen(tmp_path: Path, name: str) -> None:
    """Of every kernel the weight of median size, among those that the loss depends on."""
    for parameter, kernel in start(name).items():
        felt = np.abs(kernel * truth(name)[f"gradient/{parameter}"])
        places = np.flatnonzero(felt > 0)
        if kernel.ndim < 2 or not places.size:
            continue
        weights = start(name)
        sizes = np.abs(kernel.flat[places])
        place = places[np.argsort(sizes)[len(sizes) // 2]]
        weights[parameter].flat[place] *= -1
        said = first_step(network(name), weights, batches(name)[0])
        assert wrong(tmp_path, name, said) == f"output of {parameter.split('.')[0]}"


@pytest.mark.parametrize(
    ("name", "bias", "gates"),
    [
        ("lstm-tiny", "lstm.bias", 4),
        ("bilstm-tiny", "bilstm.backward_bias", 4),
        ("gru-tiny", "gru.bias", 3),
        ("seq2seq-tiny", "decoder.recurrent_bias", 3),
        ("lstm-small", "lstm.bias", 4),
        ("gru-small", "gru.recurrent_bias", 3),
    ],
)
def test_another_order_of_a_biass_gates_is_seen(
    tmp_path: Path, name: str, bias: str, gates: int
) -> None:
    """Its values are zero at first, and so right in any order; its gradient is not."""
    said = dict(truth(name))
    parts = np.split(said[f"gradient/{bias}"], gates)
    parts[1], parts[2] = parts[2], parts[1]
    said[f"gradient/{bias}"] = np.concatenate(parts)
    assert wrong(tmp_path, name, said) == f"gradient of {bias}"


@pytest.mark.parametrize("name", ["alexnet-tiny", "googlenet-tiny", "transformer-tiny"])
def test_a_small_row_of_a_gradient_is_judged_beside_large_ones(tmp_path: Path, name: str) -> None:
    """A hundredth of a row that is a thousandth of its gradient."""
    kernel = "gradient/output.kernel"
    right = dict(truth(name))
    row = right[kernel][3].copy()
    right[kernel] = right[kernel].copy()
    right[kernel][3] *= 1e-3 * np.abs(right[kernel]).max() / np.abs(row).max()
    said = dict(right)
    said[kernel] = right[kernel].copy()
    said[kernel][3] *= 1.01
    np.savez(tmp_path / "said.npz", **said)
    step = parity.compare(network(name), right, tmp_path / "said.npz")
    assert parity.first_wrong(step, network(name), TIGHT) == "gradient of output.kernel"
    difference = np.abs(said[kernel] - right[kernel]).max()
    assert difference < TIGHT.gradient * np.abs(right[kernel]).max()
