"""The matrix file: what may stand in it, and one clear error when something else does."""

from __future__ import annotations

import difflib
import fnmatch
import itertools
import json
import typing
from collections.abc import Iterable, Iterator, Mapping
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

from matrix import source
from matrix.errors import ConfigError
from matrix.source import Location, Source

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(-[a-z0-9_]+)*$", strict=True)]
Text = Annotated[str, StringConstraints(min_length=1, strict=True)]
Version = Annotated[str, StringConstraints(pattern=r"^\d+\.\d+$", strict=True)]
ImportString = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$", strict=True)
]
Format = Literal["onnx", "torch-export", "saved-model"]

PATTERN_HELP = {
    Name: "use lower-case letters, digits, '_' and single '-'",
    Version: 'write major.minor in quotes, like "3.11"',
    ImportString: "write a dotted module name, like harness.adapters.torch_adapter",
}


class Section(BaseModel):
    """A mapping of the matrix file: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Base(Section):
    """An operating-system root with one Python."""

    python: Version
    image: Text
    suite: Name


class Architecture(Section):
    """A processor architecture: its Docker platform and the tag of its wheels."""

    platform: Annotated[str, StringConstraints(pattern=r"^linux/[a-z0-9]+(/v\d)?$", strict=True)]
    wheels: Name
    emulation: dict[str, str] = {}


class System(Section):
    """What a cell is made of: a framework or a runtime."""

    family: Name
    adapter: ImportString
    reads: tuple[Format, ...] = ()
    tags: tuple[Name, ...] = ()


class Framework(System):
    """What trains and exports."""

    exports: tuple[Format, ...] = Field(min_length=1)


class Runtime(System):
    """What loads an artifact and answers."""

    reads: tuple[Format, ...] = Field(min_length=1)


class Exclusion(Section):
    """Cells that cannot be, with the reason that the tables show."""

    cells: Text
    reason: Text


class Workload(Section):
    """A network with its data and how it is trained."""

    network: Name
    batch: PositiveInt
    epochs: PositiveInt
    rate: PositiveFloat
    accuracy: Annotated[float, Field(gt=0, le=1)]


class Rounds(Section):
    """How many fresh processes repeat a cell's phases."""

    native: PositiveInt
    emulated: PositiveInt


class Infer(Section):
    """How inference is sampled: at least so many calls, and for at least so long."""

    batches: tuple[PositiveInt, ...] = Field(min_length=1)
    samples: PositiveInt
    min_s: Annotated[float, Field(ge=0)]
    warmup: Annotated[int, Field(ge=0)]


class Preset(Section):
    """A named selection of cells and workloads, and how thoroughly to measure them."""

    cells: tuple[Text, ...] = Field(min_length=1)
    workloads: tuple[Name, ...] = Field(min_length=1)
    rounds: Rounds
    infer: Infer


class Tolerances(Section):
    """When a number still counts as right. See the comments of the matrix file."""

    floor: PositiveFloat
    factor: PositiveFloat
    producer: PositiveFloat
    loss: PositiveFloat
    steps: PositiveInt


class Limits(Section):
    """What one process of a cell may use."""

    threads: PositiveInt
    memory: Annotated[ByteSize, Field(ge=64 * 2**20)]
    processes: PositiveInt
    log: Annotated[ByteSize, Field(ge=2**10)]
    file: Annotated[ByteSize, Field(ge=2**20)]
    deadline_s: PositiveFloat
    emulated: Annotated[float, Field(ge=1)]


