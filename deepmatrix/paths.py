"""Paths of the files that deepmatrix ships: only this module knows its own location."""

from __future__ import annotations

from pathlib import Path

#: The package itself.
PACKAGE = Path(__file__).resolve().parent

#: The repository.
ROOT = PACKAGE.parent

#: The code that runs in every cell.
HARNESS = ROOT / "harness"

#: One folder an image family.
DOCKER = ROOT / "docker"

#: Data sets and baselines.
DATA = PACKAGE / "data"

#: The published JSON Schemas.
SCHEMAS = PACKAGE / "schema"
