"""Users' own models: recognised, and copied into a run with the files that belong to them.

Nothing here parses a model: it may be malicious, and containers are the boundary.
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
from harness.record import MODEL_PATHS

#: Formats by the ending of a file's name.
ENDINGS = {
    ".onnx": "onnx",
    ".tflite": "tflite",
    ".pt2": "torch-export",
    ".pt": "torchscript",
    ".ts": "torchscript",
}

#: Formats that do not declare the shapes of their inputs: the user has to give inputs.
UNDECLARED = frozenset({"torchscript"})

#: The magic numbers of formats that have one: (offset, bytes).
ZIP = (0, b"PK\x03\x04")
MARKS = {"tflite": (4, b"TFL3"), "torch-export": ZIP, "torchscript": ZIP}

SAVED_MODEL = "saved_model.pb"

#: The most files of a model's folder that are searched for its external data.
MOST_BESIDE = 10_000

#: Protobuf and FlatBuffers limit a file's size: larger models keep their weights beside it.
LARGEST_BYTES = {"onnx": 2 * 2**30, "tflite": 2 * 2**30}


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model to be verified. *files*: by the names under which the model refers to them."""

    name: str
    format: str
    path: Path
    files: dict[str, Path]

    @property
    def main(self) -> str:
        """The path that is loaded: one of its files, or a SavedModel's folder."""
        main: str = MODEL_PATHS[self.format]
        return main


def recognise(paths: Sequence[Path]) -> list[Model]:
    """Return the models at some paths, each with a name of its own.

    Raises:
        ArgumentError: a path is missing, or is no model of a known format.
    """
    recognised: list[Model] = []
    for path in paths:
        model_format = _format(path)
        name = _name(path, {model.name for model in recognised})
        files = _files(path, model_format)
        recognised.append(Model(name=name, format=model_format, path=path, files=files))
    return recognised


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
        if (path / SAVED_MODEL).is_file():
            return "saved-model"
        raise ArgumentError(
            f"{path} is a folder without {SAVED_MODEL}, so it is no SavedModel",
            hint="name the model file itself",
        )
    model_format = ENDINGS.get(path.suffix.lower())
    if model_format is None:
        raise ArgumentError(
            f"{path}: what ends in '{path.suffix}' is not known as a model",
            hint=f"known: {', '.join(ENDINGS)}, and a SavedModel's folder",
        )
    if not path.stat().st_size:
        raise ArgumentError(f"{path} is empty", hint="export it again")
    _check_size(path, model_format)
    if model_format in MARKS:
        offset, mark = MARKS[model_format]
        with path.open("rb") as file:
            begins = file.read(offset + len(mark))
        if begins[offset:] != mark:
            raise ArgumentError(
                f"{path} is no {model_format}: it does not begin as one", hint="export it again"
            )
    return model_format


def _check_size(path: Path, model_format: str) -> None:
    size, largest = path.stat().st_size, LARGEST_BYTES.get(model_format)
    if largest is not None and size >= largest:
        raise ArgumentError(
            f"{path} has {size / 2**30:.1f} GiB, a file of the format {model_format} less than "
            f"{largest // 2**30}",
            hint="export it again, ONNX with its weights as external data",
        )


def _name(path: Path, used: set[str]) -> str:
    """Return a name that can be part of an id: the file's, with a number where it is in *used*."""
    stem = re.sub(r"[^a-z0-9_]+", "-", path.resolve().stem.lower()).strip("-")[:40].strip("-")
    stem = stem or "model"
    numbers = (f"{stem}-{number}" for number in range(2, len(used) + 3))
    return next(name for name in (stem, *numbers) if name not in used)


def _files(path: Path, model_format: str) -> dict[str, Path]:
    if model_format == "saved-model":
        return {f"{MODEL_PATHS[model_format]}/{name}": file for name, file in _below(path)}
    beside = _external(path) if model_format == "onnx" else {}
    return {**beside, MODEL_PATHS[model_format]: path}


def _external(path: Path) -> dict[str, Path]:
    """Return the files beside a model whose names occur in its bytes: its external data, if any.

    Other references, such as a path that leads out of the model's folder, stay unresolved where
    the model is loaded.
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

    Files whose names are not UTF-8 are skipped: a model's text cannot refer to them.
    """
    count = 0
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            file = Path(parent) / name
            count += 1
            if count > MOST_BESIDE:
                return
            name_below = file.relative_to(folder).as_posix()
            if file.is_file() and not file.is_symlink() and _is_utf8(name_below):
                yield name_below, file


def _is_utf8(text: str) -> bool:
    """Return whether a file's name is valid UTF-8: else it has surrogate escapes."""
    return not any("\udc80" <= letter <= "\udcff" for letter in text)


def check_declared(models: Sequence[Model], inputs: Path | None, *, same: bool) -> None:
    """Raise ArgumentError where the shapes of a model's inputs are unknown.

    With *same* all models get the first one's inputs.
    """
    for model in models[:1] if same else models:
        if model.format in UNDECLARED and inputs is None:
            raise ArgumentError(
                f"{model.path}: a model of the format {model.format} does not declare the "
                "shapes of its inputs",
                hint="give them: --inputs FILE.npz, made with numpy.savez, an array a name",
            )


def check_arrays(files: Mapping[str, Path | None]) -> None:
    """Raise ArgumentError where a file of arrays, by its option's name, cannot be read."""
    for option, path in files.items():
        if path is None:
            continue
        try:
            by_name = arrays.read_all(path, arrays.ANY)
        except arrays.Unreadable as error:
            raise ArgumentError(
                f"--{option} {path}: {error}", hint="make it with numpy.savez, an array a name"
            ) from None
        if not by_name:
            raise ArgumentError(f"--{option} {path}: it holds no array")


def give(files: Mapping[str, Path | None], run: Run) -> None:
    """Copy files of arrays, by their option's name, into a run."""
    for option, path in files.items():
        if path is not None:
            run.given(option).parent.mkdir(exist_ok=True)
            shutil.copyfile(path, run.given(option))
