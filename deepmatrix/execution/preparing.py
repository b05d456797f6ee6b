"""Preparing cells: their images or environments are made before any job runs."""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from deepmatrix.engines import Engine, Prepared
from deepmatrix.engines.hardware import ASIDE, WORKER
from deepmatrix.errors import EngineError, RecordError
from deepmatrix.execution.interrupting import how_to_go_on, interrupted
from deepmatrix.execution.sessions.lanes import run_together
from deepmatrix.execution.sessions.placing import places
from deepmatrix.execution.watching import Watcher
from deepmatrix.planning.cells import Capabilities, Cell
from deepmatrix.store.runs import Run


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Makes the cells of a run ready on an engine.

    *aside* has why that gets nothing more to do, *prepared* what each cell runs from there.
    """

    run: Run
    engine: Engine
    capabilities: Capabilities
    watcher: Watcher
    aside: list[str] = field(default_factory=list)
    prepared: dict[str, Prepared] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, str]:
        """What the run records of the engine."""
        return {"engine": self.engine.name, **self.engine.describe()}

    @property
    def worker(self) -> str:
        """The name of the engine's worker in a fleet, or nothing."""
        return self.engine.describe().get(WORKER, "")

    @property
    def machine(self) -> str:
        """What tells the engine's machine from others, where that is known."""
        return self.engine.describe().get("machine", "")

    def put_aside(self, reason: str) -> None:
        """Give the engine nothing more to do, and say so, in the report too."""
        self.aside.append(reason)
        self.run.save_engine(self.facts, **{ASIDE: reason})
        self.watcher.put_aside(self.worker, reason)

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
        self.run.save_prepared(results, "" if self.engine.is_here else self.machine)
        self.prepared.update(results)
        for cell_id, result in results.items():
            self.watcher.prepared(cell_id, result)
        ready = {cell_id for cell_id, result in results.items() if not result.error}
        return {cell.id: cell for cell in cells if cell.id in ready}

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
                before = old.references.get(self.machine, old.reference)
                is_named_alike = before == result.reference
                now = "another image of that name" if is_named_alike else result.reference
                raise RecordError(
                    f"{cell_id} has records from {before} and would go on with {now}",
                    hint="its pins, Dockerfile, base or engine changed since: start a new run",
                )

    def _is_another(self, old: Prepared, new: Prepared) -> bool:
        """Return whether two images of a cell differ; those of several machines: their recipes.

        A machine of a fleet goes on with its own, one that is new to the run with any of them.
        """
        if old.references:
            own = old.references.get(self.machine)
            return new.reference not in ([own] if own else old.references.values())
        machines = {facts.get("machine") for facts in self.run.engines().values()}
        if len(machines) > 1:
            return old.reference != new.reference
        return old.content != new.content


def prepare(preparations: Sequence[Preparation], cells: Sequence[Cell]) -> list[dict[str, Cell]]:
    """Make cells ready on each engine that is to run them; return those that are, by id.

    One of several engines that fails is put aside, and others get its cells.

    Raises:
        EngineError: the only engine went away, or none is left for a cell.
        Interrupted: Ctrl-C.
        RecordError: a cell has records from another image.
    """
    prepared: list[dict[str, Prepared]] = [{} for _ in preparations]

    def make_ready(place: int, share: Sequence[Cell]) -> None:
        try:
            prepared[place].update(preparations[place].make_ready(share))
        except EngineError as error:
            if len(preparations) == 1:
                raise
            preparations[place].put_aside(error.message)

    try:
        while shares := _missing_shares(preparations, cells, prepared):
            works = [functools.partial(make_ready, *share) for share in shares.items()]
            run_together(works, threading.Event())
    except KeyboardInterrupt:
        raise interrupted(preparations[0].run) from None
    return [
        {} if each.aside else each.record(cells, results)
        for each, results in zip(preparations, prepared, strict=True)
    ]


def ready_elsewhere(
    preparations: Sequence[Preparation],
    cells: Sequence[Cell],
    ready: Sequence[Mapping[str, Cell]],
) -> list[dict[str, Cell]]:
    """Return the cells that are *ready* on each engine, with those that others take over.

    An engine that was put aside after its cells were made ready has none. Raises as `prepare` does.
    """
    remaining = [
        {} if each.aside else dict(there) for each, there in zip(preparations, ready, strict=True)
    ]
    was_ready, is_ready = (set().union(*sides) for sides in (ready, remaining))
    lost = [cell for cell in cells if cell.id in was_ready - is_ready]
    if lost:
        for there, further in zip(remaining, prepare(preparations, lost), strict=True):
            there.update(further)
    return remaining


def nothing_left(cell: str, preparations: Sequence[Preparation]) -> EngineError:
    """Return the error for a cell that no engine is left for: why each was put aside."""
    reasons = [
        f"{preparation.worker}: {preparation.aside[0]}"
        for preparation in preparations
        if preparation.aside
    ]
    return EngineError(
        "\n".join([f"no machine is left for {cell}", *reasons]),
        hint="start a worker for it, and its scheduler if that is away; then "
        f"{how_to_go_on(preparations[0].run)}",
    )


def _missing_shares(
    preparations: Sequence[Preparation],
    cells: Sequence[Cell],
    prepared: Sequence[Mapping[str, Prepared]],
) -> dict[int, list[Cell]]:
    """Return what each engine that is left is to make ready, by its place.

    Raises EngineError for a cell that only engines could run that are put aside.
    """
    left = [place for place, each in enumerate(preparations) if not each.aside]
    for cell in cells:
        aside = {
            bool(preparation.aside)
            for preparation in preparations
            if not preparation.capabilities.refusal(cell)
        }
        if aside == {True} or not left:
            raise nothing_left(cell.id, preparations)
    shares = places(cells, [preparations[place].capabilities for place in left])
    missing = {
        place: [cell for cell in share if cell.id not in prepared[place]]
        for place, share in zip(left, shares, strict=True)
    }
    return {place: share for place, share in missing.items() if share}
