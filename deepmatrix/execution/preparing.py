"""Preparing cells: their images or environments are made before any job runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from deepmatrix.engines import Engine, Prepared
from deepmatrix.errors import RecordError
from deepmatrix.execution.watching import Watcher
from deepmatrix.planning.cells import Capabilities, Cell
from deepmatrix.store.runs import Run


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Makes the cells of a run ready on an engine."""

    run: Run
    engine: Engine
    capabilities: Capabilities
    watcher: Watcher

    def make_ready(self, cells: Sequence[Cell]) -> dict[str, Prepared]:
        """Make cells ready; return what each runs from, or why it cannot.

        A plan made for another engine may hold cells that this one cannot run.
        """
        refusals = {
            cell.id: reason for cell in cells if (reason := self.capabilities.refusal(cell))
        }
        results = self._make([cell for cell in cells if cell.id not in refusals])
        for cell_id, reason in refusals.items():
            results[cell_id] = Prepared(cell_id=cell_id, reference="", error=reason)
        return results

    def record(self, cells: Sequence[Cell], results: dict[str, Prepared]) -> dict[str, Cell]:
        """Have the run record what cells run from, or why not; return those that are ready, by id.

        Raises:
            RecordError: a cell has records from another image.
        """
        self._refuse_other_images(results)
        self.run.save_prepared(results)
        for cell_id, result in results.items():
            self.watcher.prepared(cell_id, result)
        return {cell.id: cell for cell in cells if not results[cell.id].error}

    def _make(self, cells: Sequence[Cell]) -> dict[str, Prepared]:
        """Make each image once; cells that differ by instruction set or threads only share it.

        What serves artifacts of earlier runs runs from what it ran from there: the run has it.
        """
        if self.run.manifest.plan.kept:
            earlier = self.run.prepared()
            nothing = {cell.id: Prepared(cell_id=cell.id, reference="") for cell in cells}
            known = {**nothing, **earlier}
            return {cell.id: self.engine.adopt(cell, known[cell.id]) for cell in cells}
        plain = {cell.plain.id: cell.plain for cell in cells}
        images = self.engine.prepare(list(plain.values()), self.watcher.preparing)
        own = {cell.id: images[cell.id] for cell in cells if cell == cell.plain}
        shared = {
            cell.id: replace(images[cell.plain.id], cell_id=cell.id, build_s=None, built=False)
            for cell in cells
            if cell != cell.plain
        }
        return {**own, **shared}

    def _refuse_other_images(self, results: Mapping[str, Prepared]) -> None:
        """Refuse to mix records of one cell from two images."""
        earlier = self.run.prepared()
        for cell_id, result in results.items():
            old = earlier.get(cell_id)
            has_records = (self.run.path / "records" / cell_id).is_dir()
            if old and has_records and not result.error and self._is_another(old, result):
                is_named_alike = old.reference == result.reference
                now = "another image of that name" if is_named_alike else result.reference
                raise RecordError(
                    f"{cell_id} has records from {old.reference} and would go on with {now}",
                    hint="its pins, Dockerfile, base or engine changed since: start a new run",
                )

    def _is_another(self, old: Prepared, new: Prepared) -> bool:
        """Return whether two images of a cell differ; those of several machines: their recipes."""
        machines = {facts.get("machine") for facts in self.run.engines().values()}
        if len(machines) > 1:
            return old.reference != new.reference
        return old.content != new.content
