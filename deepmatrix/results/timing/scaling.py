"""Scaling: how many times as fast a cell is with more threads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deepmatrix.planning.cells import Cell
from deepmatrix.results.timing.measured import Measured
from deepmatrix.results.timing.rows import ScalingRow
from deepmatrix.results.timing.statistics import compare


def scaling(times: Iterable[Measured], cells: Iterable[Cell], threads: int) -> Iterator[ScalingRow]:
    """Yield a row for each time of a cell that also ran with fewer threads: against the fewest.

    Only times of one machine are compared.

    Args:
        times: of native cells.
        cells: those of the plan.
        threads: how many a cell has that names none.
    """
    numbers = {cell.id: cell.threads or threads for cell in cells}
    plain = {cell.id: cell.with_threads(0).id for cell in cells}
    alike: dict[tuple[object, ...], list[Measured]] = {}
    for timed in times:
        key = (plain[timed.cell], timed.machine, timed.subject, timed.kind, timed.batch)
        alike.setdefault(key, []).append(timed)
    for group in alike.values():
        least, *others = sorted(group, key=lambda each: numbers[each.cell])
        for timed in others:
            compared = compare(timed.time.round_medians, least.time.round_medians)
            yield ScalingRow(
                cell=timed.cell,
                beside=least.cell,
                subject=timed.subject,
                workload=timed.workload,
                emulated=False,
                measured=timed.kind,
                batch=timed.batch,
                threads=numbers[timed.cell],
                beside_threads=numbers[least.cell],
                time_s=timed.time,
                beside_s=least.time,
                speedup=1 / compared.ratio if compared else least.time.median / timed.time.median,
                low=1 / compared.high if compared else None,
                high=1 / compared.low if compared else None,
            )
