"""Probes of modeling capability: their inputs, and the answers expected of them, in float64.

Each is a small program in ``harness/frameworks/<framework>/probes.py``. Nothing is asserted there:
its answers are compared with an evaluation of the same float32 inputs here. Answers that are
whole numbers are floats too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepmatrix.workloads import gold
from deepmatrix.workloads.gold import recurrent, windows
from deepmatrix.workloads.networks import Network
from deepmatrix.workloads.scale import parity_scale

Arrays = dict[str, NDArray[Any]]
Floats = NDArray[np.float64]
Answers = dict[str, Floats]

SCALE = 0.5  # factor of `own_layer` in its own gradient
SMALL = 0.1  # the loop ends when all values are smaller
STEPS, WIDTH = 5, 3  # of the beam search
RATE = 0.1  # of the changed model's SGD
WORKERS = 2  # processes that share a batch


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


def _data_parallel_inputs() -> Arrays:
    labels = (np.random.default_rng(106).random(8) * 3).astype(np.int64)
    return {
        "x": _numbers(100, 8, 4),
        "y": labels,
        "w1": _numbers(101, 5, 4),
        "w2": _numbers(102, 3, 5),
    }


def _sequence_inputs() -> dict[str, Arrays]:
    return {
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
    }


def _weight_sharing_inputs() -> Arrays:
    tokens, targets = (np.random.default_rng(61).random((2, 3, 4)) * 7).astype(np.int64)
    return {"tokens": tokens, "targets": targets, "embedding": _numbers(62, 7, 5)}


def _attention_inputs() -> Arrays:
    names = ("query", "key", "value")
    return {
        **{name: _numbers(50 + n, 2, 3, 4, 5) for n, name in enumerate(names)},
        "mask": np.tril(np.ones((4, 4), np.int64)),  # causal
        "upstream": _numbers(54, 2, 3, 4, 5),
    }


def _convolution_inputs() -> dict[str, Arrays]:
    return {
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
    }


def inputs() -> dict[str, Arrays]:
    """Return the inputs of each probe, float32 and int64 arrays by probe and name.

    ``upstream`` is the upstream gradient: of the probe's output, for its backward pass.
    """
    return {
        "own_layer": {"x": 3 * _numbers(1, 4, 5), "upstream": _numbers(2, 4, 5)},
        "derived_gradient": {"x": 3 * _numbers(3, 4, 5), "upstream": _numbers(4, 4, 5)},
        "data_dependent_loop": _loop_inputs(),
        "data_dependent_loop_gradient": _loop_inputs(),
        "python_loop": {name: _loop_inputs()[name] for name in ("x", "w")},
        **_sequence_inputs(),
        "attention": _attention_inputs(),
        **_convolution_inputs(),
        "weight_sharing": _weight_sharing_inputs(),
        "higher_order_gradients": {
            "x": _numbers(80, 4, 3),
            "w1": _numbers(81, 3, 6),
            "w2": _numbers(82, 6),
        },
        "changed_model": _changed_inputs(),
        "data_parallel": _data_parallel_inputs(),
    }


def expected_answers() -> dict[str, Answers]:
    """Return the expected answers, float64 arrays by probe and name."""
    return {
        name: EXPECTED[name](
            {
                key: value.astype(np.float64) if value.dtype == np.float32 else value
                for key, value in arrays.items()
            }
        )
        for name, arrays in inputs().items()
    }


def answer_error(name: str, answers: Mapping[str, NDArray[Any]]) -> float | None:
    """Return the error of a probe's answers from gold, or None where they cannot be used.

    The largest absolute difference, of each answer over its largest gold value; None where one
    is missing, has another shape or is not finite.
    """
    largest = 0.0
    for part, gold_answer in expected_answers()[name].items():
        answer = answers.get(part)
        if answer is None or answer.shape != gold_answer.shape or not np.isfinite(answer).all():
            return None
        difference = float(np.abs(answer.astype(np.float64) - gold_answer).max())
        largest = max(largest, difference / parity_scale(gold_answer))
    return largest


def _own_layer(arrays: Arrays) -> Answers:
    """Rounding, whose gradient is zero, with a custom gradient: the output's, scaled."""
    rounded = np.asarray(np.round(arrays["x"]), np.float64)
    return {"y": rounded, "gradient": SCALE * arrays["upstream"]}


def _derived_gradient(arrays: Arrays) -> Answers:
    """The product x sin(x), of which the program writes no gradient."""
    x = arrays["x"]
    gradient = arrays["upstream"] * (np.sin(x) + x * np.cos(x))
    return {"y": x * np.sin(x), "gradient": gradient}


