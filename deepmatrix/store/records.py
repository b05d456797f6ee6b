"""What a process said and how it ended: the record of one job, versioned JSON.

The inner part, `Output`, is what the harness wrote; its field names are the harness's. The
outer part is the host's. Raw samples are kept, so that old records can be read by new methods.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Generic, Literal, Self, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

#: 1: first version.
RECORD_SCHEMA: Final = 1

#: How a job ended, worst news first. All but the first three are the host's conclusions.
Status = Literal[
    "ok",
    "failed",
    "unsupported",
    "crashed",
    "oom",
    "timeout",
    "process-limit",
    "log-limit",
    "torn",
    "lost",
    "engine-lost",
    "no-device",
    "start-failed",
    "bad-artifact",
]

#: Endings that say nothing about the cell: such a job is run again by ``--resume``.
UNDONE: frozenset[str] = frozenset({"engine-lost", "start-failed"})


_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def _one_line(text: str) -> str:
    """Return a text of a process that is not trusted as one line that no terminal obeys."""
    return _CONTROLS.sub(" ", _COLOURS.sub("", text)).strip()


class Part(BaseModel):
    """A piece of a record: frozen, strict about what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Failure(Part):
    """An exception inside a cell, as data."""

    type: str
    message: str
    traceback: str = ""

    @property
    def line(self) -> str:
        """The type and the first line of the message, without a terminal's colours."""
        first = self.message.strip().splitlines()
        return _one_line(f"{self.type}: {first[0]}" if first else self.type)


class Said(BaseModel):
    """What an untrusted process says, as far as the host reads it; the rest is kept as it is."""

    model_config = ConfigDict(frozen=True, extra="allow")


