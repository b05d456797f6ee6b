"""The matrix file: what may stand in it, and one clear error when something else does."""

from __future__ import annotations

import difflib
import fnmatch
import itertools
import json
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import ByteSize, Field, PositiveFloat, PositiveInt, StringConstraints

from deepmatrix.config import documents
from deepmatrix.config.documents import (
    Image,
    ImportString,
    Name,
    Problem,
    Section,
    Text,
    Version,
    did_you_mean,
)
from deepmatrix.config.families import FAMILIES
from deepmatrix.config.source import Location
from deepmatrix.paths import HARNESS, ROOT
from harness.record import NEEDS

#: What the digits leave for training once the test images are held out.
TRAINING_IMAGES = 1438

Format = Literal[
    "onnx",
    "torch-export",
    "torchscript",
    "aotinductor",
    "caffe",
    "cntk",
    "executorch",
    "ncnn",
    "saved-model",
    "tflite",
    "theano",
    "jax-export",
]
Device = Literal["cpu", "cuda"]
Precision = Literal["float32", "bfloat16", "float16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
Phase = Literal["startup", "parity", "idiom", "probe", "passes", "train", "deploy", "infer"]


class Base(Section):
    """An operating-system root with one Python.

    Where *systems* are named, only these exist on it. A Python that Debian's *suite* lacks is this
    machine's own, in the folder *interpreter* or found; *installer* is the base whose Python
    installs the wheels for it then.
    """

    python: Version
    image: Image
    suite: Name
    systems: tuple[Name, ...] | None = None
    installer: Name | None = None
    interpreter: Text | None = None


class Architecture(Section):
    """A processor architecture: its Docker platform and the tag of its wheels.

    Where *systems* are named, only these exist on it.
    """

    platform: Annotated[str, StringConstraints(pattern=r"^linux/[a-z0-9]+(/v\d)?$")]
    wheels: Name | None = None
    systems: tuple[Name, ...] | None = None
    emulation: dict[Text, Text] = Field(default_factory=dict)


class System(Section):
    """What a cell is made of: a framework or a runtime.

    Where *bases* or *devices* are named, it exists on these only.
    It is started by *command*, with the control directory after it, where that is given; else
    it is the module *adapter* of the harness. *precision* is the lowest that it may compute in
    unasked; *options* are the adapter's own business, *environment* is that of its processes;
    *language* is that of a program that uses it so. A variant of another system has the same
    *pins*, and so the same wheels. *patience* is how many times the usual deadline a process gets.
    """

    family: Name
    adapter: ImportString | None = None
    command: tuple[Text, ...] = ()
    options: dict[Name, Text] = Field(default_factory=dict)
    environment: dict[Text, Text] = Field(default_factory=dict)
    bases: tuple[Name, ...] | None = None
    devices: tuple[Device, ...] | None = None
    pins: Name | None = None
    precision: Precision = "float32"
    language: Text = "Python"
    patience: float = Field(default=1, ge=1, le=1000)
    reads: tuple[Format, ...] = ()
    tags: tuple[Name, ...] = ()


class Framework(System):
    """What trains and exports."""

    adapter: ImportString
    exports: tuple[Format, ...] = Field(min_length=1)


class Runtime(System):
    """What loads an artifact and answers."""

    reads: tuple[Format, ...] = Field(min_length=1)


class Exclusion(Section):
    """Cells that cannot be, with the reason that the tables show."""

    cells: Text
    reason: Text


class Known(Section):
    """What is known to fail, and why: shown as it is, and no reason to fail the run.

    *subjects* is a glob on workloads, for a training or an export, or on artifacts
    (``producer--workload--format``), for serving one.
    """

    cells: Text
    subjects: Text
    reason: Text


class Workload(Section):
    """A network with its data and how it is trained.

    The rate grows evenly over the first *warmup* steps (Goyal and others, "Accurate, large
    minibatch SGD", 2017, section 2.2).
    """

    network: Name
    batch: PositiveInt
    epochs: PositiveInt = Field(le=100_000)
    steps: PositiveInt | None = None
    rate: PositiveFloat
    warmup: PositiveInt = Field(default=1, le=1_000_000)
    accuracy: float = Field(ge=0, le=1)


class Rounds(Section):
    """How many fresh processes repeat a cell's phases."""

    native: PositiveInt = Field(le=1000)
    emulated: PositiveInt = Field(le=1000)


class Infer(Section):
    """How inference is sampled: at least so many calls, and for at least so long.

    After *max_s* seconds a few calls are enough.
    """

    batches: tuple[Annotated[PositiveInt, Field(le=100_000)], ...] = Field(min_length=1)
    samples: PositiveInt = Field(le=1_000_000)
    min_s: float = Field(ge=0, le=3600)
    max_s: PositiveFloat | None = Field(default=None, le=36000)
    warmup: int = Field(ge=0, le=1_000_000)


#: What a producer does where a preset does not say: without what only some presets need.
USUAL_PHASES: tuple[Phase, ...] = ("startup", "parity", "train", "deploy", "infer")


class Preset(Section):
    """A named selection of cells and workloads, and how thoroughly to measure them.

    *cells* are globs; those with one of the tags in *without* are left out. Forward and backward
    passes are sampled as inference is.
    """

    cells: tuple[Text, ...] = Field(min_length=1)
    without: tuple[Name, ...] = ()
    workloads: tuple[Name, ...] = Field(min_length=1)
    phases: tuple[Phase, ...] = Field(default=USUAL_PHASES, min_length=1)
    rounds: Rounds
    cold: bool = False
    infer: Infer


class Stated(Section):
    """A tolerance that is set, and why: it stands instead of the one that would be derived.

    *subjects* is a glob on artifacts (``producer--workload--format``), *cells* one on consumers and
    *outputs* one on the names of an artifact's outputs. The first that fits counts.
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
    stated: tuple[Stated, ...] = ()
    producer: PositiveFloat
    parity: PositiveFloat
    loss: PositiveFloat
    steps: PositiveInt = Field(le=1_000_000)


class Limits(Section):
    """What one process of a cell may use.

    *cpus* are the engine's CPUs that it is kept to, the last ones where none are named. Runs on
    other CPUs of a machine do not wait for each other.
    """

    threads: PositiveInt = Field(le=1024)
    cpus: tuple[Annotated[int, Field(ge=0, le=65535)], ...] = ()
    memory: ByteSize = Field(ge=64 * 2**20, le=2**50)
    processes: PositiveInt = Field(le=1_000_000)
    log: ByteSize = Field(ge=2**10, le=2**50)
    file: ByteSize = Field(ge=2**20, le=2**50)
    deadline_s: PositiveFloat = Field(le=7 * 24 * 3600)
    emulated: float = Field(ge=1, le=1000)


class Matrix(Section):
    """The whole matrix file."""

    version: int = Field(ge=1, le=1)
    bases: dict[Name, Base] = Field(min_length=1)
    architectures: dict[Name, Architecture] = Field(min_length=1)
    devices: tuple[Device, ...] = Field(min_length=1)
    frameworks: dict[Name, Framework] = Field(min_length=1)
    runtimes: dict[Name, Runtime] = Field(default_factory=dict)
    exclude: tuple[Exclusion, ...] = ()
    known: tuple[Known, ...] = ()
    workloads: dict[Name, Workload] = Field(min_length=1)
    presets: dict[Name, Preset] = Field(min_length=1)
    tolerances: Tolerances
    limits: Limits

    def systems(self) -> dict[str, Framework | Runtime]:
        """Return frameworks and runtimes by name, frameworks first."""
        return {**self.frameworks, **self.runtimes}

    def cell_ids(self) -> Iterator[str]:
        """Yield the id of every cell that can be written down, excluded ones included."""
        for parts in self.cells():
            yield "-".join(parts)

    def cells(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield system, base, architecture and device of every cell that can be written down."""
        places = list(itertools.product(self.bases, self.architectures, self.devices))
        for name, system in self.systems().items():
            for base, architecture, device in places:
                named = (self.architectures[architecture].systems, self.bases[base].systems)
                exists = all(name in (systems or (name,)) for systems in named)
                exists &= base in (system.bases or (base,))
                if exists and device in (system.devices or (device,)):
                    yield name, base, architecture, device

    def exclusion(self, cell_id: str) -> str | None:
        """Return why a cell is excluded, or None."""
        for exclusion in self.exclude:
            if fnmatch.fnmatchcase(cell_id, exclusion.cells):
                return exclusion.reason
        return None

    def known_of(self, cell_id: str, subject: str) -> str:
        """Return why a cell is known to fail at a subject, or nothing."""
        for known in self.known:
            if fnmatch.fnmatchcase(cell_id, known.cells) and fnmatch.fnmatchcase(
                subject, known.subjects
            ):
                return known.reason
        return ""


def load(path: Path, *, networks: Iterable[str] = ()) -> Matrix:
    """Load and check a matrix file.

    Args:
        path: the file.
        networks: names that a workload may use; unchecked when empty.

    Raises:
        ArgumentError: the file is not there.
        ConfigError: it is wrong; one line a problem, each ``name:line:column: what``.
    """
    given = tuple(networks)
    return documents.load(
        path, Matrix, lambda matrix: [*_references(matrix, given), *_impossible(matrix)]
    )


def schema() -> str:
    """Return the JSON Schema of the matrix file, as published in the repository."""
    document = Matrix.model_json_schema()
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    document["title"] = "deepmatrix matrix file"
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _unreached(name: str, phases: tuple[Phase, ...]) -> Iterator[Problem]:
    """Yield the phases of a preset that lack the one they need."""
    for index, phase in enumerate(phases):
        needed = NEEDS.get(phase)
        if needed and needed not in phases:
            said = f"'{phase}' needs the phase '{needed}', which is not listed"
            yield ("presets", name, "phases", index), said, False
    if "startup" not in phases:
        yield ("presets", name, "phases"), "the phase 'startup' must be listed", False


def _references(matrix: Matrix, networks: tuple[str, ...]) -> Iterator[Problem]:
    """Yield every name that points at nothing."""
    for name in matrix.runtimes:
        if name in matrix.frameworks:
            yield ("runtimes", name), f"'{name}' is already a framework; ids must be unique", True
    for location, what, word, known in _names(matrix, networks):
        if known and word not in known:
            yield location, f"no {what} '{word}'{did_you_mean(word, known)}", False
    if "default" not in matrix.presets:
        yield ("presets",), "there must be a preset 'default'", True


def _names(
    matrix: Matrix, networks: tuple[str, ...]
) -> Iterator[tuple[Location, str, str, Collection[str]]]:
    """Yield every use of a name: where, of what, the name, and those there are."""
    modules = HARNESS.glob("*/*/adapter.py")
    adapters = {".".join(file.relative_to(ROOT).with_suffix("").parts) for file in modules}
    for role in ("frameworks", "runtimes"):
        for name, system in getattr(matrix, role).items():
            yield (role, name, "family"), "image family", system.family, FAMILIES
            for index, one in enumerate(system.bases or ()):
                yield (role, name, "bases", index), "base", one, matrix.bases
            if system.pins:
                yield (role, name, "pins"), "system", system.pins, matrix.systems()
            if system.adapter:
                yield (role, name, "adapter"), "adapter", system.adapter, adapters
    for section in ("bases", "architectures"):
        for name, place in getattr(matrix, section).items():
            for index, one in enumerate(place.systems or ()):
                yield (section, name, "systems", index), "system", one, matrix.systems()
    yield from _names_of_uses(matrix, networks)


def _names_of_uses(
    matrix: Matrix, networks: tuple[str, ...]
) -> Iterator[tuple[Location, str, str, Collection[str]]]:
    tags = {tag for system in matrix.systems().values() for tag in system.tags}
    for name, base in matrix.bases.items():
        if base.installer:
            yield ("bases", name, "installer"), "base", base.installer, matrix.bases
    for name, workload in matrix.workloads.items():
        yield ("workloads", name, "network"), "network", workload.network, networks
    for name, preset in matrix.presets.items():
        for index, one in enumerate(preset.workloads):
            yield ("presets", name, "workloads", index), "workload", one, matrix.workloads
        for index, one in enumerate(preset.without):
            yield ("presets", name, "without", index), "tag", one, tags


def _impossible(matrix: Matrix) -> Iterator[Problem]:
    """Yield globs that select nothing, presets that leave nothing to run, batches never full."""
    ids = list(matrix.cell_ids())
    if len(set(ids)) < len(ids):
        seen: set[str] = set()
        twice = next(one for one in ids if one in seen or seen.add(one))  # type: ignore[func-returns-value]
        yield ("bases",), f"the id '{twice}' stands for two cells; rename one of its parts", True
    yield from _impossible_runtimes(matrix)
    families = {name: FAMILIES.get(one.family) for name, one in matrix.systems().items()}
    wheeled = {name for name, family in families.items() if family and family.pinned}
    for name, _, architecture, _ in matrix.cells():
        if name in wheeled and not matrix.architectures[architecture].wheels:
            said = f"'{name}' is made of wheels: give their tag, or name the systems without it"
            yield ("architectures", architecture), said, True
    for name, workload in matrix.workloads.items():
        if workload.batch > TRAINING_IMAGES:
            said = f"'batch': the training set has {TRAINING_IMAGES} images"
            yield ("workloads", name, "batch"), f"{said}, found {workload.batch}", False
    globs = [("exclude", index, one.cells) for index, one in enumerate(matrix.exclude)]
    globs += [("known", index, one.cells) for index, one in enumerate(matrix.known)]
    for section, index, glob in globs:
        if not fnmatch.filter(ids, glob):
            said = f"'{glob}' matches no cell{_nearest_cell(glob, ids)}"
            yield (section, index, "cells"), said, False
    for name, preset in matrix.presets.items():
        if "phases" in preset.model_fields_set:
            yield from _unreached(name, preset.phases)
        for index, glob in enumerate(preset.cells):
            location = ("presets", name, "cells", index)
            matched = fnmatch.filter(ids, glob)
            if not matched:
                yield location, f"'{glob}' matches no cell{_nearest_cell(glob, ids)}", False
            elif all(matrix.exclusion(one) for one in matched):
                reason = matrix.exclusion(matched[0])
                yield location, f"'{glob}' matches only excluded cells: {reason}", False


def _impossible_runtimes(matrix: Matrix) -> Iterator[Problem]:
    """Yield runtimes that cannot be started, or that nothing says how to judge."""
    for name, runtime in matrix.runtimes.items():
        if bool(runtime.adapter) == bool(runtime.command):
            said = f"'{name}' needs an adapter or a command, and not both"
            yield ("runtimes", name), said, True
        if runtime.precision != "float32" and runtime.precision not in matrix.tolerances.reduced:
            said = f"no tolerance for {runtime.precision} under tolerances.reduced"
            yield ("runtimes", name, "precision"), said, False


def _nearest_cell(glob: str, ids: list[str]) -> str:
    near = difflib.get_close_matches(glob.strip("*"), ids, n=1, cutoff=0.4)
    return f"; the nearest is '{near[0]}'" if near else ""
