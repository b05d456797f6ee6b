"""The table of compiling: what it takes at first, and what it saves in each step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from deepmatrix.drawing import numbers
from deepmatrix.drawing.layout import Row, Table, key, number, row, text
from deepmatrix.reports.tables.speed import INTERVAL, are_several, place_of, record_of
from deepmatrix.results.rows import Results
from deepmatrix.results.timing.rows import CompileRow
from deepmatrix.results.timing.statistics import Comparison, Estimate, compare

#: The order of executions: each compiles more ahead than the one before it.
EXECUTIONS = ("eager", "traced", "compiled")

FIRST = (
    "First inference, first step: what each takes longer than steady ones. An eager cell "
    "compiles single operations at most, as jax does: its figures are what any first call costs."
)
TOLD = (
    "Compiling: for how long of both calls the framework compiled, tracing included, as it counts "
    "that itself; `not told` if it cannot be asked."
)
SPEEDUP = (
    "Speed-up: how many times as fast a steady step is as that of the library's cell that compiles "
    "least, with its 95 % interval; `cannot tell` if that includes 1, `one round` if there is no "
    "second one. Only cells of one machine are compared."
)
PAYS = (
    "Pays off after: the steps of training after which what the first step took longer than that "
    "of the other cell is saved; `never` if its steps are not faster."
)


def compilation(results: Results) -> Table:
    """Every library that ran in several ways, by workload: the least compiled cell first."""
    steps = {
        (compiled.cell, compiled.machine, compiled.workload): compiled.step_s
        for compiled in results.training
        if compiled.step_s
    }
    groups: dict[tuple[str, str], list[CompileRow]] = {}
    for compiled in results.compilation:
        groups.setdefault((compiled.workload, compiled.library), []).append(compiled)
    has_several = are_several(results)
    several = {
        name: sorted(group, key=_order)
        for name, group in sorted(groups.items())
        if len({compiled.execution for compiled in group}) > 1
    }
    return Table(
        title="Compiling",
        columns=(
            key("workload"),
            key("cell"),
            text("execution"),
            number("first inference", optional=2, note=FIRST),
            number("first step", note=FIRST),
            number("compiling", optional=1, note=TOLD),
            number("steady step", note=f"Steady step: of training. {INTERVAL}"),
            number("speed-up", note=SPEEDUP),
            number("pays off after", note=PAYS),
        ),
        rows=tuple(
            _row(compiled, _least(group, compiled, several=has_several), steps)
            for group in several.values()
            for compiled in group
        ),
    )


def _order(compiled: CompileRow) -> tuple[int, str]:
    known = compiled.execution in EXECUTIONS
    return (EXECUTIONS.index(compiled.execution) if known else len(EXECUTIONS)), compiled.cell


def _least(group: Sequence[CompileRow], row: CompileRow, *, several: bool) -> CompileRow:
    """Return the row of the least compiled cell that was measured on the machine of another row."""
    place = place_of(row, several=several)
    return next(compiled for compiled in group if place_of(compiled, several=several) == place)


def _row(
    compiled: CompileRow, least: CompileRow, steps: Mapping[tuple[str, str, str], Estimate]
) -> Row:
    step, usual = (
        steps.get((timed.cell, timed.machine, timed.workload)) for timed in (compiled, least)
    )
    compared = faster = None
    if compiled is not least and step and usual:
        compared = compare(step.round_medians, usual.round_medians)
        faster = compare(usual.round_medians, step.round_medians)
    line = row(
        compiled.workload,
        compiled.cell,
        compiled.execution,
        numbers.interval(compiled.forward_s),
        numbers.interval(compiled.step_s),
        _told((compiled.told_forward_s, compiled.told_step_s)),
        numbers.interval(step),
        numbers.DASH if compiled is least or not step or not usual else numbers.compared(faster),
        _payoff(compiled, least, step, usual, compared),
    )
    return replace(line, sources=record_of(compiled.cell, compiled.workload))


def _told(parts: Sequence[Estimate | None]) -> str:
    known = [part.median for part in parts if part]
    return numbers.duration(sum(known)) if known else "not told"


def _payoff(
    compiled: CompileRow,
    least: CompileRow,
    step: Estimate | None,
    usual: Estimate | None,
    compared: Comparison | None,
) -> str:
    """Return after how many steps a cell has caught up, where its rounds show that it does."""
    if compared is None or not (step and usual and compiled.step_s and least.step_s):
        return numbers.DASH
    if compared.direction != "faster":
        return "never" if compared.direction == "slower" else "cannot tell"
    later = max(compiled.step_s.median - least.step_s.median, 0.0)
    return numbers.count(math.ceil(later / (usual.median - step.median)), "step")
