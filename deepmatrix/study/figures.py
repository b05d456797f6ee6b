"""Evidence by numbers: the ratio of a system's figure to another system's.

What was counted is exact. A time decides only by at least `LEAST_ROUNDS` rounds, none of them
disturbed, and only where the whole interval of the ratio is on one side of the bound: how far
rounds differ is measured in the run itself, not assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from deepmatrix.drawing import numbers
from deepmatrix.results.rows import CellRow, Results
from deepmatrix.results.timing.rows import BOTH_PASSES
from deepmatrix.results.timing.statistics import Estimate, compare
from deepmatrix.sizes import DECIMAL_UNITS, decimal_size
from deepmatrix.store.records import record_path
from deepmatrix.study.checks import Figure, FigureCheck
from deepmatrix.study.evidence import Evidence, cell_record_path, cells_of, has_learned
from deepmatrix.workloads.idioms import layer_lines

#: With two rounds Student's t is up to 12.7, with three up to 4.3, with many it is 2.
LEAST_ROUNDS = 3


@dataclass(frozen=True, kw_only=True)
class Number:
    """A figure of a cell, and the file it is from.

    *rounds*: a time, the median of each round; None where it was counted. *disturbed*: a job that
    measured it ran while the machine was slower.
    """

    value: float
    text: str
    record: str
    rounds: tuple[float, ...] | None = None
    disturbed: bool = False


def figure_evidence(check: FigureCheck, results: Results) -> Iterator[Evidence]:
    """Yield where the figures of all workloads lie, if the run has one; all are of this run."""
    workloads = check.workloads or ("",)
    found = {
        workload: next(_workload_evidence(check, workload, results), None) for workload in workloads
    }
    parts = [evidence for evidence in found.values() if evidence]
    if not parts:
        return
    confirmed = {evidence.confirms if evidence else None for evidence in found.values()}
    reasons = [
        f"{workload}: " * (len(found) > 1) + (evidence.reason if evidence else "not in this run")
        for workload, evidence in found.items()
    ]
    if confirmed == {True, False}:
        reasons.append("it depends on the network")
    yield Evidence(
        confirms=confirmed.pop() if len(confirmed) == 1 else None,
        reason="; ".join(reasons),
        record=parts[0].record,
        measured=any(evidence.measured for evidence in parts),
    )


def _workload_evidence(check: FigureCheck, workload: str, results: Results) -> Iterator[Evidence]:
    number = next(_numbers(check, check.of, workload, results), None)
    reference = next(_numbers(check, check.over, workload, results), None)
    if number is None or reference is None:
        lacking = check.of if number is None else check.over
        present = number or reference
        if present and cells_of(lacking, results):
            reason = f"no {check.figure} of {lacking}, native and correct, in the same run"
            yield Evidence(confirms=None, reason=reason, record=present.record)
        else:
            yield from _failed_trainings(check, workload, results)
        return
    confirms, ratio = _judge(check, number, reference)
    yield Evidence(
        confirms=confirms,
        reason=f"{check.figure} {number.text}, {reference.text}: {ratio}",
        record=number.record,
        measured=True,
    )


def _failed_trainings(check: FigureCheck, workload: str, results: Results) -> Iterator[Evidence]:
    """Yield why a figure is missing; nothing where the run did not try it."""
    cells = {cell.cell for cell in results.cells if cell.name in (check.of, check.over)}
    for row in results.training:
        if row.cell in cells and row.workload == workload and row.status != "ok":
            reason = f"{row.cell}: {row.status}: {row.expected_failure or row.reason}"
            record = record_path(row.cell, row.workload)
            yield Evidence(confirms=None, reason=reason, record=record)


def _judge(check: FigureCheck, number: Number, reference: Number) -> tuple[bool | None, str]:
    """Return on which side of the bound the ratio is, None where that is open, and the ratio."""
    value = number.value / reference.value
    ratio = numbers.ratio(value)
    if number.rounds is None or reference.rounds is None:
        return _compare_bound(check, value, value), ratio
    if number.disturbed or reference.disturbed:
        return None, f"{ratio}, but the machine was slower meanwhile; measure again when it is idle"
    rounds = min(len(number.rounds), len(reference.rounds))
    comparison = compare(number.rounds, reference.rounds)
    if comparison is None or rounds < LEAST_ROUNDS:
        return None, f"{ratio}, {rounds} of the {LEAST_ROUNDS} rounds that it takes"
    low, high = comparison.low, comparison.high
    ratio = numbers.ratio(value, low, high)
    confirms = _compare_bound(check, low, high)
    if confirms is None:
        return None, f"{ratio}, on both sides of {check.bound:g}: inconclusive"
    source = f", bound {check.bound:g}: {check.bound_from}" if check.bound_from else ""
    return confirms, ratio + source


def _compare_bound(check: FigureCheck, low: float, high: float) -> bool | None:
    """Return on which side of the bound a range is, None where it is on both."""
    if check.at_least is not None:
        return True if low >= check.bound else False if high < check.bound else None
    return True if high <= check.bound else False if low > check.bound else None


def _numbers(check: FigureCheck, system: str, workload: str, results: Results) -> Iterator[Number]:
    """Yield a system's figures, of native cells: an emulated one measures the emulator."""
    for cell in cells_of(system, results):
        if not cell.emulated:
            yield from FIGURES[check.figure](workload, cell, results)


