"""Probes of modeling capability: what each is given, and what it must answer, in float64.

Each is a small program in ``harness/frameworks/<framework>/probes.py``. Nothing is asserted there:
what it answers is compared with the evaluation here, of the same float32 inputs. Answers that are
whole numbers are given as floats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepmatrix.workloads import gold
from deepmatrix.workloads.gold import recurrent, windows
from deepmatrix.workloads.networks import Network
from deepmatrix.workloads.scale import scale_of

Arrays = dict[str, NDArray[Any]]
Floats = NDArray[np.float64]
Answers = dict[str, Floats]

SCALE = 0.5  # of the gradient that `own_layer` gives
SMALL = 0.1  # below which the loop ends
STEPS, WIDTH = 5, 3  # of the beam search
DILATION = 2
RATE = 0.1  # of the changed model's SGD


def _numbers(seed: int, *shape: int) -> NDArray[np.float32]:
    return (np.random.default_rng(seed).random(shape) * 2 - 1).astype(np.float32)


def _lstm(seed: int, width: int, units: int) -> Arrays:
    return {
        "kernel": _numbers(seed, 4 * units, width),
        "recurrent": _numbers(seed + 1, 4 * units, units),
        "bias": _numbers(seed + 2, 4 * units),
    }


def _loop_inputs() -> Arrays:
    return {
        "x": _numbers(10, 3, 4),
        "brief": 0.3 * _numbers(11, 3, 4),
        "w": 0.45 * _numbers(12, 4, 4),
    }


def _changed_inputs() -> Arrays:
    labels = (np.random.default_rng(96).random(6) * 3).astype(np.int64)
    weights = {
        f"w{n}": _numbers(91 + n, *shape) for n, shape in ((1, (5, 4)), (2, (3, 5)), (3, (5, 5)))
    }
    return {"x": _numbers(90, 6, 4), "y": labels, **weights}


def inputs() -> dict[str, Arrays]:
    """Return what each probe is given, float32 and int64 arrays by probe and name."""
    tokens = (np.random.default_rng(61).random((2, 3, 4)) * 7).astype(np.int64)
    causal = np.tril(np.ones((4, 4), np.int64))
    return {
        "own_layer": {"x": 3 * _numbers(1, 4, 5), "upstream": _numbers(2, 4, 5)},
        "data_dependent_loop": _loop_inputs(),
        "data_dependent_loop_gradient": _loop_inputs(),
        "different_lengths": {
            "x": _numbers(20, 3, 5, 2),
            "lengths": np.array([5, 3, 1]),
            "upstream": _numbers(21, 3, 4),
            **_lstm(22, 2, 4),
        },
        "beam_search": {
            "embedding": 2 * _numbers(30, 6, 4),
            "recurrent": 2 * _numbers(31, 4, 4),
            "output": 2 * _numbers(32, 6, 4),
        },
        "bidirectional": {
            "x": _numbers(40, 3, 5, 2),
            **_lstm(41, 2, 4),
            **{f"backward_{name}": value for name, value in _lstm(44, 2, 4).items()},
        },
        "attention": {
            **{
                name: _numbers(50 + n, 2, 3, 4, 5)
                for n, name in enumerate(("query", "key", "value"))
            },
            "mask": causal,
            "upstream": _numbers(54, 2, 3, 4, 5),
        },
        "convolution_of_video": {
            "x": _numbers(70, 2, 3, 4, 5, 6),
            "kernel": _numbers(71, 4, 3, 2, 3, 3),
            "upstream": _numbers(72, 2, 4, 3, 3, 4),
        },
        "temporal_convolution": {
            "x": _numbers(73, 2, 3, 10),
            "kernel": _numbers(74, 4, 3, 3),
            "upstream": _numbers(75, 2, 4, 10),
        },
        "weight_sharing": {
            "tokens": tokens[0],
            "targets": tokens[1],
            "embedding": _numbers(62, 7, 5),
        },
        "higher_order_gradients": {
            "x": _numbers(80, 4, 3),
            "w1": _numbers(81, 3, 6),
            "w2": _numbers(82, 6),
        },
        "changed_model": _changed_inputs(),
    }


def expected() -> dict[str, Answers]:
    """Return what each probe must answer, float64 arrays by probe and name."""
    return {
        name: EXPECTED[name](
            {
                key: value.astype(np.float64) if value.dtype == np.float32 else value
                for key, value in given.items()
            }
        )
        for name, given in inputs().items()
    }


def compare(name: str, said: Mapping[str, NDArray[Any]]) -> float | None:
    """Return how far the answers of a probe are from gold, or None where they cannot be used.

    The largest absolute difference, of each answer over its largest gold value; None where one
    is missing, has another shape or is not finite.
    """
    worst = 0.0
    for part, truth in expected()[name].items():
        answer = said.get(part)
        if answer is None or answer.shape != truth.shape or not np.isfinite(answer).all():
            return None
        difference = float(np.abs(answer.astype(np.float64) - truth).max())
        worst = max(worst, difference / scale_of(truth))
    return worst


def _own_layer(given: Arrays) -> Answers:
    """Rounding, whose own gradient is zero, with one of its own: the output's, scaled."""
    rounded = np.asarray(np.round(given["x"]), np.float64)
    return {"y": rounded, "gradient": SCALE * given["upstream"]}


