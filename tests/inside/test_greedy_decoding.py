"""A decoder that is fed with its own answers."""

from __future__ import annotations

import functools

import numpy as np

from deepmatrix.workloads import gold, inputs
from deepmatrix.workloads.networks import NETWORKS
from deepmatrix.workloads.networks.weights import initial_weights
from harness.phases.deployment import continue_greedily
from harness.phases.training import decode_greedily

NETWORK = NETWORKS["seq2seq-tiny"]
STEPS = NETWORK["input"][0] // 2


def test_greedy_answers_are_those_that_follow_from_themselves() -> None:
    weights = {name: 3 * array for name, array in initial_weights(NETWORK, 0).items()}
    predict = functools.partial(gold.forward, NETWORK, weights)
    x = inputs.load_data(NETWORK)["test_x"]
    forced = predict(x).argmax(axis=-1)

    greedy = decode_greedily(predict, x)

    fed = x.copy()
    fed[:, STEPS + 1 :] = np.eye(x.shape[2])[greedy[:, :-1]]
    np.testing.assert_array_equal(predict(fed).argmax(axis=-1), greedy)
    np.testing.assert_array_equal(forced[:, 0], greedy[:, 0])  # both read the start token
    assert (forced != greedy).mean() > 0.1
    np.testing.assert_array_equal(decode_greedily(predict, fed), greedy)


def test_a_prompt_is_continued_by_what_is_likeliest_after_all_before() -> None:
    network = NETWORKS["decoder-tiny"]
    weights = {name: 3 * array for name, array in initial_weights(network, 0).items()}
    predict = functools.partial(gold.forward, network, weights)
    steps, symbols = network["input"]
    prompt = list(b"You m")

    continued = continue_greedily(predict, prompt, (steps, symbols))

    assert len(continued) == steps - len(prompt)
    whole = np.eye(symbols, dtype=np.float32)[[prompt + continued]]
    likeliest = predict(whole)[0].argmax(axis=-1)
    np.testing.assert_array_equal(likeliest[len(prompt) - 1 : -1], continued)
    assert len(set(continued)) > 1
