"""The matrix file: what may stand in it, and one clear error when something else does."""

from __future__ import annotations

import difflib
import fnmatch
import itertools
import json
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    ValidationError,
)
from pydantic_core import ErrorDetails

from harness.record import NEEDS
from matrix import source
from matrix.errors import ConfigError
from matrix.families import FAMILIES
from matrix.source import Location, Source, shown

ROOT = Path(__file__).resolve().parents[1]

#: What the digits leave for training once the test images are held out.
TRAINING_IMAGES = 1438

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(-[a-z0-9_]+)*$", max_length=40)]
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", min_length=1)]
Image = Annotated[str, StringConstraints(pattern=r"^\S+$", min_length=1)]
Version = Annotated[str, StringConstraints(pattern=r"^\d+\.\d+$")]
ImportString = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]
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
Phase = Literal["startup", "parity", "idiom", "probe", "passes", "train", "deploy", "infer"]

PATTERN_HELP = {
    Name: "use lower-case letters, digits, '_' and single '-'",
    Text: "write it on one line",
    Image: "write the name of an image, without spaces",
    Version: 'write major.minor in quotes, like "3.11"',
    ImportString: "write a dotted module name, like harness.adapters.torch_adapter",
}

#: By pydantic's type of error, where the name and what was found say all.
MESSAGES = {
    "missing": "missing key '{name}'",
    "model_type": "'{name}' must be a mapping, found {given}",
    "dict_type": "'{name}' must be a mapping, found {given}",
    "tuple_type": "'{name}' must be a list, found {given}",
    "int_type": "'{name}' must be a whole number, found {given}",
    "float_type": "'{name}' must be a number, found {given}",
    "string_type": "'{name}' must be text, found {given}",
    "too_short": "'{name}' must not be empty",
    "string_too_short": "'{name}' must not be empty",
    "byte_size": '{given} is not a size; write it like "4 GiB"',
    "byte_size_unit": '{given} is not a size; write it like "4 GiB"',
}


class Section(BaseModel):
    """A mapping of the matrix file: frozen, unknown keys and near-enough types refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


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
    emulation: dict[Text, Text] = {}


class System(Section):
    """What a cell is made of: a framework or a runtime.

    Where *bases* or *devices* are named, it exists on these only.
    It is started by *command*, with the control directory after it, where that is given; else
    it is the module *adapter* of the harness. *precision* is the lowest that it may compute in
    unasked; *options* are the adapter's own business, *environment* is that of its processes;
    *language* is that of a program that uses it so. A variant of another system has the same
    *pins*, and so the same wheels.
    """

    family: Name
    adapter: ImportString | None = None
    command: tuple[Text, ...] = ()
    options: dict[Name, Text] = {}
    environment: dict[Text, Text] = {}
    bases: tuple[Name, ...] | None = None
    devices: tuple[Device, ...] | None = None
    pins: Name | None = None
    precision: Precision = "float32"
    language: Text = "Python"
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
    minibatch SGD", 2017, section 2.2). *tolerance* is the error that its artifacts may have on a
    consumer, where it is more than what `Tolerances` gives.
    """

    network: Name
    batch: PositiveInt
    epochs: PositiveInt = Field(le=100_000)
    steps: PositiveInt | None = None
    rate: PositiveFloat
    tolerance: PositiveFloat | None = None
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


class Tolerances(Section):
    """When a number still counts as right. See the comments of the matrix file."""

    floor: PositiveFloat
    factor: PositiveFloat = Field(le=1e6)
    reduced: dict[Precision, PositiveFloat] = {}
    producer: PositiveFloat
    parity: PositiveFloat
    loss: PositiveFloat
    steps: PositiveInt = Field(le=1_000_000)


class Limits(Section):
    """What one process of a cell may use."""

    threads: PositiveInt = Field(le=1024)
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
    runtimes: dict[Name, Runtime] = {}
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
    text = source.read(path)
    document = _plain(text.document)
    if odd := list(_odd_keys(document)):
        _raise(text, odd)
    try:
        matrix = Matrix.model_validate(document)
    except ValidationError as error:
        _raise(text, (_explain(text, detail) for detail in _causes(error.errors())))
    problems = list(_repeated(document)) or [
        *_references(matrix, tuple(networks)),
        *_impossible(matrix),
    ]
    if problems:
        _raise(text, problems)
    return matrix


def schema() -> str:
    """Return the JSON Schema of the matrix file, as published in the repository."""
    document = Matrix.model_json_schema()
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    document["title"] = "deepmatrix matrix file"
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


Problem = tuple[Location, str, bool]
"""Where, what, and whether the place meant is that of the key and not of its value."""


def _raise(text: Source, problems: Iterable[Problem]) -> typing.NoReturn:
    """Raise one ConfigError that lists the problems in the order of the file."""
    placed = {(text.place(location, key=key), message) for location, message, key in problems}
    ordered = sorted(placed, key=lambda one: [int(n) for n in one[0].rsplit(":", 2)[1:]])
    raise ConfigError("\n".join(f"{place}: {message}" for place, message in ordered))


