import itertools
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepmatrix.config.sections import LayerKind
from deepmatrix.workloads import gold, inputs, networks
from deepmatrix.workloads.networks import NETWORKS
from deepmatrix.workloads.networks.weights import initial_weights
from harness import record


def conv(name, dims=2, **settings):
    return {
        "name": name,
        "kind": "conv",
        "filters": 3,
        "kernel": [3, 2, 2][:dims],
        "stride": [1] * dims,
        "padding": [[1, 1], [0, 1], [1, 0]][:dims],
        **settings,
    }


def pool(size, stride, padding):
    return {"name": "pool", "kind": "max_pool", "size": size, "stride": stride, "padding": padding}


def layer(name, kind, **settings):
    return {"name": name, "kind": kind, **settings}


def dense(name, units):
    return layer(name, "dense", units=units)


def network(shape, *layers):
    output = dense("output", 4)
    return {"name": "small", "input": list(shape), "classes": 4, "layers": [*layers, output]}


SIDES = (-1e-6, 1e-6)  # of a central difference

FLATTEN = layer("flatten", "flatten")
RELU = layer("relu", "relu")
LAST = {"units": 3, "return_sequences": False}
ALL = {"units": 3, "return_sequences": True}
BOTH = {"bidirectional": True}

SMALL = {
    "dense": network((5,)),
    "dense over time": network((3, 5)),
    "relu": network((5,), dense("first", 6), RELU),
    "tanh": network((5,), dense("first", 6), layer("tanh", "tanh")),
    "conv, odd padding": network((2, 5, 4), conv("conv"), FLATTEN),
    "conv, stride 2": network(
        (2, 6, 5), conv("conv", stride=[2, 2], padding=[[0, 0], [0, 0]]), FLATTEN
    ),
    "conv of one dimension": network((2, 6), conv("conv", 1), FLATTEN),
    "conv of three dimensions": network((1, 3, 4, 3), conv("conv", 3, stride=[1, 2, 1]), FLATTEN),
    "pool, uneven": network(
        (2, 5, 7), conv("conv"), RELU, pool([2, 3], [2, 3], [[0, 0]] * 2), FLATTEN
    ),
    "pool, overlapping and padded": network(
        (2, 5, 6), conv("conv"), pool([3, 3], [2, 2], [[1, 1], [0, 1]]), FLATTEN
    ),
    "pool of three dimensions": network(
        (1, 4, 4, 4), conv("conv", 3), pool([2, 2, 2], [2, 2, 2], [[0, 0]] * 3), FLATTEN
    ),
    "average": network((2, 5, 4), conv("conv"), layer("average", "global_average_pool")),
    "lrn": network(
        (2, 3, 3),
        conv("conv", filters=6),
        layer("lrn", "lrn", size=5, alpha=0.3, beta=0.75, k=2.0),
        FLATTEN,
    ),
    "concat": network(
        (2, 4, 4),
        conv("one"),
        conv("two", inputs=["input"], filters=2),
        layer("both", "concat", inputs=["one", "two"], axis=1),
        FLATTEN,
    ),
    "add, read twice": network(
        (5,), dense("one", 6), dense("two", 6), layer("sum", "add", inputs=["one", "two"])
    ),
    "slice": network(
        (5, 3),
        layer("early", "slice", axis=1, start=0, stop=3),
        layer("late", "slice", inputs=["input"], axis=1, start=2, stop=5),
        layer("both", "add", inputs=["early", "late"]),
    ),
    "mean": network((4, 3), dense("first", 5), layer("mean", "mean")),
    "position": network((4, 3), layer("position", "position")),
    "layer norm": network((4, 3), layer("norm", "layer_norm", epsilon=1e-3)),
    "attention": network(
        (4, 3),
        dense("query", 5),
        dense("memory", 5) | {"inputs": ["input"]},
        layer("attention", "attention", inputs=["query", "memory"]),
    ),
    "attention of several heads": network(
        (4, 6), layer("attention", "multihead_attention", heads=2)
    ),
    "attention to what came before": network(
        (4, 6), layer("attention", "multihead_attention", heads=2, causal=True)
    ),
    **{
        f"{kind}, {how}": network((4, 3), layer("l", kind, **settings))
        for kind in ("rnn", "lstm", "gru")
        for how, settings in {
            "last": LAST,
            "all": ALL,
            "both ways, last": LAST | BOTH,
            "both ways, all": ALL | BOTH,
        }.items()
    },
    "gru from the end of another": network(
        (4, 3),
        layer("one", "gru", **ALL),
        layer("two", "gru", inputs=["input", "one"], **ALL),
        layer("both", "concat", inputs=["one", "two"], axis=2),
    ),
    "lstm on lstm": network((4, 3), layer("one", "lstm", **ALL), layer("two", "lstm", **LAST)),
}


def example(described, seed):
    """Return weights, inputs and labels of a small batch, none of them special."""
    random = np.random.default_rng(seed)
    weights = {
        name: random.normal(size=shape) for name, shape in networks.parameters(described).items()
    }
    x = random.normal(size=(3, *described["input"]))
    *_, (_, _, output) = networks.shapes(described)
    return weights, x, random.integers(0, described["classes"], (3, *output[:-1]))


