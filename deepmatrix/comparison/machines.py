"""Machines: which cells ran on the same one in both runs, so that their times can be compared."""

from __future__ import annotations

from collections.abc import Iterator

from deepmatrix.comparison.changes import Untimed
from deepmatrix.judging.noise import NOISY_BELOW
from deepmatrix.results.rows import CellRow, Results

#: Facts of a process's environment that make times another kind, with their names for people.
FACTS = {"machine": "architecture", "processor": "processor", "cpus": "CPUs"}


def same_machine(base: Results, head: Results) -> tuple[set[str], tuple[Untimed, ...]]:
    """Return the cells whose times can be compared, and why those of others cannot.

    Two machines with the same processor may still differ in speed, such as two sizes of a cloud's
    machine: the canary, a matrix product, tells them apart. Only native cells that ran in both are
    looked at.
    """
    before = {row.cell: row for row in base.cells if row.jobs and not row.emulated}
    after = {row.cell: row for row in head.cells if row.jobs and not row.emulated}
    same, reasons = set[str](), dict[str, list[str]]()
    for cell in sorted(before.keys() & after.keys()):
        difference = "; ".join(_differences(before[cell], after[cell]))
        if difference:
            reasons.setdefault(difference, []).append(cell)
        else:
            same.add(cell)
    untimed = (Untimed(cells=tuple(cells), reason=reason) for reason, cells in reasons.items())
    return same, tuple(untimed)


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
