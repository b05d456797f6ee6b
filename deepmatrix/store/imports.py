"""Users' own models as artifacts: with the inputs, outputs and gold of their inspection."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from deepmatrix.planning.plan import Import, Job
from deepmatrix.store import arrays
from deepmatrix.store.arrays import Values
from deepmatrix.store.artifacts import MODEL, UNDEFINED, describe, describe_file, plain_files
from deepmatrix.store.output import Exported, Output
from deepmatrix.store.runs import Run, write_text
from deepmatrix.workloads import inputs


def inputs_for(run: Run, model: Import) -> Path:
    """Return the path of a user's model's inputs; the file may be missing."""
    first = run.manifest.plan.imports[0]
    if run.manifest.plan.same and model != first:
        return run.artifact_path(first.artifact) / "inputs.npz"
    return run.user_arrays_path("inputs")


def keep_import(run: Run, job: Job, output: Output, control: Path) -> None:
    """Store a user's own model with its inspection, like `keep_exports` does with exported models.

    Gold is the user's reference where there is one, else the float64 evaluation, else the
    inspector's own outputs.

    Raises arrays.Unreadable where a file is missing or wrong.
    """
    model = next(model for model in run.manifest.plan.imports if model.name == job.subject)
    final = run.artifact_path(model.artifact)
    part = final.with_name(f"{final.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(run.model_path(model.name), part / MODEL)
    inspection = control / "artifacts"
    arrays.read_all(inspection / "inputs.npz", arrays.ANY)
    outputs = arrays.read_all(inspection / "outputs.npz", arrays.NUMBERS)
    if not outputs:
        raise arrays.Unreadable("it has no outputs: there is nothing to judge")
    shutil.copyfile(inspection / "inputs.npz", part / "inputs.npz")
    if (inspection / UNDEFINED).is_file():
        arrays.read_all(inspection / UNDEFINED, arrays.ANY)
        shutil.copyfile(inspection / UNDEFINED, part / UNDEFINED)
    evaluation = inspection / "gold.npz"
    precise = arrays.read_all(evaluation, arrays.NUMBERS) if evaluation.is_file() else outputs
    inspected = output.inspected()
    sources = inspected.judged_by if inspected else {}
    truth, produced, gold_sources = _judged_by(run, model, outputs, precise, sources)
    if truth.keys() != outputs.keys():
        raise arrays.Unreadable("its outputs and its gold have different names")
    (part / "outputs.npz").write_bytes(inputs.npz_bytes(produced))
    (part / "gold.npz").write_bytes(inputs.npz_bytes(truth))
    (part / "weights.npz").write_bytes(inputs.npz_bytes({}))
    exported = Exported(
        format=model.format,
        files=tuple(
            describe_file(path, part / MODEL) for path in sorted(plain_files(part / MODEL))
        ),
        opset=inspected.opset if inspected else None,
        in_parts=False,
        gold=dict(gold_sources),
        gold_remarks=tuple(inspected.remarks) if inspected else (),
        random=tuple(inspected.random) if inspected else (),
        export_s=0.0,
    )
    described = describe(exported, model.artifact.id, part)
    write_text(part / "artifact.json", described.model_dump_json(indent=1))
    shutil.rmtree(final, ignore_errors=True)
    part.replace(final)


def _judged_by(
    run: Run,
    model: Import,
    outputs: Mapping[str, Values],
    precise: Mapping[str, Values],
    sources: Mapping[str, str],
) -> tuple[Mapping[str, Values], Mapping[str, Values], Mapping[str, str]]:
    """Return gold, gold in float32, whose error the tolerance scales with, and gold's sources.

    Where gold comes from a reference or another model, gold in float32 must not be this model's
    own outputs: its difference from gold would widen its own tolerance.
    """
    first = run.artifact_path(run.manifest.plan.imports[0].artifact)
    if run.manifest.plan.same and model != run.manifest.plan.imports[0]:
        truth = _in_order(first / "gold.npz", outputs)
        same = f"the outputs of {run.manifest.plan.imports[0].name}"
        return truth, _in_order(first / "outputs.npz", outputs), dict.fromkeys(outputs, same)
    if not run.user_arrays_path("reference").is_file():
        return precise, outputs, sources
    truth = _reference(run.user_arrays_path("reference"), outputs)
    rounded = {
        name: truth[name] + (outputs[name] - precise[name])
        for name in _floats(truth, outputs, precise)
    }
    return truth, {**truth, **rounded}, dict.fromkeys(outputs, "the reference")


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


def _in_order(path: Path, outputs: Mapping[str, Values]) -> dict[str, Values]:
    """Return the arrays of a file by the model's names of its outputs.

    They are matched by name where both have the same names, else by their order. Raises Unreadable
    where their number differs.
    """
    reference = arrays.read_all(path, arrays.NUMBERS)
    if len(reference) != len(outputs):
        plural = "s" if len(reference) != 1 else ""
        message = f"the reference has {len(reference)} output{plural}, the model has {len(outputs)}"
        if reference.keys() & outputs.keys():  # else outputs are matched by their order
            missing = [f"'{name}'" for name in reference if name not in outputs]
            surplus = [f"'{name}'" for name in outputs if name not in reference]
            message += f": it does not give {', '.join(missing)}" if missing else ""
            message += f": it also gives {', '.join(surplus)}" if surplus and not missing else ""
        raise arrays.Unreadable(message)
    if reference.keys() == outputs.keys():
        return {name: reference[name] for name in outputs}
    return dict(zip(outputs, reference.values(), strict=True))


def _reference(path: Path, outputs: Mapping[str, Values]) -> dict[str, Values]:
    """Return the user's reference by the model's names of its outputs.

    Raises Unreadable where it cannot be what the model should give: another number of outputs,
    another name, shape or kind of number.
    """
    reference = _in_order(path, outputs)
    names = arrays.read_all(path, arrays.NUMBERS).keys()
    unknown = [f"'{name}'" for name in names if name not in outputs]
    if unknown and len(unknown) < len(names):
        raise arrays.Unreadable(
            f"the reference has {', '.join(unknown)}; the model's outputs are {', '.join(outputs)}"
        )
    for name, value in outputs.items():
        _check_reference(name, reference[name], value)
    return reference


def _check_reference(name: str, array: Values, value: Values) -> None:
    """Raise Unreadable unless an array of a reference can be what an output should be."""
    if array.shape != value.shape:
        raise arrays.Unreadable(
            f"the reference of output '{name}' has the shape {array.shape}; the model gives "
            f"{value.shape} for these inputs"
        )
    if array.dtype.kind != value.dtype.kind:
        raise arrays.Unreadable(
            f"the reference of output '{name}' is {array.dtype}; the model gives {value.dtype}"
        )
