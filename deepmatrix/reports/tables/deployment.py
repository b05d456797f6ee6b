"""Tables of deployment: exported models, the cost of serving them, MLPerf's scenarios."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Mapping

from deepmatrix.drawing import numbers
from deepmatrix.drawing.layout import (
    Mood,
    Row,
    Table,
    judged_row,
    key,
    mark,
    native,
    number,
    text,
)
from deepmatrix.reports.tables.speed import MACHINE, are_several, image_of, record_of, with_machines
from deepmatrix.results.rows import CellRow, Results
from deepmatrix.results.timing.rows import ExportRow, ScenarioRow
from harness.record import SCENARIO_BOUND, SCENARIO_LEAST_BOUND_S


def exports(results: Results) -> Table:
    """Every producer's exports: by workload and cell, with a column for each format."""
    formats = sorted({row.format for row in results.exports})
    rows = sorted(results.exports, key=lambda row: (row.workload, row.cell))
    lines = []
    for (workload, cell), group in itertools.groupby(rows, lambda row: (row.workload, row.cell)):
        by_format = {row.format: row for row in group}
        emulated = any(row.emulated for row in by_format.values())
        sizes = (_size_and_time(by_format.get(name)) for name in formats)
        texts = (workload, cell + mark(emulated), *sizes, _exporters(by_format.values()))
        sources = record_of(cell, workload)
        lines.append(judged_row(texts, 0, "plain", emulated=emulated, sources=sources))
    return Table(
        title="Exports",
        columns=(
            key("workload"),
            key("cell"),
            *(number(name) for name in formats),
            text(
                "exporters",
                optional=1,
                note="Exporters: with their versions, in the order of the formats.",
            ),
        ),
        rows=tuple(lines),
        note=(
            "Each format: the size of its files, and the export time including the exporter's "
            "import."
        ),
    )


def _size_and_time(row: ExportRow | None) -> str:
    if row is None:
        return numbers.DASH
    size = numbers.size(row.bytes)
    return size if row.export_s is None else f"{size}, {numbers.duration(row.export_s)}"


def _exporters(rows: Iterable[ExportRow]) -> str:
    """Return the exporters, each once: some write several formats."""
    ordered = sorted(rows, key=lambda row: row.format)
    return "; ".join(dict.fromkeys(row.exporter for row in ordered if row.exporter)) or numbers.DASH


def deployment(results: Results) -> Table:
    """Every cell that served: its image, its memory, and its time to first inference."""
    starts: dict[str, dict[str, dict[str, float]]] = {row.cell: {} for row in results.serving}
    for row in results.serving:
        if row.start_s:
            starts[row.cell].setdefault(row.machine, {})[row.workload] = row.start_s.median
    cells = sorted(
        (cell for cell in results.cells if cell.cell in starts),
        key=lambda cell: (cell.emulated, cell.image_bytes or 0),
    )
    served_first = ", ".join(sorted({cell.serving_memory_of for cell in cells} - {""}))
    table = Table(
        title="Deployment",
        columns=(
            key("cell"),
            text("machine", note=MACHINE),
            number("image"),
            number("peak memory"),
            number("first inference"),
            text("of", optional=1),
        ),
        rows=tuple(
            _deployment_row(cell, machine, there)
            for cell in cells
            for machine, there in sorted((starts[cell.cell] or {"": {}}).items())
        ),
        note=(
            "The smallest image first. First inference: from starting the container (or the "
            "process) to the first answer; median over rounds. Peak memory: of a fresh process "
            f"that has served one model ({served_first or numbers.DASH}), not of one that trained."
        ),
    )
    return with_machines(table, several=are_several(results))


def _deployment_row(cell: CellRow, machine: str, starts: Mapping[str, float]) -> Row:
    seconds = statistics.median(starts.values()) if starts else None
    texts = (
        cell.cell + mark(cell.emulated),
        machine or numbers.DASH,
        numbers.size(cell.image_bytes),
        numbers.size(cell.serving_memory_bytes),
        native(numbers.duration(seconds), cell.emulated),
        ", ".join(sorted(starts)) or numbers.DASH,
    )
    return judged_row(texts, 0, "plain", emulated=cell.emulated, sources=image_of(cell.cell))


def scenarios(results: Results) -> Table:
    """MLPerf's scenarios, a line each."""
    return Table(
        title="MLPerf scenarios",
        columns=(
            key("cell"),
            key("model"),
            key("scenario"),
            number("throughput"),
            number("p90", optional=2),
            number("p99"),
            number("bound on p99", optional=1, note=BOUND),
            text("LoadGen's verdict"),
        ),
        rows=tuple(map(_scenario_row, results.scenarios)),
        note=(
            "Measured by MLCommons' LoadGen for two seconds each; these are not official MLPerf "
            "results. Throughput: samples per second. Server: the highest load that was tried with "
            "a p99 within its bound."
        ),
    )


BOUND = (
    f"Bound on p99: {SCENARIO_BOUND} times the time of a single answer, at least "
    f"{numbers.duration(SCENARIO_LEAST_BOUND_S)}."
)


def _scenario_row(row: ScenarioRow) -> Row:
    texts = (
        row.cell + mark(row.emulated),
        row.workload,
        row.scenario,
        numbers.rate(row.samples_per_s),
        numbers.duration(row.p90_s),
        numbers.duration(row.p99_s),
        numbers.duration(row.bound_s),
        "valid" if row.valid else "not valid",
    )
    sources = record_of(row.cell, row.subject)
    mood: Mood = "plain" if row.valid else "bad"
    return judged_row(texts, 7, mood, emulated=row.emulated, sources=sources)
