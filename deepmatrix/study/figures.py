"""Evidence by numbers: a figure of a system, alone or as a ratio to another system's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from deepmatrix.results.rows import CellRow, Results
from deepmatrix.results.timing.rows import BOTH_PASSES
from deepmatrix.results.timing.statistics import Estimate
from deepmatrix.sizes import DECIMAL_UNITS, decimal_size
from deepmatrix.study.checks import FigureCheck
from deepmatrix.study.evidence import Evidence, cell_record_path, cells_of, record_path

#: Rounds differ: a ratio of times of one round decides only past its bound by this factor.
MARGIN = 1.5


@dataclass(frozen=True, kw_only=True)
class Number:
    """A figure of a cell, with its interval where it has one, and the file it is from."""

    value: float
    low: float | None = None
    high: float | None = None
    text: str = ""
    record: str = ""


UNIT = Number(value=1.0, low=1.0, high=1.0)


def figure_evidence(check: FigureCheck, results: Results) -> Iterator[Evidence]:
    """Yield where the figure lies, if the run has it; both figures are of this run."""
    number = next(_numbers(check, check.of, results), None)
    reference = next(_numbers(check, check.over, results), None) if check.over else UNIT
    if number is None or reference is None:
        yield from _missing_number(check, number, reference, results)
        return
    low, high = _ratio_range(number, reference)
    confirms = _compare_bound(check, low, high)
    value = number.value / reference.value
    ratio = f", {reference.text}: {value:.3g} times" if check.over else ""
    reason = f"{check.figure} {number.text}{ratio}{_range_text(number, reference)}"
    if confirms is None:
        reason += f", near the threshold {check.at_least or check.at_most:g}: inconclusive"
    yield Evidence(confirms=confirms, reason=reason, record=number.record, measured=True)


def _missing_number(
    check: FigureCheck, number: Number | None, reference: Number | None, results: Results
) -> Iterator[Evidence]:
    """Yield why a figure is missing; nothing where the run did not try it."""
    present = number or (reference if check.over else None)
    lacking = check.of if number is None else check.over
    if present and lacking and cells_of(lacking, results):
        reason = f"no {check.figure} of {lacking}, native and correct, in the same run"
        yield Evidence(confirms=None, reason=reason, record=present.record)
        return
    systems = {check.of, check.over}
    cells = {cell.cell for cell in results.cells if cell.name in systems}
    for row in results.training:
        if row.cell in cells and row.workload == check.workload and row.status != "ok":
            reason = f"{row.cell}: {row.status}: {row.expected_failure or row.reason}"
            record = record_path(row.cell, row.workload)
            yield Evidence(confirms=None, reason=reason, record=record)


def _range_text(number: Number, reference: Number) -> str:
    low, high = _ratio_range(number, reference)
    if number.low is None or reference.low is None:
        return ", one round"
    return "" if low == high else f" [{low:.3g}, {high:.3g}]"


def _ratio_range(number: Number, reference: Number) -> tuple[float, float]:
    """Return the bounds of the ratio: from the intervals, else by the margin."""
    if number.low is None or number.high is None or reference.low is None or reference.high is None:
        value = number.value / reference.value
        return value / MARGIN, value * MARGIN
    return number.low / reference.high, number.high / reference.low


def _compare_bound(check: FigureCheck, low: float, high: float) -> bool | None:
    """Return on which side of the bound a range is, None where it is on both."""
    if check.at_least is not None:
        return True if low >= check.at_least else False if high < check.at_least else None
    bound = check.at_most or 0.0
    return True if high <= bound else False if low > bound else None


def _numbers(check: FigureCheck, system: str, results: Results) -> Iterator[Number]:
    """Yield a system's figures, of native cells: an emulated one measures the emulator."""
    for cell in cells_of(system, results):
        if not cell.emulated:
            yield from FIGURES[check.figure](check, cell, results)


def _sum_of_times(
    estimates: Sequence[Estimate | None], cell: str, subject: str
) -> Iterator[Number]:
    """Yield the sum of times, if all of them were measured."""
    times = [estimate for estimate in estimates if estimate]
    if len(times) < len(estimates):
        return
    value = sum(time.median for time in times)
    has_interval = all(time.rounds > 1 and time.low > 0 for time in times)
    yield Number(
        value=value,
        low=sum(time.low for time in times) if has_interval else None,
        high=sum(time.high for time in times) if has_interval else None,
        text=f"{cell} {value:.3g} s",
        record=record_path(cell, subject),
    )


NumberFinder = Callable[[FigureCheck, CellRow, Results], Iterable[Number]]


def _startup_times(*fields: str) -> NumberFinder:
    """Return a finder of the sum of some fields of the start-up's row."""

    def find(check: FigureCheck, cell: CellRow, results: Results) -> Iterator[Number]:
        for row in results.startup:
            if row.cell == cell.cell and row.workload == check.workload:
                times = [getattr(row, field) for field in fields]
                yield from _sum_of_times(times, row.cell, row.workload)

    return find


def _step_time(check: FigureCheck, cell: CellRow, results: Results) -> Iterator[Number]:
    for row in results.training:
        if row.cell == cell.cell and row.workload == check.workload and row.status == "ok":
            yield from _sum_of_times([row.step_s], row.cell, row.workload)


def _pass_time(check: FigureCheck, cell: CellRow, results: Results) -> Iterator[Number]:
    for row in results.passes:
        if row.cell == cell.cell and row.workload == check.workload:
            yield from _sum_of_times([row.backward_s], row.cell, row.workload)


def _line_count(check: FigureCheck, cell: CellRow, results: Results) -> Iterator[Number]:
    """Yield the lines of a network that was proven to be the same one."""
    for row in results.idioms:
        matches = row.cell == cell.cell and row.workload == check.workload
        if matches and row.status == "ok" and row.lines:
            text = f"{row.cell} {row.lines} lines"
            record = record_path(row.cell, row.workload)
            yield Number(value=row.lines, low=row.lines, high=row.lines, text=text, record=record)


def _image_size(check: FigureCheck, cell: CellRow, results: Results) -> Iterator[Number]:
    del check, results
    if cell.image_bytes:
        value = cell.image_bytes / DECIMAL_UNITS["MB"]
        text = f"{cell.cell} {decimal_size(cell.image_bytes)}"
        record = f"builds/{cell.cell}.json"
        yield Number(value=value, low=value, high=value, text=text, record=record)


def _peak_memory(check: FigureCheck, cell: CellRow, results: Results) -> Iterator[Number]:
    del check
    if cell.peak_memory_bytes:
        value = cell.peak_memory_bytes / DECIMAL_UNITS["MB"]
        text = f"{cell.cell} {decimal_size(cell.peak_memory_bytes)}"
        yield Number(value=value, text=text, record=cell_record_path(cell, results))


FIGURES: dict[str, NumberFinder] = {
    "import": _startup_times("import_s"),
    "first step": _startup_times("first_step_s"),
    "start": _startup_times("interpreter_s", "import_s", "build_s", "first_step_s"),
    "step": _step_time,
    BOTH_PASSES: _pass_time,
    "lines": _line_count,
    "image": _image_size,
    "memory": _peak_memory,
}
