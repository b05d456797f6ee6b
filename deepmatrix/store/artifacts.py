"""Artifacts: exported models with their inputs and gold, stored, verified and handed over."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import TypeAdapter

from deepmatrix.boundary.copying import copy_tree
from deepmatrix.boundary.files import Damaged, read_json
from deepmatrix.boundary.opening import is_there, open_plain
from deepmatrix.boundary.writing import flush_folder, flush_tree, replace_folder, write_text
from deepmatrix.invocation import command_line
from deepmatrix.paths import short_path
from deepmatrix.planning.cells import Cell
from deepmatrix.planning.subjects import Artifact
from deepmatrix.store import arrays
from deepmatrix.store.causes import Cause
from deepmatrix.store.reported.output import Exported, ExportedFile, Generation
from deepmatrix.store.runs import Run
from harness.formats import FORMATS, GENERATION, MODEL_PATHS

_EXPORTED = TypeAdapter(Exported)
_GENERATION = TypeAdapter(Generation)

HINT: Final = (
    "remove the artifact and the record of its producer, then run again with --resume; or start a "
    "new run"
)

#: The folder of a model's own files in an artifact, so that their names cannot clash with ours.
MODEL: Final = "model"

#: Files beside it: what describes it, the inputs that it was tried on, and what is right for them.
DESCRIPTION: Final = "artifact.json"
INPUTS: Final = "inputs.npz"
GOLD: Final = "gold.npz"

#: The producer's outputs and weights.
PRODUCED: Final = "outputs.npz"
WEIGHTS: Final = "weights.npz"

#: By output, which values cannot be judged: codes of `harness.record`.
UNDEFINED: Final = "undefined.npz"

#: By output, the evaluations that gave way to the baseline, or to the consumers.
EVALUATION: Final = "evaluation.npz"

#: The right classes of its inputs, ``y``, of as many as have one, where accuracy is asked for.
LABELS: Final = "labels.npz"

#: The host's files beside it.
#: A user's own model may have no gold before its consumers have answered, and may have masks.
HOST_FILES: Final = (GOLD, INPUTS, PRODUCED, WEIGHTS, UNDEFINED, EVALUATION, LABELS)


def check_generation(artifact: Path) -> None:
    """Raise arrays.Unreadable where what came with a model describes no generation."""
    try:
        read_generation(artifact)
    except Damaged as error:
        raise arrays.Unreadable(f"{GENERATION}: {error.problem}") from None


def finish(part: Path, described: Exported, final: Path) -> None:
    """Put an artifact in its place, with its description, so that it survives a loss of power."""
    write_text(part / DESCRIPTION, described.model_dump_json(indent=1))
    flush_tree(part)
    replace_folder(final, part)
    flush_folder(final.parent)


def fingerprint(described: Exported) -> str:
    """Return the SHA-256 of what an artifact is: its model's files and its inputs, 64 hex digits.

    The record of the job that stored it has it too. What judges it may change once its consumers
    have answered.
    """
    listed = sorted((file.path, file.sha256) for file in described.files if _is_served(file.path))
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def model_digests(described: Exported) -> dict[str, str]:
    """Return the SHA-256 of each of a model's own files, by its path in the model."""
    begin = f"{MODEL}/"
    return {
        file.path.removeprefix(begin): file.sha256
        for file in described.files
        if file.path.startswith(begin)
    }


def _is_served(path: str) -> bool:
    return path == INPUTS or path.startswith(f"{MODEL}/")


def check_files(exported: Exported, folder: Path) -> None:
    """Raise arrays.Unreadable unless a folder holds exactly the files that its producer lists."""
    listed = {file.path: file.sha256 for file in exported.files}
    on_disk = {path.relative_to(folder).as_posix() for path in plain_files(folder)}
    if different := sorted(listed.keys() ^ on_disk):
        raise arrays.Unreadable(f"{exported.format}: manifest and disk differ in {different[0]}")
    for path, digest in listed.items():
        if sha256(folder / path) != digest:
            raise arrays.Unreadable(f"{exported.format}: {path} differs from its listed digest")


def plain_files(folder: Path) -> list[Path]:
    """Return the files below a folder, without links."""
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


def describe(exported: Exported, artifact_id: str, folder: Path) -> Exported:
    """Return a producer's description of its model with the host's files added.

    Paths are relative to the artifact's *folder*.
    """
    model_files = [file.changed(path=f"{MODEL}/{file.path}") for file in exported.files]
    names = [name for name in HOST_FILES if (folder / name).is_file()]
    host_files = [describe_file(folder / name, folder) for name in names]
    return exported.changed(id=artifact_id, files=(*model_files, *host_files))


def describe_file(path: Path, folder: Path) -> ExportedFile:
    """Return a file's path relative to a folder, size and digest."""
    return ExportedFile(
        path=path.relative_to(folder).as_posix(), bytes=path.stat().st_size, sha256=sha256(path)
    )


def sha256(path: Path) -> str:
    """Return a file's digest, 64 hex digits."""
    with open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_first(artifact: Artifact, runs: Sequence[Run]) -> Exported | None:
    """Return the description of an artifact that one of several runs has, None if none can be read.

    Damage is noted in its run.
    """
    for run in runs:
        folder = run.artifact_path(artifact)
        if (folder / DESCRIPTION).is_file():
            try:
                return read_description(folder)
            except Damaged as error:
                run.note_damage(error)
    return None


