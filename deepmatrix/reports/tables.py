"""What the tables of a report say, whatever draws them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from deepmatrix.reports import findings, numbers, portability, study
from deepmatrix.reports.layout import Mood, Row, Table, mark, moods, status
from deepmatrix.reports.layout import row as row_of
from deepmatrix.results.rows import CellRow, InferenceRow, Results, StartupRow
from deepmatrix.results.statistics import Estimate, compare

OF_PEAK = (
    "Of peak: operations of convolutions and matrix products over time, over the fastest matrix "
    "product of numpy that a canary saw on the machine; faster products than numpy's reach more."
)


def tables(results: Results) -> list[Table]:
    """Return the tables of a report, in their order; empty ones left out."""
    found = [
        cells(results),
        libraries(results),
        startup(results),
        training(results),
        passes(results),
        study.table(results),
        *inference(results),
        *findings.tables(results),
        *portability.tables(results),
    ]
    return [table for table in found if table.rows]


def cells(results: Results) -> Table:
    """Every selected cell: what it is, what it cost, or why it did not run."""
    ran = [row for row in results.cells if row.status != "not-run"]
    idle = [row for row in results.cells if row.status == "not-run"]
    counted = sorted({row.memory_source for row in ran} - {""})
    return Table(
        title="Cells",
        columns=("cell", "status", "version", "image", "build", "import", "peak memory"),
        rows=tuple(_cell(row) for row in [*ran, *idle]),
        numeric=frozenset({3, 4, 5, 6}),
        note=(
            "Image: `kept` was there before. Import and peak memory: of fresh processes"
            + (f"; memory counted by {', '.join(counted)}. " if counted else ". ")
            + _energy(ran)
        ),
    )


def _energy(rows: list[CellRow]) -> str:
    told = [f"{row.cell} {row.energy_j:.0f} J" for row in rows if row.energy_j is not None]
    if not told:
        return "Energy: no RAPL counter can be read here."
    return f"Energy of the processors while its jobs ran: {', '.join(told)}."


def _cell(row: CellRow) -> Row:
    if row.status == "not-run":
        return row_of(row.cell, f"not run: {row.reason}", *[numbers.DASH] * 5, mood="muted")
    mood: Mood = "good" if row.status == "ok" else "bad"
    return Row(
        texts=(
            row.cell + mark(row.emulated),
            status(row.status, row.reason)
            + (f"; {row.expected_failures} known to fail" if row.expected_failures else ""),
            row.version or numbers.DASH,
            numbers.size(row.image_bytes),
            _build(row),
            numbers.duration(row.import_s.median if row.import_s else None),
            numbers.size(row.peak_memory_bytes),
        ),
        moods=("plain", mood, "plain", "plain", "plain", "plain", "plain"),
    )


def _build(row: CellRow) -> str:
    if row.build_s is not None:
        return numbers.duration(row.build_s)
    return numbers.DASH if row.status == "build-failed" else "kept"


def libraries(results: Results) -> Table:
    """What multiplies matrices in every framework, as the process itself read it back."""
    trained = {row.cell for row in results.training} | {row.cell for row in results.passes}
    rows = [row for row in results.cells if row.cell in trained and row.environment.get("blas")]
    return Table(
        title="Matrix products",
        columns=("cell", "by", "processor"),
        rows=tuple(
            row_of(
                row.cell + mark(row.emulated),
                str(row.environment["blas"]),
                str(row.environment.get("processor") or numbers.DASH),
                mood="muted" if row.emulated else "plain",
            )
            for row in rows
        ),
        note=(
            "Asked of the libraries in the process. The core is the one whose kernels an OpenBLAS "
            "runs: an older one may take the processor for one that it knew. The first library "
            "named, where there are two, is numpy's."
        ),
    )


STARTUP_PARTS = ("interpreter", "import", "build", "first_forward", "first_step", "second_step")


def startup(results: Results) -> Table:
    """Every producer from nothing to its second training step, the quickest native first."""
    rows = sorted(
        results.startup, key=lambda row: (row.workload, row.emulated, _until_trained(row))
    )
    return Table(
        title="Start-up",
        columns=(
            "workload",
            "cell",
            "interpreter",
            "import",
            "from disk",
            "build",
            "first answer",
            "first step",
            "second step",
            "until trained once",
        ),
        rows=tuple(_startup(row) for row in rows),
        numeric=frozenset(range(2, 10)),
        note=(
            "Medians of fresh processes whose files were in the system's cache. From disk: one "
            "import after they were given up from the cache, and what it read. Build: the network "
            "with its weights. First answer and first step include what is traced or compiled on "
            "first use; the second step does not."
        ),
    )


def _startup(row: StartupRow) -> Row:
    parts = [getattr(row, f"{part}_s") for part in STARTUP_PARTS]
    times = [numbers.duration(part.median if part else None) for part in parts]
    texts = (
        row.workload,
        row.cell + mark(row.emulated),
        *times[:2],
        _cold(row),
        *times[2:],
        numbers.duration(_until_trained(row)),
    )
    return Row(texts=texts, moods=moods(len(texts), 0, "plain", row.emulated))


def _cold(row: StartupRow) -> str:
    if row.cold_import_s is None:
        return numbers.DASH
    return f"{numbers.duration(row.cold_import_s)}, {numbers.size(row.cold_read_bytes)}"


def _until_trained(row: StartupRow) -> float:
    """Return the seconds until the first training step was done."""
    parts = [getattr(row, f"{part}_s") for part in STARTUP_PARTS[:-1]]
    return float(sum(part.median for part in parts if part))


def training(results: Results) -> Table:
    """Every training, the fastest native one first."""
    rows = sorted(
        results.training,
        key=lambda row: (row.workload, row.emulated, row.step_s.median if row.step_s else 1e9),
    )
    fastest: dict[str, Estimate] = {}
    for row in rows:
        if row.step_s and not row.emulated:
            fastest.setdefault(row.workload, row.step_s)
    return Table(
        title="Training",
        columns=(
            "workload",
            "cell",
            "status",
            "a step",
            "than the fastest",
            "samples",
            "of peak",
            "accuracy",
            "outputs",
            "gradients",
            "losses",
            "to the end",
        ),
        rows=tuple(
            Row(
                texts=(
                    row.workload,
                    row.cell + mark(row.emulated),
                    f"{row.status}: known"
                    if row.expected_failure
                    else status(row.status, row.reason),
                    numbers.interval(row.step_s),
                    _than(row.step_s, fastest.get(row.workload), row.emulated),
                    numbers.rate(row.samples_per_s),
                    numbers.share(row.efficiency),
                    numbers.share(row.accuracy),
                    numbers.error(row.output_error),
                    numbers.error(row.gradient_error),
                    numbers.error(row.loss_error),
                    numbers.error(row.loss_error_all),
                ),
                moods=moods(12, 2, "good" if row.status == "ok" else "bad", row.emulated),
            )
            for row in rows
        ),
        numeric=frozenset(range(3, 12)),
        note=(
            "A step: median and 95 % bootstrap interval over rounds and steps, where there is more "
            "than one round. Than the fastest: the 95 % interval of the ratio, where it excludes "
            f"equal. {OF_PEAK} Accuracy: held-out, the worst round. Outputs, gradients: the "
            "largest error of a layer or a parameter in the first step, from a float64 evaluation "
            "over its largest value. Losses: the largest difference from a float64 run in the "
            "first steps, and in all: on the way results.json has it."
        ),
    )


def _than(one: Estimate | None, fastest: Estimate | None, emulated: bool) -> str:
    """Say how much slower than the fastest native one, where that can be told at all."""
    if one is None or fastest is None or emulated or one is fastest:
        return numbers.DASH
    found = compare(one.round_medians, fastest.round_medians)
    if found is None or found.word == "cannot tell":
        return "cannot tell"
    return f"{found.word}, {found.low:.2f} to {found.high:.2f} times"


def passes(results: Results) -> Table:
    """Every batch forward, and forward and backward, the fastest native one first."""
    rows = sorted(
        results.passes, key=lambda row: (row.workload, row.emulated, row.backward_s.median)
    )
    return Table(
        title="Passes",
        columns=(
            "workload",
            "cell",
            "batch",
            "forward",
            "of peak",
            "forward and backward",
            "of peak",
            "samples",
        ),
        rows=tuple(
            Row(
                texts=(
                    row.workload,
                    row.cell + mark(row.emulated),
                    str(row.batch),
                    numbers.interval(row.forward_s),
                    numbers.share(row.forward_efficiency),
                    numbers.interval(row.backward_s),
                    numbers.share(row.backward_efficiency),
                    numbers.rate(row.batch / row.backward_s.median),
                ),
                moods=moods(8, 0, "plain", row.emulated),
            )
            for row in rows
        ),
        numeric=frozenset(range(2, 8)),
        note=(
            "One batch that is already on the device, without an update: median with 95 % "
            f"interval, where there is more than one round. {OF_PEAK}"
        ),
    )


def inference(results: Results) -> Iterator[Table]:
    """One table a workload: every model on every cell that serves it, the fastest first.

    Emulated cells are left out where there are native ones: their times say nothing of their
    architecture. A framework's models from several platforms are one network in one format: that
    of a native producer stands for all.
    """
    batches = sorted({row.batch for row in results.inference})
    emulated = {cell.cell for cell in results.cells if cell.emulated}
    native = [row for row in results.inference if not row.emulated]
    rows = sorted(native or results.inference, key=lambda row: row.workload)
    for workload, group in itertools.groupby(rows, key=lambda row: row.workload):
        served: dict[tuple[str, ...], dict[int, InferenceRow]] = {}
        for row in sorted(group, key=lambda row: (_producer(row) in emulated, row.subject)):
            model = served.setdefault((row.cell, *_source(row)), {})
            model.setdefault(row.batch, row)
        heads = [(f"p50, batch {batch}", "p90", "p99") for batch in batches]
        yield Table(
            title=f"Inference: {workload}",
            columns=("cell", "model", *itertools.chain.from_iterable(heads), "samples", "of peak"),
            rows=tuple(_inference(one, batches) for one in sorted(served.values(), key=_speed)),
            numeric=frozenset(range(2, 4 + 3 * len(batches))),
            note=(
                "Latency of one batch: median with 95 % bootstrap interval, where there is more "
                "than one round, and 90th and 99th percentile, whose intervals are in "
                "results.json, as are a framework's models from further platforms and the times "
                f"of emulated cells. Samples and share at batch {batches[-1]}. {OF_PEAK}"
            ),
        )


def _producer(row: InferenceRow) -> str:
    return row.subject.split("--")[0]


def _source(row: InferenceRow) -> tuple[str, ...]:
    """Return the framework and the format of a model, or nothing where it is the cell's own."""
    if row.subject == row.workload:
        return ()
    return _producer(row).rsplit("-", 3)[0], row.subject.rsplit("--", 1)[1]


def _speed(model: dict[int, InferenceRow]) -> tuple[bool, float]:
    first = model[min(model)]
    return first.emulated, first.p50_s.median


def _inference(model: dict[int, InferenceRow], batches: list[int]) -> Row:
    first = model[min(model)]
    texts = [first.cell + mark(first.emulated), model_name(first)]
    for batch in batches:
        row = model.get(batch)
        texts += [numbers.interval(row.p50_s if row else None)]
        texts += [numbers.duration(row.p90_s.value if row else None)]
        texts += [numbers.duration(row.p99_s.value if row else None)]
    last = model[max(model)]
    texts += [numbers.rate(last.samples_per_s), numbers.share(last.efficiency)]
    return Row(texts=tuple(texts), moods=moods(len(texts), 0, "plain", first.emulated))


def model_name(row: InferenceRow) -> str:
    """Return whose model it was: the cell's own, or the producer and format of an artifact."""
    if row.subject == row.workload:
        return "its own"
    producer, _, format = row.subject.rsplit("--", 2)
    return f"{format} of {producer}"
