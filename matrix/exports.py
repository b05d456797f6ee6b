"""Exported models: kept with what they are judged by, proven whole, and judged."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np

from matrix import arrays, gold, inputs, networks
from matrix.arrays import Floats
from matrix.errors import RecordError
from matrix.plan import Job
from matrix.records import Agreement, Exported, ExportedFile, Output
from matrix.runs import Run, write_text

#: What the host puts beside a model: inputs, the producer's outputs and weights, gold outputs.
HOST_FILES = ("gold.npz", "inputs.npz", "outputs.npz", "weights.npz")


def keep(run: Run, job: Job, output: Output, control: Path) -> None:
    """Copy what was exported from a control directory to the run's artifacts, with its gold.

    Raises arrays.Unreadable when a file is missing or not what it should be.
    """
    exported = {one.format: one for one in output.artifacts}
    network = networks.NETWORKS[run.manifest.matrix.workloads[job.workload].network]
    weights = arrays.read(control / "artifacts" / "weights.npz", networks.parameters(network))
    probe = _probe(run, job.workload)
    truth = gold.forward(network, weights, probe)
    arrays.read(control / "artifacts" / "outputs.npz", {"y": truth.shape})
    for artifact in run.manifest.plan.artifacts():
        if (artifact.producer, artifact.workload) != (job.cell, job.workload):
            continue
        if artifact.format not in exported:
            continue
        final = run.artifact(artifact)
        part = final.with_name(f"{final.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        check(exported[artifact.format], control / "artifacts" / artifact.format)
        try:
            shutil.copytree(control / "artifacts" / artifact.format, part)
        except shutil.Error as error:
            raise arrays.Unreadable(f"{artifact.format}: {error}") from None
        except FileNotFoundError:
            raise arrays.Unreadable(f"there is no {artifact.format}") from None
        for name in ("weights.npz", "outputs.npz"):
            shutil.copyfile(control / "artifacts" / name, part / name)
        np.savez(part / "inputs.npz", x=probe)
        np.savez(part / "gold.npz", y=truth)
        described = describe(exported[artifact.format], artifact.id, part)
        write_text(part / "artifact.json", described.model_dump_json(indent=1))
        shutil.rmtree(final, ignore_errors=True)
        part.replace(final)


def _probe(run: Run, workload: str) -> Floats:
    """Return the inputs that artifacts are tried on. Raises RecordError when they are damaged."""
    path = inputs.files(run.inputs, workload)["data.npz"]
    try:
        return arrays.read(path, {"probe_x": None})["probe_x"]
    except arrays.Unreadable as error:
        raise RecordError(
            f"{path}: damaged: {error}", hint="the run's own file changed: start a new run"
        ) from None


def check(exported: Exported, folder: Path) -> None:
    """Raise arrays.Unreadable unless a folder holds what its producer says, and nothing else."""
    claimed = {one.path: one.sha256 for one in exported.files}
    found = {path.relative_to(folder).as_posix() for path in _plain_files(folder)}
    if taken := sorted(claimed.keys() & set(HOST_FILES)):
        raise arrays.Unreadable(f"{exported.format}: {taken[0]} is a name of the host's own")
    if different := sorted(claimed.keys() ^ found):
        raise arrays.Unreadable(f"{exported.format}: {different[0]} is not both there and named")
    for path, digest in claimed.items():
        if sha256(folder / path) != digest:
            raise arrays.Unreadable(f"{exported.format}: {path} is not what it says")


def _plain_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


def describe(exported: Exported, artifact_id: str, folder: Path) -> Exported:
    """Return what a producer says of its model with the host's files beside it."""
    own = tuple(
        ExportedFile(path=name, bytes=(folder / name).stat().st_size, sha256=sha256(folder / name))
        for name in HOST_FILES
    )
    return exported.model_copy(update={"id": artifact_id, "files": (*exported.files, *own)})


def sha256(path: Path) -> str:
    """Return a file's digest, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(artifact: Path) -> None:
    """Raise RecordError when a kept model, or what it is judged by, is not what it was."""
    try:
        described = Exported.model_validate_json((artifact / "artifact.json").read_bytes())
        for one in described.files:
            if sha256(artifact / one.path) != one.sha256:
                raise ValueError(f"{one.path} is not what was kept")
    except (OSError, ValueError) as error:
        raise RecordError(
            f"{artifact}: damaged: {error}", hint="the run's own file changed: start a new run"
        ) from None


def agreement(artifact: Path, answer: Path) -> Agreement:
    """Compare a consumer's logits, float32 (N, classes), with gold and with the producer's.

    Raises RecordError when the artifact's own files are damaged.
    """
    try:
        truth = arrays.read(artifact / "gold.npz", {"y": None})["y"]
        produced = arrays.read(artifact / "outputs.npz", {"y": None})["y"]
    except arrays.Unreadable as error:
        raise RecordError(
            f"{artifact}: damaged: {error}", hint="the run's own file changed: start a new run"
        ) from None
    scale = float(np.abs(truth).max(initial=0.0))
    if not np.isfinite(scale) or scale == 0.0:
        note = "the gold outputs are zero or not finite"
        return Agreement(error=None, producer_error=None, from_producer=None, scale=0.0, note=note)
    try:
        answered = arrays.read(answer, {"y": truth.shape})["y"]
        note = "" if np.isfinite(answered).all() else "its outputs are not finite"
    except arrays.Unreadable as error:
        answered, note = np.empty(0), f"its outputs cannot be used: {error}"
    return Agreement(
        error=distance(answered, truth, scale),
        producer_error=distance(produced, truth, scale),
        from_producer=distance(answered, produced, scale),
        scale=scale,
        note=note,
    )


def distance(one: Floats, other: Floats, scale: float) -> float | None:
    """Return the largest absolute difference over *scale*; None where that makes no sense."""
    if one.shape != other.shape or not np.isfinite(one).all():
        return None
    return float(np.abs(one.astype(np.float64) - other).max() / scale)