class Matrix(Section):
    """The whole matrix file."""

    version: Literal[1]
    bases: dict[Name, Base] = Field(min_length=1)
    architectures: dict[Name, Architecture] = Field(min_length=1)
    devices: tuple[Literal["cpu", "cuda"], ...] = Field(min_length=1)
    frameworks: dict[Name, Framework] = Field(min_length=1)
    runtimes: dict[Name, Runtime] = {}
    exclude: tuple[Exclusion, ...] = ()
    workloads: dict[Name, Workload] = Field(min_length=1)
    presets: dict[Name, Preset] = Field(min_length=1)
    tolerances: Tolerances
    limits: Limits

    def systems(self) -> dict[str, Framework | Runtime]:
        """Return frameworks and runtimes by name, frameworks first."""
        return {**self.frameworks, **self.runtimes}

    def cell_ids(self) -> Iterator[str]:
        """Yield the id of every cell that can be written down, excluded ones included."""
        for parts in itertools.product(
            self.systems(), self.bases, self.architectures, self.devices
        ):
            yield "-".join(parts)

    def exclusion(self, cell_id: str) -> str | None:
        """Return why a cell is excluded, or None."""
        for exclusion in self.exclude:
            if fnmatch.fnmatchcase(cell_id, exclusion.cells):
                return exclusion.reason
        return None


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
    try:
        matrix = Matrix.model_validate(_plain(text.document))
    except ValidationError as error:
        _raise(text, (_explain(text, detail) for detail in _causes(error.errors())))
    problems = [*_references(matrix, tuple(networks)), *_impossible(matrix)]
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
    """Turn ruamel's commented nodes into plain ones; refuse keys that are not text later."""
    if isinstance(node, Mapping):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_plain(value) for value in node]
    return node


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
    location: Location = [part for part in detail["loc"] if part != "[key]"]
    name = str(location[-1]) if location else "the document"
    kind = detail["type"]
    given = detail["input"]
    if kind == "extra_forbidden":
        known = list(_fields_at(location[:-1]))
        return location, f"unknown key '{name}'{did_you_mean(name, known)}", True
    if kind == "missing":
        return location, f"missing key '{name}'", False
    if kind == "string_type" and isinstance(given, int | float) and "[key]" not in detail["loc"]:
        written = text.text(location)
        return location, f"'{name}' is the number {written}; quote it: \"{written}\"", False
    if kind == "string_pattern_mismatch":
        return (
            location,
            f"'{given}' is not valid here; {_pattern_help(detail)}",
            ("[key]" in detail["loc"]),
        )
    if kind == "literal_error":
        expected = str(detail["ctx"]["expected"])
        words = [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]
        return (
            location,
            f"'{given}' is not one of {expected}{did_you_mean(str(given), words)}",
            (False),
        )
    if kind in {"model_type", "dict_type", "model_attributes_type"}:
        return location, f"'{name}' must be a mapping, found {_shown(given)}", False
    if kind in {"tuple_type", "list_type"}:
        return location, f"'{name}' must be a list, found {_shown(given)}", False
    if kind in {"too_short", "string_too_short"}:
        return location, f"'{name}' must not be empty", False
    if kind == "byte_size":
        return location, f"'{given}' is not a size; write it like \"4 GiB\"", False
    message = detail["msg"].replace("Input should be", "must be").replace("Input", "value")
    return location, f"'{name}': {message[0].lower()}{message[1:]}, found {_shown(given)}", False


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return "nothing" if value is None else repr(value)


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


def _references(matrix: Matrix, networks: tuple[str, ...]) -> Iterator[Problem]:
    """Yield every name that points at nothing."""
    for name in matrix.runtimes:
        if name in matrix.frameworks:
            yield ("runtimes", name), f"'{name}' is already a framework; ids must be unique", True
    for name, workload in matrix.workloads.items():
        if networks and workload.network not in networks:
            yield (
                ("workloads", name, "network"),
                f"no network '{workload.network}'{did_you_mean(workload.network, networks)}",
                False,
            )
    for name, preset in matrix.presets.items():
        for index, workload_name in enumerate(preset.workloads):
            if workload_name not in matrix.workloads:
                near = did_you_mean(workload_name, matrix.workloads)
                yield (
                    ("presets", name, "workloads", index),
                    f"no workload '{workload_name}'{near}",
                    False,
                )
    if "default" not in matrix.presets:
        yield ("presets",), "there must be a preset 'default'", True


def _impossible(matrix: Matrix) -> Iterator[Problem]:
    """Yield globs that select nothing and presets that leave nothing to run."""
    ids = list(matrix.cell_ids())
    if len(set(ids)) < len(ids):
        seen: set[str] = set()
        twice = next(one for one in ids if one in seen or seen.add(one))  # type: ignore[func-returns-value]
        yield ("bases",), f"the id '{twice}' stands for two cells; rename one of its parts", True
    for index, exclusion in enumerate(matrix.exclude):
        if not fnmatch.filter(ids, exclusion.cells):
            yield (
                ("exclude", index, "cells"),
                f"'{exclusion.cells}' matches no cell{_nearest_cell(exclusion.cells, ids)}",
                False,
            )
    for name, preset in matrix.presets.items():
        for index, glob in enumerate(preset.cells):
            location = ("presets", name, "cells", index)
            matched = fnmatch.filter(ids, glob)
            if not matched:
                yield location, f"'{glob}' matches no cell{_nearest_cell(glob, ids)}", False
            elif all(matrix.exclusion(one) for one in matched):
                reason = matrix.exclusion(matched[0])
                yield location, f"'{glob}' matches only excluded cells: {reason}", False


def _nearest_cell(glob: str, ids: list[str]) -> str:
    near = difflib.get_close_matches(glob.strip("*"), ids, n=1, cutoff=0.4)
    return f"; the nearest is '{near[0]}'" if near else ""
