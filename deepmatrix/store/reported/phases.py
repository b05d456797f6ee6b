"""What the harness reports of each phase of a job. Field names are the harness's own."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, Self, TypeVar, get_args

from pydantic import Field, ValidationInfo, field_validator, model_validator

from deepmatrix.boundary.bounds import (
    ByName,
    Count,
    CountKey,
    Few,
    Growth,
    Id,
    Items,
    Json,
    LargeError,
    Moment,
    NotNegative,
    Opset,
    Remark,
    Sample,
    Seconds,
    Share,
    TensorName,
)
from deepmatrix.store.parts import Failure, Part, Quantised, Reported
from deepmatrix.store.reported.serving import GenerationData, ScenarioData

#: How a phase ended: `harness.record.STATUSES`, as a type.
PhaseStatus = Literal["ok", "failed", "unsupported"]

Timed = TypeVar("Timed", bound=Reported)


def _check_warmup(data: Timed, samples: list[float], warmup: int) -> Timed:
    if warmup >= len(samples) > 1:
        raise ValueError(f"{warmup} of {len(samples)} samples are warm-up")
    return data


class StartupData(Reported):
    """Seconds of each part of the start, in order; those of steps only in a job that trains.

    *first_forward_compile_s*, *first_step_compile_s*: for how long of it the framework compiled, as
    it counts that itself.
    *answered_at*: when a consumer finished its first inference, seconds since 1970. *cold*: the
    imported files were not in the page cache. *read_bytes*: what the import read from disks.
    *operation_s*: of a tiny operation, apart from the start.
    """

    interpreter_s: Seconds | None = None
    import_s: Seconds
    build_s: Seconds | None = None
    first_forward_s: Seconds | None = None
    first_forward_compile_s: Seconds | None = None
    first_step_s: Seconds | None = None
    first_step_compile_s: Seconds | None = None
    second_step_s: Seconds | None = None
    operation_s: Seconds | None = None
    answered_at: Moment | None = None
    cold: bool = False
    read_bytes: Count | None = None


class TrainData(Reported):
    """Raw samples in seconds a step, the first *warmup* of them warm-up; one loss a step."""

    step_s: Items[Sample] = Field(min_length=1)
    warmup: Count = 1
    losses: Items[float]  # infinite or NaN where a training went wrong
    accuracy: Share
    greedy_accuracy: Share | None = None  # of a decoder; the other is with teacher forcing

    @model_validator(mode="after")
    def _leaves_samples(self) -> Self:
        return _check_warmup(self, self.step_s, self.warmup)


class BatchData(Reported):
    """Raw samples in seconds a batch, the first *warmup* of them warm-up.

    *wall_s*: the whole measurement; what exceeds the sum of the samples passed between them.
    """

    latency_s: Items[Sample] = Field(min_length=1)
    warmup: Count
    wall_s: Seconds | None = None

    @model_validator(mode="after")
    def _leaves_samples(self) -> Self:
        return _check_warmup(self, self.latency_s, self.warmup)


class RepeatData(Reported):
    """The number of *answers* to the same inputs, and how many are *different* from the first.

    *largest*: how far, by output, over its scale. *threads_apart*: from another number of threads.
    """

    answers: int = Field(ge=1, le=1_000_000)
    different: Count
    largest: ByName[NotNegative] = Field(default_factory=dict)
    threads_apart: ByName[NotNegative] = Field(default_factory=dict)


class InferData(Reported):
    """Samples by batch size; of a consumer also the names of its outputs, in their order.

    *repeatable*: all answers had the same bits. *stateful*: they had not, and a fresh load gave
    them again. *repeats*: by the number of threads. *operators*: by batch size, the seconds of an
    answer by kind of operator, as the runtime's own profiler counts them.
    """

    scenarios: dict[Literal["single-stream", "offline", "server"], ScenarioData] = Field(
        default_factory=dict, max_length=3
    )
    outputs: Few[TensorName] = Field(default_factory=list)
    repeatable: bool | None = None
    stateful: bool | None = None
    repeats: dict[CountKey, RepeatData] = Field(default_factory=dict, max_length=100)
    load_s: Seconds | None = None
    batches: dict[CountKey, BatchData] = Field(max_length=1000)
    operators: dict[CountKey, ByName[Seconds]] = Field(default_factory=dict, max_length=1000)
    generation: GenerationData | None = None


class DeployData(Reported):
    """Nothing: exported models are listed in `Output.artifacts`."""


Data = TypeVar("Data", bound=Reported)


class PhaseRecord(Part, Generic[Data]):
    """What one phase reports. A failed phase keeps the data it had until then."""

    phase: str
    status: PhaseStatus
    error: Failure | None = None
    started_s: Seconds
    seconds: Seconds
    # Left to right: the dict is tried only where `Data` does not fit.
    data: Annotated[
        Data | Annotated[dict[Id, Json], Field(max_length=10_000)],
        Field(union_mode="left_to_right"),
    ]

    @property
    def result(self) -> Data | None:
        """The data of a phase that succeeded, or None."""
        return None if self.status != "ok" or isinstance(self.data, dict) else self.data

    @field_validator("data")
    @classmethod
    def _has_its_data(cls, data: Any, info: ValidationInfo) -> Any:
        if info.data.get("status") == "ok" and isinstance(data, dict):
            return cls.data_type().model_validate(data)  # its error names the field
        return data

    @classmethod
    def data_type(cls) -> type[Reported]:
        """Return the type of the phase's data."""
        data_type: type[Reported] = get_args(cls.model_fields["data"].annotation)[0]
        return data_type


