"""A project's file as options of `verify`: one verification for each of its models."""

from __future__ import annotations

import argparse
import difflib
import fnmatch
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from deepmatrix.boundary.opening import is_there
from deepmatrix.cli import options as shared
from deepmatrix.config.cell_globs import unmatched
from deepmatrix.config.documents import Problem, did_you_mean
from deepmatrix.config.matrix import Matrix
from deepmatrix.config.reading import source
from deepmatrix.config.reading.source import Location, shortened
from deepmatrix.config.sections import Override
from deepmatrix.drawing import numbers
from deepmatrix.errors import ArgumentError, DeepmatrixError, Interrupted
from deepmatrix.invocation import command_line
from deepmatrix.models import budgets, inputs, project
from deepmatrix.models.project import Entry, Project
from deepmatrix.store import artifacts
from deepmatrix.store.runs import Run

#: How the texts of an entry's keys are read.
READERS: dict[str, Callable[[str], Any]] = {
    "shapes": shared.shape,
    "ranges": shared.value_range,
    "max_p99": budgets.seconds,
    "max_image": budgets.size,
}

#: Keys whose values are paths, from the folder of the file.
PATHS = ("model", "reference", "original")

#: Among so many files of a folder the nearest name is looked for.
MOST_BESIDE = 1000

#: What the options of a verification are called in the file, where that differs.
KEYS = {"shape": "shapes", "range": "ranges"}

#: The options that the file has as keys, as messages name them.
OPTIONS = re.compile(r"--(shape|range|inputs|reference|original)\b")

#: Why the models of a project after the one at which it ended have no run.
NOT_REACHED = ArgumentError("the verification ended before it")


def add_config(parser: argparse.ArgumentParser) -> None:
    """Declare the option that names the project's file; *models* is declared beside it."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help=f"the project's file, {project.FILE} here when no model is named; models that are "
        "named choose among those of the file",
    )


def chosen(options: argparse.Namespace) -> Path | None:
    """Return the project's file: the named one, or when no model is named the one here."""
    if options.config or options.models:
        return cast(Path | None, options.config)
    return project.FILE if is_there(project.FILE) else None


def load(path: Path, matrix: Matrix) -> Project:
    """Load a project's file and check all that it names. Raises ArgumentError, ConfigError."""
    cell_ids = tuple(matrix.cell_ids())

    def check(document: Project) -> Iterator[Problem]:
        for key in ("only", "exclude"):
            yield from unmatched(key, getattr(document, key), cell_ids)
        yield from _listed_twice(document, path.parent)
        if document.images and not _is_file(path.parent / document.images.digests):
            message = f"{shortened(document.images.digests)} is not there; `image --push` writes it"
            yield ("images", "digests"), message, False
        for number, entry in enumerate(document.models):
            yield from _problems(("models", number), entry, path.parent, cell_ids)

    return project.load(path, check)


def _listed_twice(document: Project, folder: Path) -> Iterator[Problem]:
    """Yield the models that an earlier entry has, too: verdicts are kept by the model's name."""
    known: set[Path] = set()
    for number, entry in enumerate(document.models):
        path = (folder / entry.model).resolve()
        if path in known:
            yield ("models", number, "model"), f"{entry.model} is listed twice", False
        known.add(path)


def _problems(
    place: Location, entry: Entry, folder: Path, cell_ids: Sequence[str]
) -> Iterator[Problem]:
    """Yield what is wrong with the values of an entry."""
    for key in PATHS:
        name = getattr(entry, key)
        if name is not None and not _is_there(folder / name):
            yield (*place, key), _absent(folder, name, "paths start at the file's folder"), False
    for number, name in enumerate(entry.inputs):
        if not inputs.FUNCTION.fullmatch(name) and not _is_there(folder / name):
            kinds = "name a file, a folder or a function, module:function"
            yield (*place, "inputs", number), _absent(folder, name, kinds), False
    for key, read in READERS.items():
        for location, text in _texts((*place, key), getattr(entry, key)):
            try:
                read(text)
            except argparse.ArgumentTypeError as error:
                yield location, str(error), False
    yield from _contradictions(place, entry)
    globs = {"only": entry.only, "exclude": entry.exclude}
    globs["tolerances"] = tuple(tolerance.cells for tolerance in entry.tolerances)
    for key, wanted in globs.items():
        for location, message, at_key in unmatched(key, wanted, cell_ids):
            yield (*place, *location), message, at_key


def _absent(folder: Path, name: str, what: str) -> str:
    """Return the message about a path that is not there: *what* it may be, or a near name."""
    message = f"{shortened(name)} is not there"
    if any(letter in name for letter in "*?["):
        return f"{message}; no globs are taken here: name each file"
    names = [path.name for path in _beside(folder / name)]
    matches = difflib.get_close_matches(Path(name).name, names, n=1, cutoff=0.85)
    if matches:
        return f"{message}; did you mean '{Path(name).with_name(matches[0])}'?"
    return f"{message}; {what}"


def _beside(path: Path) -> list[Path]:
    """Return what is in the folder of a path, up to a number; nothing where it cannot be read."""
    try:
        return list(itertools.islice(path.parent.iterdir(), MOST_BESIDE))
    except OSError:
        return []


