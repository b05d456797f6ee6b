"""Machines: which of two runs are the same, so that what they measured can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from deepmatrix.comparison.changes import Untimed
from deepmatrix.judging.noise import NOISY_BELOW
from deepmatrix.results.rows import CellRow, Results, TrainingRow
from deepmatrix.results.timing.rows import (
    GenerationRow,
    InferenceRow,
    PassRow,
    ServingRow,
    StepRow,
)

#: Facts of a process's environment that make times another kind, with their names for people.
FACTS = {"machine": "architecture", "processor": "processor", "cpus": "CPUs"}

#: Why the times of a run with `beside` under `limits` are not compared with those of one without.
BESIDE = "in one of the runs only, checked work ran beside what was timed"

Place = tuple[str, str]
"""A cell, and the name of one of its machines: nothing where it has no other."""

Names = Mapping[str, Mapping[str, str]]
"""The names of machines, by cell and by their ids."""

MachinesRow = TypeVar(
    "MachinesRow", GenerationRow, InferenceRow, PassRow, ServingRow, StepRow, TrainingRow
)


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """Two runs that call each machine of a cell alike, as the later one does.

    A machine has no name where neither run measured the cell on several. *same*: where times can be
    compared. *untimed*: why others cannot.
    """

    base: Results
    head: Results
    same: frozenset[Place]
    untimed: tuple[Untimed, ...]


def align(base: Results, head: Results) -> Aligned:
    """Return two runs with the machines of each cell paired: times of two are not compared."""
    before, after = _machines(base), _machines(head)
    shared = [
        _Shared(
            base=before.get(cell, []),
            head=after.get(cell, []),
            is_timed_alike=base.beside == head.beside,
        )
        for cell in sorted(before.keys() | after.keys())
    ]
    sides = (
        _named(base, {cell.cell: cell.base_names for cell in shared}),
        _named(head, {cell.cell: cell.head_names for cell in shared}),
    )
    reasons: dict[str, list[str]] = {}
    for cell in shared:
        for reason in cell.reasons():
            reasons.setdefault(reason, []).append(cell.cell)
    pooled = {
        (row.cell, row.workload) for side in sides for row in side.training if not row.machine
    }
    return Aligned(
        base=_pooled(sides[0], pooled),
        head=_pooled(sides[1], pooled),
        same=frozenset(place for cell in shared for place in cell.same()),
        untimed=tuple(
            Untimed(cells=tuple(cells), reason=reason) for reason, cells in reasons.items()
        ),
    )


@dataclass(frozen=True, kw_only=True)
class _Shared:
    """One cell in two runs: a row for each machine that measured it. One side may have none.

    *is_timed_alike*: other work might run beside what was timed in both runs, or in none.
    """

    base: Sequence[CellRow]
    head: Sequence[CellRow]
    is_timed_alike: bool

    @property
    def cell(self) -> str:
        return (*self.base, *self.head)[0].cell

    @property
    def has_several(self) -> bool:
        return max(len(self.base), len(self.head)) > 1

    @cached_property
    def pairs(self) -> list[tuple[CellRow, CellRow]]:
        """Machines with one id, then those that are alike, then the last ones of both sides.

        So two runs on a machine each are compared, as those of two hosts of one kind.
        """
        base, head = list(self.base), list(self.head)
        pairs = []
        for is_same in (_has_one_id, _is_alike, lambda *_: len(base) == len(head) == 1):
            for old in list(base):
                if new := next((row for row in head if is_same(old, row)), None):
                    pairs.append((old, new))
                    base.remove(old)
                    head.remove(new)
        return pairs

    @property
    def base_names(self) -> dict[str, str]:
        own = {old.machine: self._name(old) for old in self.base}
        return {**own, **{old.machine: self._name(new) for old, new in self.pairs}}

    @property
    def head_names(self) -> dict[str, str]:
        return {new.machine: self._name(new) for new in self.head}

    def same(self) -> Iterator[Place]:
        """Yield where times can be compared."""
        for old, new in self._timed():
            if self.is_timed_alike and _is_alike(old, new):
                yield self.cell, self._name(new)

    def reasons(self) -> Iterator[str]:
        """Yield why times cannot be compared."""
        for old, new in self._timed():
            beside = () if self.is_timed_alike else (BESIDE,)
            if difference := "; ".join([*beside, *_differences(old, new)]):
                yield f"on {new.machine}: {difference}" if self.has_several else difference
        paired = [old for old, _ in self.pairs]
        for old in self.base if self.head and self.has_several else ():
            if old not in paired:
                yield f"on {old.machine}: the later run did not measure there"

    def _timed(self) -> Iterator[tuple[CellRow, CellRow]]:
        """Yield the pairs that are native, and ran in both."""
        for pair in self.pairs:
            if all(row.jobs and not row.emulated for row in pair):
                yield pair

    def _name(self, row: CellRow) -> str:
        return row.machine if self.has_several else ""


def _machines(results: Results) -> dict[str, list[CellRow]]:
    """Return the row of each cell, once for each of its machines, with what was measured there."""
    return {row.cell: row.by_machine() or [row] for row in results.cells}


def _has_one_id(base: CellRow, head: CellRow) -> bool:
    return base.machine == head.machine


def _is_alike(base: CellRow, head: CellRow) -> bool:
    """Return whether times of two machines can be compared.

    Two machines with the same processor may still differ in speed, such as two sizes of a cloud's
    machine: the canary, a matrix product, tells them apart.
    """
    return not any(_differences(base, head))


def _named(results: Results, names: Names) -> Results:
    """Return results whose machines have their names; a cell's only one is that of all its rows."""

    def rows(timed: Sequence[MachinesRow]) -> tuple[MachinesRow, ...]:
        return tuple(row.model_copy(update={"machine": name_of(row)}) for row in timed)

    def name_of(row: MachinesRow) -> str:
        by_id = names[row.cell]
        only = next(iter(by_id.values())) if len(by_id) == 1 else row.machine
        return by_id.get(row.machine, only)

    return results.model_copy(
        update={
            "inference": rows(results.inference),
            "training": rows(results.training),
            "passes": rows(results.passes),
            "steps": rows(results.steps),
            "serving": rows(results.serving),
            "generation": rows(results.generation),
        }
    )


def _pooled(results: Results, pooled: set[tuple[str, str]]) -> Results:
    """Return results in which some trainings, by cell and workload, are of no machine.

    Where a side does not know of one, nothing tells its machines apart.
    """
    training = tuple(
        row.model_copy(update={"machine": ""}) if (row.cell, row.workload) in pooled else row
        for row in results.training
    )
    return results.model_copy(update={"training": training})


def _differences(base: CellRow, head: CellRow) -> Iterator[str]:
    if base.engine != head.engine:
        yield f"engine: {base.engine}, now {head.engine}"
    differs = False
    for fact, name in FACTS.items():
        before, after = base.environment.get(fact), head.environment.get(fact)
        if before != after:
            differs = True
            yield f"{name}: {before}, now {after}"
    threads = [row.environment.get("threads", {}).get("requested") for row in (base, head)]
    if threads[0] != threads[1]:
        yield f"threads: {threads[0]}, now {threads[1]}"
    if not differs and base.peak_flops and head.peak_flops:
        low, high = sorted((base.peak_flops, head.peak_flops))
        if low < NOISY_BELOW * high:
            yield (
                f"the same processor, but its matrix product reached {base.peak_flops / 1e9:.0f}, "
                f"now {head.peak_flops / 1e9:.0f} GFLOP/s"
            )