def _loop(x: Floats, w: Floats) -> tuple[Floats, list[Floats]]:
    """Return tanh(... tanh(x w) w ...) until every value is small, and all states on the way."""
    states = [x]
    while np.abs(states[-1]).max() > SMALL:
        states.append(np.tanh(states[-1] @ w))
    return states[-1], states


def _data_dependent_loop(arrays: Arrays) -> Answers:
    long_run, short_run = _loop(arrays["x"], arrays["w"]), _loop(arrays["brief"], arrays["w"])
    steps = np.array([len(long_run[1]) - 1.0, len(short_run[1]) - 1.0])
    return {"long": long_run[0], "short": short_run[0], "steps": steps}


def _data_dependent_loop_gradient(arrays: Arrays) -> Answers:
    """The gradient, by w, of the sum of the loop's last state."""
    w = arrays["w"]
    _, states = _loop(arrays["x"], w)
    gradient, upstream = np.zeros_like(w), np.ones_like(states[-1])
    for before, after in zip(states[-2::-1], states[:0:-1], strict=True):
        upstream = upstream * (1 - after**2)
        gradient += before.T @ upstream
        upstream = upstream @ w.T
    return {"gradient": gradient}


def _python_loop(arrays: Arrays) -> Answers:
    """The same by Python's own ``while``, on values that the framework gives at once."""
    y, _ = _loop(arrays["x"], arrays["w"])
    return {"y": y, **_data_dependent_loop_gradient(arrays)}


def _recurrence(arrays: Arrays, **settings: bool) -> recurrent.Recurrent:
    names = ("kernel", "recurrent", "bias")
    weights = {
        name: arrays[name] for name in (*names, *(f"backward_{n}" for n in names)) if name in arrays
    }
    layer = {"name": "lstm", "kind": "lstm", "units": arrays["recurrent"].shape[1], **settings}
    return recurrent.Recurrent(layer, weights)


def _different_lengths(arrays: Arrays) -> Answers:
    """Each sequence by itself: the last output, and the gradient of its sum with *upstream*."""
    last_outputs, gradients = [], dict.fromkeys(("kernel", "recurrent", "bias"), np.zeros(1))
    for row, length in enumerate(arrays["lengths"]):
        layer = _recurrence(arrays, return_sequences=False)
        last_outputs.append(layer.forward(arrays["x"][row : row + 1, :length])[0])
        layer.backward(arrays["upstream"][row : row + 1])
        gradients = {name: value + layer.gradients[name] for name, value in gradients.items()}
    return {"last": np.stack(last_outputs), **gradients}


def _beam_search(arrays: Arrays) -> Answers:
    """The best sequences from token 0 and their log probabilities, the best first."""
    beams: list[tuple[float, list[int], Floats]] = [
        (0.0, [0], np.zeros(arrays["recurrent"].shape[0]))
    ]
    for _ in range(STEPS):
        candidates = []
        for score, sequence, hidden in beams:
            next_hidden = np.tanh(arrays["embedding"][sequence[-1]] + arrays["recurrent"] @ hidden)
            logits = arrays["output"] @ next_hidden
            log_probabilities = logits - np.log(np.exp(logits).sum())
            candidates += [
                (score + float(log_probability), [*sequence, token], next_hidden)
                for token, log_probability in enumerate(log_probabilities)
            ]
        beams = sorted(candidates, key=lambda beam: -beam[0])[:WIDTH]
    return {
        "sequences": np.array([sequence[1:] for _, sequence, _ in beams], np.float64),
        "scores": np.array([score for score, _, _ in beams]),
    }


def _bidirectional(arrays: Arrays) -> Answers:
    layer = _recurrence(arrays, return_sequences=True, bidirectional=True)
    return {"y": layer.forward(arrays["x"])}