def _loop(x: Floats, w: Floats) -> tuple[Floats, list[Floats]]:
    """Return tanh(... tanh(x w) w ...) until all of it is small, and the values on the way."""
    values = [x]
    while np.abs(values[-1]).max() > SMALL:
        values.append(np.tanh(values[-1] @ w))
    return values[-1], values


def _data_dependent_loop(given: Arrays) -> Answers:
    long, short = _loop(given["x"], given["w"]), _loop(given["brief"], given["w"])
    steps = np.array([len(long[1]) - 1.0, len(short[1]) - 1.0])
    return {"long": long[0], "short": short[0], "steps": steps}


def _data_dependent_loop_gradient(given: Arrays) -> Answers:
    """The gradient, by w, of the sum of what the loop ends with."""
    w = given["w"]
    _, values = _loop(given["x"], w)
    total, through = np.zeros_like(w), np.ones_like(values[-1])
    for before, after in zip(values[-2::-1], values[:0:-1], strict=True):
        through = through * (1 - after**2)
        total += before.T @ through
        through = through @ w.T
    return {"gradient": total}


def _recurrence(given: Arrays, *, whole: bool, both: bool = False) -> recurrent.Recurrent:
    names = ("kernel", "recurrent", "bias")
    own = {
        name: given[name] for name in (*names, *(f"backward_{n}" for n in names)) if name in given
    }
    layer = {"name": "lstm", "kind": "lstm", "units": given["recurrent"].shape[1]}
    return recurrent.Recurrent({**layer, "return_sequences": whole, "bidirectional": both}, own)


def _different_lengths(given: Arrays) -> Answers:
    """Each sequence by itself: the last output, and the gradient of its sum with *given*."""
    lasts, gradients = [], dict.fromkeys(("kernel", "recurrent", "bias"), np.zeros(1))
    for row, length in enumerate(given["lengths"]):
        layer = _recurrence(given, whole=False)
        lasts.append(layer.forward(given["x"][row : row + 1, :length])[0])
        layer.backward(given["upstream"][row : row + 1])
        gradients = {name: value + layer.gradients[name] for name, value in gradients.items()}
    return {"last": np.stack(lasts), **gradients}


def _beam_search(given: Arrays) -> Answers:
    """The best sequences from token 0 and their log probabilities, the best first."""
    beams: list[tuple[float, list[int], Floats]] = [
        (0.0, [0], np.zeros(given["recurrent"].shape[0]))
    ]
    for _ in range(STEPS):
        grown = []
        for score, sequence, hidden in beams:
            after = np.tanh(given["embedding"][sequence[-1]] + given["recurrent"] @ hidden)
            logits = given["output"] @ after
            logs = logits - np.log(np.exp(logits).sum())
            grown += [(score + float(logs[t]), [*sequence, t], after) for t in range(len(logs))]
        beams = sorted(grown, key=lambda beam: -beam[0])[:WIDTH]
    return {
        "sequences": np.array([sequence[1:] for _, sequence, _ in beams], np.float64),
        "scores": np.array([score for score, _, _ in beams]),
    }


def _bidirectional(given: Arrays) -> Answers:
    return {"y": _recurrence(given, whole=True, both=True).forward(given["x"])}


def _attention(given: Arrays) -> Answers:
    """Scaled dot products, softmax over the keys that the mask allows; with all gradients."""
    query, key, value, dy = (given[name] for name in ("query", "key", "value", "upstream"))
    factor = query.shape[-1] ** -0.5
    scores = np.where(given["mask"] > 0, query @ key.swapaxes(-1, -2) * factor, -np.inf)
    odds = np.exp(scores - scores.max(axis=-1, keepdims=True))
    odds /= odds.sum(axis=-1, keepdims=True)
    through = dy @ value.swapaxes(-1, -2)
    sums = odds * (through - (through * odds).sum(axis=-1, keepdims=True)) * factor
    return {
        "y": odds @ value,
        "query": sums @ key,
        "key": sums.swapaxes(-1, -2) @ query,
        "value": odds.swapaxes(-1, -2) @ dy,
    }


