"""What became slower since the last run that did the same."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from deepmatrix.comparison.comparing import compare_results
from deepmatrix.comparison.limits import by_cell
from deepmatrix.comparison.reading import read_results
from deepmatrix.errors import RecordError
from deepmatrix.planning.plan import Plan
from deepmatrix.results.rows import Results
from deepmatrix.results.timing.rows import SlowerRow
from deepmatrix.store import listing
from deepmatrix.store.runs import Run

#: So many of the newest runs are looked at: the last one that did the same is among them, or old.
MOST_TRIED = 20


def with_slower(run: Run, results: Results) -> Results:
    """Return results with what is slower than in the last run beside this one that did the same.

    Times of one round, or of another machine, tell nothing. What cannot be read is no such run.
    """
    plan = run.manifest.plan
    earlier = next(_alike(plan, results, run.path.parent), None) if plan.rounds_native > 1 else None
    if earlier is None:
        return results
    comparison = compare_results(earlier, results, (earlier.run, results.run))
    if not comparison.times:
        return results
    rows = tuple(
        SlowerRow(
            cell=change.cell,
            time=title,
            base_s=change.base_s,
            head_s=change.head_s,
            ratio=change.ratio,
            low=change.low,
            high=change.high,
        )
        for change, title in by_cell(comparison.slower)
    )
    return results.model_copy(update={"earlier": earlier.run, "slower": rows})


def _alike(plan: Plan, results: Results, parent: Path) -> Iterator[Results]:
    """Yield the results of earlier runs with the same preset and models, the newest first."""
    newest = sorted(listing.plans(parent), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in islice(newest, MOST_TRIED):
        with contextlib.suppress(RecordError):
            run = Run.open(path.parent)
            if run.id != results.run and _does(run.manifest.plan) == _does(plan):
                earlier = read_results(run.path / "results.json", parent)
                if earlier.created < results.created:
                    yield earlier


def _does(plan: Plan) -> tuple[str, ...]:
    """Return what a run does: its command, its preset, and the names of its models."""
    return plan.command, plan.preset, *(model.name for model in plan.imports)