def _is_there(path: Path) -> bool:
    """Return whether something is at a path; nothing is where the system refuses its name."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def _is_file(path: Path) -> bool:
    return _is_there(path) and path.is_file()


def _contradictions(place: Location, entry: Entry) -> Iterator[Problem]:
    if entry.inputs and (entry.shapes or entry.ranges):
        key = "shapes" if entry.shapes else "ranges"
        yield (*place, key), f"'{key}' is for sample inputs, and 'inputs' gives real ones", True
    if entry.reference and not entry.inputs:
        yield (*place, "reference"), "'reference' needs the 'inputs' that belong to it", True


def _texts(place: Location, value: Any) -> Iterator[tuple[Location, str]]:
    """Yield each text of a key, which has one, several or none, with its place."""
    if isinstance(value, str):
        yield place, value
    elif value:
        yield from (((*place, number), text) for number, text in enumerate(value))


def check_outputs(inspected: Run, overrides: Sequence[Override]) -> None:
    """Raise ArgumentError for a tolerance of outputs that no model of a run has."""
    models = (
        artifacts.read_first(model.artifact, [inspected])
        for model in inspected.manifest.plan.imports
    )
    names = {name for model in models if model for name in (*model.gold, *model.unjudged)}
    for number, override in enumerate(overrides if names else ()):
        if not any(fnmatch.fnmatchcase(name, override.outputs) for name in names):
            raise ArgumentError(
                f"a tolerance is for '{override.outputs}', and the model has no such output"
                f"{did_you_mean(override.outputs, names)}",
                about=("tolerances", number, "outputs"),
            )


def options_by_entry(
    options: argparse.Namespace, document: Project, folder: Path
) -> Iterator[tuple[Entry, argparse.Namespace]]:
    """Yield the entries, each with the options of a verification: the given ones and its own.

    Models that are given choose among the entries. Cells that are given replace those of the file.

    Raises:
        ArgumentError: the file has no entry of a model that is given.
    """
    listed = [
        folder / name for entry in document.models for name in (entry.model, entry.original) if name
    ]
    for entry in _chosen(options.models, document, folder):
        own = {
            "models": [folder / entry.model],
            "beside": listed,
            "inputs": [_source(folder, name) for name in entry.inputs],
            "reference": folder / entry.reference if entry.reference else None,
            "original": folder / entry.original if entry.original else None,
            "shape": [shared.shape(text) for text in entry.shapes],
            "range": [shared.value_range(text) for text in entry.ranges],
            "only": options.only or [*document.only, *entry.only],
            "exclude": [*options.exclude, *document.exclude, *entry.exclude],
            "native": options.native or document.native,
            "repeats": options.repeats or entry.repeats,
            "max_p99": budgets.seconds(entry.max_p99) if entry.max_p99 else options.max_p99,
            "max_error": entry.max_error or options.max_error,
            "max_image": budgets.size(entry.max_image) if entry.max_image else options.max_image,
            "overrides": _overrides(entry),
            "images": document.images and document.images.below(folder),
        }
        yield entry, argparse.Namespace(**{**vars(options), **own})


def as_written(error: ArgumentError, path: Path, entry: Entry, document: Project) -> str:
    """Return the place in the file *path* that an error is about; name its options as keys there.

    The place is that of the entry's model where the error is about no key that the entry has.
    """
    for name in ("message", "hint"):
        text = OPTIONS.sub(lambda match: KEYS.get(match[1], match[1]), getattr(error, name))
        setattr(error, name, text)
    option, *inside = error.about or ("model",)
    key = KEYS.get(str(option), str(option))
    inside = [key, *inside] if getattr(entry, key) else ["model"]
    return source.read(path).place(("models", document.models.index(entry), *inside))


def ended_early(
    error: DeepmatrixError | KeyboardInterrupt,
    unverified: Sequence[Entry],
    options: argparse.Namespace,
    path: Path,
) -> DeepmatrixError:
    """Return the error that ends a project, with the command for the unverified entries.

    The command has the *options* that were given. A run that is resumed is of one model: nothing
    else would verify the others.
    """
    ending = Interrupted("interrupted") if isinstance(error, KeyboardInterrupt) else error
    if unverified:
        models = [str(path.parent / entry.model) for entry in unverified]
        end = ["--"] if any(model.startswith("-") for model in models) else []
        config = [] if options.config else ["--config", str(path)]
        command = command_line("verify", *config, *options.given, *end, *models)
        verb = "is" if len(unverified) == 1 else "are"
        line = f"{numbers.count(len(unverified), 'model')} {verb} left: {command}"
        ending.hint = "\n".join(filter(None, [ending.hint, line]))
    return ending


def _chosen(models: Sequence[Path], document: Project, folder: Path) -> list[Entry]:
    """Return the entries of some models, all where none is given. Raises ArgumentError."""
    entries = {(folder / entry.model).resolve(): entry for entry in document.models}
    for path in models:
        if path.resolve() not in entries:
            named = did_you_mean(str(path), [entry.model for entry in document.models])
            raise ArgumentError(
                f"{project.FILE.name} has no model {path}{named}",
                hint="name one that it lists, or add it to the file",
            )
    paths = [path.resolve() for path in models] or list(entries)
    return [entries[path] for path in dict.fromkeys(paths)]


def _source(folder: Path, name: str) -> str:
    return name if inputs.FUNCTION.fullmatch(name) else str(folder / name)


def _overrides(entry: Entry) -> tuple[Override, ...]:
    """Return the tolerances of an entry as those of a matrix file, for all artifacts of its run."""
    return tuple(Override(subjects="*", **tolerance.model_dump()) for tolerance in entry.tolerances)
