"""The rows of results: the types behind ``results.json`` and its published schema."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Self

from pydantic import Field, model_validator

from deepmatrix.boundary.bounds import Amount, Count, Finite, Measure, Number, Span, Whole
from deepmatrix.config import documents
from deepmatrix.judging.verdicts import VerdictName
from deepmatrix.results.expressiveness.rows import FactRow, IdiomRow, NoteRow, ProbeRow
from deepmatrix.results.precision.rows import CostRow, QuantisedRow
from deepmatrix.results.timing.rows import (
    CompileRow,
    CrossoverRow,
    ExportRow,
    GenerationRow,
    InferenceRow,
    MachineRow,
    PassRow,
    Row,
    ScalingRow,
    ScenarioRow,
    ServingRow,
    SlowerRow,
    SpanRow,
    StartupRow,
    StepRow,
)
from deepmatrix.results.timing.statistics import Estimate
from deepmatrix.store.causes import Cause, NodeError
from deepmatrix.store.records import Deviation
from deepmatrix.store.reported.output import ModelInput

#: 1: first version. 2: ``known`` is ``expected_failure`` (of a cell ``expected_failures``), a
#: ``share`` is an ``efficiency``; ``failed_phase`` and ``error_type`` are new.
RESULTS_SCHEMA = 2


class CellRow(Row):
    """One cell. Of its *jobs* some *failed*; *expected_failures* are not among these.

    *excluded*: the matrix file excludes the cell; *reason* says why. *evaluator*: it is a
    standard's evaluator. *machine*: where it was measured; *machines*: where there are several, and
    the rest is of the first. *work_s*: of its jobs, without retries.
    *float32_by*: what a user sets to keep it to float32. *image_id*: the engine's digest of its
    image, *base*: what it is made from. *pulled*: its name with the digest, *not_pulled*: why not.
    *serving_memory_bytes*: of a fresh process that served a model of *serving_memory_of*, in
    *serving_memory_job*.
    """

    cell: str
    name: str
    language: str = "Python"
    status: str
    reason: str = ""
    excluded: bool = False
    evaluator: bool = False
    float32_by: str = ""
    emulated: bool = False
    engine: str = ""
    machine: str = ""
    machines: tuple[MachineRow, ...] = ()
    version: str = ""
    versions: dict[str, str] = Field(default_factory=dict)
    environment: dict[str, Any] = Field(default_factory=dict)
    image: str = ""
    image_id: str = ""
    base: str = ""
    pulled: str = ""
    not_pulled: str = ""
    image_bytes: Count | None = None
    build_s: Span | None = None
    import_s: Estimate | None = None
    peak_flops: Amount | None = None
    peak_memory_bytes: Count | None = None
    serving_memory_bytes: Count | None = None
    serving_memory_of: str = ""
    serving_memory_job: str = ""
    memory_source: str = ""
    energy_j: Amount | None = None
    work_s: Span = 0.0
    jobs: Count = 0
    failed: Count = 0
    expected_failures: Count = 0
    missing: Count = 0

    def by_machine(self) -> list[CellRow]:
        """Return the row as on each of several machines that measured the cell."""
        return [self.model_copy(update=vars(machine)) for machine in self.machines]


class TrainingRow(Row):
    """How one cell trained one workload. Times in seconds.

    *failed_phase*, *error_type*: what the status comes from. *expected_failure*: why it may fail.
    *unsteady*: rounds without a steady state. *efficiency*: the share of the machine's measured
    peak, as everywhere here. *guessed_accuracy*: what guessing reaches. A decoder's *accuracy* is
    with teacher forcing, *greedy_accuracy* by its own answers. *loss_growth*: the largest
    difference of a loss from gold up to a step, by the step's number. *losses*: step, loss and
    gold's loss, of the first round and of some steps only; a loss, or a difference, is None where
    it is not finite. *layers*, *gradients*: the errors of the first step, in the network's order;
    None where a value is not finite.
    *precision*: the lowest that it computed in; *float32_cell*: that which trains the same in
    float32, where the cell is a variant of it. *machine*: where it was timed. *pending*: its jobs
    have not run yet.
    """

    cell: str
    workload: str
    emulated: bool
    precision: str = "float32"
    float32_cell: str = ""
    machine: str = ""
    status: str
    reason: str = ""
    failed_phase: str = ""
    error_type: str = ""
    expected_failure: str = ""
    pending: bool = False
    step_s: Estimate | None = None
    unsteady: Count = 0
    samples_per_s: Amount | None = None
    efficiency: Amount | None = None
    accuracy: Number | None = None
    greedy_accuracy: Number | None = None
    accuracy_wanted: Number
    guessed_accuracy: Number | None = None
    output_error: Measure | None = None
    gradient_error: Measure | None = None
    first_wrong: str = ""
    loss_error: Measure | None = None
    loss_error_all: Measure | None = None
    loss_growth: tuple[tuple[Count, Measure | None], ...] = ()
    losses: tuple[tuple[Count, Finite | None, Finite], ...] = ()
    layers: dict[str, Measure | None] = Field(default_factory=dict)
    gradients: dict[str, Measure | None] = Field(default_factory=dict)


class PortabilityRow(Row):
    """One artifact on one consumer.

    *isa*: the instruction set that the consumer was kept to, by its name in the matrix file.
    *error*, *tolerance*: of *worst_output*, which uses most of its tolerance. *basis*: where that
    comes from. *precision*: the lowest of the consumer's arithmetic. *outputs*: the numbers of
    each. *repeatable*: all inferences gave the same bits. *stateful*: they did not, and those after
    a fresh load gave them again. *unsteady*: how many differ, and how far, where neither holds.
    *repeats*: how many answers were compared, by the number of threads. *threads_apart*: how far
    those of different numbers of threads are apart. *failed_phase*, *error_type*: what an error
    comes from. *expected_failure*: why it may fail. *cause*: what a diagnosis found. *model*: the
    name of a user's own model. *judges*: the consumer is the evaluator that gold comes from, so
    that its verdict says nothing of a runtime. *pending*: its job, or its producer's, has not run
    yet, as in a run that was interrupted.
    """

    artifact: str
    model: str = ""
    judges: bool = False
    consumer: str
    isa: str = ""
    emulated: bool
    verdict: VerdictName
    error: Measure | None = None
    tolerance: Measure | None = None
    basis: str = ""
    worst_output: str = ""
    precision: str = "float32"
    producer_error: Measure | None = None
    outputs: tuple[Deviation, ...] = ()
    repeatable: bool | None = None
    stateful: bool = False
    unsteady: str = ""
    repeats: dict[str, Count] = Field(default_factory=dict)
    threads_apart: Measure = 0.0
    reason: str = ""
    failed_phase: str = ""
    error_type: str = ""
    message: str = ""
    expected_failure: str = ""
    pending: bool = False
    cause: Cause | None = None

    @property
    def title(self) -> str:
        """The artifact's name on screens: a user's own model by its name."""
        return self.model or self.artifact

    @property
    def finite_error(self) -> float | None:
        """The error, None also where it is infinite or not a number."""
        return self.error if self.error is not None and math.isfinite(self.error) else None

    @property
    def is_reduced(self) -> bool:
        """Whether the consumer computes in less than float32."""
        return self.precision not in ("float32", "float64")

    @property
    def share_of_tolerance(self) -> float | None:
        """The error over what is allowed of it, None where either is missing."""
        return self.error / self.tolerance if self.error is not None and self.tolerance else None


class ModelRow(Row):
    """A user's own model. *source*: the path that the user gave.

    *inspector*: the cell that read it first; *evaluator*: it is the standard's own. *judged_by*:
    by output, where gold comes from; *remarks*: why a better source does not count. *random*: the
    outputs that are random by design. *has_reference*: gold is the user's reference, or what
    another model gives. *refusal*: why a runtime takes no sample inputs. *sha256*: of its files, 64
    hex digits each, by their paths; empty where the run does not have them.
    """

    name: str
    format: str
    artifact: str
    source: str = ""
    inspector: str
    evaluator: bool = False
    judged_by: dict[str, str] = Field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    random: tuple[str, ...] = ()
    has_reference: bool = False
    inputs: tuple[ModelInput, ...] = ()
    refusal: str = ""
    sha256: dict[str, str] = Field(default_factory=dict)

    @property
    def is_sampled(self) -> bool:
        """Whether it got sample inputs, not user-provided ones."""
        return any(entry.sampled for entry in self.inputs)


class NodesRow(Row):
    """What a consumer's nodes of a model add to its error: the largest, in the graph's order.

    The first node beyond its tolerance is among these *largest*, whatever it adds.
    *file* has them all, below the run's directory; *note* says why some are missing there.
    *errors*: along the graph, the number of a node with its error, of neighbours the largest; None
    where it cannot be compared.
    """

    artifact: str
    model: str = ""
    consumer: str
    file: str
    count: Count
    largest: tuple[NodeError, ...]
    errors: tuple[tuple[Count, Measure | None], ...] = ()
    note: str = ""


class Results(Row):
    """All results of a run: ``results.json``.

    *beside*: checked work might run beside what was timed.
    *noisy*: jobs on a slowed machine that no retry replaced. *over_budget*: problems of budgets.
    *earlier*: the last run alike. *reused*: jobs with records of a run, by it. *anew*: others, why.
    """

    schema_version: int = RESULTS_SCHEMA
    run: str
    created: str
    version: str
    preset: str
    seed: Whole
    engines: dict[str, dict[str, str]]
    beside: bool = False
    cells: tuple[CellRow, ...]
    startup: tuple[StartupRow, ...]
    training: tuple[TrainingRow, ...]
    passes: tuple[PassRow, ...]
    steps: tuple[StepRow, ...] = ()
    compilation: tuple[CompileRow, ...] = ()
    crossovers: tuple[CrossoverRow, ...] = ()
    scaling: tuple[ScalingRow, ...] = ()
    idioms: tuple[IdiomRow, ...]
    probes: tuple[ProbeRow, ...]
    facts: tuple[FactRow, ...] = ()
    notes: tuple[NoteRow, ...]
    inference: tuple[InferenceRow, ...]
    serving: tuple[ServingRow, ...]
    scenarios: tuple[ScenarioRow, ...] = ()
    generation: tuple[GenerationRow, ...] = ()
    exports: tuple[ExportRow, ...]
    models: tuple[ModelRow, ...] = ()
    portability: tuple[PortabilityRow, ...]
    quantised: tuple[QuantisedRow, ...] = ()
    costs: tuple[CostRow, ...] = ()
    nodes: tuple[NodesRow, ...] = ()
    timeline: tuple[SpanRow, ...] = ()
    findings: tuple[str, ...]
    warnings: tuple[str, ...]
    problems: tuple[str, ...]
    over_budget: tuple[str, ...] = ()
    earlier: str = ""
    slower: tuple[SlowerRow, ...] = ()
    noisy: tuple[str, ...] = ()
    reused: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    anew: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_only_known_names(self) -> Self:
        """Refuse what tables would look up in vain: results may come from another machine."""
        cells = {row.cell for row in self.cells}
        for field, rows in self:
            for row in rows if isinstance(rows, tuple) else ():
                if isinstance(row, Row) and (problem := row.unknown_name(cells)):
                    raise ValueError(f"{field}: {problem}")
        return self

    @property
    def kind(self) -> str:
        """What the run is of; one that was refused before it had a cell is of nothing."""
        if self.models:
            return "Verification"
        return "Matrix" if self.cells else "Run"

    @cached_property
    def served_models(self) -> list[ModelRow]:
        """The user's own models, without originals, which are evaluated and not served."""
        originals = {cost.original for cost in self.costs}
        return [model for model in self.models if model.artifact not in originals]

    @cached_property
    def _verdicts(self) -> dict[str, list[PortabilityRow]]:
        grouped: dict[str, list[PortabilityRow]] = {}
        for judged in self.portability:
            grouped.setdefault(judged.artifact, []).append(judged)
        return grouped

    def verdicts_of(self, artifact: str) -> Sequence[PortabilityRow]:
        """Return the verdicts of an artifact, in their order."""
        return self._verdicts.get(artifact, ())

    def memory(self) -> Iterator[tuple[CellRow, str, int]]:
        """Yield each cell whose peak memory of serving is known, with the workload, and bytes.

        The peak of all that it did is another one for other models, and where another job is the
        first of a process.
        """
        for cell in self.cells:
            if cell.serving_memory_bytes:
                yield cell, cell.serving_memory_of, cell.serving_memory_bytes

    def __copy__(self) -> Self:
        """Return a copy that works out anew what is cached: `model_copy` may change its fields."""
        copied = super().__copy__()
        for name in ("served_models", "_verdicts"):
            copied.__dict__.pop(name, None)
        return copied


def schema() -> str:
    """Return the JSON Schema of ``results.json``, as published in the repository."""
    return documents.json_schema(Results, "deepmatrix results", written=True)
