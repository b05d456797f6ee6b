"""A verification spread over jobs of CI: groups of models and cells, one architecture each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from deepmatrix.config import documents
from deepmatrix.errors import ArgumentError

#: A job has so many cells at most if the jobs suffice.
CELLS = 8

#: What is taken for the minutes of a job: to build or pull the image of a cell, to serve a model on
#: a cell; and what it may take together. Each job that shares a cell with others builds it again.
IMAGE_MIN, SERVING_MIN, JOB_MIN = 2.0, 0.5, 60.0


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one job of CI verifies: every one of its models on every one of its cells."""

    architecture: str
    models: tuple[str, ...]
    cells: tuple[str, ...]


def schema() -> str:
    """Return the JSON Schema of what ``jobs`` prints, as published in the repository."""
    return documents.json_schema(list[Share], "deepmatrix jobs", written=True)


def fan_out(
    readers: Mapping[tuple[str, str], Sequence[str]],
    job_limit: int,
    cells_a_job: int = CELLS,
    *,
    unserved_jobs: int = 0,
) -> list[Share]:
    """Spread models over the fewest jobs that take `JOB_MIN` at most, by `minutes`.

    Args:
        readers: by model and architecture, the cells that serve it.
        job_limit: so many jobs at most.
        cells_a_job: so many cells at most. Where there would be too many jobs, each may have more
            models, then more cells, and take longer.
        unserved_jobs: so many of the jobs are for what no cell serves.

    Returns:
        Jobs that have every pair of a model and its cells once.

    Raises:
        ArgumentError: the models are read by too many different sets of cells.
    """
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (model, architecture), cells in readers.items():
        if cells:
            groups.setdefault((architecture, tuple(cells)), []).append(model)
    if len(groups) + unserved_jobs > job_limit:
        raise ArgumentError(
            f"the models need {len(groups) + unserved_jobs} jobs, and there may be {job_limit}",
            hint="give models of one format the same cells, or verify them in several workflows",
        )
    times_longer = 1
    while True:
        shares = [
            Share(architecture=architecture, models=models, cells=some)
            for (architecture, cells), names in groups.items()
            for some in _batches(cells, cells_a_job)
            for models in _batches(names, times_longer * _models_a_job(len(some)))
        ]
        if len(shares) + unserved_jobs <= job_limit:
            return shares
        times_longer *= 2
        if times_longer > max(map(len, groups.values())):
            cells_a_job *= 2


def minutes(models: int, cells: int) -> float:
    """Return how long a job is taken to last."""
    return cells * (IMAGE_MIN + models * SERVING_MIN)


def _models_a_job(cells: int) -> int:
    """Return how many models a job may have, at least one."""
    return max(int((JOB_MIN / cells - IMAGE_MIN) / SERVING_MIN), 1)


def _batches(values: Sequence[str], most: int) -> Iterator[tuple[str, ...]]:
    """Yield the fewest parts of at most so many values, as even as can be."""
    count = -(-len(values) // most)
    edges = [part * len(values) // count for part in range(count + 1)]
    for start, end in itertools.pairwise(edges):
        yield tuple(values[start:end])
