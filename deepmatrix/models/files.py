"""A user's own models: recognised, and copied into a run with the files that belong to them.

Nothing here parses a model: it may be hostile, and containers are the boundary.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepmatrix.boundary.bounds import one_line
from deepmatrix.boundary.copying import copy_file
from deepmatrix.errors import ArgumentError
from deepmatrix.models.external_data import external_files
from deepmatrix.models.formats import format_of, names_below
from deepmatrix.models.names import own_names, place_of
from deepmatrix.store import artifacts
from deepmatrix.store.arrays import Values
from deepmatrix.store.runs import Run
from deepmatrix.workloads import inputs
from harness.formats import FORMATS, GENERATION, MODEL_PATHS, Format

#: At most this many files of a SavedModel's folder are taken.
MOST_FILES = 10_000


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model to be verified. *files*: by the names under which it refers to them."""

    name: str
    format: str
    path: Path
    files: dict[str, Path]

    @property
    def main(self) -> str:
        """The file that a runtime loads, or a SavedModel's folder."""
        main: str = MODEL_PATHS[self.format]
        return main


def recognise(
    paths: Sequence[Path], beside: Sequence[Path] = (), root: Path = Path()
) -> list[Model]:
    """Return the models at some paths, each with a name of its own.

    *beside*: more paths, of models that are verified in other runs and need other names. *root*:
    no model has the name of this folder, or of one above it.

    Raises:
        ArgumentError: a path is not there, or is not a model that can be read.
    """
    models, refused = recognise_each(paths, beside, root)
    for error in refused.values():
        raise error
    return models


def recognise_each(
    paths: Sequence[Path], beside: Sequence[Path] = (), root: Path = Path()
) -> tuple[list[Model], dict[Path, ArgumentError]]:
    """Return the models at some paths, as `recognise` does, and why each other path is none."""
    names = own_names([*paths, *beside], root)
    models, refused = [], {}
    for path in paths:
        try:
            entry = format_of(path)
            files = _files(path, entry)
        except ArgumentError as error:
            refused[path] = error
        except OSError as error:
            refused[path] = ArgumentError(
                f"{path} cannot be read: {error.strerror}", hint="name a file that you may read"
            )
        else:
            name = names[place_of(path)]
            models.append(Model(name=name, format=entry.name, path=path, files=files))
    return models, refused


#: At most this many files beside a model are listed by name.
LISTED_FILES = 5


def describe_external(model: Model) -> str:
    """Return which files beside an ONNX model are taken with it, or nothing."""
    others = {name for name, file in model.files.items() if file != model.path} - {GENERATION}
    names = [one_line(name) for name in model.files if name in others]
    if not names or not FORMATS[model.format].has_external_data:
        return ""
    unlisted = f" and {len(names) - LISTED_FILES} more" if len(names) > LISTED_FILES else ""
    listed = ", ".join(names[:LISTED_FILES])
    return f"{model.path}: with the weights that it declares: {listed}{unlisted}"


def copy_models(models: Sequence[Model], run: Run) -> None:
    """Copy models into a run."""
    for model in models:
        copy_model(model, run.model_path(model.name))


def copy_model(model: Model, folder: Path) -> None:
    """Copy a model's files into a folder that is not there yet."""
    for name, source in model.files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_file(source, target)


def drop_duplicates(models: Sequence[Model]) -> tuple[list[Model], list[str]]:
    """Return the models without those whose files another one has; and a line for each of these."""
    if len(models) < 2:
        return list(models), []
    by_content: dict[tuple[tuple[str, str], ...], Model] = {}
    lines = []
    for model in models:
        files = sorted(model.files.items())
        content = tuple((name, artifacts.sha256(path)) for name, path in files)
        first = by_content.setdefault(content, model)
        if first is not model:
            is_same_path = model.path.resolve() == first.path.resolve()
            twice = "is given twice" if is_same_path else f"has the content of {first.path}"
            lines.append(f"{model.path} {twice}: it is served once")
    return list(by_content.values()), lines


def _files(path: Path, entry: Format) -> dict[str, Path]:
    """Return a model's files; what describes its generation is one of them, if it is beside it."""
    generation = path.with_name(GENERATION)
    beside = {GENERATION: generation} if generation.is_file() else {}
    if path.is_dir():
        return beside | {f"{entry.model_path}/{name}": file for name, file in _below(path)}
    if entry.parts:
        return beside | {part: _part(path, part) for part in entry.parts}
    if entry.has_external_data:
        beside = external_files(path) | beside
    return {**beside, entry.model_path: path}


def _part(path: Path, name: str) -> Path:
    """Return a part of a model beside its first part. Raises ArgumentError where it is missing."""
    part = path.with_suffix(Path(name).suffix)
    if not part.is_file():
        raise ArgumentError(f"{path}: {part.name} is not beside it", hint="put both in one folder")
    return part


def _below(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the plain files below a folder; links are not followed.

    A file whose name is not UTF-8 is left out: a model cannot name it.
    """
    for name in itertools.islice(names_below(folder), MOST_FILES):
        file = folder / name
        if file.is_file() and not file.is_symlink() and _is_utf8(name):
            yield name, file


def _is_utf8(text: str) -> bool:
    """Return whether a file's name holds no byte that is not UTF-8."""
    return not any("\udc80" <= letter <= "\udcff" for letter in text)


def check_declared(models: Sequence[Model], sources: Sequence[str], *, same: bool) -> None:
    """Raise ArgumentError where neither a model nor a source of inputs gives the shapes.

    With *same* the first model's inputs are those of all.
    """
    for model in models[:1] if same else models:
        if not FORMATS[model.format].declares_shapes and not sources:
            raise ArgumentError(
                f"{model.path}: a model of the format {model.format} does not declare the shapes "
                "of its inputs",
                hint="give them: --inputs FILE.npz, made with numpy.savez, an array a name",
            )


def keep_arrays(
    own_inputs: Mapping[str, Values], reference: Mapping[str, Values], run: Run
) -> None:
    """Store a user's inputs and reference in a run, those that there are."""
    for name, values in (("inputs", own_inputs), ("reference", reference)):
        path = run.user_arrays_path(name)
        path.parent.mkdir(exist_ok=True)
        if values:
            inputs.write_npz(path, values)
