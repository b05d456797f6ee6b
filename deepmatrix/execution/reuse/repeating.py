"""Repeating: what a run timed is served again, by the same, where all that made it is at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from deepmatrix.boundary.files import Damaged
from deepmatrix.engines import Engine
from deepmatrix.execution.reuse.provenance import Provenance, first_change
from deepmatrix.execution.reuse.reusing import UNKNOWN, UNSAID, copy_artifacts
from deepmatrix.planning.cells import Cell
from deepmatrix.planning.plan import first_consumption
from deepmatrix.planning.subjects import Artifact
from deepmatrix.planning.trials import Trial
from deepmatrix.store import artifacts
from deepmatrix.store.runs import Run

#: The parts around a process that measure it: those of today measure both runs.
MEASURING = frozenset({"harness", "program"})


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """An earlier run, as far as an engine can serve its artifacts again.

    What a record does not share with what would be made now could be the reason of another time:
    the parts around a process, see `deepmatrix.execution.reuse.provenance`, have to be the same.
    Another version of this program may have measured the run: a slow-down that is gone when one
    program measures both is not of what is measured.
    """

    run: Run
    engine: Engine
    _absences: dict[str, str] = field(default_factory=dict)

    @cached_property
    def cells(self) -> Mapping[str, Cell]:
        """The cells of the run, by id."""
        return {cell.id: cell for cell in self.run.manifest.plan.cells}

    @cached_property
    def artifacts(self) -> Mapping[str, Artifact]:
        """The artifacts of the run, by id."""
        return {artifact.id: artifact for artifact in self.run.manifest.plan.artifacts()}

    @cached_property
    def _provenance(self) -> Provenance:
        return Provenance(
            run=self.run,
            capabilities=self.engine.capabilities(),
            facts=self.engine.describe(),
        )

    def refusal(self, cell_id: str, artifact_id: str) -> str:
        """Return why a cell cannot serve an artifact again as it did, or nothing."""
        cell, artifact = self.cells.get(cell_id), self.artifacts.get(artifact_id)
        if cell is None or artifact is None:
            return "it is no artifact that a cell served"
        if artifact.imported:
            return "it is a model of your own: serve it again with `compare --with`"
        return self._absence(cell) or self._change(cell, artifact) or self._damage_of(artifact)

    def fingerprint(self, artifact_id: str) -> str:
        """Return what the record of an artifact's producer says of it."""
        return artifacts.recorded(self.run, self.artifacts[artifact_id])

    def _absence(self, cell: Cell) -> str:
        """Return why what a cell ran from is not here, or nothing."""
        if cell.id not in self._absences:
            earlier = self.run.prepared().get(cell.id)
            error = self.engine.adopt(cell, earlier).error if earlier else "it was never made ready"
            self._absences[cell.id] = error or ""
        return self._absences[cell.id]

    def _change(self, cell: Cell, artifact: Artifact) -> str:
        """Return what changed around the processes that served an artifact, or nothing."""
        parts = self._provenance.surroundings(first_consumption(cell.id, artifact), cell)
        if not parts:
            return UNKNOWN
        now = {name: digest for name, digest in parts.items() if name not in MEASURING}
        for record in self.run.records_of(cell.id, artifact.id):
            if not record.provenance:
                return UNSAID
            around = {name: record.provenance.get(name, "") for name in now}
            if changed := first_change(around, now):
                return f"{changed} changed"
        return ""

    def _damage_of(self, artifact: Artifact) -> str:
        if not self.fingerprint(artifact.id):
            return f"{artifact.id} is not in it"
        try:
            artifacts.verify_stored(self.run, artifact)
        except Damaged as error:
            return f"{artifact.id}, {error.path.name}: {error.problem}"
        return ""


def take_over(run: Run, earlier: Earlier, trial: Trial) -> None:
    """Put into a new run what a trial serves again: artifacts, and what its cells ran from.

    Raises:
        RecordError: an artifact changed meanwhile.
    """
    prepared = earlier.run.prepared()
    run.save_prepared(
        {cell.id: replace(prepared[own.id], cell_id=cell.id) for own, cell in trial.cells}
    )
    copy_artifacts(
        [
            (
                earlier.run.artifact_path(earlier.artifacts[kept.origin]),
                run.artifact_path(kept.artifact),
                kept.fingerprint,
            )
            for kept in trial.kept
        ]
    )


def other_settings(runs: Sequence[Run]) -> str:
    """Return the first setting of some runs that they do not share, so that no one run has both."""
    plans = [run.manifest.plan for run in runs]
    for name in ("seed", "infer", "cold", "isolate"):
        if any(getattr(plan, name) != getattr(plans[0], name) for plan in plans):
            return name
    limits = [run.manifest.matrix.limits for run in runs]
    return "limits" if any(limit != limits[0] for limit in limits) else ""
