"""The command that shows a fault again: at the node alone, else in the whole model."""

from __future__ import annotations

import contextlib
from pathlib import Path

from deepmatrix.diagnosis.faults import Fault
from deepmatrix.invocation import command_line
from deepmatrix.planning.cells import Cell
from deepmatrix.store import artifacts
from deepmatrix.store.runs import Run
from harness.formats import FORMATS, MODEL_PATHS


def node_command(folder: Path, fault: Fault) -> str:
    """Return the command that shows a fault at its node, cut out in *folder*."""
    model = folder / MODEL_PATHS[fault.artifact.read_as]
    return _verify(model, folder, fault.consumer)


def model_command(run: Run, fault: Fault) -> str:
    """Return the command that shows a fault in the whole model, with its inputs and its gold.

    `verify` inspects no model of some formats: there a matrix of the two cells shows it.
    """
    artifact = fault.artifact
    if not FORMATS[artifact.read_as].inspector:
        cells = (artifact.producer, fault.consumer.id)
        return command_line("matrix", *cells, "--preset", run.manifest.plan.preset)
    folder = run.artifact_path(artifact)
    model = folder / artifacts.MODEL / MODEL_PATHS[artifact.read_as]
    return _verify(model, folder, fault.consumer)


def _verify(model: Path, folder: Path, consumer: Cell) -> str:
    arrays = ["--inputs", _short(folder / artifacts.INPUTS)]
    arrays += ["--reference", _short(folder / artifacts.GOLD)]
    only = ["--only", consumer.plain.id, *(["--isa", consumer.isa] if consumer.isa else [])]
    return command_line("verify", _short(model), *arrays, *only)


def _short(path: Path) -> str:
    """Return a path from here where it is below, else in full."""
    with contextlib.suppress(ValueError):
        return str(path.resolve().relative_to(Path.cwd()))
    return str(path.resolve())
