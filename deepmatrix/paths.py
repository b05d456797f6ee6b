"""Where the files that deepmatrix ships lie: the only module that knows its own place."""

from __future__ import annotations

from pathlib import Path

#: The package itself.
PACKAGE = Path(__file__).resolve().parent

#: The repository.
ROOT = PACKAGE.parent

#: What is mounted into every cell.
HARNESS = ROOT / "harness"

#: One folder an image family.
DOCKER = ROOT / "docker"

#: Data sets and baselines.
DATA = PACKAGE / "data"

#: The published JSON Schemas.
SCHEMAS = PACKAGE / "schema"
