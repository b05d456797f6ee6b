"""A person's own models: recognised, and taken into a run with the files that belong to them.

Nothing here parses a model: it may be hostile, and containers are the boundary.
"""

from __future__ import annotations

import mmap
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepmatrix.errors import ArgumentError
from deepmatrix.store import arrays
from deepmatrix.store.runs import Run
from harness.formats import FORMATS, MODEL_PATHS

#: Formats of files, by how their names end.
FORMAT_BY_EXTENSION = {
    extension: entry.name for entry in FORMATS.values() for extension in entry.extensions
}

#: Formats of folders, by the file that tells them.
FORMAT_BY_MARKER = {entry.marker: entry.name for entry in FORMATS.values() if entry.marker}

#: A model's folder is searched for files that it names; no further than this.
MOST_BESIDE = 10_000


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model to be verified: *files* by the names that it knows them by."""

    name: str
    format: str
    path: Path
    files: dict[str, Path]

    @property
    def main(self) -> str:
        """What is read of its files: one of them, or a SavedModel's folder."""
        main: str = MODEL_PATHS[self.format]
        return main


def recognise(paths: Sequence[Path]) -> list[Model]:
    """Return the models at some paths, each with a name of its own.

    Raises:
        ArgumentError: a path is not there, or is no model that can be read.
    """
    found: list[Model] = []
    for path in paths:
        form = _format(path)
        name = _name(path, {one.name for one in found})
        found.append(Model(name=name, format=form, path=path, files=_files(path, form)))
    return found


def take(model: Model, folder: Path) -> None:
    """Copy a model's files into a folder that is not there yet."""
    for name, source in model.files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def _format(path: Path) -> str:
    if not path.exists():
        raise ArgumentError(f"{path} is not there", hint="name a model file or a SavedModel folder")
    if path.is_dir():
        return _format_of_folder(path)
    form = FORMAT_BY_EXTENSION.get(path.suffix.lower())
    if form is None:
        raise ArgumentError(
            f"{path}: what ends in '{path.suffix}' is not known as a model",
            hint=f"known: {', '.join(FORMAT_BY_EXTENSION)}, and a SavedModel's folder",
        )
    if not path.stat().st_size:
        raise ArgumentError(f"{path} is empty", hint="export it again")
    _check_size(path, form)
    magic = FORMATS[form].magic
    if magic is not None:
        offset, expected = magic
        with path.open("rb") as file:
            head = file.read(offset + len(expected))
        if head[offset:] != expected:
            raise ArgumentError(
                f"{path} is no {form}: it does not begin as one", hint="export it again"
            )
    return form


def _format_of_folder(folder: Path) -> str:
    for marker, form in FORMAT_BY_MARKER.items():
        if (folder / marker).is_file():
            return form
    markers = " or ".join(FORMAT_BY_MARKER)
    raise ArgumentError(
        f"{folder} is a folder without {markers}, so it is no SavedModel",
        hint="name the model file itself",
    )


def _check_size(path: Path, form: str) -> None:
    size, limit = path.stat().st_size, FORMATS[form].size_limit
    if limit is not None and size >= limit:
        raise ArgumentError(
            f"{path} has {size / 2**30:.1f} GiB, a file of the format {form} less than "
            f"{limit // 2**30}",
            hint="export it again, ONNX with its weights as external data",
        )


def _name(path: Path, taken: set[str]) -> str:
    """Return a name that can be part of an id: of the file, with a number where it is taken."""
    stem = re.sub(r"[^a-z0-9_]+", "-", path.resolve().stem.lower()).strip("-")[:40].strip("-")
    stem = stem or "model"
    numbers = (f"{stem}-{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (stem, *numbers) if name not in taken)


def _files(path: Path, form: str) -> dict[str, Path]:
    if FORMATS[form].marker:
        return {f"{MODEL_PATHS[form]}/{name}": file for name, file in _below(path)}
    beside = _external(path) if FORMATS[form].has_external_data else {}
    return {**beside, MODEL_PATHS[form]: path}


def _external(path: Path) -> dict[str, Path]:
    """Return the files beside a model whose names stand in it: its external data, if any.

    The model is searched as bytes. What it says beyond these names, a path that leads out of
    its folder among it, it will not find where it is read.
    """
    with (
        path.open("rb") as opened,
        mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        return {
            name: file
            for name, file in _below(path.parent)
            if file != path and content.find(name.encode()) >= 0
        }


def _below(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the plain files below a folder; links are not followed.

    What is not called by UTF-8 is left out: a protobuf's text, and so a model, cannot name it.
    """
    count = 0
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            file = Path(parent) / name
            count += 1
            if count > MOST_BESIDE:
                return
            called = file.relative_to(folder).as_posix()
            if file.is_file() and not file.is_symlink() and _is_utf8(called):
                yield called, file


def _is_utf8(text: str) -> bool:
    """Return whether a file's name is text, and not bytes that stand for none."""
    return not any("\udc80" <= letter <= "\udcff" for letter in text)


def check_declared(models: Sequence[Model], inputs: Path | None, *, same: bool) -> None:
    """Raise ArgumentError where nobody says the shapes of a model's inputs.

    With *same* the first model's inputs are those of all.
    """
    for one in models[:1] if same else models:
        if not FORMATS[one.format].declares_shapes and inputs is None:
            raise ArgumentError(
                f"{one.path}: a model of the format {one.format} does not declare the shapes of "
                "its inputs",
                hint="give them: --inputs FILE.npz, made with numpy.savez, an array a name",
            )


def check_arrays(given: Mapping[str, Path | None]) -> None:
    """Raise ArgumentError where a file of arrays is not there, or holds something else."""
    for what, path in given.items():
        if path is None:
            continue
        try:
            found = arrays.read_all(path, arrays.ANY)
        except arrays.Unreadable as error:
            raise ArgumentError(
                f"--{what} {path}: {error}", hint="make it with numpy.savez, an array a name"
            ) from None
        if not found:
            raise ArgumentError(f"--{what} {path}: it holds no array")


def give(given: Mapping[str, Path | None], run: Run) -> None:
    """Copy files of arrays into a run."""
    for what, path in given.items():
        if path is not None:
            run.given(what).parent.mkdir(exist_ok=True)
            shutil.copyfile(path, run.given(what))