def _convolved(given: Arrays, kernel: Floats, padding: list[list[int]]) -> Answers:
    sides = list(kernel.shape[2:])
    layer = {"name": "conv", "kernel": sides, "stride": [1] * len(sides), "padding": padding}
    conv = windows.Conv(layer, {"kernel": kernel, "bias": np.zeros(len(kernel))})
    y = conv.forward(given["x"])
    conv.backward(given["upstream"])
    return {"y": y, "gradient": conv.gradients["kernel"]}


def _convolution_of_video(given: Arrays) -> Answers:
    return _convolved(given, given["kernel"], [[0, 0]] * 3)


def _temporal_convolution(given: Arrays) -> Answers:
    """Causal and dilated: a kernel with holes, padded before alone."""
    kernel = given["kernel"]
    reach = DILATION * (kernel.shape[2] - 1)
    holed = np.zeros((*kernel.shape[:2], reach + 1))
    holed[:, :, ::DILATION] = kernel
    found = _convolved(given, holed, [[reach, 0]])
    return {"y": found["y"], "gradient": found["gradient"][:, :, ::DILATION]}


def _weight_sharing(given: Arrays) -> Answers:
    """One matrix embeds tokens and, transposed, gives the logits; its gradient is of both uses."""
    matrix, tokens = given["embedding"], given["tokens"]
    hidden = np.tanh(matrix[tokens])
    loss, dlogits = gold.cross_entropy(hidden @ matrix.T, given["targets"])
    gradient = np.einsum("ntv,nth->vh", dlogits, hidden)
    np.add.at(gradient, tokens, (dlogits @ matrix) * (1 - hidden**2))
    return {"loss": np.array(loss), "gradient": gradient}


def _higher_order_gradients(given: Arrays) -> Answers:
    """The gradients, by the weights, of the squared gradient of tanh(x w1) w2 by its input."""
    x, w1, w2 = given["x"], given["w1"], given["w2"]
    hidden = np.tanh(x @ w1)
    slope = (1 - hidden**2) * w2
    by_input = slope @ w1.T
    through = 2 * by_input @ w1
    by_sum = through * w2 * -2 * hidden * (1 - hidden**2)
    return {
        "penalty": np.array((by_input**2).sum()),
        "w1": 2 * by_input.T @ slope + x.T @ by_sum,
        "w2": (through * (1 - hidden**2)).sum(axis=0),
    }


def _changed_model(given: Arrays) -> Answers:
    """A step of SGD, then a layer w3 and its tanh in the middle, then another step."""
    weights = {name: given[name] for name in ("w1", "w2")}
    losses = []
    for names in (("w1", "w2"), ("w1", "w3", "w2")):
        weights.setdefault("w3", given["w3"]) if "w3" in names else None
        loss, gradients = _dense_loss(names, weights, given)
        losses.append(loss)
        weights.update({name: weights[name] - RATE * gradients[name] for name in names})
    return {"losses": np.array(losses), **weights}


def _dense_loss(names: tuple[str, ...], weights: Answers, given: Arrays) -> tuple[float, Answers]:
    layers: list[dict[str, Any]] = []
    for name in names:
        layers.append({"name": name, "kind": "dense", "units": len(weights[name])})
        layers.append({"name": f"{name}_tanh", "kind": "tanh"})
    network = Network(name="changed", input=[4], classes=3, layers=layers[:-1])
    own = {f"{name}.kernel": weights[name] for name in names}
    own |= {f"{name}.bias": np.zeros(len(weights[name])) for name in names}
    loss, gradients = gold.loss_and_gradients(network, own, given["x"], given["y"])
    return loss, {name: gradients[f"{name}.kernel"] for name in names}


EXPECTED: dict[str, Callable[[Arrays], Answers]] = {
    "own_layer": _own_layer,
    "data_dependent_loop": _data_dependent_loop,
    "data_dependent_loop_gradient": _data_dependent_loop_gradient,
    "different_lengths": _different_lengths,
    "beam_search": _beam_search,
    "bidirectional": _bidirectional,
    "attention": _attention,
    "convolution_of_video": _convolution_of_video,
    "temporal_convolution": _temporal_convolution,
    "weight_sharing": _weight_sharing,
    "higher_order_gradients": _higher_order_gradients,
    "changed_model": _changed_model,
}

NAMES = tuple(EXPECTED)
