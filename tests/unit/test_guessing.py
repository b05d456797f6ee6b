"""An accuracy that guessing reaches is told from one that was learned."""

from __future__ import annotations

import numpy as np
import pytest

from deepmatrix.config import matrix_file
from deepmatrix.drawing import numbers
from deepmatrix.paths import MATRIX_FILE
from deepmatrix.workloads import inputs
from deepmatrix.workloads.guessing import LEVEL, binomial_bound, guessed_accuracy
from deepmatrix.workloads.networks import NETWORKS

WORKLOADS = matrix_file.load(MATRIX_FILE).workloads


@pytest.mark.parametrize(("trials", "classes"), [(8, 1000), (359, 10), (2154, 10)])
def test_guessing_seldom_exceeds_the_bound_and_less_seldom_a_smaller_one(
    trials: int, classes: int
) -> None:
    bound = binomial_bound(trials, 1 / classes)
    counts = np.random.default_rng(0).binomial(trials, 1 / classes, 1_000_000)
    assert (counts > bound).mean() < 1.2 * LEVEL
    assert (counts >= bound).mean() > 0.8 * LEVEL


@pytest.mark.parametrize(
    "name", ["digits-conv", "seq2seq-tiny", "decoder-tiny", "alexnet-imagenet"]
)
def test_the_held_out_answers_are_those_of_the_data(name: str) -> None:
    network = NETWORKS[name]
    assert inputs.held_out_answers(network) == inputs.load_data(network)["test_y"].size


def test_one_answer_for_all_images_is_near_chance() -> None:
    labels = inputs.load_data(NETWORKS["digits-conv"])["test_y"]
    commonest = np.bincount(labels).max() / labels.size
    guessed = guessed_accuracy("digits-conv")
    assert numbers.accuracy(commonest, guessed=guessed) == "10.3 % (near chance)"
    assert numbers.accuracy(0.2, guessed=guessed) == "20.0 %"
    assert numbers.accuracy(0.2) == "20.0 %"


def test_a_decoder_that_only_follows_right_answers_is_near_chance() -> None:
    shown = numbers.accuracy(0.99, greedy=0.1, guessed=guessed_accuracy("seq2seq-small"))
    assert shown == "99.0 % forced, 10.0 % greedy (near chance)"


@pytest.mark.parametrize("name", [name for name in WORKLOADS if name.endswith("-small")])
def test_every_network_of_small_is_asked_for_an_accuracy_well_above_chance(name: str) -> None:
    network = WORKLOADS[name].network
    guessed = guessed_accuracy(network)
    assert guessed is not None
    text = NETWORKS[network].get("task") == "text"  # nobody knows each next byte
    assert WORKLOADS[name].accuracy >= (2 * guessed if text else (1 + guessed) / 2)


def test_always_a_space_is_near_chance_for_a_text() -> None:
    labels = inputs.load_data(NETWORKS["decoder-small"])["test_y"]
    guessed = guessed_accuracy("decoder-small")
    shown = numbers.accuracy(float((labels == ord(" ")).mean()), guessed=guessed)
    assert shown.endswith("(near chance)")


def test_a_network_of_an_older_run_has_no_bound() -> None:
    assert guessed_accuracy("retired-small") is None