def _plain(node: Any) -> Any:
    """Turn ruamel's commented nodes into plain dicts and tuples."""
    if isinstance(node, Mapping):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return tuple(_plain(value) for value in node)
    return node


def _walk(node: Any, location: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield a plain document and everything inside it, each with where it stands."""
    yield location, node
    if isinstance(node, dict | tuple):
        for name, inner in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _walk(inner, (*location, name))


def _odd_keys(document: Any) -> Iterator[Problem]:
    """Yield the keys that YAML reads as something else than text."""
    for location, node in _walk(document):
        for key in node if isinstance(node, dict) else ():
            if not isinstance(key, str):
                said = f"the key {shown(key)} is not text; write it in quotes"
                yield (*location, key), said, True


def _repeated(document: Any) -> Iterator[Problem]:
    """Yield the items that a list already has."""
    for location, node in _walk(document):
        for index, item in enumerate(node if isinstance(node, tuple) else ()):
            if item in node[:index]:
                yield (*location, index), f"{shown(item)} is listed twice", False


def _causes(details: list[ErrorDetails]) -> Iterator[ErrorDetails]:
    """Leave out what only follows from another problem.

    A misspelt key is also a missing one, and a list of wrong items is also too short.
    """
    misspelt: set[Location] = set()
    for one in details:
        if one["type"] == "extra_forbidden":
            *above, name = one["loc"]
            near = difflib.get_close_matches(str(name), list(_fields_at(above)), n=1)
            misspelt |= {(*above, *near)}
    for one in details:
        follows = one["type"] == "missing" and one["loc"] in misspelt
        follows |= one["type"] == "too_short" and any(
            other["loc"][: len(one["loc"])] == one["loc"] for other in details if other is not one
        )
        if not follows:
            yield one


def _explain(text: Source, detail: ErrorDetails) -> Problem:
    of_key = "[key]" in detail["loc"]
    location: Location = [part for part in detail["loc"] if part != "[key]"]
    unknown = detail["type"] == "extra_forbidden"
    return location, _message(text, location, detail), of_key or unknown


def _message(text: Source, location: Location, detail: ErrorDetails) -> str:
    """Say what is wrong with a value, or a key."""
    name = str(location[-1]) if location else "the document"
    given = detail["input"]
    match detail["type"]:
        case "extra_forbidden":
            return f"unknown key '{name}'{did_you_mean(name, _fields_at(location[:-1]))}"
        case "string_type" if isinstance(given, int | float):
            written = text.text(location)
            sort = "truth value" if isinstance(given, bool) else "number"
            return f"'{name}' is the {sort} {written}; quote it: \"{written}\""
        case "int_type" | "float_type" if isinstance(given, str) and _is_number(given):
            return f"'{name}' is the text \"{given}\"; write it without quotes"
        case "string_pattern_mismatch":
            return f"{shown(given)} is not valid here; {_pattern_help(detail)}"
        case "literal_error":
            expected = str(detail["ctx"]["expected"])
            words = [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]
            near = did_you_mean(str(given), words)
            return f"{shown(given)} is not one of {expected}{near}"
        case "string_too_long":
            most = detail["ctx"]["max_length"]
            return f"'{name}' may have {most} characters at most, found {len(given)}"
        case "less_than_equal" | "greater_than_equal" if isinstance(given, str):
            [(bound, limit)] = detail["ctx"].items()  # of sizes: the only text with a bound
            end = {"le": "most", "ge": "least"}[bound]
            return f"'{name}' must be at {end} {_size(limit)}, found {shown(given)}"
    if detail["type"] in MESSAGES:
        return MESSAGES[detail["type"]].format(name=name, given=shown(given))
    said = detail["msg"].replace("Input should be", "must be").replace("Input", "value")
    return f"'{name}': {said[0].lower()}{said[1:]}, found {shown(given)}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _size(count: int) -> str:
    """Return bytes as they are written in the file: ``1 PiB``."""
    power = (count.bit_length() - 1) // 10
    return f"{count >> 10 * power} {('bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB')[power]}"


def _pattern_help(detail: ErrorDetails) -> str:
    for annotated, advice in PATTERN_HELP.items():
        constraint = typing.get_args(annotated)[1]
        if constraint.pattern == detail["ctx"]["pattern"]:
            return advice
    return f"it must match {detail['ctx']['pattern']}"


def _fields_at(location: Location) -> Iterable[str]:
    """Return the keys known at a place, by walking the models."""
    kind: Any = Matrix
    for part in location:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = kind.model_fields[str(part)].annotation
        else:
            kind = [arg for arg in typing.get_args(kind) if arg is not Ellipsis][-1]
    return kind.model_fields if isinstance(kind, type) and issubclass(kind, BaseModel) else ()


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the nearest known word, else what is known."""
    words = sorted(set(known))
    near = difflib.get_close_matches(word, words, n=1)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; known: {', '.join(words)}" if words else ""


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
    modules = ROOT.glob("harness/adapters/*_adapter.py")
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
