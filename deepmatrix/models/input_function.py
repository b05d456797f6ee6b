"""The program that calls a user's Python function for inputs, in a process of its own.

    python input_function.py MODULE FUNCTION TARGET

The module is looked for in the current folder first. The function returns arrays by name; they are
written to TARGET as an ``.npz``. A list of arrays is a sequence, a dict a map, None an optional
without a value: they are written in parts, as `harness.graphs.values` names them. It uses nothing
of this package: its folder is not the module's.
"""

import importlib
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


def main(module: str, function: str, target: str) -> None:
    """Call the function and write what it returns. Raises whatever it raises, and TypeError."""
    if not sys.flags.safe_path:
        del sys.path[0]  # this program's folder
    sys.path.insert(0, str(Path.cwd()))
    returned = getattr(importlib.import_module(module), function)()
    if not isinstance(returned, dict):
        kind = type(returned).__name__
        raise TypeError(f"{function}() returned a {kind}, not a dict of arrays by input name")
    with zipfile.ZipFile(target, "w") as file:
        for name, value in returned.items():
            for part, array in parts(name, value):
                with file.open(f"{part}.npy", "w", force_zip64=True) as stream:
                    np.lib.format.write_array(stream, array, allow_pickle=False)


def parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the arrays that an input is made of, by their names."""
    if isinstance(value, dict):
        yield f"{name}.keys", np.array(list(value))
        yield f"{name}.values", np.array(list(value.values()))
    elif isinstance(value, list | tuple) and any(isinstance(x, np.ndarray) for x in value):
        for number, element in enumerate(value):
            yield from parts(f"{name}.{number}", element)
    elif value is not None:
        yield name, np.asarray(value, order="C")


if __name__ == "__main__":
    main(*sys.argv[1:])
