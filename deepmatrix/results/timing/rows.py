"""Rows of times, and what every row of results is."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from deepmatrix.boundary.bounds import Amount, Count, FewFixed, Line, Measure, Opset, Size, Span
from deepmatrix.results.timing.statistics import Bounded, Estimate

#: What the time of a batch forward and backward is called, in tables, comparisons and statements.
BOTH_PASSES: Final = "forward and backward"


class Row(BaseModel):
    """A row of results: frozen."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    def unknown_name(self, cells: Container[str]) -> str:
        """Return which name in this row is of no cell, or no artifact's id, or nothing."""
        for name in (getattr(self, "cell", None), getattr(self, "consumer", None)):
            if name is not None and name not in cells:
                return f"there is no cell {name[:100]!r}"
        subject = getattr(self, "subject", None)
        is_own = subject is None or subject == getattr(self, "workload", None)
        for name in (getattr(self, "artifact", None), None if is_own else subject):
            if name is not None and name.count("--") < 2:
                return f"{name[:100]!r} is no artifact"
        return ""


class MachineRow(Row):
    """One of the machines that measured a cell, with the engine and the environment there.

    *peak_flops*: the fastest matrix product of the cell's canaries there, FLOP/s.
    """

    machine: str
    engine: str = ""
    environment: dict[str, Any] = Field(default_factory=dict)
    peak_flops: Amount | None = None


class SlowerRow(Row):
    """A native time, seconds, that is longer beyond chance than in the earlier run.

    *machine*: which, where the cell ran on several. *time*: what was timed. *record*: the path of
    a record that shows it, or empty. *base_s*: then, *head_s*: now. *ratio*, *low*, *high*: now
    over then with its 95 % interval.
    """

    cell: str
    machine: str = ""
    time: Line
    record: Line = ""
    base_s: Span | None
    head_s: Span | None
    ratio: Amount
    low: Amount
    high: Amount

    @property
    def place(self) -> str:
        """The cell, and its machine where it has one, as people read it."""
        return f"{self.cell} on {self.machine}" if self.machine else self.cell


class StartupRow(Row):
    """The start: to the second training step, or to the first inference. Times in seconds.

    *operation_s*: of a tiny operation, measured after it.
    """

    cell: str
    workload: str
    emulated: bool
    machine: str = ""
    interpreter_s: Estimate | None
    import_s: Estimate | None
    build_s: Estimate | None
    first_forward_s: Estimate | None
    first_step_s: Estimate | None
    second_step_s: Estimate | None
    operation_s: Estimate | None = None
    cold_import_s: Span | None = None
    cold_read_bytes: Count | None = None


class InferenceRow(Row):
    """The inference of one cell: its own model, or an artifact. Times in seconds a batch.

    *range_s*: least, lower quartile, upper quartile and greatest of the samples of all rounds
    without their warm-up. *operators*: by kind of operator, as the runtime's own profiler counts
    them, in each round.
    """

    cell: str
    subject: str
    workload: str
    emulated: bool
    machine: str = ""
    batch: Count
    p50_s: Estimate
    p90_s: Bounded
    p99_s: Bounded
    range_s: FewFixed[Span] = ()
    unsteady: Count = 0
    operators: dict[str, FewFixed[Span]] = Field(default_factory=dict)
    samples_per_s: Amount
    efficiency: Amount | None = None


class ServingRow(Row):
    """The time to first inference of a consumer with one artifact. Times in seconds.

    *start_s*: from the request to start its container or process to its first inference. Starts
    from a cold file cache are left out. *interpreter_s*, *import_s*, *load_s*, *first_forward_s*:
    parts of it, in their order; the rest of it starts the container or process.
    """

    cell: str
    subject: str
    workload: str
    emulated: bool
    machine: str = ""
    start_s: Estimate | None
    interpreter_s: Estimate | None = None
    import_s: Estimate | None = None
    load_s: Estimate | None
    first_forward_s: Estimate | None


