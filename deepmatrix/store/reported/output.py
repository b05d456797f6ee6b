"""``output.json``: everything that the harness reports of one job."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from deepmatrix.boundary.bounds import (
    ByName,
    Count,
    CutRemark,
    Digest,
    Facts,
    FewFixed,
    Finite,
    Growth,
    Id,
    Items,
    Json,
    LargeError,
    Line,
    Opset,
    Rate,
    RelativePath,
    Remark,
    Seconds,
    TensorName,
)
from deepmatrix.store.parts import Part, Quantised, Reported
from deepmatrix.store.reported.conformance import (
    ConformData,
    ConformRecord,
    SuiteData,
    SuiteRecord,
)
from deepmatrix.store.reported.phases import (
    CutRecord,
    Data,
    DeployRecord,
    ExposeRecord,
    IdiomData,
    IdiomRecord,
    InferData,
    InferRecord,
    InspectData,
    InspectRecord,
    ParityData,
    ParityRecord,
    PassesData,
    PassesRecord,
    PhaseRecord,
    ProbeData,
    ProbeRecord,
    StartupData,
    StartupRecord,
    StepsData,
    StepsRecord,
    TraceData,
    TraceRecord,
    TrainData,
    TrainRecord,
)
from harness.record import NOT_REACHED, PHASES

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
    | StepsRecord
    | TrainRecord
    | DeployRecord
    | InferRecord,
    Field(discriminator="phase"),
]


class Distribution(Part):
    """What an installed package says: its licence, and the packages that it brings along."""

    licence: Remark | None = None
    requires: Items[Id] = Field(default_factory=list)


class SharedObjects(Part):
    """How many shared objects a process had loaded in the end, and their bytes on disk."""

    count: Count
    bytes: Count


class Environment(Reported):
    """What a process reports of itself; further fields stay as the harness wrote them.

    *blas*: the library that multiplies matrices, and its CPU target. *precision*: the lowest
    precision of its arithmetic, where it can choose. *execution*: eager, traced or compiled, where
    its adapter can choose. *distribution*: of the framework's package, where it has metadata.
    """

    versions: Facts = Field(default_factory=dict)
    blas: Remark | None = None
    precision: Remark | None = None
    execution: Remark | None = None
    distribution: Distribution | None = None
    shared_objects: SharedObjects | None = None


class SelfTest(Part):
    """A matrix product compared with its exact result, in one dtype and one library."""

    model_config = ConfigDict(defer_build=True, extra="allow")

    dtype: Id
    passed: bool
    error: LargeError | None

    __pydantic_extra__: dict[Id, Json]


class Canary(Reported):
    """How fast the machine was, apart from any framework. See ``harness/measuring/canary.py``."""

    matmul_flops: Rate
    matmul_flops_best: Rate
    copy_bytes_s: Rate


class ExportedFile(Part):
    """A file of an exported model."""

    path: RelativePath
    bytes: Count
    sha256: Digest


class ModelInput(Part):
    """An input that a user's own model was served with.

    *low*, *high*: the smallest and the largest finite value, where there is one. *special*: which
    of inf, -inf and NaN it holds besides. *sampled*: not user-provided. *values*: why a sample
    input holds what it holds, where the model tells.
    *steers*: which branch, number of steps or shape of the graph it decides.
    """

    name: TensorName
    dtype: Id
    shape: FewFixed[Count]
    low: Finite | None = None
    high: Finite | None = None
    special: Line = ""
    sampled: bool
    values: Remark = ""
    steers: Remark = ""


class Exported(Part):
    """An exported model as its producer describes it; file paths are below its format's folder.

    *exporter*: name and version of what wrote it, where that is known. *batch*: the only batch
    size that it takes, where its exporter fixes one. *in_parts*: the inputs are independent rows
    and can be split into batches. *gold*: by output, where its gold comes from; *gold_remarks*:
    why a better source does not count. *random*: outputs that are random by design. *unjudged*: by
    output, why it has no gold. *rounded*: outputs whose gold is in the model's own precision.
    *computed_in*: by output, the least exact float type below float32 that it is computed in.
    *agreed*: the consumers alone judge it. *inputs*: those of a user's own model; *refusal*: why a
    runtime takes no sample inputs. *quantised*: outputs that are compared by steps.
    *unordered*: by output, the axis along which it is a set. *in_order_of*: by output, another one
    that is in the same order. *baseline_errors*: by output, the error of ONNX Runtime's own
    kernels, which its tolerance scales with; 0 once another library has answered better.
    *confirmed*: outputs whose evaluation the baseline confirms. *growth*: by output, by what
    rounding costs more in its sums than in short ones.
    *apart*: by output, how far from gold integers may be that rounding decides. *reshaped*: by
    output, why its shape may be another. *inspected*: of a quantised export, until it is stored.
    """

    id: Id = ""
    format: Id
    files: FewFixed[ExportedFile] = Field(min_length=1)
    opset: Opset | None = None
    exporter: Remark | None = None
    batch: int | None = Field(default=None, gt=0, le=1_000_000)
    in_parts: bool = True
    gold: ByName[Remark] = Field(default_factory=dict)
    gold_remarks: FewFixed[CutRemark] = ()
    random: FewFixed[TensorName] = ()
    unjudged: ByName[Remark] = Field(default_factory=dict)
    rounded: FewFixed[TensorName] = ()
    computed_in: ByName[Id] = Field(default_factory=dict)
    agreed: bool = False
    quantised: ByName[Quantised] = Field(default_factory=dict)
    unordered: ByName[Count] = Field(default_factory=dict)
    in_order_of: ByName[TensorName] = Field(default_factory=dict)
    baseline_errors: ByName[LargeError] = Field(default_factory=dict)
    confirmed: FewFixed[TensorName] = ()
    growth: ByName[Growth] = Field(default_factory=dict)
    apart: ByName[Count] = Field(default_factory=dict)
    reshaped: ByName[Remark] = Field(default_factory=dict)
    inputs: FewFixed[ModelInput] = ()
    refusal: Remark = ""
    inspected: InspectData | None = None
    export_s: Seconds


class Generation(Part):
    """``generation.json``: what a model generates greedily, and by which inputs and outputs.

    *prompt*: tokens; *steps*: so many follow; *expected*: those that are right. *tokens*, *logits*:
    the names of an input and of an output. *cache*: by input, the output that it is in the next
    step; *shapes*: the input's shape before the first token.
    """

    prompt: FewFixed[Count] = Field(min_length=1)
    steps: int = Field(ge=1, le=10_000)
    tokens: TensorName
    logits: TensorName
    cache: ByName[TensorName]
    shapes: ByName[FewFixed[Count]]
    expected: FewFixed[Count]

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if len(self.expected) != self.steps:
            raise ValueError(f"{len(self.expected)} tokens are expected of {self.steps} steps")
        if self.cache.keys() != self.shapes.keys():
            raise ValueError("the cache and its shapes have different inputs")
        return self

    def request(self) -> dict[str, Any]:
        """Return what a consumer gets of it; the right tokens stay on the host."""
        return {
            **self.model_dump(include={"prompt", "steps", "tokens", "logits"}),
            "cache": [
                {"input": name, "output": output, "shape": self.shapes[name]}
                for name, output in self.cache.items()
            ],
        }


def _place_of_phase(record: AnyPhase) -> int:
    return PHASES.index(record.phase) if record.phase in PHASES else len(PHASES)


class Output(BaseModel):
    """``output.json``: everything that the harness reports.

    *place*: of the job among those of its process, from 1; the start is the first one's.
    *start_failed*: the process has no framework to serve any job with.
    """

    model_config = ConfigDict(
        defer_build=True, frozen=True, extra="ignore", ser_json_inf_nan="constants"
    )

    schema_version: Literal[1] = Field(alias="schema")
    job: Line
    harness: Id
    place: int = Field(default=1, ge=1, le=10_000)
    start_failed: bool = False
    environment: Environment
    selftest: FewFixed[SelfTest]
    peak_memory_bytes: Count | None
    memory_source: Id | None
    records: FewFixed[AnyPhase]
    artifacts: FewFixed[Exported] = ()
    canaries: FewFixed[Canary] = ()

    def phase(self, name: str) -> AnyPhase | None:
        """Return the record of a phase, or None where the job has none of this name."""
        return next((record for record in self.records if record.phase == name), None)

    def completed(self, earlier: Output) -> Output:
        """Return this output with the phases of an earlier one that it lacks, in their order."""
        done = {record.phase for record in self.records}
        kept = tuple(record for record in earlier.records if record.phase not in done)
        if not kept:
            return self
        peaks = filter(None, (self.peak_memory_bytes, earlier.peak_memory_bytes))
        changes = {
            "records": tuple(sorted((*self.records, *kept), key=_place_of_phase)),
            "artifacts": earlier.artifacts,
            "peak_memory_bytes": max(peaks, default=None),
        }
        return self.model_copy(update=changes)

    def failure(self) -> AnyPhase | None:
        """Return the phase that made the job fail, or None where all phases are ok.

        A skipped phase is a consequence: the phase that failed before it counts. A failed phase
        counts before an unsupported one.
        """
        wrong = [record for record in self.records if record.status != "ok"]
        causes = [phase for phase in wrong if not phase.error or phase.error.type != NOT_REACHED]
        ordered = sorted(causes or wrong, key=lambda record: record.status != "failed")
        return next(iter(ordered), None)

    def startup(self) -> StartupData | None:
        """Return the times of the start, where it succeeded."""
        return self._result(StartupRecord)

    def first_step(self) -> ParityData | None:
        """Return the data of the phase `parity`, where it succeeded."""
        return self._result(ParityRecord)

    def idiom(self) -> IdiomData | None:
        """Return the data of the phase `idiom`, where it succeeded."""
        return self._result(IdiomRecord)

    def probes(self) -> ProbeData | None:
        """Return the outcomes of the probes, where the phase succeeded."""
        return self._result(ProbeRecord)

    def passes(self) -> PassesData | None:
        """Return the times of the passes, where they were measured."""
        return self._result(PassesRecord)

    def steps(self) -> StepsData | None:
        """Return the times of steps of training by batch size, where they were measured."""
        return self._result(StepsRecord)

    def inspected(self) -> InspectData | None:
        """Return the inspection of a user's own model, where it succeeded."""
        return self._result(InspectRecord)

    def traced(self) -> TraceData | None:
        """Return a model's graph, where tracing succeeded."""
        return self._result(TraceRecord)

    def suite(self) -> SuiteData | None:
        """Return the cases of a conformance suite, where its preparation succeeded."""
        return self._result(SuiteRecord)

    def conformed(self) -> ConformData | None:
        """Return the outcomes of a suite's cases, where they were run."""
        return self._result(ConformRecord)

    def train(self) -> TrainData | None:
        """Return the data of the training, where it succeeded."""
        return self._result(TrainRecord)

    def infer(self) -> InferData | None:
        """Return the data of the inference, where it succeeded."""
        return self._result(InferRecord)

    def _result(self, record_type: type[PhaseRecord[Data]]) -> Data | None:
        for phase in self.records:
            if isinstance(phase, record_type):
                return phase.result
        return None