Remark = Annotated[str, StringConstraints(max_length=400), AfterValidator(_one_line)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Found = TypeVar("Found", bound=Said)


def _more_than_warmup(data: Found, samples: list[float], warmup: int) -> Found:
    if warmup >= len(samples) > 1:
        raise ValueError(f"{warmup} of {len(samples)} samples are warm-up")
    return data


class StartupData(Said):
    """Seconds, one part of the start after the other; the last two only where it trains.

    *answered_at* is when a consumer had given its first answer, seconds since 1970.
    *cold*: the files of the import were no longer in the system's cache; *read_bytes* is what
    the import had read from disks.
    """

    interpreter_s: Seconds | None = None
    import_s: Seconds
    build_s: Seconds | None = None
    first_forward_s: Seconds | None = None
    first_step_s: Seconds | None = None
    second_step_s: Seconds | None = None
    answered_at: Seconds | None = None
    cold: bool = False
    read_bytes: int | None = None


class TrainData(Said):
    """Raw samples, seconds a step, of which the first *warmup* do not count; a loss a step."""

    step_s: list[Seconds] = Field(min_length=1)
    warmup: int = Field(default=1, ge=0)
    losses: list[float]
    accuracy: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _leaves_samples(self) -> Self:
        return _more_than_warmup(self, self.step_s, self.warmup)


class BatchData(Said):
    """Raw samples, seconds a batch, the first *warmup* of which do not count.

    *wall_s* is the time of all of it: what is more than the samples was lost between them.
    """

    latency_s: list[Seconds] = Field(min_length=1)
    warmup: int = Field(ge=0)
    wall_s: Seconds | None = None

    @model_validator(mode="after")
    def _leaves_samples(self) -> Self:
        return _more_than_warmup(self, self.latency_s, self.warmup)


class ScenarioData(Said):
    """One of MLPerf's scenarios, as LoadGen judged it; *bound_s* is server's on *p99_s*."""

    valid: bool
    samples_per_s: float = Field(ge=0, allow_inf_nan=False)
    p90_s: Seconds | None = None
    p99_s: Seconds | None = None
    bound_s: Seconds | None = None


class InferData(Said):
    """Samples by batch size; of a consumer, what it calls its outputs, in their order.

    *repeatable*: answering the same twice gave the same bits.
    """

    scenarios: dict[Literal["single-stream", "offline", "server"], ScenarioData] = {}

    outputs: list[Remark] = Field(default_factory=list, max_length=1000)
    repeatable: bool | None = None
    load_s: Seconds | None = None
    batches: dict[Annotated[str, StringConstraints(pattern=r"^[1-9]\d*$")], BatchData]


class DeployData(Said):
    """What each export gave; the exported models themselves stand beside the records."""


Data = TypeVar("Data", bound=Said)


class PhaseRecord(Part, Generic[Data]):
    """What one phase said; a phase that failed keeps what it had found until then."""

    phase: str
    status: Literal["ok", "failed", "unsupported"]
    error: Failure | None = None
    started_s: float
    seconds: float
    # In this order: only what is no `Data` is looked at as a dict.
    data: Annotated[Data | dict[str, Any], Field(union_mode="left_to_right")]

    @property
    def found(self) -> Data | None:
        """The data of a phase that succeeded, or None."""
        return None if self.status != "ok" or isinstance(self.data, dict) else self.data

    @model_validator(mode="after")
    def _has_its_data(self) -> Self:
        if self.status == "ok" and isinstance(self.data, dict):
            self.kind().model_validate(self.data)  # says what is missing
        return self

    @classmethod
    def kind(cls) -> type[Said]:
        """Return the type of the phase's data."""
        kind: type[Said] = get_args(cls.model_fields["data"].annotation)[0]
        return kind


class StartupRecord(PhaseRecord[StartupData]):
    """The start, up to the first answer or step."""

    phase: Literal["startup"] = "startup"


class ParityData(Said):
    """By kind of layer, what the framework was made to agree in; its numbers are a file."""

    notes: dict[Remark, Remark] = Field(default_factory=dict, max_length=100)


class ParityRecord(PhaseRecord[ParityData]):
    """The first step without its update, layer by layer."""

    phase: Literal["parity"] = "parity"


class IdiomData(Said):
    """Nothing: what was found is a file of arrays."""


class IdiomRecord(PhaseRecord[IdiomData]):
    """The network as a person writes it, with the initial weights."""

    phase: Literal["idiom"] = "idiom"


class ProbeOutcome(Said):
    """How one probe ended inside a cell; its numbers are a file of arrays.

    *ran*: the framework's operations that it came to, where it says so.
    """

    status: Literal["ok", "failed", "unsupported"]
    error: Failure | None = None
    ran: Remark | None = None


class ProbeData(Said):
    """Outcomes by probe."""

    probes: dict[str, ProbeOutcome]


class ProbeRecord(PhaseRecord[ProbeData]):
    """What the framework can express."""

    phase: Literal["probe"] = "probe"


class PassesData(Said):
    """Raw samples of a batch forward, and forward and backward without an update."""

    batch: int = Field(gt=0)
    forward: BatchData
    backward: BatchData


class PassesRecord(PhaseRecord[PassesData]):
    """One batch forward, and forward and backward."""

    phase: Literal["passes"] = "passes"


class TrainRecord(PhaseRecord[TrainData]):
    """A training from the initial weights."""

    phase: Literal["train"] = "train"


class DeployRecord(PhaseRecord[DeployData]):
    """The exports of the trained model."""

    phase: Literal["deploy"] = "deploy"


class InferRecord(PhaseRecord[InferData]):
    """Answers in batches of several sizes."""

    phase: Literal["infer"] = "infer"


class InspectData(Said):
    """What a person's own model is: declared inputs and outputs, and who wrote it."""

    precise: bool = False
    opset: int | None = None


class InspectRecord(PhaseRecord[InspectData]):
    """A look into a person's own model."""

    phase: Literal["inspect"] = "inspect"


class Node(Said):
    """A node of a model's graph: its tensors by name."""

    name: Remark
    kind: Remark
    inputs: list[str] = Field(max_length=10_000)
    outputs: list[str] = Field(max_length=10_000)


class TraceData(Said):
    """A model's graph; *tensors* are those whose values are kept, by their number, in a file."""

    nodes: list[Node] = Field(max_length=1_000_000)
    outputs: list[str] = Field(max_length=1000)
    tensors: list[str] = Field(max_length=1_000_000)


class TraceRecord(PhaseRecord[TraceData]):
    """What every node of a model gives."""

    phase: Literal["trace"] = "trace"


class MadeData(Said):
    """Nothing: what was made is a file."""


class ExposeRecord(PhaseRecord[MadeData]):
    """A model that also gives some of its inner tensors."""

    phase: Literal["expose"] = "expose"


class CutRecord(PhaseRecord[MadeData]):
    """A model of one node."""

    phase: Literal["cut"] = "cut"


class SuiteCase(Said):
    """A case of a standard's own tests, or why it cannot be tried."""

    name: Remark
    skipped: Remark | None = None
    form: str = ""
    model: str = ""
    inputs: list[str] = Field(default_factory=list, max_length=1000)
    outputs: int = 0
    rtol: float = 0.0
    atol: float = 0.0


class SuiteData(Said):
    """The cases of a suite, by their number; models and arrays are files."""

    version: Remark
    cases: list[SuiteCase] = Field(max_length=100_000)


class SuiteRecord(PhaseRecord[SuiteData]):
    """A suite of a standard's own tests."""

    phase: Literal["suite"] = "suite"


class CaseOutcome(Said):
    """How a case ended; its answers are in a file."""

    status: Literal["ok", "failed", "unsupported"]
    error: Failure | None = None
    outputs: int = Field(default=0, ge=0, le=1000)


class ConformData(Said):
    """Outcomes by the number of the case."""

    cases: dict[str, CaseOutcome]


class ConformRecord(PhaseRecord[ConformData]):
    """A suite, answered."""

    phase: Literal["conform"] = "conform"


AnyPhase = Annotated[
    InspectRecord
    | SuiteRecord
    | ConformRecord
    | TraceRecord
    | ExposeRecord
    | CutRecord
    | StartupRecord
    | ParityRecord
    | IdiomRecord
    | ProbeRecord
    | PassesRecord
    | TrainRecord
    | DeployRecord
    | InferRecord,
    Field(discriminator="phase"),
]


class Environment(Said):
    """What a process read back of itself; the rest as the harness wrote it.

    *blas*: what multiplies matrices, and for which core. *precision*: the lowest that it computes
    in, where it may choose.
    """

    versions: dict[str, str] = Field(default_factory=dict)
    blas: Remark | None = None
    precision: Remark | None = None


class SelfTest(Part):
    """A matrix product against its exact answer, in one dtype and one library."""

    model_config = ConfigDict(extra="allow")

    dtype: str
    passed: bool
    error: float | None


class Canary(Said):
    """How fast the machine was, apart from any framework. See ``harness/canary.py``."""

    matmul_flops: float = Field(gt=0)
    matmul_flops_best: float = Field(gt=0)
    copy_bytes_s: float = Field(gt=0)


def _below(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or parts[0] == "/" or ".." in parts or set(path) & {"\\", ":", "\0"}:
        raise ValueError("it must be a relative path, with slashes and without '..'")
    return path


class ExportedFile(Part):
    """A file of an exported model."""

    path: Annotated[str, AfterValidator(_below)]
    bytes: int = Field(ge=0)
    sha256: str


class Exported(Part):
    """An exported model as its producer describes it; file paths are below its format's folder.

    *exporter*: name and version of what wrote it, where that is known.
    *batch* is the only number of rows that it takes at a time, where its exporter fixes one;
    *in_parts*: its inputs are rows, which may be answered some at a time.
    """

    id: str = ""
    format: str
    files: tuple[ExportedFile, ...] = Field(min_length=1)
    opset: int | None = None
    exporter: Remark | None = None
    batch: int | None = Field(default=None, gt=0)
    in_parts: bool = True
    export_s: Seconds


class Output(BaseModel):
    """``output.json``: everything that the harness said."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="constants")

    schema_version: Literal[1] = Field(alias="schema")
    job: str
    harness: str
    environment: Environment
    selftest: tuple[SelfTest, ...]
    peak_memory_bytes: int | None
    memory_source: str | None
    records: tuple[AnyPhase, ...]
    artifacts: tuple[Exported, ...] = ()
    canaries: tuple[Canary, ...] = ()

    def phase(self, name: str) -> AnyPhase | None:
        """Return the record of a phase, or None where the job has none of this name."""
        return next((one for one in self.records if one.phase == name), None)

    def startup(self) -> StartupData | None:
        """Return what the start gave, where it succeeded."""
        return self._found(StartupRecord)

    def first_step(self) -> ParityData | None:
        """Return what the phase `parity` gave, where it succeeded."""
        return self._found(ParityRecord)

    def idiom(self) -> IdiomData | None:
        """Return what the phase `idiom` gave, where it succeeded."""
        return self._found(IdiomRecord)

    def probes(self) -> ProbeData | None:
        """Return how the probes ended, where the phase did."""
        return self._found(ProbeRecord)

    def passes(self) -> PassesData | None:
        """Return the times of passes, where they were taken."""
        return self._found(PassesRecord)

    def inspected(self) -> InspectData | None:
        """Return what a person's own model is, where it could be looked into."""
        return self._found(InspectRecord)

    def traced(self) -> TraceData | None:
        """Return a model's graph, where it could be looked into."""
        return self._found(TraceRecord)

    def suite(self) -> SuiteData | None:
        """Return the cases of a suite, where it could be made."""
        return self._found(SuiteRecord)

    def conformed(self) -> ConformData | None:
        """Return how a suite's cases ended, where they were tried."""
        return self._found(ConformRecord)

    def train(self) -> TrainData | None:
        """Return what training gave, where it succeeded."""
        return self._found(TrainRecord)

    def infer(self) -> InferData | None:
        """Return what inference gave, where it succeeded."""
        return self._found(InferRecord)

    def _found(self, kind: type[PhaseRecord[Data]]) -> Data | None:
        return next((one.found for one in self.records if isinstance(one, kind)), None)


class Deviation(Part):
    """How far one output is from gold: see `deepmatrix.judging.agreements`.

    *error* and *max_abs* are largest absolute differences, the former over the largest absolute
    gold value; *max_rel* is over each value's own gold; *ulp* counts floats of the answer's dtype
    in between; *top1* is the share of rows whose largest value is at the same place; *row* is the
    first one with the largest error, or with something that is not finite and should be. *dtype*
    and *producer_error* are those of the producer's own output; *caution* says why a match says
    little.
    """

    name: str
    error: float | None
    max_abs: float | None = None
    max_rel: float | None = None
    ulp: int | None = None
    top1: float | None = None
    row: int | None = None
    note: str = ""
    dtype: str = ""
    producer_error: float | None = None
    caution: str = ""


class Agreement(Part):
    """How far a consumer's outputs are from gold and from the producer's; the worst counts.

    Errors are largest absolute differences over the largest absolute gold value, or None
    where shapes differ or a value is not finite; ``note`` says which.
    """

    error: float | None
    producer_error: float | None
    from_producer: float | None
    scale: float
    note: str = ""
    outputs: tuple[Deviation, ...] = ()


#: What makes answers differ: the model's own file; the runtime at one node, or across several;
#: answers that cannot be compared; a batch of several; or nothing that can be seen.
CauseKind = Literal["file", "runtime", "fusion", "answers", "batch", "opaque"]


class Cause(Part):
    """Why an artifact's answers are not right on a consumer, as far as it could be traced.

    *node* and *tensor* are the first that are outside tolerance; *runs* counts the consumer's runs
    that it took; *reproduce* is a command that shows the fault alone.
    """

    artifact: str
    consumer: str
    kind: CauseKind
    text: Annotated[str, AfterValidator(_one_line)]
    node: str = ""
    tensor: str = ""
    error: float | None = None
    tolerance: float | None = None
    runs: int = 0
    reproduce: str = ""


class Parity(Part):
    """A framework's first step against gold: errors in the network's order.

    Largest absolute difference over largest absolute gold value; None where a value is not
    finite. See `deepmatrix.judging.parity`.
    """

    outputs: dict[str, float | None]
    gradients: dict[str, float | None]


class JobRecord(Part):
    """One job: what was run, how it ended, what it said."""

    schema_version: Literal[1] = RECORD_SCHEMA
    run: str
    job: str
    wave: Literal["produce", "consume"]
    cell: str
    subject: str
    workload: str
    round: int
    engine: str
    emulated: bool
    status: Status
    cause: Annotated[str, AfterValidator(_one_line)] = ""
    wall_s: float
    #: When its process was asked for, seconds since 1970.
    started_at: float | None = None
    #: The most memory that its whole process tree was seen to hold, where the engine looks.
    tree_bytes: int | None = None
    #: What the processors spent while it ran, the host's share included; None if unreadable.
    energy_j: float | None = None
    output: Output | None = None
    agreement: Agreement | None = None
    parity: Parity | None = None
    #: The error of the idiom's logits from gold, as in `Agreement`.
    idiom: float | None = None
    #: The error of each probe's answer that is there, by its name.
    probes: dict[str, float | None] | None = None

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes it one of its kind in a merge."""
        return (self.cell, self.subject, self.round)
