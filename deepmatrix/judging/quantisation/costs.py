"""What quantisation costs: the answers of a quantised model against those of its original.

Both are gold, each of its own model: the cost is that of the model, whatever serves it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from deepmatrix.judging import deviations, masked
from deepmatrix.models.following import follow
from deepmatrix.planning.subjects import Artifact
from deepmatrix.store import arrays, artifacts, truths
from deepmatrix.store.arrays import Values
from deepmatrix.store.runs import Run


@dataclass(frozen=True, kw_only=True)
class Cost:
    """How far an output is from that of the original.

    *error*: largest difference over the original's scale. *snr_db*: the original's energy over the
    difference's, in decibels, None where they are equal. *flips*: rows, by number, whose largest
    value is at another index, and *margins*: there the original's largest value less its second;
    None where there are no classes. *rows*: how many there are.
    """

    output: str
    error: float | None
    snr_db: float | None = None
    rows: int = 0
    flips: tuple[int, ...] | None = None
    margins: tuple[float, ...] = ()


def costs(run: Run, original: Artifact, quantised: Artifact) -> list[Cost]:
    """Return the cost of each output of a quantised model that a run has stored.

    Outputs are matched by name where the names are the same, else by their order. Values that
    either model leaves undefined do not count, nor do outputs that are random. Without both models,
    and gold of both, there is none.

    Raises:
        Damaged: a file of one of them cannot be used.
    """
    folders = run.artifact_path(original), run.artifact_path(quantised)
    if not all((folder / artifacts.DESCRIPTION).is_file() for folder in folders):
        return []
    before, after = map(truths.read, folders)
    try:
        right = follow(before, after, list(after.gold), "the original")
    except arrays.Unreadable:
        return []
    return [
        _cost(name, *(masked.judged_values(x, right, name) for x in (after.gold[name], gold)))
        for name, gold in right.gold.items()
        if name not in right.random and name not in right.reshaped
    ]


def _level(values: Values) -> float | None:
    """Return the energy of finite values, float64, in decibels; None where there is none."""
    largest = float(np.abs(values).max(initial=0.0))
    if not largest:
        return None
    return 20 * math.log10(largest) + 10 * math.log10(np.square(values / largest).sum())


@np.errstate(all="ignore")
def _cost(name: str, answer: Values, original: Values) -> Cost:
    error = deviations.distance(answer, original, deviations.output_scale(original))
    if error is None or original.dtype.kind != "f":
        return Cost(output=name, error=error)
    truth, value = original.astype(np.float64), answer.astype(np.float64)
    finite = np.isfinite(truth)
    # Half of each, as the difference of two floats may be beyond the largest one.
    signal, noise = _level(truth[finite] / 2), _level(value[finite] / 2 - truth[finite] / 2)
    snr = signal - noise if signal is not None and noise is not None else None
    if truth.ndim < 2 or truth.shape[-1] < 2:
        return Cost(output=name, error=error, snr_db=snr)
    rows, answers = truth.reshape(-1, truth.shape[-1]), value.reshape(-1, truth.shape[-1])
    flips = np.flatnonzero(rows.argmax(axis=1) != answers.argmax(axis=1))
    ordered = np.sort(rows[flips], axis=1)
    margins = np.nan_to_num(ordered[:, -1] - ordered[:, -2])  # between infinities there is none
    return Cost(
        output=name,
        error=error,
        snr_db=snr,
        rows=len(rows),
        flips=tuple(int(row) for row in flips),
        margins=tuple(float(margin) for margin in margins),
    )
