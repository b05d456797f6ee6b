"""Steadiness: how far repeated answers to the same inputs are apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import NamedTuple

from deepmatrix.store.reported.phases import InferData


class Limits(NamedTuple):
    """The tolerances of outputs by name, those that are *random* apart.

    A consumer may call its outputs by other names: those have the *default*.
    """

    by_output: Mapping[str, float]
    random: Set[str]
    default: float

    def excess(self, output: str, error: float) -> float:
        """Return a difference over what its output is allowed."""
        return error / self.by_output.get(output, self.default)


class Apart(NamedTuple):
    """The worst difference between repeated answers, over its output's tolerance and over 1."""

    excess: float = 0.0
    error: float = 0.0
    text: str = ""


def within_threads(answered: InferData, limits: Limits) -> Apart:
    """Return the worst difference between answers with the same number of threads."""
    return _worst(
        (
            (name, error, f" (threads: {threads})", f"{data.different} of {data.answers} answers")
            for threads, data in answered.repeats.items()
            for name, error in data.largest.items()
        ),
        limits,
    )


def between_threads(answered: InferData, limits: Limits) -> Apart:
    """Return the worst difference between answers with different numbers of threads."""
    subject = f"answers with {' and '.join(answered.repeats)} threads"
    return _worst(
        (
            (name, error, "", subject)
            for data in answered.repeats.values()
            for name, error in data.threads_apart.items()
        ),
        limits,
    )


def _worst(differences: Iterable[tuple[str, float, str, str]], limits: Limits) -> Apart:
    """Return the worst of differences: output, error, by what number, and what differs."""
    return max(
        (
            Apart(
                limits.excess(name, error), error, f"{subject} differ, by {error:.1e} at most{by}"
            )
            for name, error, by, subject in differences
            if error and name not in limits.random
        ),
        default=Apart(),
    )
