"""The program that calls a user's Python function for inputs, in a process of its own.

    python input_function.py MODULE FUNCTION TARGET

The module is looked for in the current folder first. The function returns arrays by name; they are
written to TARGET as an ``.npz``. It uses nothing of this package: its folder is not the module's.
"""

import importlib
import sys
import zipfile
from pathlib import Path

import numpy as np


def main(module: str, function: str, target: str) -> None:
    """Call the function and write what it returns. Raises whatever it raises, and TypeError."""
    sys.path[0] = str(Path.cwd())
    returned = getattr(importlib.import_module(module), function)()
    if not isinstance(returned, dict):
        kind = type(returned).__name__
        raise TypeError(f"{function}() returned a {kind}, not a dict of arrays by input name")
    with zipfile.ZipFile(target, "w") as file:
        for name, value in returned.items():
            with file.open(f"{name}.npy", "w", force_zip64=True) as stream:
                array = np.asarray(value, order="C")
                np.lib.format.write_array(stream, array, allow_pickle=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
