"""Tables of the cells: what they are, how they multiply matrices, how they start."""

from __future__ import annotations

from collections.abc import Sequence

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
    row,
    status,
    text,
)
from deepmatrix.reports.tables.speed import (
    MACHINE,
    are_several,
    image_of,
    only_checked,
    record_of,
    with_machines,
)
from deepmatrix.results.rows import CellRow, Results
from deepmatrix.results.timing.rows import StartupRow


def cells(results: Results) -> Table:
    """Every selected cell: what it is, what it cost, or why it did not run."""
    ran = [cell for cell in results.cells if cell.status != "not-run"]
    skipped = [cell for cell in results.cells if cell.status == "not-run"]
    sources = sorted({cell.memory_source for cell in ran} - {""})
    counted = f" Memory is counted by {', '.join(sources)}." if sources else ""
    if any(source.startswith("cgroup") for source in sources):
        counted += f" {FILE_PAGES}"
    return Table(
        title="Cells",
        columns=(
            key("cell"),
            text("status"),
            text("version", optional=2),
            number("image", note="Image: its size."),
            number("build", optional=4, note=BUILD),
            number("import", optional=3, note="Import: in a fresh process."),
            number("peak memory", optional=1, note=f"Peak memory: of fresh processes.{counted}"),
        ),
        rows=tuple(_cell_row(cell) for cell in [*ran, *skipped]),
        note=" ".join([*_processors(ran, several=are_several(results)), _energy(ran)]),
    )


FILE_PAGES = (
    "It counts the files that a process is the first to read: a run with new images, or after a "
    "restart of the machine, shows more than the next."
)
BUILD = (
    "Build: the time to build it; `cached` means that it was there before, `pulled` that it came "
    "from a registry."
)


def _processors(ran: Sequence[CellRow], *, several: bool) -> list[str]:
    """Return a sentence for each processor that measured, with what a job had and reached there."""
    peaks: dict[tuple[str, str, int], float] = {}
    for cell in ran:
        for place in cell.by_machine() or [cell]:
            processor, cpus = (place.environment.get(fact) for fact in ("processor", "cpus"))
            if place.emulated or not processor or not isinstance(cpus, int) or not place.peak_flops:
                continue
            setting = str(processor), f" ({place.machine})" if several else "", cpus
            peaks[setting] = max(peaks.get(setting, 0.0), place.peak_flops)
    return [
        f"Measured on {processor}{name} with {cpus} CPU{'s' if cpus > 1 else ''} a job, which "
        f"multiplied NumPy matrices at up to {flops / 1e9:.0f} GFLOP/s."
        for (processor, name, cpus), flops in sorted(peaks.items())
    ]


def _energy(ran: list[CellRow]) -> str:
    energies = [f"{cell.cell} {cell.energy_j:.0f} J" for cell in ran if cell.energy_j is not None]
    if not energies:
        return "Energy was not measured: no RAPL counter can be read here."
    return f"Energy of the processors while the timed jobs of a cell ran: {', '.join(energies)}."


def _cell_row(cell: CellRow) -> Row:
    if cell.status == "not-run":
        return row(cell.cell, f"not run: {cell.reason}", *[numbers.DASH] * 5, mood="muted")
    mood: Mood = "good" if cell.status == "ok" else "bad"
    plural = "s" if cell.expected_failures > 1 else ""
    expected = (
        f"; {cell.expected_failures} expected failure{plural}" if cell.expected_failures else ""
    )
    texts = (
        cell.cell + mark(cell.emulated),
        status(cell.status, cell.reason) + expected,
        cell.version or numbers.DASH,
        numbers.size(cell.image_bytes),
        _build_time(cell),
        native(numbers.duration(cell.import_s.median if cell.import_s else None), cell.emulated),
        numbers.size(cell.peak_memory_bytes),
    )
    return judged_row(texts, 1, mood, emulated=False, sources=image_of(cell.cell))


def _build_time(cell: CellRow) -> str:
    if cell.build_s is not None:
        return numbers.duration(cell.build_s)
    if cell.status == "build-failed":
        return numbers.DASH
    return "pulled" if cell.pulled else "cached"


