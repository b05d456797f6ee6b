"""Trials of two versions or runs: the rows of each, and whether new rounds show a slow-down too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

from deepmatrix.comparison.changes import Comparison, TimeChange
from deepmatrix.comparison.limits import Limit, too_slow
from deepmatrix.planning.trials import Trial
from deepmatrix.results.rows import Results
from deepmatrix.results.timing.rows import Row

R = TypeVar("R", bound=Row)

Key = tuple[str, str, str, str, int]
"""The cell, its machine, the quantity, the subject and the batch of a time."""

#: The times that serving artifacts measures.
SERVED = frozenset({"inference", "first inference", "prefill", "decode", "all"})

#: Why what a framework does for itself is not repeated.
OWN_WORK = "only what serves an artifact is measured again, and no training"

#: Why what one of several machines measured is not repeated.
SEVERAL = "the cell was measured on several machines"

#: Why a suspect is what it was at first, where no other reason is known.
NOT_MEASURED = "the second measurement does not have it"


def side_of(results: Results, trial: Trial) -> Results:
    """Return what a run says of the cells of a trial, under the names of those they stand for.

    An artifact of an earlier run has the name that it has there, too.
    """
    names = {new.id: own.id for own, new in trial.cells}
    origins = {kept.artifact.id: kept.origin for kept in trial.kept}
    return results.model_copy(
        update={
            "cells": _renamed(results.cells, {"cell": names}),
            "inference": _renamed(results.inference, {"cell": names, "subject": origins}),
            "serving": _renamed(results.serving, {"cell": names, "subject": origins}),
            "generation": _renamed(results.generation, {"cell": names, "artifact": origins}),
            "portability": _renamed(results.portability, {"consumer": names, "artifact": origins}),
            "training": (),
            "passes": (),
            "steps": (),
            "idioms": (),
            "probes": (),
            "facts": (),
            "exports": (),
        }
    )


def _renamed(rows: Sequence[R], names: Mapping[str, Mapping[str, str]]) -> tuple[R, ...]:
    """Return the rows of which the first key has a new name, with new names where there are any."""
    first = next(iter(names))
    return tuple(
        row.model_copy(
            update={key: by.get(getattr(row, key), getattr(row, key)) for key, by in names.items()}
        )
        for row in rows
        if getattr(row, first) in names[first]
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


def split_suspects(
    comparison: Comparison, suspected: Sequence[TimeChange], refusal: Callable[[str, str], str]
) -> tuple[dict[str, set[str]], dict[Key, str]]:
    """Return what has to be served again, artifacts by cell; and why some suspects cannot be.

    Args:
        comparison: of two runs.
        suspected: its slow-downs that would break a limit.
        refusal: returns why a cell, given first, cannot serve an artifact again, or nothing.
    """
    served: dict[str, set[str]] = {}
    refused: dict[Key, str] = {}
    for change in suspected:
        needed = _needed(comparison, change)
        reasons = (refusal(change.cell, subject) for subject in sorted(needed))
        reason = SEVERAL if change.machine else next(filter(None, reasons), "")
        reason = reason if change.quantity in SERVED else OWN_WORK
        if reason:
            refused[key_of(change)] = reason
        else:
            served.setdefault(change.cell, set()).update(needed)
    return served, refused


def _needed(comparison: Comparison, change: TimeChange) -> set[str]:
    """Return the subjects whose times a change is made of: of a mean, all of the cell."""
    if change.quantity != "all":
        return {change.subject}
    inferences = [time for time in comparison.times if time.quantity == "inference"]
    return {time.subject for time in inferences if time.cell == change.cell}


def confirmed(
    comparison: Comparison,
    second: Comparison | None,
    suspected: Sequence[TimeChange],
    refused: Mapping[Key, str] = MappingProxyType({}),
) -> Comparison:
    """Return a comparison in which suspects are what the second measurement says of them.

    A suspect that the second measurement does not have stays what it was, and says why: no limit
    may be passed because something could not be measured.

    Args:
        comparison: the first measurement.
        second: the second one, None where there is none.
        suspected: the suspects.
        refused: why some of them have no second measurement.
    """
    repeated = {key_of(change): change for change in second.times} if second else {}
    times = []
    for change in comparison.times:
        remeasured = repeated.get(key_of(change))
        if change not in suspected:
            times.append(change)
        elif remeasured and key_of(change) not in refused and remeasured.count == change.count:
            times.append(remeasured.model_copy(update={"again": True}))
        else:
            reason = refused.get(key_of(change)) or _why_not_measured(second, change.cell)
            times.append(change.model_copy(update={"unrepeated": reason}))
    return comparison.model_copy(update={"times": tuple(times)})


def _why_not_measured(second: Comparison | None, cell: str) -> str:
    """Return why the second measurement tells nothing of a cell."""
    untimed = second.untimed if second else ()
    return next((group.reason for group in untimed if cell in group.cells), NOT_MEASURED)


def key_of(change: TimeChange) -> Key:
    """Return what a time is of."""
    return (change.cell, change.machine, change.quantity, change.subject, change.batch)
