"""What became slower since the last run that did the same."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from deepmatrix.comparison.changes import Comparison, TimeChange
from deepmatrix.comparison.comparing import compare_results
from deepmatrix.comparison.limits import by_cell
from deepmatrix.comparison.reading import read_results
from deepmatrix.errors import RecordError
from deepmatrix.planning.plan import Plan
from deepmatrix.results.rows import Results
from deepmatrix.results.timing.rows import SlowerRow
from deepmatrix.store import runs
from deepmatrix.store.records import record_path
from deepmatrix.store.runs import Run

#: So many of the newest runs are looked at: the last one that did the same is among them, or old.
MOST_TRIED = 20


def with_slower(run: Run, results: Results) -> Results:
    """Return results with what is slower than in the last run beside this one that did the same.

    Times of one round, or of another machine, tell nothing. What cannot be read is no such run.
    """
    plan = run.manifest.plan
    if plan.rounds_native == 1:
        return results
    for earlier in _alike(plan, results, run.path.parent):
        comparison = compare_results(earlier, results, (earlier.run, results.run))
        if comparison.times:
            further = {"earlier": earlier.run, "slower": _slower(comparison)}
            return results.model_copy(update=further)
    return results


def _slower(comparison: Comparison) -> tuple[SlowerRow, ...]:
    """Return the mean of each cell's inferences, else its largest change: the most first."""
    rows = [
        SlowerRow(
            cell=change.cell,
            machine=change.machine,
            time=title,
            record=_record(change, comparison.times),
            base_s=change.base_s,
            head_s=change.head_s,
            ratio=change.ratio,
            low=change.low,
            high=change.high,
        )
        for change, title in by_cell(comparison.slower)
    ]
    return tuple(sorted(rows, key=lambda row: -row.ratio))


def _record(change: TimeChange, times: Sequence[TimeChange]) -> str:
    """Return the path of a record that shows a change; of a mean, of what grew most in it."""
    if not change.subject:
        in_mean = (
            time for time in times if time.quantity == "inference" and time.place == change.place
        )
        change = max(in_mean, key=lambda time: time.ratio)
    return record_path(change.cell, change.artifact or change.subject)


def _alike(plan: Plan, results: Results, parent: Path) -> Iterator[Results]:
    """Yield the results of earlier runs with the same preset and models.

    Those with most cells of this run come first, and of these the newest: what ran a few cells
    again does not hide the others.
    """
    cells = _cells(plan)
    alike = [run for run in _newest(parent) if _does(run.manifest.plan) == _does(plan)]
    for run in sorted(alike, key=lambda run: -len(cells & _cells(run.manifest.plan))):
        with contextlib.suppress(RecordError):
            earlier = read_results(run.path / "results.json", parent)
            if run.id != results.run and earlier.created < results.created:
                yield earlier


def _newest(parent: Path) -> Iterator[Run]:
    """Yield the newest runs of a folder whose plans can be read."""
    for run in islice(runs.newest(parent), MOST_TRIED):
        with contextlib.suppress(RecordError):
            opened = Run.open(run.path)
            _ = opened.manifest
            yield opened


def _cells(plan: Plan) -> set[str]:
    return {cell.id for cell in plan.cells}


def _does(plan: Plan) -> tuple[str, ...]:
    """Return what a run does: its command, its preset, and the names of its models."""
    return plan.command, plan.preset, *(model.name for model in plan.imports)
