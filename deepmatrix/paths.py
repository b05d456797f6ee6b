"""Paths of the files that deepmatrix ships, and how a path is shown.

Only this module knows its own location.

In a checkout they lie in the repository; an installed package carries them in itself.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Final

#: The package itself.
PACKAGE = Path(__file__).resolve().parent

#: The folder that deepmatrix and the harness are imported from.
IMPORT_ROOT = PACKAGE.parent

#: Whether this is a checkout of the repository, where nox has a session for every command.
IS_CHECKOUT = (IMPORT_ROOT / "noxfile.py").is_file()

#: What an installed package carries of the repository.
SHIPPED = PACKAGE / "shipped"

#: The repository, or what the package carries of it.
ROOT = IMPORT_ROOT if IS_CHECKOUT else SHIPPED

#: The code that runs in every cell.
HARNESS = IMPORT_ROOT / "harness"

#: One folder an image family.
DOCKER = ROOT / "docker"

#: The matrix file of whoever names none.
MATRIX_FILE = ROOT / "matrix.yaml"

#: The statements of the study.
CLAIMS = ROOT / "docs" / "claims.yaml"

#: All runs of whoever names no folder: in the repository, or where the user is.
RUNS = ROOT / "runs" if IS_CHECKOUT else Path("runs")

#: The name of a run, which is that of its folder.
RUN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

#: Data sets and baselines.
DATA = PACKAGE / "data"

#: The published JSON Schemas.
SCHEMAS = PACKAGE / "schema"


def short_path(path: Path) -> str:
    """Return a path from the current folder where it is below, else as it is."""
    with contextlib.suppress(
        ValueError, OSError
    ):  # relative, elsewhere, or the current folder is gone
        return str(path.relative_to(Path.cwd()))
    return str(path)