def libraries(results: Results) -> Table:
    """The library that multiplies matrices in each cell that trained."""
    trained = {row.cell for row in results.training} | {row.cell for row in results.passes}
    rows = [cell for cell in results.cells if cell.cell in trained and cell.environment.get("blas")]
    return Table(
        title="Matrix products",
        columns=(key("cell"), text("library"), text("processor", optional=1)),
        rows=tuple(
            row(
                cell.cell + mark(cell.emulated),
                str(cell.environment["blas"]),
                str(cell.environment.get("processor") or numbers.DASH),
                mood="muted" if cell.emulated else "plain",
            )
            for cell in rows
        ),
        note=(
            "Library: what multiplies matrices, as the process itself reports it; of two, the "
            "first is NumPy's. \"core\" in the library's text: the processor that OpenBLAS chose "
            "its kernels for. An old OpenBLAS may not know a new processor and choose slower ones."
        ),
    )


STARTUP_PARTS = ("interpreter", "import", "build", "first_forward", "first_step", "second_step")

COLD_IMPORT = "Cold import: one import from disk, with the bytes it read."
TINY_OPERATION = "Tiny operation: a product of one number by one, the mean of a thousand."
FIRST_INFERENCE = "First inference: with tracing and compiling."
FIRST_STEP = "First step: with tracing and compiling."
TIME_TO_FIRST_STEP = "Time to first step: the sum of all parts up to the first training step."


def startup(results: Results) -> Table:
    """Every producer from its start to its second training step, the quickest native first."""
    rows = sorted(
        results.startup,
        key=lambda start: (start.workload, start.emulated, _time_to_trained(start) or 0.0),
    )
    table = Table(
        title="Start-up",
        columns=(
            key("workload"),
            key("cell"),
            text("machine", note=MACHINE),
            number("interpreter", optional=6),
            number("import", optional=2),
            number("cold import", optional=5, note=COLD_IMPORT),
            number("build", optional=7, note="Build: making the network with its weights."),
            number("first inference", optional=4, note=FIRST_INFERENCE),
            number("first step", optional=1, note=FIRST_STEP),
            number("second step", optional=3, note="Second step: without tracing and compiling."),
            number("tiny operation", optional=8, note=TINY_OPERATION),
            number("time to first step", note=TIME_TO_FIRST_STEP),
        ),
        rows=tuple(_startup_row(start) for start in rows),
        note=(
            "Medians of fresh processes, whose files are in the system's cache."
            f"{only_checked(results.training)}"
        ),
    )
    return with_machines(table, several=are_several(results))


def _startup_row(start: StartupRow) -> Row:
    parts = [getattr(start, f"{part}_s") for part in (*STARTUP_PARTS, "operation")]
    times = [numbers.duration(part.median if part else None) for part in parts]
    texts = (
        start.workload,
        start.cell + mark(start.emulated),
        start.machine or numbers.DASH,
        *times[:2],
        _cold_import(start),
        *times[2:],
        native(numbers.duration(_time_to_trained(start)), start.emulated),
    )
    sources = record_of(start.cell, start.workload)
    return judged_row(texts, 0, "plain", emulated=start.emulated, sources=sources)


def _cold_import(start: StartupRow) -> str:
    if start.cold_import_s is None:
        return numbers.DASH
    return f"{numbers.duration(start.cold_import_s)}, {numbers.size(start.cold_read_bytes)}"


def _time_to_trained(start: StartupRow) -> float | None:
    """Return the seconds until the first training step was done; None where none was timed."""
    parts = [part for name in STARTUP_PARTS[:-1] if (part := getattr(start, f"{name}_s"))]
    return float(sum(part.median for part in parts)) if parts else None


def on_processors(results: Results) -> str:
    """Return on which processors native cells ran, as the end of a sentence; "" if unknown."""
    native = [cell for cell in results.cells if cell.jobs and not cell.emulated]
    processors = {str(cell.environment.get("processor") or "") for cell in native} - {""}
    return f", on {', '.join(sorted(processors))}" if processors else ""