class ScenarioRow(Row):
    """One of MLPerf's scenarios on one artifact, in its first round. Times in seconds."""

    cell: str
    subject: str
    workload: str
    emulated: bool
    scenario: str
    valid: bool
    samples_per_s: Amount
    p90_s: Span | None
    p99_s: Span | None
    bound_s: Span | None


class GenerationRow(Row):
    """What one cell generated greedily with one artifact. Times in seconds.

    *steps*: tokens wanted after those of the *prompt*. *equal*: so many are right before the first
    other one, in the worst round. *margin*: there, how far the second logit is below the first,
    over the largest. *near_tie*: why that is no fault; *fault*: why it is one. *prefill_s*: of the
    prompt; *step_s*: of each further token. *cache_bytes*: at the end.
    """

    cell: str
    artifact: str
    workload: str
    emulated: bool
    machine: str = ""
    prompt: Count
    steps: Count
    equal: Count
    margin: Measure | None = None
    near_tie: str = ""
    fault: str = ""
    prefill_s: Estimate | None = None
    prefill_tokens_per_s: Amount | None = None
    step_s: Estimate | None = None
    decode_tokens_per_s: Amount | None = None
    cache_bytes: Count | None = None


class ExportRow(Row):
    """One exported model: bytes of all its files, seconds of its export, what wrote it."""

    cell: str
    workload: str
    format: str
    emulated: bool
    bytes: Size
    export_s: Span | None
    opset: Opset | None = None
    exporter: str | None = None


class PassRow(Row):
    """One batch forward, and forward with backward, without an update. Times in seconds."""

    cell: str
    workload: str
    emulated: bool
    machine: str = ""
    batch: Count
    forward_s: Estimate
    backward_s: Estimate
    forward_efficiency: Amount | None = None
    backward_efficiency: Amount | None = None


class StepRow(Row):
    """A step of training on batches of one size. Times in seconds."""

    cell: str
    workload: str
    emulated: bool
    machine: str = ""
    batch: Count
    step_s: Estimate
    unsteady: Count = 0


class CompileRow(Row):
    """What the first calls in a cell take longer than steady ones, in seconds.

    *forward_s*: of the first inference, *step_s*: of the first step of training. *told_forward_s*,
    *told_step_s*: for how long of these calls the framework compiled, as it counts that itself.
    *execution*: eager, traced or compiled. *library*: what computes.
    """

    cell: str
    workload: str
    emulated: bool
    machine: str = ""
    execution: str
    library: str
    forward_s: Estimate | None
    step_s: Estimate | None
    told_forward_s: Estimate | None
    told_step_s: Estimate | None


class CrossoverRow(Row):
    """A line that is fitted to the times of one cell over a size: fixed + each x size, in seconds.

    *measured*: what took the time. *over*: batch or length. *half*: the size whose time is
    fixed and proportional in equal parts; None where no time is proportional. *misfit*: how far
    the line is from a time, at most, over that time. *times*: size and median.
    """

    cell: str
    subject: str
    workload: str
    emulated: bool
    measured: str
    over: str
    batch: Count | None = None
    fixed_s: Estimate
    each_s: Estimate
    half: Estimate | None
    misfit: Amount
    times: FewFixed[tuple[Count, Span]]


class ScalingRow(Row):
    """How many times as fast *cell* is as *beside*, which has fewer threads. Times in seconds.

    *low*, *high*: the interval, None of one round.
    """

    cell: str
    beside: str
    subject: str
    workload: str
    emulated: bool
    measured: str
    batch: Count
    threads: Count
    beside_threads: Count
    time_s: Estimate
    beside_s: Estimate
    speedup: Amount
    low: Amount | None = None
    high: Amount | None = None


class SpanRow(Row):
    """A time in which a cell worked, one job or several in a row. Times in seconds.

    *start_s*: since the run's first job. *rate*: the slowest matrix product of its canaries, over
    the median of its cell; None without canaries. *noisy*: one of its jobs was. *job*: the id of
    one that was, else of the longest.
    """

    cell: str
    emulated: bool
    start_s: Span
    wall_s: Span
    jobs: Count
    rate: Amount | None = None
    noisy: bool = False
    job: str = ""