def test_the_kinds_that_a_matrix_file_may_name_are_those_of_gold():
    assert set(get_args(LayerKind)) == gold.KINDS.keys()


@pytest.mark.parametrize("name", SMALL)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=5)
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


def test_a_convolution_is_its_defining_sum():
    described = SMALL["conv, stride 2"]
    weights, x, _ = example(described, 1)
    kernel, bias = weights["conv.kernel"], weights["conv.bias"]
    expected = np.zeros((3, 3, 2, 2))
    for n, o, row, column in np.ndindex(expected.shape):
        patch = x[n, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 2]
        expected[n, o, row, column] = (patch * kernel[o]).sum() + bias[o]
    flat = expected.reshape(3, -1) @ weights["output.kernel"].T + weights["output.bias"]
    np.testing.assert_allclose(gold.forward(described, weights, x), flat)


def test_padding_is_put_on_the_named_dimensions():
    one_row = conv("conv", filters=1, kernel=[1, 2], padding=[[0, 0], [0, 1]])
    described = {"name": "n", "input": [1, 1, 3], "classes": 3, "layers": [one_row, FLATTEN]}
    weights = {"conv.kernel": np.array([[[[10.0, 1.0]]]]), "conv.bias": np.zeros(1)}
    x = np.array([[[[1.0, 2.0, 3.0]]]])
    np.testing.assert_allclose(gold.forward(described, weights, x), [[12.0, 23.0, 30.0]])
    one_row["padding"] = [[0, 0], [1, 0]]
    np.testing.assert_allclose(gold.forward(described, weights, x), [[1.0, 12.0, 23.0]])


def test_padding_is_never_the_maximum_of_a_pool():
    described = {
        "name": "n",
        "input": [1, 1, 2],
        "classes": 2,
        "layers": [pool([1, 2], [1, 1], [[0, 0], [0, 1]]), FLATTEN],
    }
    x = np.array([[[[-3.0, -2.0]]]])
    np.testing.assert_array_equal(gold.forward(described, {}, x), [[-2.0, -2.0]])


def test_lrn_is_its_defining_formula():
    described = SMALL["lrn"]
    weights, x, _ = example(described, 5)
    outputs = gold.activations(described, weights, x)
    before = outputs["conv"]
    for channel in range(6):
        window = before[:, max(channel - 2, 0) : channel + 3]
        scale = 2.0 + 0.3 / 5 * (window**2).sum(axis=1)
        np.testing.assert_allclose(outputs["lrn"][:, channel], before[:, channel] / scale**0.75)


def test_a_gru_is_its_textbook_formula():
    described = SMALL["gru, last"]
    weights, x, _ = example(described, 6)
    hidden = np.zeros((3, 3))

    def sigmoid(value):
        return 1 / (1 + np.exp(-value))

    for step in range(4):
        from_x = np.split(x[:, step] @ weights["l.kernel"].T + weights["l.bias"], 3, axis=1)
        own = hidden @ weights["l.recurrent"].T + weights["l.recurrent_bias"]
        r, z, n = np.split(own, 3, axis=1)
        r, z = sigmoid(from_x[0] + r), sigmoid(from_x[1] + z)
        hidden = (1 - z) * np.tanh(from_x[2] + r * n) + z * hidden
    expected = hidden @ weights["output.kernel"].T + weights["output.bias"]
    np.testing.assert_allclose(gold.forward(described, weights, x), expected)


def test_a_bidirectional_layer_joins_both_directions():
    bidirectional = network((4, 3), layer("l", "lstm", **ALL, **BOTH))
    weights, x, _ = example(bidirectional, 7)
    unidirectional = network((4, 3), layer("l", "lstm", **ALL))
    forth = {name: value for name, value in weights.items() if "backward_" not in name}
    back = {name.replace("backward_", ""): weights[name] for name in weights if "backward" in name}
    joined = gold.activations(bidirectional, weights, x)["l"]
    output = {"output.kernel": np.zeros((4, 3)), "output.bias": np.zeros(4)}
    there = gold.activations(unidirectional, {**forth, **output}, x)["l"]
    and_back = gold.activations(unidirectional, {**back, **output}, x[:, ::-1])["l"][:, ::-1]
    np.testing.assert_allclose(joined, np.concatenate([there, and_back], axis=2))


def test_a_gru_goes_on_where_another_with_its_weights_ended():
    described = network(
        (6, 3),
        layer("begin", "slice", axis=1, start=0, stop=4),
        layer("one", "gru", **ALL),
        layer("end", "slice", inputs=["input"], axis=1, start=4, stop=6),
        layer("two", "gru", inputs=["end", "one"], **ALL),
    )
    weights, x, _ = example(described, 9)
    weights |= {name.replace("one", "two"): weights[name] for name in weights if "one" in name}
    whole = network((6, 3), layer("one", "gru", **ALL))
    parts = gold.activations(described, weights, x)
    together = np.concatenate([parts["one"], parts["two"]], axis=1)
    np.testing.assert_allclose(gold.activations(whole, weights, x)["one"], together)


