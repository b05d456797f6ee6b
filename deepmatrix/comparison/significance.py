"""Which of many ratios of times are beyond chance, where each has a few rounds only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepmatrix.results.timing.statistics import LEVEL, Samples, scipy_module

#: A variance of logarithms below this share of the median one counts as this share: rounds that
#: agree by chance are not exact.
SMALLEST_SHARE = 1e-5

#: Fewer variances than this tell nothing about each other.
FEWEST = 3

#: A variance whose excess over the typical one has a smaller probability is an outlier.
OUTLIER = 0.01

#: The least variance: times that are the same to the last digit still have that digit.
SMALLEST = 1e-20


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A time over an earlier one with its interval at `LEVEL`, in itself; and its p-value.

    *p*: the probability of such a ratio, or one farther from 1, where both are equal; two-sided.
    """

    value: float
    low: float
    high: float
    p: float


def compare_rounds(pairs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> list[Ratio]:
    """Return the ratio of each pair, whose variances are estimated with the help of all others.

    Three rounds a side cannot tell how much rounds vary; a hundred such pairs can. Each pooled
    variance of the logarithms is drawn towards what is typical of all, the more so the more alike
    they are, outliers excepted: the moderated t-test (Smyth, "Linear models and empirical Bayes
    methods for assessing differential expression in microarray experiments", Statistical
    Applications in Genetics and Molecular Biology 3(1), 2004, sections 3 to 6.2).
    Where the variances differ wildly, it is Student's t-test.

    Args:
        pairs: the medians of the rounds of the earlier and of the later one, seconds, above zero;
            at least two each.
    """
    if not pairs:
        return []
    logs = [(np.log(base), np.log(head)) for base, head in pairs]
    freedoms = np.array([base.size + head.size - 2.0 for base, head in logs])
    squares = [float(sum(((x - x.mean()) ** 2).sum() for x in sides)) for sides in logs]
    variances = np.array(squares) / freedoms
    variances = np.maximum(variances, max(SMALLEST_SHARE * float(np.median(variances)), SMALLEST))
    prior, typical = _prior(variances, freedoms)
    priors = np.where(_is_outlier(variances, freedoms, prior, typical), 0.0, prior)
    total = np.minimum(freedoms + priors, freedoms.sum())
    weights = np.array(
        [
            1.0 if math.isinf(own) else own / (own + freedom)
            for own, freedom in zip(priors, freedoms, strict=True)
        ]
    )
    variances = weights * typical + (1 - weights) * variances
    return [
        _ratio(*sides, float(variance), float(freedom))
        for sides, variance, freedom in zip(logs, variances, total, strict=True)
    ]


def _ratio(base: Samples, head: Samples, variance: float, freedom: float) -> Ratio:
    special = scipy_module("special")
    error = math.sqrt(variance * (1 / base.size + 1 / head.size))
    middle = float(head.mean() - base.mean())
    reach = float(special.stdtrit(freedom, (1 + LEVEL) / 2)) * error
    return Ratio(
        value=math.exp(middle),
        low=math.exp(middle - reach),
        high=math.exp(middle + reach),
        p=2 * float(special.stdtr(freedom, -abs(middle) / error)),
    )


def _is_outlier(
    variances: Samples, freedoms: Samples, prior: float, typical: float
) -> npt.NDArray[np.bool_]:
    """Return which variances are too large to be like the others: one round was disturbed.

    They are not drawn towards the typical one, which would make the disturbance a finding
    (Phipson and others, "Robust hyperparameter estimation protects against hypervariable genes",
    The Annals of Applied Statistics 10(2), 2016, do so gradually).
    """
    special = scipy_module("special")
    ratios = variances / typical
    if prior == 0:
        return np.zeros(variances.shape, dtype=np.bool_)
    tails = (
        special.chdtrc(freedoms, freedoms * ratios)
        if math.isinf(prior)
        else special.fdtrc(freedoms, prior, ratios)
    )
    outliers: npt.NDArray[np.bool_] = tails < OUTLIER
    return outliers


def _prior(variances: Samples, freedoms: Samples) -> tuple[float, float]:
    """Return the degrees of freedom that the typical variance is worth, and that variance.

    By the moments of the logarithms of the variances (Smyth 2004, section 6.2).
    """
    if variances.size < FEWEST:
        return 0.0, 1.0
    special = scipy_module("special")
    halves = freedoms / 2
    centred = np.log(variances) - special.psi(halves) + np.log(halves)
    mean = float(centred.mean())
    excess = float(centred.var(ddof=1) - special.polygamma(1, halves).mean())
    if excess <= special.polygamma(1, 1e6):
        return math.inf, math.exp(mean)
    brentq = scipy_module("optimize").brentq
    half = float(brentq(lambda x: float(special.polygamma(1, x)) - excess, 1e-6, 1e6))
    return 2 * half, math.exp(mean + float(special.psi(half)) - math.log(half))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number: below 0.05, all conclusions together err in 5 %.

    Holm's step-down method (Holm, "A simple sequentially rejective multiple test procedure",
    Scandinavian Journal of Statistics 6, 1979). It holds however the comparisons depend on each
    other.

    Args:
        p_values: of every comparison that was made, in any order; each from 0 to 1.

    Returns:
        the adjusted ones, in the same order.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
