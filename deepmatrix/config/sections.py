"""The sections of the matrix file: what may be in each, as typed models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import ByteSize, Field, PositiveFloat, PositiveInt, StringConstraints

from deepmatrix.config.documents import (
    Image,
    ImportString,
    Name,
    Registry,
    Section,
    Text,
    Variable,
    Version,
)
from harness import record
from harness.formats import FORMATS

if TYPE_CHECKING:
    Format = str
    ReadFormat = str
    Phase = str
else:
    Format = Literal[tuple(FORMATS)]
    ReadFormat = Literal[tuple(name for name, entry in FORMATS.items() if not entry.variant_of)]
    Phase = Literal[record.PHASES]

Device = Literal["cpu", "cuda"]
Precision = Literal["float32", "bfloat16", "float16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
LayerKind = Literal[
    "add",
    "attention",
    "concat",
    "conv",
    "dense",
    "flatten",
    "global_average_pool",
    "gru",
    "layer_norm",
    "lrn",
    "lstm",
    "max_pool",
    "mean",
    "multihead_attention",
    "position",
    "relu",
    "rnn",
    "slice",
    "tanh",
]


#: The file with the digests of pushed images, where none is named.
DIGESTS = "image-digests.json"


class Images(Section):
    """Where images are pulled from that another machine has built and pushed.

    *registry* is its host, with a port and a path where there are any. *digests* is the file that
    `image --push` writes, from the folder of the file that names it: only what it lists is pulled.
    """

    registry: Registry
    digests: Text = DIGESTS

    def below(self, folder: Path) -> Images:
        """Return it with the path of its digests from the current folder."""
        return self.model_copy(update={"digests": str(folder / self.digests)})


class Base(Section):
    """An operating-system root with one Python.

    With *systems*, only these systems have cells on it. *suite* is the Debian release that the root
    is made from where no registry answers. A Python that this release lacks is copied from this
    machine: from the folder *interpreter*, from PATH or from pyenv. *installer* is the base whose
    Python then installs the wheels.
    """

    python: Version
    image: Image
    suite: Name
    systems: tuple[Name, ...] | None = None
    installer: Name | None = None
    interpreter: Text | None = None


class Architecture(Section):
    """A processor architecture: its Docker platform and the tag of its wheels.

    With *systems*, only these systems have cells on it.
    """

    platform: Annotated[str, StringConstraints(pattern=r"^linux/[a-z0-9]+(/v\d)?$")]
    wheels: Name | None = None
    systems: tuple[Name, ...] | None = None
    emulation: dict[Variable, Text] = Field(default_factory=dict)


class InstructionSet(Section):
    """Instructions that a cell of an architecture is kept to: its ISA.

    *processor* is QEMU's name of a processor without the others. Where there is none, the
    variables in *environment* limit the libraries. With *systems*, only these and their variants
    can be limited.
    """

    architecture: Name
    processor: Text | None = None
    environment: dict[Variable, Text] = Field(default_factory=dict)
    systems: tuple[Name, ...] | None = None


class System(Section):
    """What a cell is made of: a framework or a runtime.

    Where *bases* or *devices* are named, it exists on these only.
    *variant_of* names the system whose keys stand for all that are missing here.

    *adapter* is its module of the harness, ``harness.frameworks.NAME.adapter`` or
    ``harness.runtimes.NAME.adapter`` by default. A program in another language has a *command*
    instead, which gets the control directory as its last argument. With *sessions* that program
    serves several jobs in one process, as an adapter does.

    *pins* names the system whose locked wheels it uses; *distribution* is the package among them
    whose version is shown, by default the one named like the system. *options* go to the adapter,
    *environment* to its processes. Two are for emulated processes on this project's own networks,
    where compilers take minutes: *compile_cache* are variables by which its compiler keeps what it
    made in a ``{folder}``, from one run to the next; *emulated_environment* are further ones. A
    user's own model is compiled as anywhere. *precision* is the lowest that it may compute in by
    itself. *float32_by* is what a user sets to keep it to float32, where it computes in less.
    *language* is that of the program that uses it. *deadline_factor* multiplies its deadline.
    """

    variant_of: Name | None = None
    family: Name = "wheels"
    adapter: ImportString | None = None
    command: tuple[Text, ...] = ()
    sessions: bool = False
    options: dict[Name, Text] = Field(default_factory=dict)
    environment: dict[Variable, Text] = Field(default_factory=dict)
    compile_cache: dict[Variable, Text] = Field(default_factory=dict)
    emulated_environment: dict[Variable, Text] = Field(default_factory=dict)
    bases: tuple[Name, ...] | None = None
    devices: tuple[Device, ...] | None = None
    pins: Name | None = None
    distribution: Text | None = None
    precision: Precision = "float32"
    float32_by: Text | None = None
    language: Text = "Python"
    deadline_factor: float = Field(default=1, ge=1, le=1000)
    reads: tuple[ReadFormat, ...] = ()
    tags: tuple[Name, ...] = ()


class Framework(System):
    """What trains and exports. A variant may only train, and export nothing."""

    adapter: ImportString
    exports: tuple[Format, ...]


class Runtime(System):
    """What loads an artifact and answers."""

    reads: tuple[ReadFormat, ...] = Field(min_length=1)


class Exclusion(Section):
    """Cells that cannot exist, with the reason that the tables show."""

    cells: Text
    reason: Text


class ExpectedFailure(Section):
    """A failure that does not fail the run, and why it happens.

    *subjects* is a glob on workloads, for a training or an export, or on artifacts
    (``producer--workload--format``), for serving one.
    """

    cells: Text
    subjects: Text
    reason: Text


class Workload(Section):
    """A network with its data and how it is trained.

    *network* is by default the one that is named like the workload.
    The rate grows evenly over the first *warmup* steps (Goyal and others, "Accurate, large
    minibatch SGD", 2017, section 2.2), and falls evenly over the last *cooldown* steps. Where it
    does not fall, the accuracy swings from step to step, in each system at another one.
    """

    network: Name
    batch: PositiveInt = Field(le=1_000_000)
    epochs: PositiveInt = Field(le=100_000)
    steps: PositiveInt | None = Field(default=None, le=1_000_000_000)
    rate: PositiveFloat
    warmup: PositiveInt = Field(default=1, le=1_000_000)
    cooldown: PositiveInt = Field(default=1, le=1_000_000)
    accuracy: float = Field(ge=0, le=1)


class Rounds(Section):
    """How many fresh processes repeat a cell's phases.

    *emulated*: also of what native cells only check.
    """

    native: PositiveInt = Field(le=1000)
    emulated: PositiveInt = Field(le=1000)


class Infer(Section):
    """How inference is sampled: the least number of calls, and the least time.

    After *max_s* seconds a few calls are enough. Before, an artifact is answered *repeats* times,
    which are compared. *operators*: afterwards, runtimes that have a profiler of their own time the
    operators of each artifact.
    """

    batches: tuple[Annotated[PositiveInt, Field(le=100_000)], ...] = Field(min_length=1)
    samples: PositiveInt = Field(le=1_000_000)
    min_s: float = Field(ge=0, le=3600)
    max_s: PositiveFloat | None = Field(default=None, le=36000)
    warmup: int = Field(ge=0, le=1_000_000)
    repeats: int = Field(default=2, ge=2, le=100_000)
    operators: bool = False


#: The phases of a producer where a preset does not name them.
USUAL_PHASES: tuple[Phase, ...] = (
    record.STARTUP,
    record.PARITY,
    record.TRAIN,
    record.DEPLOY,
    record.INFER,
)


class Preset(Section):
    """A named selection of cells and workloads, and how thoroughly to measure them.

    *cells* are globs, and so are *workloads* in the file; a workload glob becomes the names that it
    matches, in the order of the file. Cells with a tag in *without* are dropped. The times of the
    workloads that match a glob in *checked* do not count: they run on all CPUs, in as many rounds
    as emulated cells.
    Forward and backward passes are sampled as inference is. Emulated cells train only the steps
    whose losses are compared with gold, unless *emulated_accuracy* asks for the accuracy in the
    end. With *held_out* artifacts are served all held-out data, which gives each consumer an
    accuracy. The runtimes are also kept to each instruction set in *isas*. *threads*: the numbers
    of threads that native cells also run with, besides that of the limits.
    """

    cells: tuple[Text, ...] = Field(min_length=1)
    without: tuple[Name, ...] = ()
    workloads: tuple[Text, ...] = Field(min_length=1)
    checked: tuple[Text, ...] = ()
    phases: tuple[Phase, ...] = Field(default=USUAL_PHASES, min_length=1)
    rounds: Rounds
    cold: bool = False
    emulated_accuracy: bool = False
    held_out: bool = False
    isas: tuple[Name, ...] = ()
    threads: tuple[Annotated[PositiveInt, Field(le=1024)], ...] = ()
    infer: Infer


class Override(Section):
    """A tolerance that is set by hand, and why: it replaces the derived one.

    *subjects* is a glob on artifacts (``producer--workload--format``), *cells* one on consumers and
    *outputs* one on the names of an artifact's outputs. The first that
    matches counts.
    """

    subjects: Text
    cells: Text = "*"
    outputs: Text = "*"
    error: PositiveFloat
    reason: Text


class Tolerances(Section):
    """When a number still counts as right. See the comments of the matrix file."""

    floor: PositiveFloat
    factor: PositiveFloat = Field(le=1e6)
    reduced: dict[Precision, PositiveFloat] = Field(default_factory=dict)
    overrides: tuple[Override, ...] = ()
    producer: PositiveFloat
    rounded: PositiveFloat = 1e-4
    parity: PositiveFloat
    layers: dict[LayerKind, PositiveFloat] = Field(default_factory=dict)
    gradient: PositiveFloat = 1e-4
    loss: PositiveFloat
    steps: PositiveInt = Field(le=1_000_000)

    def of_layer(self, kind: str) -> float:
        """Return the largest error of an output of a layer of this kind."""
        errors = (error for name, error in self.layers.items() if name == kind)
        return next(errors, self.parity)


class Limits(Section):
    """What one process of a cell may use.

    *file* is the largest file that it may write, *disk* what its files may take together, the model
    that it serves among them.

    *cpus* are the engine's CPUs that it is kept to, the last ones where none are named. Runs on
    other CPUs of a machine do not wait for each other. *beside*: whether what is only checked runs
    beside what is timed, on the CPUs that this leaves, all but the first of the engine's.
    """

    threads: PositiveInt = Field(le=1024)
    cpus: tuple[Annotated[int, Field(ge=0, le=65535)], ...] = ()
    beside: bool = False
    memory: ByteSize = Field(ge=64 * 2**20, le=2**50)
    processes: PositiveInt = Field(le=1_000_000)
    log: ByteSize = Field(ge=2**10, le=2**50)
    file: ByteSize = Field(ge=2**20, le=2**50)
    disk: ByteSize = Field(default=ByteSize(16 * 2**30), ge=2**20, le=2**50)
    deadline_s: PositiveFloat = Field(le=7 * 24 * 3600)
    emulated: float = Field(ge=1, le=1000)


class WorkloadDefaults(Section):
    """Values for the keys that a workload does not state."""

    batch: PositiveInt | None = None
    epochs: PositiveInt | None = None
    rate: PositiveFloat | None = None
    accuracy: float | None = Field(default=None, ge=0, le=1)


class PresetDefaults(Section):
    """Values for the keys that a preset does not state, one by one inside `rounds` and `infer`."""

    rounds: Rounds | None = None
    infer: Infer | None = None


class SystemDefaults(Section):
    """Values for the keys that a framework or a runtime does not state."""

    devices: tuple[Device, ...] | None = None


class Defaults(Section):
    """Values for the keys that entries of other sections do not state."""

    frameworks: SystemDefaults = SystemDefaults()
    runtimes: SystemDefaults = SystemDefaults()
    workloads: WorkloadDefaults = WorkloadDefaults()
    presets: PresetDefaults = PresetDefaults()
