"""Merging the records of a run, or of its parts, into results.

Records stream by in the order of their keys, a group (cell, subject) at a time, so that memory
does not grow with their number. The result does not depend on the records' order, on how they are
split over directories, or on duplicates.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
from collections.abc import Iterator, Sequence

from deepmatrix.boundary.files import Damaged
from deepmatrix.config.sections import ExpectedFailure
from deepmatrix.errors import RecordError
from deepmatrix.images.prepared import Prepared
from deepmatrix.judging.quantisation import costs
from deepmatrix.judging.quantisation.costs import Cost
from deepmatrix.planning.subjects import Artifact
from deepmatrix.results import own_models, remarks
from deepmatrix.results.assembling import Assembly
from deepmatrix.results.collecting.processes import collect, processes_for
from deepmatrix.results.collecting.row_collector import RowCollector
from deepmatrix.results.portability import Pair
from deepmatrix.results.precision.rows import CostRow
from deepmatrix.results.rows import Results
from deepmatrix.results.timing.statistics import Samples
from deepmatrix.results.timing.timings import floats
from deepmatrix.store.artifacts import reproduction
from deepmatrix.store.causes import Cause
from deepmatrix.store.manifests import Manifest
from deepmatrix.store.runs import Run


def merge(
    runs: Sequence[Run],
    expected_failures: Sequence[ExpectedFailure] | None = None,
    *,
    processes: int = 0,
) -> Results:
    """Merge the records of one run, or of the parts of one that ran on several machines.

    *expected_failures* replace the run's own where given. They are of this project's own
    artifacts: a user's own model has none. *processes* read the records; by default as many as
    their number needs.

    Raises:
        RecordError: no part, parts of different plans, or two different records of one job.
    """
    manifest = _common_manifest(runs)
    if manifest.plan.imports:
        expected_failures = ()
    if expected_failures is not None:
        matrix = manifest.matrix.model_copy(update={"expected_failures": tuple(expected_failures)})
        manifest = manifest.model_copy(update={"matrix": matrix})
    gold_losses = _gold_losses(runs, manifest)
    collector = RowCollector(manifest, gold_losses)
    with _without_garbage_collection():
        collected = collect(collector, runs, processes or processes_for(manifest.plan))
    assembly = Assembly(
        manifest=manifest,
        gold_losses=gold_losses,
        prepared=_prepared(runs),
        causes={pair: cause for run in runs for pair, cause in _causes(run)},
        models=tuple(own_models.model_rows(manifest, runs)),
        collected=collected,
    )
    engines = {name: facts for run in runs for name, facts in run.engines().items()}
    results = assembly.results(dict(sorted(engines.items())))
    further = {
        "costs": _costs(runs, manifest),
        "nodes": tuple(own_models.nodes_rows(manifest, runs)),
    }
    damage = sorted({line for run in runs for line in run.damage})
    problems = (*remarks.refused(manifest.plan.refused), *results.problems, *damage)
    return results.model_copy(update={**further, "problems": problems})


def _causes(run: Run) -> Iterator[tuple[Pair, Cause]]:
    """Yield the causes in a run, each with its command: the run may have been copied or moved."""
    causes = run.causes()
    if not causes:
        return
    plan = run.manifest.plan
    pairs = {
        (artifact.id, consumer.id): (artifact, consumer)
        for artifact in plan.artifacts()
        for consumer in plan.consumers_of(artifact)
    }
    for pair, cause in causes.items():
        if pair in pairs and cause.reproduce:
            yield pair, cause.changed(reproduce=reproduction(run, cause, *pairs[pair]))
        else:
            yield pair, cause


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Keep Python from looking for cycles, again and again, among ever more rows: there are none.

    With 100,000 records that takes a seventh of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _common_manifest(runs: Sequence[Run]) -> Manifest:
    if not runs:
        raise RecordError("nothing to merge", hint="name a run")
    first = runs[0].manifest
    for run in runs[1:]:
        for field in ("id", "plan", "matrix"):
            if getattr(run.manifest, field) != getattr(first, field):
                raise RecordError(
                    f"{run.path} and {runs[0].path} differ in their {field}",
                    hint="only parts of one run can be merged",
                )
    return first


def _gold_losses(runs: Sequence[Run], manifest: Manifest) -> dict[str, Samples]:
    return {
        workload: floats(losses)
        for run, workload in itertools.product(runs, manifest.plan.workloads)
        if (losses := run.gold_losses(workload)) is not None
    }


def _costs(runs: Sequence[Run], manifest: Manifest) -> tuple[CostRow, ...]:
    """Return what quantisation costs the models; the first part that has them counts."""
    plan = manifest.plan
    if not plan.original:
        return ()
    original = plan.imports[0].artifact
    rows: list[CostRow] = []
    for model in plan.served:
        parts = (_costs_in(run, original, model.artifact) for run in runs)
        names = {"artifact": model.artifact.id, "model": model.name, "original": original.id}
        rows += [CostRow(**names, **vars(cost)) for cost in next(filter(None, parts), [])]
    return tuple(rows)


def _costs_in(run: Run, original: Artifact, quantised: Artifact) -> list[Cost]:
    """Return what quantisation costs a model by a part of a run, nothing if that is damaged."""
    try:
        return costs.costs(run, original, quantised)
    except Damaged as error:
        run.note_damage(error)
        return []


def _prepared(runs: Sequence[Run]) -> dict[str, Prepared]:
    """Return the cells' images. Of several parts that which ran counts, then that which made it."""
    images: dict[str, Prepared] = {}
    for cell_id, image in itertools.chain.from_iterable(run.prepared().items() for run in runs):
        images[cell_id] = max(images.get(cell_id, image), image, key=_rank)
    return images


def _rank(image: Prepared) -> tuple[bool, bool, str]:
    return (not image.error, image.is_new, json.dumps(vars(image), sort_keys=True))