def read_description(artifact: Path) -> Exported:
    """Return the description of a stored artifact. Raises RecordError where it is damaged."""
    described = read_json(artifact / DESCRIPTION, _EXPORTED, hint=HINT)
    if described.format not in MODEL_PATHS:
        raise Damaged(
            artifact / DESCRIPTION, f"format: there is no {described.format!r}", hint=HINT
        )
    return described


def read_generation(artifact: Path) -> Generation | None:
    """Return what a stored model generates, or None where it does not. Raises Damaged."""
    path = artifact / MODEL / GENERATION
    return read_json(path, _GENERATION, hint=HINT) if is_there(path) else None


def verify(artifact: Path, recorded: str = "") -> Exported:
    """Return the description of a stored artifact.

    Raises Damaged where one of its files is missing, a link, or not what the description says; or
    where it is not what the record of its producer says, its *recorded* fingerprint.
    """
    described = read_description(artifact)
    for file in described.files:
        path = artifact / file.path
        if path.is_symlink() or not path.is_file():
            raise Damaged(path, "it is missing, or no plain file", hint=HINT)
        if sha256(path) != file.sha256:
            raise Damaged(path, "it has changed since it was stored", hint=HINT)
    listed = {file.path for file in described.files}
    for path in plain_files(artifact / MODEL):
        if path.relative_to(artifact).as_posix() not in listed:
            raise Damaged(path, "it was not there when the model was stored", hint=HINT)
    if recorded and fingerprint(described) != recorded:
        raise Damaged(artifact, "it is another one than its producer's record says", hint=HINT)
    return described


def verify_stored(run: Run, artifact: Artifact) -> Exported:
    """Return the description of an artifact of a run, like `verify`."""
    return verify(run.artifact_path(artifact), recorded(run, artifact))


def stored_of(run: Run) -> Callable[[Artifact], bool]:
    """Return what tells whether an artifact can be served: its producer's record says it is there.

    Each record is read once, however many jobs serve the artifact: ask again after a wave.
    """

    @cache
    def is_stored(artifact: Artifact) -> bool:
        return bool(recorded(run, artifact)) and run.artifact_path(artifact).is_dir()

    return is_stored


def recorded(run: Run, artifact: Artifact) -> str:
    """Return an artifact's fingerprint in the record of its producer, or nothing."""
    if kept := run.manifest.plan.kept_as(artifact.id):
        return kept.fingerprint
    path = run.path / "records" / artifact.producer / artifact.workload / "r0.json"
    return run.record_at(path).artifacts.get(artifact.id, "") if path.is_file() else ""


def hand_over(run: Run, stored: Artifact, control: Path) -> dict[str, Any]:
    """Copy an artifact's model and inputs to a control directory; return its part of the job.

    Its gold, its producer's outputs and the tokens that are right stay on the host.
    """
    described, artifact = verify_stored(run, stored), run.artifact_path(stored)
    copy_tree(artifact / MODEL, control / "artifact" / MODEL)
    (control / "artifact" / MODEL / GENERATION).unlink(missing_ok=True)
    generation = read_generation(artifact)
    (control / "artifact" / "inputs").mkdir()
    entries, rows = [], 0
    try:
        sample_inputs = arrays.read_all(artifact / INPUTS, arrays.ANY)
    except arrays.Unreadable as error:
        raise Damaged(artifact / INPUTS, str(error), hint=HINT) from None
    for number, (name, array) in enumerate(sample_inputs.items()):
        path = f"artifact/inputs/{number}.npy"
        np.save(control / path, array)
        entries.append({"name": name, "path": path})
        rows = len(array) if array.ndim else 0
    return {
        "id": described.id,
        "format": FORMATS[described.format].read_as,
        "model": f"artifact/{MODEL}/{MODEL_PATHS[described.format]}",
        "inputs": entries,
        "splits": batch_sizes(rows, described.batch) if described.in_parts else None,
        "batch": described.batch,
        "rows": rows,
        **({"generation": generation.request()} if generation else {}),
    }


def batch_sizes(rows: int, batch: int | None = None) -> list[int]:
    """Return the batch sizes in which a consumer computes a number of rows.

    One row, an odd number, and the remainder; or always *batch* where a model takes no other.
    """
    if batch:
        return [batch] * (rows // batch)
    small = [1, 7] if rows > 8 else [1] if rows > 1 else []
    return [*small, rows - sum(small)]


def reproduction(run: Run, cause: Cause, artifact: Artifact, consumer: Cell) -> str:
    """Return the command that shows a fault again, with the files of the run where it is now.

    That is the node alone, cut out beside the cause, else the whole model with its inputs and its
    gold. `verify` inspects no model of some formats: there a matrix of the two cells shows it.
    """
    if cause.alone:
        folder = run.cause_path(cause.artifact, cause.as_on or cause.consumer)
        return _verify_command(folder / MODEL_PATHS[artifact.read_as], folder, consumer)
    if not FORMATS[artifact.read_as].inspector:
        cells = (artifact.producer, consumer.id)
        return command_line("matrix", *cells, "--preset", run.manifest.plan.preset)
    folder = run.artifact_path(artifact)
    model = folder / MODEL / MODEL_PATHS[artifact.read_as]
    return _verify_command(model, folder, consumer)


def _verify_command(model: Path, folder: Path, consumer: Cell) -> str:
    options = ["--inputs", short_path(folder / INPUTS), "--reference", short_path(folder / GOLD)]
    only = ["--only", consumer.plain.id, *(["--isa", consumer.isa] if consumer.isa else [])]
    return command_line("verify", short_path(model), *options, *only)