def _sum_of_times(
    estimates: Sequence[Estimate | None], cell: str, subject: str, results: Results
) -> Iterator[Number]:
    """Yield the sum of times, if all of them were measured, with the sum of each round."""
    times = [estimate for estimate in estimates if estimate]
    if len(times) < len(estimates):
        return
    value = sum(time.median for time in times)
    lengths = {len(time.round_medians) for time in times}
    by_round = zip(*(time.round_medians for time in times), strict=True)
    jobs = f"{cell}--{subject}--r"
    yield Number(
        value=value,
        rounds=tuple(map(sum, by_round)) if len(lengths) == 1 else (),
        text=f"{cell} {value:.3g} s",
        record=record_path(cell, subject),
        disturbed=any(job.startswith(jobs) for job in results.noisy),
    )


NumberFinder = Callable[[str, CellRow, Results], Iterable[Number]]


def _startup_times(*fields: str) -> NumberFinder:
    """Return a finder of the sum of some fields of the start-up's row."""

    def find(workload: str, cell: CellRow, results: Results) -> Iterator[Number]:
        for row in results.startup:
            if row.cell == cell.cell and row.workload == workload:
                times = [getattr(row, field) for field in fields]
                yield from _sum_of_times(times, row.cell, row.workload, results)

    return find


def _step_time(workload: str, cell: CellRow, results: Results) -> Iterator[Number]:
    for row in results.training:
        if row.cell == cell.cell and row.workload == workload and has_learned(row):
            yield from _sum_of_times([row.step_s], row.cell, row.workload, results)


def _pass_time(workload: str, cell: CellRow, results: Results) -> Iterator[Number]:
    for row in results.passes:
        if row.cell == cell.cell and row.workload == workload:
            yield from _sum_of_times([row.backward_s], row.cell, row.workload, results)


def _line_count(workload: str, cell: CellRow, results: Results) -> Iterator[Number]:
    """Yield the lines of a network that was proven to be the same one."""
    for row in results.idioms:
        matches = row.cell == cell.cell and row.workload == workload
        if matches and row.status == "ok" and row.lines:
            text = f"{row.cell} {row.lines} lines"
            yield Number(value=row.lines, text=text, record=record_path(row.cell, row.workload))


def _image_size(workload: str, cell: CellRow, results: Results) -> Iterator[Number]:
    del workload, results
    if cell.image_bytes:
        value = cell.image_bytes / DECIMAL_UNITS["MB"]
        text = f"{cell.cell} {decimal_size(cell.image_bytes)}"
        yield Number(value=value, text=text, record=f"builds/{cell.cell}.json")


def _layer_lines(workload: str, cell: CellRow, results: Results) -> Iterator[Number]:
    """Yield the lines of a new layer that gave the right answers."""
    del workload
    for row in results.probes:
        lines = layer_lines().get(cell.name)
        if lines and (row.cell, row.probe, row.verdict) == (cell.cell, "own_layer", "match"):
            record = record_path(row.cell, row.workload)
            yield Number(value=lines, text=f"{row.cell} {lines} lines", record=record)


def _packages(workload: str, cell: CellRow, results: Results) -> Iterator[Number]:
    """Yield how many packages are installed with the framework's own, itself counted."""
    del workload
    if distribution := cell.environment.get("distribution"):
        count = 1 + len(distribution["requires"])
        text = f"{cell.cell} {count} package{'s' * (count > 1)}"
        yield Number(value=count, text=text, record=cell_record_path(cell, results))


def _shared_objects(workload: str, cell: CellRow, results: Results) -> Iterator[Number]:
    """Yield the size of the shared objects that were loaded in the end."""
    del workload
    if loaded := cell.environment.get("shared_objects"):
        text = f"{cell.cell} {loaded['count']} with {decimal_size(loaded['bytes'])}"
        record = cell_record_path(cell, results)
        yield Number(value=loaded["bytes"], text=text, record=record)


#: Figures that are exact: one round is enough.
COUNTED: tuple[Figure, ...] = ("lines", "layer", "image", "packages", "shared objects")

#: Figures of programs that are written once: every run has the same.
WRITTEN: tuple[Figure, ...] = ("lines", "layer")

#: Figures of a cell, whatever the workload.
OF_CELLS = ("layer", "image", "packages", "shared objects")

FIGURES: dict[str, NumberFinder] = {
    "import": _startup_times("import_s"),
    "operation": _startup_times("operation_s"),
    "first step": _startup_times("first_step_s"),
    # As the tables of start-up add it up.
    "start": _startup_times(
        "interpreter_s", "import_s", "build_s", "first_forward_s", "first_step_s"
    ),
    "step": _step_time,
    BOTH_PASSES: _pass_time,
    "lines": _line_count,
    "layer": _layer_lines,
    "image": _image_size,
    "packages": _packages,
    "shared objects": _shared_objects,
}
