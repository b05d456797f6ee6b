"""A verification spread over jobs of CI: groups of models and cells, one architecture each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from deepmatrix.config import documents
from deepmatrix.errors import ArgumentError

#: A cell needs an image and minutes, so that a job has so many at most if the jobs suffice.
CELLS = 8


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
    readers: Mapping[tuple[str, str], Sequence[str]], job_limit: int, cells_a_job: int = CELLS
) -> list[Share]:
    """Spread models over jobs.

    Args:
        readers: by model and architecture, the cells that serve it.
        job_limit: so many jobs at most.
        cells_a_job: so many cells at most, unless there would be too many jobs.

    Returns:
        Jobs that have every pair of a model and its cells once.

    Raises:
        ArgumentError: the models are read by too many different sets of cells.
    """
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (model, architecture), cells in readers.items():
        if cells:
            groups.setdefault((architecture, tuple(cells)), []).append(model)
    if len(groups) > job_limit:
        raise ArgumentError(
            f"the models need {len(groups)} jobs, and there may be {job_limit}",
            hint="give models of one format the same cells, or verify them in several workflows",
        )
    models_a_job = 1
    while True:
        shares = [
            Share(architecture=architecture, models=models, cells=some)
            for (architecture, cells), names in groups.items()
            for models in _batches(names, models_a_job)
            for some in _batches(cells, cells_a_job)
        ]
        if len(shares) <= job_limit:
            return shares
        models_a_job *= 2
        if models_a_job > max(map(len, groups.values())):
            cells_a_job *= 2


def _batches(values: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(values), size):
        yield tuple(values[start : start + size])
