"""Offers: what a worker's machine can run, as it says, and as resources of Dask."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from deepmatrix.engines import Task, archives
from deepmatrix.execution.reuse.provenance import digest, digest_files, program_digest
from deepmatrix.paths import DOCKER, HARNESS, PACKAGE, SHIPPED
from deepmatrix.planning.cells import Capabilities, Cell

#: The resource of the processes whose times count: a machine runs one at a time.
TIMING = "timing"


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a worker says of itself.

    *code*: what its deepmatrix hashes to, which has to be the controller's.
    *incarnation* differs after each start. *facts*: of its engine and machine.
    """

    name: str
    incarnation: str
    code: str
    engine: str
    isolates: bool
    capabilities: Capabilities
    facts: dict[str, str]


def code_digest() -> str:
    """Return what the program, the harness and the recipes of images of this machine hash to."""
    return f"{program_digest()}-{_digest_all(PACKAGE, HARNESS, DOCKER)}"


@cache
def _digest_all(package: Path, *folders: Path) -> str:
    """Return what the modules of a package and the files of other folders hash to."""
    files = {folder: list(archives.list_files(folder).values()) for folder in (package, *folders)}
    files[package] = [
        path for path in files[package] if path.suffix == ".py" and not path.is_relative_to(SHIPPED)
    ]
    return digest([list(digest_files(folder, paths)) for folder, paths in files.items()])


def resources(capabilities: Capabilities) -> dict[str, float]:
    """Return what a machine offers to Dask: as many of each as it has CPUs, and one `TIMING`."""
    count = float(capabilities.cpus)
    names = [*capabilities.devices, *capabilities.native]
    names += [_emulated(name) for name in capabilities.emulated]
    return {TIMING: 1.0, **dict.fromkeys(sorted(names), count)}


def wanted(task: Task, capabilities: Capabilities) -> dict[str, float]:
    """Return which of those resources a process takes while it runs."""
    return {**needs(task.cell, capabilities), **({TIMING: 1.0} if task.timed else {})}


def needs(cell: Cell, capabilities: Capabilities) -> dict[str, float]:
    """Return which of them any process of a cell takes."""
    is_native = cell.architecture in capabilities.native
    return {cell.architecture if is_native else _emulated(cell.architecture): 1.0, cell.device: 1.0}


def _emulated(architecture: str) -> str:
    return f"emulated-{architecture}"
