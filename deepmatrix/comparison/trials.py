"""Trials of two versions: the rows of each side, and whether new rounds show a slow-down too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from deepmatrix.comparison.changes import Comparison, TimeChange
from deepmatrix.comparison.limits import Limit, too_slow
from deepmatrix.results.rows import Results
from deepmatrix.results.timing.rows import Row

R = TypeVar("R", bound=Row)


def side_of(results: Results, names: Mapping[str, str]) -> Results:
    """Return what a run says of some cells, under other names.

    Args:
        results: of a run in which versions of a package were served side by side.
        names: the cell of the matrix file, by the cell of one version.
    """
    return results.model_copy(
        update={
            "cells": _renamed(results.cells, "cell", names),
            "inference": _renamed(results.inference, "cell", names),
            "serving": _renamed(results.serving, "cell", names),
            "portability": _renamed(results.portability, "consumer", names),
            "training": (),
            "passes": (),
            "idioms": (),
            "probes": (),
            "exports": (),
        }
    )


def _renamed(rows: Sequence[R], key: str, names: Mapping[str, str]) -> tuple[R, ...]:
    return tuple(
        row.model_copy(update={key: names[getattr(row, key)]})
        for row in rows
        if getattr(row, key) in names
    )


def suspects(comparison: Comparison, limits: Sequence[Limit]) -> list[TimeChange]:
    """Return the slow-downs that would break a limit, each once."""
    slow = [
        change
        for limit in limits
        if limit.name == "slower"
        for change in too_slow(comparison, limit)
    ]
    return list(dict.fromkeys(slow))


def confirmed(
    comparison: Comparison, again: Comparison, suspected: Sequence[TimeChange]
) -> Comparison:
    """Return a comparison in which suspects are what the second measurement says of them.

    A suspect that the second measurement does not have cannot be told.
    """
    repeated = {_key(change): change for change in again.times}
    times = []
    for change in comparison.times:
        if change not in suspected:
            times.append(change)
        elif _key(change) in repeated:
            times.append(repeated[_key(change)].model_copy(update={"again": True}))
        else:
            times.append(change.model_copy(update={"word": "cannot tell"}))
    return comparison.model_copy(update={"times": tuple(times)})


def _key(change: TimeChange) -> tuple[str, str, str, int]:
    return (change.cell, change.quantity, change.subject, change.batch)
