import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matrix import gold, inputs, networks
from matrix.networks import NETWORKS


def conv(name, **settings):
    return {
        "name": name,
        "kind": "conv2d",
        "filters": 3,
        "kernel": [3, 2],
        "padding": "same",
        "stride": 1,
        **settings,
    }


def network(shape, *layers):
    output = {"name": "output", "kind": "dense", "units": 4}
    return {"name": "small", "input": list(shape), "classes": 4, "layers": [*layers, output]}


SIDES = (-1e-6, 1e-6)  # of a central difference

FLATTEN = {"name": "flatten", "kind": "flatten"}
RELU = {"name": "relu", "kind": "relu"}
POOL = {"name": "pool", "kind": "maxpool2d", "size": [2, 3]}

SMALL = {
    "dense": network((5,)),
    "relu": network((5,), {"name": "first", "kind": "dense", "units": 6}, RELU),
    "conv same": network((2, 5, 4), conv("conv"), FLATTEN),
    "conv valid, stride 2": network((2, 6, 5), conv("conv", padding="valid", stride=2), FLATTEN),
    "pool, uneven": network((2, 5, 7), conv("conv"), RELU, POOL, FLATTEN),
    "lstm": network((4, 3), {"name": "l", "kind": "lstm", "units": 5, "return_sequences": False}),
    "lstm on lstm": network(
        (4, 3),
        {"name": "one", "kind": "lstm", "units": 3, "return_sequences": True},
        {"name": "two", "kind": "lstm", "units": 2, "return_sequences": False},
    ),
}


def example(described, seed):
    """Return weights, inputs and labels of a small batch, none of them special."""
    random = np.random.default_rng(seed)
    weights = {
        name: random.normal(size=shape) for name, shape in networks.parameters(described).items()
    }
    x = random.normal(size=(3, *described["input"]))
    return weights, x, random.integers(0, described["classes"], 3)


@pytest.mark.parametrize("name", SMALL)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=5, deadline=None)
def test_every_gradient_agrees_with_finite_differences(name, seed):
    described = SMALL[name]
    weights, x, labels = example(described, seed)
    _, gradients = gold.loss_and_gradients(described, weights, x, labels)
    assert gradients.keys() == weights.keys()
    random = np.random.default_rng(seed)
    for parameter, gradient in gradients.items():
        direction = random.normal(size=gradient.shape)
        moves = {
            sign: {**weights, parameter: weights[parameter] + sign * direction} for sign in SIDES
        }
        below, above = (
            gold.loss_and_gradients(described, moves[sign], x, labels)[0] for sign in SIDES
        )
        slope = (above - below) / (SIDES[1] - SIDES[0])
        np.testing.assert_allclose((gradient * direction).sum(), slope, rtol=1e-5, atol=1e-7)


def test_a_convolution_is_the_sum_that_it_says():
    described = SMALL["conv valid, stride 2"]
    weights, x, _ = example(described, 1)
    kernel, bias = weights["conv.kernel"], weights["conv.bias"]
    expected = np.zeros((3, 3, 2, 2))
    for n, o, row, column in np.ndindex(expected.shape):
        patch = x[n, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 2]
        expected[n, o, row, column] = (patch * kernel[o]).sum() + bias[o]
    flat = expected.reshape(3, -1) @ weights["output.kernel"].T + weights["output.bias"]
    np.testing.assert_allclose(gold.forward(described, weights, x), flat)


def test_same_padding_puts_the_odd_column_at_the_end():
    layer = conv("conv", filters=1, kernel=[1, 2])
    described = {
        "name": "n",
        "input": [1, 1, 3],
        "classes": 3,
        "layers": [layer, FLATTEN],
    }
    weights = {"conv.kernel": np.array([[[[10.0, 1.0]]]]), "conv.bias": np.zeros(1)}
    x = np.array([[[[1.0, 2.0, 3.0]]]])
    np.testing.assert_allclose(gold.forward(described, weights, x), [[12.0, 23.0, 30.0]])


def test_an_lstm_is_its_textbook_formula():
    described = SMALL["lstm"]
    weights, x, _ = example(described, 2)
    hidden, memory = np.zeros((3, 5)), np.zeros((3, 5))

    def sigmoid(value):
        return 1 / (1 + np.exp(-value))

    for step in range(4):
        sums = x[:, step] @ weights["l.kernel"].T + hidden @ weights["l.recurrent"].T
        i, f, g, o = np.split(sums + weights["l.bias"], 4, axis=1)
        memory = sigmoid(f) * memory + sigmoid(i) * np.tanh(g)
        hidden = sigmoid(o) * np.tanh(memory)
    expected = hidden @ weights["output.kernel"].T + weights["output.bias"]
    np.testing.assert_allclose(gold.forward(described, weights, x), expected)


def test_of_equal_ones_the_first_is_the_largest():
    pool = {"name": "pool", "kind": "maxpool2d", "size": [2, 2]}
    described = network((1, 2, 2), conv("conv", filters=1, kernel=[1, 1]), pool, FLATTEN)
    weights, _, labels = example(described, 3)
    x = np.array([[[[0.0, 1.0], [1.0, 1.0]]]]).repeat(3, axis=0)
    weights["conv.kernel"][:] = 1
    moved = x.copy()
    moved[:, :, 1, 1] = 0  # the last of three equal ones is never looked at
    one, other = (
        gold.loss_and_gradients(described, weights, some, labels)[1]["conv.kernel"]
        for some in (x, moved)
    )
    np.testing.assert_array_equal(one, other)


def test_large_logits_do_not_overflow():
    loss, gradient = gold.cross_entropy(np.array([[1e4, -1e4, 0.0]]), np.array([1]))
    assert loss == pytest.approx(2e4)
    np.testing.assert_allclose(gradient, [[1.0, -1.0, 0.0]])


def test_training_changes_nothing_that_it_was_given():
    described = SMALL["dense"]
    weights, x, labels = example(described, 4)
    before = {name: value.copy() for name, value in weights.items()}
    trained = gold.train(described, weights, itertools.repeat((x, labels), 50), rate=0.5)
    for name, value in weights.items():
        np.testing.assert_array_equal(value, before[name])
    assert trained.losses[-1] < trained.losses[0] / 2
    assert trained.losses[0] == gold.loss_and_gradients(described, weights, x, labels)[0]


@pytest.mark.parametrize(
    ("name", "epochs", "rate", "least"),
    [("digits-conv", 10, 0.2, 0.95), ("digits-lstm", 12, 0.3, 0.90)],
)
def test_the_workloads_learn_the_digits(name, epochs, rate, least):
    described = NETWORKS[name]
    data = inputs.digits(described)
    rows = inputs.order(len(data["train_x"]), batch=32, epochs=epochs, seed=0)
    start = networks.initial_weights(described, 0)
    trained = gold.train(described, start, inputs.batches(data, rows), rate=rate)
    logits = gold.forward(described, trained.weights, data["test_x"])
    assert gold.accuracy(logits, data["test_y"]) >= least
