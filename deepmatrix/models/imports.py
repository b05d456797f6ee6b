"""Users' own models as artifacts: with the inputs, outputs and gold of their inspection."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from deepmatrix.planning.plan import Import, Job
from deepmatrix.store import arrays, truths
from deepmatrix.store.arrays import Values
from deepmatrix.store.artifacts import (
    MODEL,
    UNDEFINED,
    describe,
    describe_file,
    fingerprint,
    finish,
    plain_files,
)
from deepmatrix.store.output import Exported, ModelInput, Output
from deepmatrix.store.phases import InspectData
from deepmatrix.store.runs import Run
from deepmatrix.store.truths import Truth
from deepmatrix.workloads import inputs

#: Where gold comes from without a reference and without an evaluation.
OWN_OUTPUTS = "the outputs of the cell that inspected it"


def inputs_for(run: Run, model: Import) -> Path:
    """Return the path of a user's model's inputs; the file may be missing."""
    plan = run.manifest.plan
    first = plan.imports[0]
    if (plan.same or plan.original) and model != first:
        return run.artifact_path(first.artifact) / "inputs.npz"
    return run.user_arrays_path("inputs")


def keep_import(run: Run, job: Job, output: Output, control: Path) -> dict[str, str]:
    """Store a user's own model with its inspection, like `keep_exports` does with exported models.

    Gold is the user's reference where there is one, else the float64 evaluation, else the
    inspector's own outputs. Where there is none of these, its consumers settle it.
    Returns the fingerprint of the artifact by its id.

    Raises arrays.Unreadable where a file is missing or wrong.
    """
    model = next(model for model in run.manifest.plan.imports if model.name == job.subject)
    final = run.artifact_path(model.artifact)
    part = final.with_name(f"{final.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(run.model_path(model.name), part / MODEL)
    inspection = control / "artifacts"
    served = arrays.read_all(inspection / "inputs.npz", arrays.ANY)
    shutil.copyfile(inspection / "inputs.npz", part / "inputs.npz")
    if (inspection / UNDEFINED).is_file():
        arrays.read_all(inspection / UNDEFINED, arrays.ANY)
        shutil.copyfile(inspection / UNDEFINED, part / UNDEFINED)
    inspected = output.inspected()
    judged = _judged(run, model, inspection, inspected)
    if judged.gold:
        (part / truths.PRODUCED).write_bytes(inputs.npz_bytes(judged.produced))
        (part / truths.GOLD).write_bytes(inputs.npz_bytes(judged.gold))
    (part / "weights.npz").write_bytes(inputs.npz_bytes({}))
    exported = Exported(
        format=model.format,
        files=tuple(
            describe_file(path, part / MODEL) for path in sorted(plain_files(part / MODEL))
        ),
        opset=inspected.opset if inspected else None,
        in_parts=False,
        gold=dict(judged.sources),
        gold_remarks=tuple(inspected.remarks) if inspected else (),
        random=tuple(inspected.random) if inspected else (),
        rounded=tuple(judged.rounded),
        quantised=inspected.quantised if inspected else {},
        inputs=tuple(_describe_inputs(run, served, inspected)),
        refusal=inspected.refusal if inspected else "",
        export_s=0.0,
    )
    described = describe(exported, model.artifact.id, part)
    finish(part, described, final)
    return {model.artifact.id: fingerprint(described)}


def _describe_inputs(
    run: Run, served: Mapping[str, Values], inspected: InspectData | None
) -> Iterator[ModelInput]:
    """Yield what was served; several files of one model share the inputs of the first."""
    made = not run.user_arrays_path("inputs").is_file()
    why = inspected.values if inspected and made else {}
    for name, array in served.items():
        finite = array[np.isfinite(array)] if array.dtype.kind in "fiub" else array[:0]
        yield ModelInput(
            name=name,
            dtype="str" if array.dtype.kind == "U" else str(array.dtype),
            shape=array.shape,
            low=float(finite.min()) if finite.size else None,
            high=float(finite.max()) if finite.size else None,
            made=made,
            values=why.get(name, ""),
        )


def _judged(run: Run, model: Import, inspection: Path, inspected: InspectData | None) -> Truth:
    """Return what judges a model before its consumers have answered.

    The tolerance scales with the error of the outputs in the model's own precision. Where gold
    comes from a reference or another model, these must not be this model's own: their difference
    from gold would widen its own tolerance.
    """
    plan = run.manifest.plan
    outputs = _outputs(inspection / "outputs.npz")
    if plan.same and model != plan.imports[0]:
        first, folder = plan.imports[0], run.artifact_path(plan.imports[0].artifact)
        if not folder.is_dir():
            raise arrays.Unreadable(f"{first.name}, which says what is right, could not be read")
        return _named_like(truths.read(folder), outputs, f"the outputs of {first.name}")
    evaluation = inspection / "gold.npz"
    precise = arrays.read_all(evaluation, arrays.ANY) if evaluation.is_file() else {}
    if model in plan.served and run.user_arrays_path("reference").is_file():
        return _by_reference(run.user_arrays_path("reference"), outputs, precise)
    sources = inspected.judged_by if inspected and precise else dict.fromkeys(outputs, OWN_OUTPUTS)
    rounded = inspected.rounded if inspected and precise else outputs
    truth = precise or outputs
    if truth.keys() != outputs.keys():
        raise arrays.Unreadable("its outputs and its gold have different names")
    return Truth(gold=truth, produced=outputs, sources=sources, rounded=frozenset(rounded))


def _outputs(path: Path) -> dict[str, Values]:
    """Return the inspector's own outputs, none where it could not evaluate the model."""
    return arrays.read_all(path, arrays.ANY) if path.is_file() else {}


