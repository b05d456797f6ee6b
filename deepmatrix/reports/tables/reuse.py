"""The table that tells of which run each record is, where a run reused another one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from deepmatrix.drawing.layout import Row, Table, key, number, row, text
from deepmatrix.results.rows import Results


def table(results: Results) -> Table:
    """Return how many jobs of each cell are of which run; of those done anew, the reason."""
    return Table(
        title="Reused records",
        columns=(key("cell"), text("records"), number("jobs")),
        rows=tuple(_rows(results)),
        note="A reused record was measured in the run that is named, where everything that makes "
        "it was the same, the machine included. `results.json` names each job.",
    )


def line(results: Results) -> str:
    """Return in a line how many records are of other runs, or nothing."""
    return "; ".join(
        f"{len(jobs)} record{'s' * (len(jobs) != 1)} reused of {run}"
        for run, jobs in results.reused.items()
    )


def _rows(results: Results) -> Iterator[Row]:
    reused = {f"reused of {run}": jobs for run, jobs in results.reused.items()}
    anew = {f"anew: {reason}": jobs for reason, jobs in results.anew.items()}
    counts = {label: _count_by_cell(jobs) for label, jobs in {**reused, **anew}.items()}
    for cell in results.cells:
        for label, count in counts.items():
            if count[cell.cell]:
                yield row(cell.cell, label, str(count[cell.cell]))


def _count_by_cell(jobs: Iterable[str]) -> Counter[str]:
    """Count jobs by their cell, which is what their ids begin with."""
    return Counter(job.split("--", 1)[0] for job in jobs)
