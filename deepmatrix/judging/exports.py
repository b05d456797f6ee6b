"""Exported models: kept with what they are judged by, proven whole, and judged."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepmatrix.errors import RecordError
from deepmatrix.judging import agreements
from deepmatrix.planning.plan import Import, Job
from deepmatrix.store import arrays
from deepmatrix.store.arrays import Floats, Values
from deepmatrix.store.records import Agreement, Exported, ExportedFile, Output
from deepmatrix.store.runs import Run, write_text
from deepmatrix.workloads import gold, inputs, networks
from harness.formats import MODEL_PATHS
from harness.record import answer_path

#: Where an artifact keeps the files of the model: whatever they are called, they meet no others.
MODEL = "model"

#: What the host puts beside that: inputs, the producer's outputs and weights, gold outputs.
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
            shutil.copytree(control / "artifacts" / artifact.format, part / MODEL)
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


def inputs_for(run: Run, one: Import) -> Path:
    """Return the file of what a person's own model is to be tried on; it need not be there."""
    first = run.manifest.plan.imports[0]
    if run.manifest.plan.same and one != first:
        return run.artifact(first.artifact) / "inputs.npz"
    return run.given("inputs")


def keep_import(run: Run, job: Job, output: Output, control: Path) -> None:
    """Keep a person's own model with what its inspector found, as `keep` does what was exported.

    Gold is the given reference where there is one, else the float64 evaluation, else the
    inspector's own answers.

    Raises arrays.Unreadable when a file is missing or not what it should be.
    """
    one = next(one for one in run.manifest.plan.imports if one.name == job.subject)
    final = run.artifact(one.artifact)
    part = final.with_name(f"{final.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(run.model(one.name), part / MODEL)
    found = control / "artifacts"
    arrays.read_all(found / "inputs.npz", arrays.ANY)
    outputs = arrays.read_all(found / "outputs.npz", arrays.NUMBERS)
    if not outputs:
        raise arrays.Unreadable("it gives no outputs: there is nothing to be judged")
    shutil.copyfile(found / "inputs.npz", part / "inputs.npz")
    own = found / "gold.npz"
    precise = arrays.read_all(own, arrays.NUMBERS) if own.is_file() else outputs
    truth, produced = _judged_by(run, one, outputs, precise)
    if truth.keys() != outputs.keys():
        raise arrays.Unreadable("its outputs and its gold are not the same ones")
    (part / "outputs.npz").write_bytes(inputs.npz_bytes(produced))
    (part / "gold.npz").write_bytes(inputs.npz_bytes(truth))
    (part / "weights.npz").write_bytes(inputs.npz_bytes({}))
    seen = output.inspected()
    exported = Exported(
        format=one.format,
        files=tuple(_described(path, part / MODEL) for path in sorted(_plain_files(part / MODEL))),
        opset=seen.opset if seen else None,
        in_parts=False,
        export_s=0.0,
    )
    described = describe(exported, one.artifact.id, part)
    write_text(part / "artifact.json", described.model_dump_json(indent=1))
    shutil.rmtree(final, ignore_errors=True)
    part.replace(final)


def _judged_by(
    run: Run, one: Import, outputs: Mapping[str, Values], precise: Mapping[str, Values]
) -> tuple[Mapping[str, Values], Mapping[str, Values]]:
    """Return gold, and what comes of it in float32, which the tolerance scales with.

    Where something else than the model itself is gold, that must not be its own outputs: a model
    that is another one would be allowed its own difference.
    """
    first = run.artifact(run.manifest.plan.imports[0].artifact)
    if run.manifest.plan.same and one != run.manifest.plan.imports[0]:
        truth = _reference(first / "gold.npz", outputs)
        return truth, _reference(first / "outputs.npz", outputs)
    if not run.given("reference").is_file():
        return precise, outputs
    truth = _reference(run.given("reference"), outputs)
    off = {
        name: truth[name] + (outputs[name] - precise[name])
        for name in _floats(truth, outputs, precise)
    }
    return truth, {**truth, **off}


def _floats(
    truth: Mapping[str, Values], outputs: Mapping[str, Values], precise: Mapping[str, Values]
) -> list[str]:
    """Return the names of the floats that are in all, in one shape."""
    return [
        name
        for name, wanted in truth.items()
        if outputs[name].dtype.kind == "f"
        and outputs[name].shape == wanted.shape
        and name in precise
    ]


def _reference(path: Path, outputs: Mapping[str, Values]) -> dict[str, Values]:
    """Return a reference by the model's names of its outputs."""
    given = arrays.read_all(path, arrays.NUMBERS)
    if len(given) != len(outputs):
        said = f"the reference has {len(given)} outputs, the model has {len(outputs)}"
        if given.keys() & outputs.keys():  # else they go by their order
            lacking = [f"'{name}'" for name in given if name not in outputs]
            surplus = [f"'{name}'" for name in outputs if name not in given]
            said += f": it does not give {', '.join(lacking)}" if lacking else ""
            said += f": it also gives {', '.join(surplus)}" if surplus and not lacking else ""
        raise arrays.Unreadable(said)
    if given.keys() == outputs.keys():
        return {name: given[name] for name in outputs}
    return dict(zip(outputs, given.values(), strict=True))


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
    if different := sorted(claimed.keys() ^ found):
        raise arrays.Unreadable(f"{exported.format}: {different[0]} is not both there and named")
    for path, digest in claimed.items():
        if sha256(folder / path) != digest:
            raise arrays.Unreadable(f"{exported.format}: {path} is not what it says")


def _plain_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


def describe(exported: Exported, artifact_id: str, folder: Path) -> Exported:
    """Return what a producer says of its model with the host's files beside it.

    All are named as they lie in the artifact's *folder*.
    """
    its = [one.model_copy(update={"path": f"{MODEL}/{one.path}"}) for one in exported.files]
    own = [_described(folder / name, folder) for name in HOST_FILES]
    return exported.model_copy(update={"id": artifact_id, "files": (*its, *own)})


def _described(path: Path, folder: Path) -> ExportedFile:
    return ExportedFile(
        path=path.relative_to(folder).as_posix(), bytes=path.stat().st_size, sha256=sha256(path)
    )


def sha256(path: Path) -> str:
    """Return a file's digest, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(artifact: Path) -> Exported:
    """Return how a kept model was described.

    Raises RecordError when it, or what it is judged by, is not what it was.
    """
    try:
        described = Exported.model_validate_json((artifact / "artifact.json").read_bytes())
        for one in described.files:
            if sha256(artifact / one.path) != one.sha256:
                raise ValueError(f"{one.path} is not what was kept")
    except (OSError, ValueError) as error:
        raise RecordError(
            f"{artifact}: damaged: {error}", hint="the run's own file changed: start a new run"
        ) from None
    return described


def hand_over(artifact: Path, control: Path) -> dict[str, Any]:
    """Copy a kept model and its inputs to a control directory; return what the job says of it.

    Neither its gold nor its producer's outputs go along.
    """
    described = verify(artifact)
    shutil.copytree(artifact / MODEL, control / "artifact" / MODEL)
    (control / "artifact" / "inputs").mkdir()
    entries, rows = [], 0
    given = arrays.read_all(artifact / "inputs.npz", arrays.ANY)
    for number, (name, array) in enumerate(given.items()):
        path = f"artifact/inputs/{number}.npy"
        np.save(control / path, array)
        entries.append({"name": name, "path": path})
        rows = len(array) if array.ndim else 0
    return {
        "id": described.id,
        "format": described.format,
        "model": f"artifact/{MODEL}/{MODEL_PATHS[described.format]}",
        "inputs": entries,
        "splits": splits(rows, described.batch) if described.in_parts else None,
        "batch": described.batch,
        "rows": rows,
    }


def agreement(artifact: Path, control: Path, names: Sequence[str]) -> Agreement:
    """Compare a consumer's answers below *control*, so named, with gold and with the producer's.

    Raises RecordError when the artifact's own files are damaged.
    """
    try:
        truth = arrays.read_all(artifact / "gold.npz", arrays.NUMBERS)
        produced = arrays.read_all(artifact / "outputs.npz", arrays.NUMBERS)
    except arrays.Unreadable as error:
        raise RecordError(
            f"{artifact}: damaged: {error}", hint="the run's own file changed: start a new run"
        ) from None
    if len(set(names)) < len(names):
        return agreements.nothing("two of its outputs have the same name")
    try:
        answered = {
            name: arrays.read_array(control / answer_path(number))
            for number, name in enumerate(names)
        }
    except arrays.Unreadable as error:
        return agreements.nothing(f"its outputs cannot be used: {error}")
    return agreements.compare(answered, produced, truth)


def splits(rows: int, batch: int | None = None) -> list[int]:
    """Return how a consumer answers so many rows.

    In batches of several sizes, one and an odd one; all of *batch* where a model takes no other.
    """
    if batch:
        return [batch] * (rows // batch)
    few = [1, 7] if rows > 8 else [1] if rows > 1 else []
    return [*few, rows - sum(few)]