def _attention(arrays: Arrays) -> Answers:
    """Scaled dot products, softmax over the keys that the mask allows; with all gradients."""
    query, key, value, upstream = (arrays[name] for name in ("query", "key", "value", "upstream"))
    scale = query.shape[-1] ** -0.5
    scores = np.where(arrays["mask"] > 0, query @ key.swapaxes(-1, -2) * scale, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    dweights = upstream @ value.swapaxes(-1, -2)
    dscores = weights * (dweights - (dweights * weights).sum(axis=-1, keepdims=True)) * scale
    return {
        "y": weights @ value,
        "query": dscores @ key,
        "key": dscores.swapaxes(-1, -2) @ query,
        "value": weights.swapaxes(-1, -2) @ upstream,
    }


def _convolved(arrays: Arrays, kernel: Floats, padding: list[list[int]]) -> Answers:
    dims = list(kernel.shape[2:])
    layer = {"name": "conv", "kernel": dims, "stride": [1] * len(dims), "padding": padding}
    conv = windows.Conv(layer, {"kernel": kernel, "bias": np.zeros(len(kernel))})
    y = conv.forward(arrays["x"])
    conv.backward(arrays["upstream"])
    return {"y": y, "gradient": conv.gradients["kernel"]}


def _convolution_of_video(arrays: Arrays) -> Answers:
    return _convolved(arrays, arrays["kernel"], [[0, 0]] * 3)


def _temporal_convolution(arrays: Arrays) -> Answers:
    """Causal: the input is padded on the left only."""
    kernel = arrays["kernel"]
    return _convolved(arrays, kernel, [[kernel.shape[2] - 1, 0]])


def _weight_sharing(arrays: Arrays) -> Answers:
    """One matrix embeds tokens and, transposed, gives the logits; its gradient is of both uses."""
    matrix, tokens = arrays["embedding"], arrays["tokens"]
    hidden = np.tanh(matrix[tokens])
    loss, dlogits = gold.cross_entropy(hidden @ matrix.T, arrays["targets"])
    gradient = np.einsum("ntv,nth->vh", dlogits, hidden)
    np.add.at(gradient, tokens, (dlogits @ matrix) * (1 - hidden**2))
    return {"loss": np.array(loss), "gradient": gradient}


def _higher_order_gradients(arrays: Arrays) -> Answers:
    """The gradients, by the weights, of the squared gradient of tanh(x w1) w2 by its input."""
    x, w1, w2 = arrays["x"], arrays["w1"], arrays["w2"]
    hidden = np.tanh(x @ w1)
    slope = (1 - hidden**2) * w2
    input_gradient = slope @ w1.T
    dpenalty_dslope = 2 * input_gradient @ w1
    dsums = dpenalty_dslope * w2 * -2 * hidden * (1 - hidden**2)
    return {
        "penalty": np.array((input_gradient**2).sum()),
        "w1": 2 * input_gradient.T @ slope + x.T @ dsums,
        "w2": (dpenalty_dslope * (1 - hidden**2)).sum(axis=0),
    }


def _changed_model(arrays: Arrays) -> Answers:
    """A step of SGD, then a layer w3 and its tanh in the middle, then another step."""
    weights = {name: arrays[name] for name in ("w1", "w2")}
    losses = []
    for names in (("w1", "w2"), ("w1", "w3", "w2")):
        if "w3" in names:
            weights["w3"] = arrays["w3"]
        loss, gradients = _dense_loss(names, weights, arrays)
        losses.append(loss)
        weights.update({name: weights[name] - RATE * gradients[name] for name in names})
    return {"losses": np.array(losses), **weights}


def _dense_loss(names: tuple[str, ...], weights: Answers, arrays: Arrays) -> tuple[float, Answers]:
    layers: list[dict[str, Any]] = []
    for name in names:
        layers.append({"name": name, "kind": "dense", "units": len(weights[name])})
        layers.append({"name": f"{name}_tanh", "kind": "tanh"})
    network = Network(name="changed", input=[4], classes=3, layers=layers[:-1])
    parameters = {f"{name}.kernel": weights[name] for name in names}
    parameters |= {f"{name}.bias": np.zeros(len(weights[name])) for name in names}
    loss, gradients = gold.loss_and_gradients(network, parameters, arrays["x"], arrays["y"])
    return loss, {name: gradients[f"{name}.kernel"] for name in names}


def _data_parallel(arrays: Arrays) -> Answers:
    """The gradients of the whole batch in one process, and how many rows each process has."""
    weights = {name: arrays[name] for name in ("w1", "w2")}
    _, gradients = _dense_loss(("w1", "w2"), weights, arrays)
    rows = len(arrays["x"]) / WORKERS
    return {**gradients, "rows": np.full(WORKERS, rows)}


EXPECTED: dict[str, Callable[[Arrays], Answers]] = {
    "own_layer": _own_layer,
    "derived_gradient": _derived_gradient,
    "data_dependent_loop": _data_dependent_loop,
    "data_dependent_loop_gradient": _data_dependent_loop_gradient,
    "python_loop": _python_loop,
    "different_lengths": _different_lengths,
    "beam_search": _beam_search,
    "bidirectional": _bidirectional,
    "attention": _attention,
    "convolution_of_video": _convolution_of_video,
    "temporal_convolution": _temporal_convolution,
    "weight_sharing": _weight_sharing,
    "higher_order_gradients": _higher_order_gradients,
    "changed_model": _changed_model,
    "data_parallel": _data_parallel,
}

NAMES = tuple(EXPECTED)

#: What concerns no model, but how it is trained: not every framework has a program for these.
PARALLEL = ("data_parallel",)
