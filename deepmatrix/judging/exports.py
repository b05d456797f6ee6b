"""Exported models: stored with inputs and gold, verified to be whole, and judged."""

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
from deepmatrix.store.output import Exported, ExportedFile, Output
from deepmatrix.store.records import Agreement
from deepmatrix.store.runs import Run, write_text
from deepmatrix.workloads import gold, inputs, networks
from harness.record import MODEL_PATHS, answer_path

#: The folder of a model's own files in an artifact, so that their names cannot clash with ours.
MODEL = "model"

#: The host's files beside it: inputs, the producer's outputs and weights, gold outputs.
HOST_FILES = ("gold.npz", "inputs.npz", "outputs.npz", "weights.npz")


def keep(run: Run, job: Job, output: Output, control: Path) -> None:
    """Copy exported models from a control directory to the run's artifacts, with their gold.

    Raises arrays.Unreadable where a file is missing or wrong.
    """
    exported = {model.format: model for model in output.artifacts}
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


def inputs_for(run: Run, model: Import) -> Path:
    """Return the path of a user's model's inputs; the file may be missing."""
    first = run.manifest.plan.imports[0]
    if run.manifest.plan.same and model != first:
        return run.artifact(first.artifact) / "inputs.npz"
    return run.given("inputs")


def keep_import(run: Run, job: Job, output: Output, control: Path) -> None:
    """Store a user's own model with its inspection, like `keep` does with exported models.

    Gold is the user's reference where there is one, else the float64 evaluation, else the
    inspector's own outputs.

    Raises arrays.Unreadable where a file is missing or wrong.
    """
    model = next(model for model in run.manifest.plan.imports if model.name == job.subject)
    final = run.artifact(model.artifact)
    part = final.with_name(f"{final.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(run.model(model.name), part / MODEL)
    inspection = control / "artifacts"
    arrays.read_all(inspection / "inputs.npz", arrays.ANY)
    outputs = arrays.read_all(inspection / "outputs.npz", arrays.NUMBERS)
    if not outputs:
        raise arrays.Unreadable("it has no outputs: there is nothing to judge")
    shutil.copyfile(inspection / "inputs.npz", part / "inputs.npz")
    evaluation = inspection / "gold.npz"
    precise = arrays.read_all(evaluation, arrays.NUMBERS) if evaluation.is_file() else outputs
    truth, produced = _judged_by(run, model, outputs, precise)
    if truth.keys() != outputs.keys():
        raise arrays.Unreadable("its outputs and its gold have different names")
    (part / "outputs.npz").write_bytes(inputs.archive(produced))
    (part / "gold.npz").write_bytes(inputs.archive(truth))
    (part / "weights.npz").write_bytes(inputs.archive({}))
    inspected = output.inspected()
    exported = Exported(
        format=model.format,
        files=tuple(_described(path, part / MODEL) for path in sorted(_plain_files(part / MODEL))),
        opset=inspected.opset if inspected else None,
        in_parts=False,
        export_s=0.0,
    )
    described = describe(exported, model.artifact.id, part)
    write_text(part / "artifact.json", described.model_dump_json(indent=1))
    shutil.rmtree(final, ignore_errors=True)
    part.replace(final)


def _judged_by(
    run: Run, model: Import, outputs: Mapping[str, Values], precise: Mapping[str, Values]
) -> tuple[Mapping[str, Values], Mapping[str, Values]]:
    """Return gold, and gold in float32, whose error the tolerance scales with.

    Where gold comes from a reference or another model, gold in float32 must not be this model's
    own outputs: its difference from gold would widen its own tolerance.
    """
    first = run.artifact(run.manifest.plan.imports[0].artifact)
    if run.manifest.plan.same and model != run.manifest.plan.imports[0]:
        truth = _reference(first / "gold.npz", outputs)
        return truth, _reference(first / "outputs.npz", outputs)
    if not run.given("reference").is_file():
        return precise, outputs
    truth = _reference(run.given("reference"), outputs)
    rounded = {
        name: truth[name] + (outputs[name] - precise[name])
        for name in _floats(truth, outputs, precise)
    }
    return truth, {**truth, **rounded}


def _floats(
    truth: Mapping[str, Values], outputs: Mapping[str, Values], precise: Mapping[str, Values]
) -> list[str]:
    """Return the names of the float outputs that all three have in the same shape."""
    return [
        name
        for name, wanted in truth.items()
        if outputs[name].dtype.kind == "f"
        and outputs[name].shape == wanted.shape
        and name in precise
    ]


def _reference(path: Path, outputs: Mapping[str, Values]) -> dict[str, Values]:
    """Return a reference by the model's names of its outputs."""
    reference = arrays.read_all(path, arrays.NUMBERS)
    if len(reference) != len(outputs):
        message = f"the reference has {len(reference)} outputs, the model has {len(outputs)}"
        if reference.keys() & outputs.keys():  # else outputs are matched by their order
            missing = [f"'{name}'" for name in reference if name not in outputs]
            surplus = [f"'{name}'" for name in outputs if name not in reference]
            message += f": it does not give {', '.join(missing)}" if missing else ""
            message += f": it also gives {', '.join(surplus)}" if surplus and not missing else ""
        raise arrays.Unreadable(message)
    if reference.keys() == outputs.keys():
        return {name: reference[name] for name in outputs}
    return dict(zip(outputs, reference.values(), strict=True))


def _probe(run: Run, workload: str) -> Floats:
    """Return the inputs of artifacts. Raises RecordError where the file is damaged."""
    path = inputs.files(run.inputs, workload)["data.npz"]
    try:
        return arrays.read(path, {"probe_x": None})["probe_x"]
    except arrays.Unreadable as error:
        raise RecordError(
            f"{path}: damaged: {error}", hint="the run's own file changed: start a new run"
        ) from None


def check(exported: Exported, folder: Path) -> None:
    """Raise arrays.Unreadable unless a folder holds exactly the files that its producer lists."""
    listed = {file.path: file.sha256 for file in exported.files}
    on_disk = {path.relative_to(folder).as_posix() for path in _plain_files(folder)}
    if different := sorted(listed.keys() ^ on_disk):
        raise arrays.Unreadable(f"{exported.format}: manifest and disk differ in {different[0]}")
    for path, digest in listed.items():
        if sha256(folder / path) != digest:
            raise arrays.Unreadable(f"{exported.format}: {path} differs from its listed digest")


def _plain_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


def describe(exported: Exported, artifact_id: str, folder: Path) -> Exported:
    """Return a producer's description of its model with the host's files added.

    Paths are relative to the artifact's *folder*.
    """
    model_files = [
        file.model_copy(update={"path": f"{MODEL}/{file.path}"}) for file in exported.files
    ]
    host_files = [_described(folder / name, folder) for name in HOST_FILES]
    return exported.model_copy(update={"id": artifact_id, "files": (*model_files, *host_files)})


def _described(path: Path, folder: Path) -> ExportedFile:
    return ExportedFile(
        path=path.relative_to(folder).as_posix(), bytes=path.stat().st_size, sha256=sha256(path)
    )


def sha256(path: Path) -> str:
    """Return a file's digest, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(artifact: Path) -> Exported:
    """Return the description of a stored artifact.

    Raises RecordError where one of its files has changed since.
    """
    try:
        described = Exported.model_validate_json((artifact / "artifact.json").read_bytes())
        for file in described.files:
            if sha256(artifact / file.path) != file.sha256:
                raise ValueError(f"{file.path} has changed")
    except (OSError, ValueError) as error:
        raise RecordError(
            f"{artifact}: damaged: {error}", hint="the run's own file changed: start a new run"
        ) from None
    return described


def hand_over(artifact: Path, control: Path) -> dict[str, Any]:
    """Copy an artifact's model and inputs to a control directory; return its part of the job.

    Its gold and its producer's outputs stay on the host.
    """
    described = verify(artifact)
    shutil.copytree(artifact / MODEL, control / "artifact" / MODEL)
    (control / "artifact" / "inputs").mkdir()
    entries, rows = [], 0
    sample_inputs = arrays.read_all(artifact / "inputs.npz", arrays.ANY)
    for number, (name, array) in enumerate(sample_inputs.items()):
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
    """Compare a consumer's outputs below *control* with gold and with the producer's.

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
    """Return the batch sizes in which a consumer computes so many rows.

    One row, an odd number, and the remainder; or always *batch* where a model takes no other.
    """
    if batch:
        return [batch] * (rows // batch)
    small = [1, 7] if rows > 8 else [1] if rows > 1 else []
    return [*small, rows - sum(small)]