def test_a_step_of_a_causal_network_does_not_know_what_comes_after():
    described = NETWORKS["decoder-tiny"]
    data, weights = inputs.load_data(described), initial_weights(described, 0)
    x, steps = data["test_x"][:2].copy(), described["input"][0]
    before = gold.forward(described, weights, x)
    x[:, 9] = np.roll(x[:, 9], 1, axis=-1)
    changed = (gold.forward(described, weights, x) != before).any(axis=(0, 2))
    np.testing.assert_array_equal(changed, np.arange(steps) >= 9)


def test_steps_with_past_add_up_to_the_whole_sequence():
    described = NETWORKS["decoder-small"]
    weights = initial_weights(described, 0)
    windows = inputs.load_data(described)["test_x"][:2]
    tokens = windows.argmax(axis=-1)
    cache = record.cache_names(2)
    past = dict(zip(cache, map(np.zeros, networks.cache_shapes(described, 2, 0)), strict=True))
    logits, first = [], 0
    for length in (17, 1, 40, 6):
        step = {record.TOKENS: tokens[:, first : first + length], **past}
        answers = gold.step_with_past(described, weights, step)
        logits.append(answers[record.LOGITS])
        past = {name: answers[present] for name, present in cache.items()}
        first += length
    assert [x.shape for x in past.values()] == networks.cache_shapes(described, 2, 64)
    whole = gold.forward(described, weights, windows)
    np.testing.assert_allclose(np.concatenate(logits, axis=1), whole, atol=1e-12)


def test_what_a_step_with_past_is_given_decides():
    described = NETWORKS["decoder-tiny"]
    weights, tokens = initial_weights(described, 0), np.arange(6).reshape(2, 3)
    past = [np.ones(shape) for shape in networks.cache_shapes(described, 2, 4)]
    names = record.cache_names(1)
    step = {record.TOKENS: tokens, **dict(zip(names, past, strict=True))}
    answers = gold.step_with_past(described, weights, step)
    for present in names.values():
        np.testing.assert_array_equal(answers[present][:, :, :4], 1)
        assert answers[present].shape == (2, 4, 7, 8)
    other = gold.step_with_past(described, weights, {**step, "past_value_0": -past[1]})
    assert (answers[record.LOGITS] != other[record.LOGITS]).all(axis=-1).all()


def test_causal_attention_of_a_step_is_attention_over_the_steps_until_it():
    described = SMALL["attention to what came before"]
    weights, x, _ = example(described, 10)
    whole = network((4, 6), layer("attention", "multihead_attention", heads=2))
    logits = gold.forward(described, weights, x)
    for step in range(4):
        expected = gold.forward(whole, weights, x[:, : step + 1])[:, step]
        np.testing.assert_allclose(logits[:, step], expected)


def test_an_unread_layer_is_refused():
    described = network((5,), dense("idle", 3), dense("used", 3) | {"inputs": ["input"]})
    weights, x, labels = example(described, 8)
    with pytest.raises(ValueError, match="nothing reads layer idle"):
        gold.loss_and_gradients(described, weights, x, labels)


def test_an_lstm_is_its_textbook_formula():
    described = network((4, 3), layer("l", "lstm", units=5, return_sequences=False))
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


def test_of_equal_values_a_pool_takes_the_first():
    plain = conv("conv", filters=1, kernel=[1, 1], padding=[[0, 0]] * 2)
    described = network((1, 2, 2), plain, pool([2, 2], [2, 2], [[0, 0]] * 2), FLATTEN)
    weights, _, labels = example(described, 3)
    x = np.array([[[[0.0, 1.0], [1.0, 1.0]]]]).repeat(3, axis=0)
    weights["conv.kernel"][:] = 1
    moved = x.copy()
    moved[:, :, 1, 1] = 0  # the last of three equal ones is never looked at
    first_gradient, moved_gradient = (
        gold.loss_and_gradients(described, weights, pool_input, labels)[1]["conv.kernel"]
        for pool_input in (x, moved)
    )
    np.testing.assert_array_equal(first_gradient, moved_gradient)


def test_large_logits_do_not_overflow():
    loss, gradient = gold.cross_entropy(np.array([[1e4, -1e4, 0.0]]), np.array([1]))
    assert loss == pytest.approx(2e4)
    np.testing.assert_allclose(gradient, [[1.0, -1.0, 0.0]])


def test_training_does_not_change_its_inputs():
    described = SMALL["dense"]
    weights, x, labels = example(described, 4)
    before = {name: value.copy() for name, value in weights.items()}
    trained = gold.train(
        described, weights, itertools.repeat((x, labels), 50), rates=itertools.repeat(0.5)
    )
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
    data = inputs.load_data(described)
    rows = inputs.batch_order(len(data["train_x"]), batch=32, epochs=epochs, seed=0)
    start = initial_weights(described, 0)
    trained = gold.train(described, start, inputs.batches(data, rows), rates=itertools.repeat(rate))
    logits = gold.forward(described, trained.weights, data["test_x"])
    assert gold.accuracy(logits, data["test_y"]) >= least
