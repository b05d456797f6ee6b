"""The two sides of a trial: the rows of each version, under the names of its own cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from deepmatrix.results.rows import Results, Row

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
