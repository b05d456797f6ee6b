"""Placing: which of several engines run a cell, and which one measures it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from deepmatrix.planning.cells import Capabilities, Cell
from deepmatrix.planning.plan import WAVES
from deepmatrix.store.runs import Run

Group = tuple[str, str]
"""An architecture and a device: the cells that have both are compared."""


def group_of(cell: Cell) -> Group:
    """Return the group of a cell."""
    return cell.architecture, cell.device


def places(cells: Sequence[Cell], able: Sequence[Capabilities]) -> list[list[Cell]]:
    """Return, for each engine, the cells that it runs: what one runs natively, no other emulates.

    What none can run is the first one's, which tells why.
    """
    shares: list[list[Cell]] = [[] for _ in able]
    for cell in cells:
        can = [place for place, each in enumerate(able) if each.refusal(cell) is None]
        native = [place for place in can if not able[place].emulates(cell)]
        for place in native or can or [0]:
            shares[place].append(cell)
    return shares


def measured_on(run: Run) -> dict[Group, str]:
    """Return the machine on which the times of each group were measured so far, where it is known.

    Only of groups with more to measure. Only the rest of a run asks: a new one has no records.
    """
    if not (run.path / "records").is_dir():
        return {}
    plan = run.manifest.plan
    groups = {cell.id: group_of(cell) for cell in plan.cells}
    machines: dict[Group, str] = {}
    unfinished = set[Group]()
    for job in itertools.chain.from_iterable(map(plan.jobs, WAVES)):
        if not plan.is_timed(job):
            continue
        if not run.is_done(job):
            unfinished.add(groups[job.cell])
        elif groups[job.cell] not in machines and (machine := run.record(job).machine):
            machines[groups[job.cell]] = machine
    return {group: machine for group, machine in machines.items() if group in unfinished}


def measuring(
    ready: Sequence[Mapping[str, Cell]],
    able: Sequence[Capabilities],
    machines: Sequence[str],
    measured: Mapping[Group, str],
) -> list[set[str]]:
    """Return, for each engine, the cells that it measures: those of a group on one machine.

    That is the one on which the group was *measured* before, or else the one that can run the most
    of its cells, then the one with the most CPUs. What cannot run there is measured elsewhere, and
    its records say so. *ready*, *able* and *machines* are the engines'.
    """
    shares: list[set[str]] = [set() for _ in ready]
    counts: Counter[tuple[int, Group]] = Counter()
    for place, cells in enumerate(ready):
        counts.update((place, group_of(cell)) for cell in cells.values())

    def worth(place: int, group: Group) -> tuple[bool, int, int]:
        return machines[place] == measured.get(group), counts[place, group], able[place].cpus

    for cell in {cell.id: cell for cells in ready for cell in cells.values()}.values():
        can = [place for place, cells in enumerate(ready) if cell.id in cells]
        shares[max(can, key=lambda place: worth(place, group_of(cell)))].add(cell.id)
    return shares


def moved(
    ready: Sequence[Mapping[str, Cell]], machines: Collection[str], measured: Mapping[Group, str]
) -> list[Group]:
    """Return the groups with cells to run whose machine is none of *machines*."""
    groups = {group_of(cell) for cells in ready for cell in cells.values()}
    return sorted(group for group in groups if measured.get(group, "") not in {"", *machines})