class StartupRecord(PhaseRecord[StartupData]):
    """The start, up to the first inference or training step."""

    phase: Literal["startup"] = "startup"


class ParityData(Reported):
    """Notes by kind of layer: which default was changed to agree. The numbers are in a file."""

    notes: dict[Remark, Remark] = Field(default_factory=dict, max_length=1000)


class ParityRecord(PhaseRecord[ParityData]):
    """The first training step without its update, layer by layer."""

    phase: Literal["parity"] = "parity"


class IdiomData(Reported):
    """Nothing: the logits are in a file of arrays."""


class IdiomRecord(PhaseRecord[IdiomData]):
    """The network in the framework's own idiom, with the initial weights."""

    phase: Literal["idiom"] = "idiom"


class ProbeOutcome(Reported):
    """How one probe ended inside a cell; its numbers are in a file of arrays.

    *ran*: the function that it called. *outside*: what Python did in place of a graph or net.
    """

    status: PhaseStatus
    error: Failure | None = None
    ran: Remark | None = None
    outside: Remark | None = None


class FactOutcome(Reported):
    """Whether a fact of the framework *holds*, and the *evidence*, from its files and programs.

    None is a matter of judgement. With an *error* nothing could be read.
    """

    holds: bool | None = None
    evidence: Remark | None = None
    error: Failure | None = None


class ProbeData(Reported):
    """Outcomes by probe, and by fact."""

    probes: dict[Id, ProbeOutcome] = Field(max_length=1000)
    facts: dict[Id, FactOutcome] = Field(default_factory=dict, max_length=1000)


class ProbeRecord(PhaseRecord[ProbeData]):
    """What the framework can express."""

    phase: Literal["probe"] = "probe"


class PassesData(Reported):
    """Raw samples of one batch: forward, and forward with backward, without an update."""

    batch: int = Field(gt=0, le=1_000_000)
    forward: BatchData
    backward: BatchData


class PassesRecord(PhaseRecord[PassesData]):
    """The times of one batch forward, and forward with backward."""

    phase: Literal["passes"] = "passes"


class StepsData(Reported):
    """Raw samples of a step of training, by batch size."""

    batches: dict[CountKey, BatchData] = Field(max_length=1000)


class StepsRecord(PhaseRecord[StepsData]):
    """The times of a step of training at several batch sizes."""

    phase: Literal["steps"] = "steps"


class TrainRecord(PhaseRecord[TrainData]):
    """A training from the initial weights."""

    phase: Literal["train"] = "train"


class DeployRecord(PhaseRecord[DeployData]):
    """The exports of the trained model."""

    phase: Literal["deploy"] = "deploy"


class InferRecord(PhaseRecord[InferData]):
    """Inference in batches of several sizes."""

    phase: Literal["infer"] = "infer"


class InspectData(Reported):
    """A user's own model, as its inspector describes it.

    *judged_by*: by output, where its gold comes from. *remarks*: why a better source does not
    count. *values*: by sample input, why it holds what it holds. *refusal*: why a runtime takes no
    sample inputs of any shape. *unjudged*: by output, why nothing judges it. *dtypes*: by input,
    the dtype that numpy lacks, whose values come in a wider one. *steering*: by input, which
    branch, number of steps or shape of the graph it decides. *answered*: the outputs that have an
    answer in the model's own precision, in order; *unanswered*: why none. Others: see `Exported`.
    """

    precise: bool = False
    opset: Opset | None = None
    judged_by: ByName[Remark] = Field(default_factory=dict)
    remarks: Few[Remark] = Field(default_factory=list)
    random: Few[TensorName] = Field(default_factory=list)
    rounded: Few[TensorName] = Field(default_factory=list)
    computed_in: ByName[Id] = Field(default_factory=dict)
    quantised: ByName[Quantised] = Field(default_factory=dict)
    unordered: ByName[Count] = Field(default_factory=dict)
    in_order_of: ByName[TensorName] = Field(default_factory=dict)
    baseline_errors: ByName[LargeError] = Field(default_factory=dict)
    confirmed: Few[TensorName] = Field(default_factory=list)
    growth: ByName[Growth] = Field(default_factory=dict)
    unjudged: ByName[Remark] = Field(default_factory=dict)
    apart: ByName[Count] = Field(default_factory=dict)
    reshaped: ByName[Remark] = Field(default_factory=dict)
    values: ByName[Remark] = Field(default_factory=dict)
    dtypes: ByName[Remark] = Field(default_factory=dict)
    steering: ByName[Remark] = Field(default_factory=dict)
    refusal: Remark = ""
    answered: list[TensorName] = Field(default_factory=list, max_length=10_000)
    unanswered: Remark = ""


class InspectRecord(PhaseRecord[InspectData]):
    """The inspection of a user's own model."""

    phase: Literal["inspect"] = "inspect"


class Node(Reported):
    """A node of a model's graph: its tensors by name."""

    name: TensorName
    kind: Remark
    inputs: Few[TensorName]
    outputs: Few[TensorName]


class TraceData(Reported):
    """A model's graph. *tensors*: those whose values are in a file, named by their number."""

    nodes: Items[Node]
    outputs: Few[TensorName]
    tensors: Items[TensorName]


class TraceRecord(PhaseRecord[TraceData]):
    """The values of every node of a model."""

    phase: Literal["trace"] = "trace"


class FileData(Reported):
    """Nothing: the new model is a file."""


class ExposeRecord(PhaseRecord[FileData]):
    """A copy of a model with some inner tensors as additional outputs."""

    phase: Literal["expose"] = "expose"


class CutRecord(PhaseRecord[FileData]):
    """A model of one node."""

    phase: Literal["cut"] = "cut"
