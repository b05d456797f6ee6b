"""A user's own inputs as arrays by name: from files, folders, and Python functions."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from deepmatrix.boundary.bounds import path_text
from deepmatrix.boundary.opening import is_there
from deepmatrix.errors import ArgumentError
from deepmatrix.machine import processes
from deepmatrix.store import arrays
from deepmatrix.store.arrays import Values
from deepmatrix.store.artifacts import INPUTS

#: How a Python function is named: ``module:function``.
FUNCTION = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_]\w*)")

HINT = (
    "give an .npz, made with numpy.savez, an array a name; .npy files, each named like its input; "
    "or a Python function that returns a dict of arrays: --inputs module:function"
)

#: The program that calls such a function.
PROGRAM = Path(__file__).with_name("input_function.py")


#: What --reference takes.
REFERENCE_HINT = (
    "give an .npz of the right outputs, made with numpy.savez, an array a name; of a model with "
    "one output, an .npy will do"
)

#: What to do where the inputs of one model are not those of another.
SHARED_INPUTS = (
    "the models of one command share their inputs, with --original those of the original: verify "
    "models with other inputs in runs of their own"
)


def read_reference(path: Path) -> dict[str, Values]:
    """Return a user's right outputs by name. Raises ArgumentError where the file holds none."""
    return _read_file(path, "--reference", REFERENCE_HINT)


def read(sources: Sequence[str]) -> dict[str, Values]:
    """Return the arrays of all sources by name: files, folders of files, functions.

    An ``.npy`` is one input, of the name of the file. Sources with the same names are sets of
    inputs and are joined along the first axis; sources without a name in common are one set.

    Raises:
        ArgumentError: a source cannot be read, or does not fit the others.
    """
    sets = [(text, values) for source in sources for text, values in _read(source)]
    names = {text: set(values) for text, values in sets}
    first_text, first = next(iter(sets), ("", {}))
    joined = {name: [value] for name, value in first.items()}
    for text, values in sets[1:]:
        shared = values.keys() & joined.keys()
        if shared and names[text] != names[first_text]:
            raise ArgumentError(
                f"--inputs {text}: it shares the input '{min(shared)}' with {first_text}, but "
                "not all inputs",
                hint="give each input once, or several sets of all inputs",
            )
        for name, value in values.items():
            if name in joined:
                _check_joins(text, name, value, joined[name][0])
            joined.setdefault(name, []).append(value)
    return {name: _join(parts) for name, parts in joined.items()}


def _join(parts: Sequence[Values]) -> Values:
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def _check_joins(text: str, name: str, value: Values, first: Values) -> None:
    is_same_type = value.dtype == first.dtype or value.dtype.kind == first.dtype.kind == "U"
    if is_same_type and value.ndim and first.ndim and value.shape[1:] == first.shape[1:]:
        return
    raise ArgumentError(
        f"--inputs {text}: {name} is {value.dtype} of the shape {value.shape}, in the set before "
        f"{first.dtype} of {first.shape}",
        hint="sets of inputs are joined along the first axis: make them alike, or verify each in a "
        "run of its own",
    )


def _read(source: str) -> Iterator[tuple[str, Mapping[str, Values]]]:
    path = Path(source)
    function = FUNCTION.fullmatch(source)
    if function and not path.exists():
        yield source, _call(source, function[1], function[2])
    elif path.is_dir():
        for file in _files(path):
            yield str(file), _read_file(file)
    else:
        yield source, _read_file(path)


def _files(folder: Path) -> list[Path]:
    """Return the files of arrays of a folder. Raises ArgumentError unless they are of one kind."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".npz", ".npy"))
    if not files:
        raise ArgumentError(f"--inputs {folder}: there is no .npz and no .npy in it", hint=HINT)
    if len({path.suffix for path in files}) > 1:
        raise ArgumentError(
            f"--inputs {folder}: it has .npz and .npy files",
            hint="keep one kind: .npz for sets of inputs, .npy for one array an input",
        )
    return files


def _read_file(path: Path, option: str = "--inputs", hint: str = HINT) -> dict[str, Values]:
    try:
        if path.suffix == ".npy":
            return {path_text(path.stem): arrays.read_array(path)}
        values = arrays.read_all(path, arrays.ANY)
    except arrays.Unreadable as error:
        raise ArgumentError(f"{option} {path}: {error}", hint=hint) from None
    if not values:
        raise ArgumentError(f"{option} {path}: it holds no array", hint=hint)
    return values


def _call(source: str, module: str, function: str) -> dict[str, Values]:
    """Return what a function returns, called in the current folder by this Python."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / INPUTS
        command = [sys.executable, str(PROGRAM), module, function, str(target)]
        try:
            processes.run(command)
        except processes.CommandFailed as error:
            last = next(iter(error.output.splitlines()[::-1]), error.message)
            raise ArgumentError(
                f"--inputs {source}: {last}",
                hint=f"it ran in the folder {Path.cwd()} with {sys.executable}; it takes no "
                "argument, and returns a dict of arrays by input name",
            ) from None
        return _read_returned(source, target)


def _read_returned(source: str, target: Path) -> dict[str, Values]:
    try:
        values = arrays.read_all(target, arrays.ANY) if is_there(target) else {}
    except arrays.Unreadable as error:
        raise ArgumentError(f"--inputs {source}: {error}", hint=HINT) from None
    if not values:
        raise ArgumentError(f"--inputs {source}: it returned no array", hint=HINT)
    return values
