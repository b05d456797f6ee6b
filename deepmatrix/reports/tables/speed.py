"""Tables of speed: training, forward and backward passes, inference, generation."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from deepmatrix.drawing import numbers
from deepmatrix.drawing.layout import (
    NO_BREAK_SPACE,
    Mood,
    Row,
    Source,
    Table,
    expected_status,
    judged_row,
    key,
    mark,
    native,
    number,
    status,
    text,
    without_column,
)
from deepmatrix.results.rows import Results, TrainingRow
from deepmatrix.results.timing.rows import BOTH_PASSES, GenerationRow, InferenceRow, PassRow
from deepmatrix.results.timing.statistics import Estimate, compare
from deepmatrix.store.records import image_path, record_path
from deepmatrix.workloads.guessing import LEVEL

OF_PEAK = (
    "Of peak: operations of convolutions and matrix products per second, in % of the best NumPy "
    "matmul rate measured on this machine; a faster library can exceed 100 %."
)

INTERVAL = "Times are medians; in brackets the 95 % bootstrap interval if there are several rounds."

P50 = f"p50: the median latency of one batch. {INTERVAL}"
PERCENTILE = "{name}: the {rank}th percentile; results.json has its interval."
P90 = PERCENTILE.format(name="p90", rank=90)
P99 = PERCENTILE.format(name="p99", rank=99)

ACCURACY = (
    "Accuracy: on held-out data, in the worst round; `near chance` if guessing reaches as much "
    f"with a probability above {numbers.share(LEVEL)}. A decoder has two: `forced` (teacher "
    "forcing: each step is fed with the right answer before it) and `greedy` (with its own)."
)

SLOWDOWN = (
    "Slowdown: how many times as long as on the fastest native cell, with the 95 % interval for "
    "all of them at once; `cannot tell` if it includes 1, `one round` if there is no second one."
)
OUTPUT_ERROR = (
    "Output error: the largest difference of any layer from a float64 evaluation in the first "
    "step, divided by the layer's largest value."
)
GRADIENT_ERROR = "Gradient error: the same for the gradient of any parameter."
MACHINE = "Machine: where it was measured; times compare on one machine only."
LOSS_ERROR = (
    "Loss error: the largest difference from the losses of a float64 training in the first steps."
)
ALL_STEPS = "All steps: the largest difference of any loss."


def training(results: Results) -> Table:
    """Every training, the fastest native one first."""
    rows = sorted(
        results.training,
        key=lambda row: (row.workload, row.emulated, row.step_s.median if row.step_s else 1e9),
    )
    several = are_several(results)
    steps: dict[tuple[str, str], list[Estimate]] = {}
    for row in rows:
        if row.step_s and not row.emulated:
            place = (row.workload, place_of(row, several=several))
            steps.setdefault(place, []).append(row.step_s)
    table = Table(
        title="Training",
        columns=(
            key("workload"),
            key("cell"),
            text("machine", note=MACHINE),
            text("status"),
            number("step", note=f"Step: time of one training step. {INTERVAL}"),
            number("slowdown", optional=5, note=SLOWDOWN),
            number("throughput", optional=4, note="Throughput: samples per second."),
            number("of peak", optional=3, note=OF_PEAK),
            number("accuracy", note=ACCURACY),
            number("output error", optional=1, note=OUTPUT_ERROR),
            number("gradient error", optional=6, note=GRADIENT_ERROR),
            number("loss error", optional=2, note=LOSS_ERROR),
            number("loss error, all steps", optional=7, note=ALL_STEPS),
        ),
        rows=tuple(
            _training_row(row, steps.get((row.workload, place_of(row, several=several)), ()))
            for row in rows
        ),
        note=f"results.json has the loss of every step.{only_checked(rows)}",
    )
    return with_machines(table, several=several)


class Timed(Protocol):
    """A row of times."""

    @property
    def cell(self) -> str:
        """The cell that was timed."""
        ...

    @property
    def machine(self) -> str:
        """Where it was; nothing where that is not known."""
        ...


def are_several(results: Results) -> bool:
    """Return whether times were measured on several machines."""
    rows: Iterable[Timed] = (
        *results.startup,
        *results.training,
        *results.inference,
        *results.passes,
        *results.generation,
    )
    return len({row.machine for row in rows} - {""}) > 1


def with_machines(table: Table, *, several: bool) -> Table:
    """Return a table as it is where several machines measured, and without its machines else."""
    return table if several else without_column(table, "machine")


def place_of(row: Timed, *, several: bool) -> str:
    """Return what times that compare have in common; an unknown machine is like no other."""
    return (row.machine or row.cell) if several else ""


def record_of(cell: str, subject: str) -> tuple[Source, ...]:
    """Return the first record of a job, as what a line rests on."""
    return (Source(path=record_path(cell, subject)),)


def image_of(cell: str) -> tuple[Source, ...]:
    """Return what is known of a cell's image, as what a line rests on."""
    return (Source(path=image_path(cell), words="image"),)