def _by_reference(
    path: Path, outputs: Mapping[str, Values], precise: Mapping[str, Values]
) -> Truth:
    truth = arrays.read_all(path, arrays.ANY)
    if outputs:
        names = _output_names(list(truth), list(outputs))
        truth = {new: truth[old] for old, new in names.items()}
        for name, value in outputs.items():
            _check_fits(name, truth[name], value)
    floats = _floats(truth, outputs, precise)
    rounded = {name: truth[name] + (outputs[name] - precise[name]) for name in floats}
    sources = dict.fromkeys(truth, "the reference")
    return Truth(
        gold=truth,
        produced={**truth, **rounded},
        sources=sources,
        rounded=frozenset(truth.keys() - floats),
    )


def _named_like(first: Truth, outputs: Mapping[str, Values], source: str) -> Truth:
    """Return what judges the first of several formats, by the names of another one's outputs."""
    if not first.gold or not outputs:
        return first
    names = _output_names(list(first.gold), list(outputs))
    return Truth(
        gold={new: first.gold[old] for old, new in names.items()},
        produced={new: first.produced[old] for old, new in names.items()},
        sources=dict.fromkeys(outputs, source),
        rounded=frozenset(names[old] for old in first.rounded),
    )


def _floats(
    truth: Mapping[str, Values], outputs: Mapping[str, Values], precise: Mapping[str, Values]
) -> list[str]:
    """Return the names of the float outputs that all three have in the same shape."""
    return [
        name
        for name, wanted in truth.items()
        if name in outputs
        and outputs[name].dtype.kind == "f"
        and outputs[name].shape == wanted.shape
        and name in precise
    ]


def _output_names(names: Sequence[str], outputs: Sequence[str]) -> dict[str, str]:
    """Return the model's name of each output of a reference: its own, else by its place.

    Raises arrays.Unreadable unless there is a reference for each output.
    """
    missing = [f"'{name}'" for name in names if name not in outputs]
    surplus = [f"'{name}'" for name in outputs if name not in names]
    if len(names) == len(outputs) and len(missing) in (0, len(names)):
        return dict(zip(names if missing else outputs, outputs, strict=True))
    if len(names) == len(outputs):
        raise arrays.Unreadable(
            f"the reference has {', '.join(missing)}; the model's outputs are {', '.join(outputs)}"
        )
    message = f"the reference has {len(names)} outputs, the model has {len(outputs)}"
    if len(missing) < len(names):  # else outputs are matched by their order
        message += f": it does not give {', '.join(missing)}" if missing else ""
        message += f": it also gives {', '.join(surplus)}" if surplus and not missing else ""
    raise arrays.Unreadable(message)


def _check_fits(name: str, reference: Values, value: Values) -> None:
    """Raise arrays.Unreadable unless a reference can be what an output should be."""
    if reference.shape != value.shape:
        raise arrays.Unreadable(
            f"the reference of output '{name}' has the shape {reference.shape}; the model gives "
            f"{value.shape} for these inputs"
        )
    if reference.dtype.kind != value.dtype.kind:
        raise arrays.Unreadable(
            f"the reference of output '{name}' is {reference.dtype}; the model gives {value.dtype}"
        )
