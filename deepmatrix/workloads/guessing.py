"""What an accuracy has to exceed before it says that a network learned something."""

from __future__ import annotations

import math
from functools import cache

from deepmatrix.workloads import inputs
from deepmatrix.workloads.networks import NETWORKS

#: So seldom does a network that guesses reach more right answers than `guessed_accuracy`.
LEVEL = 0.001


@cache
def guessed_accuracy(network: str) -> float | None:
    """Return the accuracy that guessing hardly exceeds on a network's held-out data.

    Each held-out answer of a network that always gives the commonest one is right with the
    probability of that, so their number is binomial: it exceeds the bound with a probability of
    `LEVEL` at most. None for a network that is not described here, as one of an older run.
    """
    if network not in NETWORKS:
        return None
    described = NETWORKS[network]
    answers = inputs.held_out_answers(described)
    return binomial_bound(answers, inputs.commonest_share(described)) / answers


def binomial_bound(trials: int, probability: float) -> int:
    """Return the least count that so many trials exceed with a probability of `LEVEL` at most."""
    exceeded = 0.0
    for count in range(trials, -1, -1):  # the tail first: its terms are small
        exceeded += _probability(count, trials, probability)
        if exceeded > LEVEL:
            return count
    raise AssertionError("the probabilities of all counts add up to one")


def _probability(count: int, trials: int, probability: float) -> float:
    ways = math.lgamma(trials + 1) - math.lgamma(count + 1) - math.lgamma(trials - count + 1)
    return math.exp(
        ways + count * math.log(probability) + (trials - count) * math.log1p(-probability)
    )