def only_checked(rows: Sequence[TrainingRow]) -> str:
    """Return which workloads were trained on native cells, and not timed there."""
    trained = [row for row in rows if row.losses and not row.emulated]
    untimed = sorted({row.workload for row in trained if row.step_s is None})
    return f" Only checked, not timed: {', '.join(untimed)}." if untimed else ""


def _training_row(row: TrainingRow, steps: Sequence[Estimate]) -> Row:
    expected = expected_status(row.status) if row.expected_failure else ""
    texts = (
        row.workload,
        row.cell + mark(row.emulated),
        row.machine or numbers.DASH,
        expected or status(row.status, row.reason),
        native(numbers.interval(row.step_s), row.emulated),
        _slowdown(row.step_s, steps, row.emulated),
        numbers.rate(row.samples_per_s),
        numbers.share(row.efficiency),
        numbers.accuracy(row.accuracy, greedy=row.greedy_accuracy, guessed=row.guessed_accuracy),
        numbers.error(row.output_error),
        numbers.error(row.gradient_error),
        numbers.error(row.loss_error),
        numbers.error(row.loss_error_all),
    )
    mood: Mood = "good" if row.status == "ok" else "bad"
    sources = record_of(row.cell, row.workload)
    return judged_row(texts, 3, mood, emulated=row.emulated, sources=sources)


def _slowdown(step: Estimate | None, steps: Sequence[Estimate], emulated: bool) -> str:
    """Return how much slower a step is than the first native one, if the rounds can tell."""
    if step is None or not steps or emulated or step is steps[0]:
        return numbers.DASH
    return numbers.compared(
        compare(step.round_medians, steps[0].round_medians, fastest_of=len(steps))
    )


def passes(results: Results) -> Table:
    """Every batch forward, and forward and backward, the fastest native one first."""
    rows = sorted(
        results.passes, key=lambda row: (row.workload, row.emulated, row.backward_s.median)
    )
    table = Table(
        title="Passes",
        columns=(
            key("workload"),
            key("cell"),
            text("machine", note=MACHINE),
            number("batch"),
            number("forward"),
            number("of peak, forward", optional=3, note=OF_PEAK),
            number(BOTH_PASSES),
            number("of peak, both", optional=2, note=OF_PEAK),
            number(
                "throughput",
                optional=1,
                note="Throughput: samples per second, forward and backward.",
            ),
        ),
        rows=tuple(_pass_row(row) for row in rows),
        note=(
            f"One batch that is on the device already, without an update of the weights. {INTERVAL}"
        ),
    )
    return with_machines(table, several=are_several(results))


def _pass_row(row: PassRow) -> Row:
    texts = (
        row.workload,
        row.cell + mark(row.emulated),
        row.machine or numbers.DASH,
        str(row.batch),
        numbers.interval(row.forward_s),
        numbers.share(row.forward_efficiency),
        numbers.interval(row.backward_s),
        numbers.share(row.backward_efficiency),
        numbers.rate(row.batch / row.backward_s.median),
    )
    sources = record_of(row.cell, row.workload)
    return judged_row(texts, 0, "plain", emulated=row.emulated, sources=sources)


def inference(results: Results) -> Iterator[Table]:
    """One table a workload: every model on every cell that serves it, the fastest first.

    Only native cells have rows, for the models of native producers and for those of users: the
    times of others measure the emulator, or were not taken.
    """
    batches = sorted({row.batch for row in results.inference})
    rows = sorted(results.inference, key=lambda row: row.workload)
    several = are_several(results)
    for workload, group in itertools.groupby(rows, key=lambda row: row.workload):
        served: dict[tuple[str, ...], dict[int, InferenceRow]] = {}
        for row in sorted(group, key=lambda row: row.subject):
            served.setdefault((row.cell, row.machine, *_source(row)), {}).setdefault(row.batch, row)
        models = sorted(served.values(), key=_first_latency)
        titles = {model.artifact: model.name for model in results.models}
        table = _inference_table(workload, models, batches, titles)
        yield with_machines(table, several=several)


def _inference_table(
    workload: str,
    models: list[dict[int, InferenceRow]],
    batches: list[int],
    titles: Mapping[str, str],
) -> Table:
    columns = [key("cell"), key("model"), text("machine", note=MACHINE)]
    for position, size in enumerate(batches):
        batch = f"batch{NO_BREAK_SPACE}{size}"
        columns += [
            number(f"p50, {batch}", optional=min(position, 1) * 2, note=P50),
            number(f"p90, {batch}", optional=5, note=P90),
            number(f"p99, {batch}", optional=3 + min(position, 1), note=P99),
        ]
    at_batch = f"at batch {batches[-1]}"
    columns += [
        number("throughput", optional=1, note=f"Throughput: samples per second, {at_batch}."),
        number("of peak", optional=2, note=f"{OF_PEAK} It is {at_batch}."),
    ]
    return Table(
        title=f"Inference: {workload}",
        columns=tuple(columns),
        rows=tuple(_inference_row(model, batches, titles) for model in models),
    )


def _producer(row: InferenceRow) -> str:
    return row.subject.split("--")[0]


def _source(row: InferenceRow) -> tuple[str, ...]:
    """Return the framework and the format of a model, or nothing where it is the cell's own."""
    if row.subject == row.workload:
        return ()
    return _producer(row).rsplit("-", 3)[0], row.subject.rsplit("--", 1)[1]


def _first_latency(model: dict[int, InferenceRow]) -> float:
    return model[min(model)].p50_s.median


def _inference_row(
    model: dict[int, InferenceRow],
    batches: list[int],
    titles: Mapping[str, str],
) -> Row:
    first = model[min(model)]
    name = titles.get(first.subject) or model_name(first)
    texts = [first.cell, name, first.machine or numbers.DASH]
    for batch in batches:
        row = model.get(batch)
        texts += [numbers.interval(row.p50_s if row else None)]
        texts += [numbers.duration(row.p90_s.value if row else None)]
        texts += [numbers.duration(row.p99_s.value if row else None)]
    last = model[max(model)]
    texts += [numbers.rate(last.samples_per_s), numbers.share(last.efficiency)]
    return judged_row(tuple(texts), 0, "plain", emulated=False)


def model_name(row: InferenceRow) -> str:
    """Return whose model it was: the cell's own, or the producer and format of an artifact."""
    if row.subject == row.workload:
        return "its own"
    producer, _, format_name = row.subject.rsplit("--", 2)
    return f"{format_name} of {producer}"


TOKENS = (
    "Tokens: the right ones before the first other one, of those wanted. At a `near tie` rounding "
    "decides between the right token and another: those after it are not compared."
)
PREFILL = "Prefill: tokens of the prompt per second, which the model takes in one call."
DECODE = (
    "Decode: tokens per second after the first, one a call, by the median of the calls; step: that "
    "median. In brackets the 95 % bootstrap interval if there are several rounds."
)
CACHE = "Cache: the keys and values that the model keeps of all tokens, at the end."


def generation(results: Results) -> Table:
    """Every model that generates on every cell that serves it; of a model the fastest first."""
    titles = {model.artifact: model.name for model in results.models}
    rows = sorted(
        results.generation,
        key=lambda row: (row.workload, row.emulated, row.step_s.median if row.step_s else 1e9),
    )
    table = Table(
        title="Generation",
        columns=(
            key("cell"),
            key("model"),
            text("machine", note=MACHINE),
            text("tokens", note=TOKENS),
            number("prefill", optional=1, note=PREFILL),
            number("decode", note=DECODE),
            number("step", optional=3),
            number("cache", optional=2, note=CACHE),
        ),
        rows=tuple(_generation_row(row, titles) for row in rows),
        note="Greedy decoding, one sequence, with a cache.",
    )
    return with_machines(table, several=are_several(results))


def _generation_row(row: GenerationRow, titles: Mapping[str, str]) -> Row:
    texts = (
        row.cell + mark(row.emulated),
        titles.get(row.artifact, row.artifact),
        row.machine or numbers.DASH,
        f"{row.equal} of {row.steps}" + ", near tie" * bool(row.near_tie),
        native(numbers.rate(row.prefill_tokens_per_s), row.emulated),
        native(numbers.rate(row.decode_tokens_per_s), row.emulated),
        native(numbers.interval(row.step_s), row.emulated),
        numbers.size(row.cache_bytes),
    )
    mood: Mood = "bad" if row.fault else "plain" if row.near_tie else "good"
    sources = record_of(row.cell, row.artifact)
    return judged_row(texts, 3, mood, emulated=row.emulated, sources=sources)
