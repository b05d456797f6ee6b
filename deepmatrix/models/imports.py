"""Users' own models as artifacts: with the inputs, outputs and gold of their inspection."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from deepmatrix.boundary.copying import copy_file, copy_tree
from deepmatrix.boundary.opening import is_there
from deepmatrix.models.following import follow, output_names
from deepmatrix.planning.plan import Job
from deepmatrix.planning.subjects import Import
from deepmatrix.store import arrays, truths
from deepmatrix.store.arrays import Values
from deepmatrix.store.artifacts import (
    EVALUATION,
    GOLD,
    INPUTS,
    MODEL,
    PRODUCED,
    UNDEFINED,
    WEIGHTS,
    check_generation,
    describe,
    describe_file,
    fingerprint,
    finish,
    plain_files,
)
from deepmatrix.store.reported.output import Exported, ModelInput, Output
from deepmatrix.store.reported.phases import InspectData
from deepmatrix.store.runs import Run
from deepmatrix.store.truths import Truth
from deepmatrix.workloads import inputs
from harness.record import ARTIFACTS

#: How ``numpy.savez`` names an array that the user gave no name.
NAMELESS = "arr_0"

#: Where gold comes from without a reference and without an evaluation.
OWN_OUTPUTS = "the outputs of the cell that inspected it"


def inputs_for(run: Run, model: Import) -> Path:
    """Return the path of a user's model's inputs; the file may be missing."""
    plan = run.manifest.plan
    first = plan.imports[0]
    if (plan.original and model != first) or plan.follows(model):
        return run.artifact_path(first.artifact) / INPUTS
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
    copy_tree(run.model_path(model.name), part / MODEL)
    check_generation(part)
    inspection = control / ARTIFACTS
    served = arrays.read_all(inspection / INPUTS, arrays.ANY)
    copy_file(inspection / INPUTS, part / INPUTS)
    inspected = output.inspected()
    judged = _judged(run, model, inspection, inspected)
    remarks = (*judged.remarks, *_other_names(run, model, list(served)))
    judged = replace(judged, remarks=remarks)
    for name, values in ((EVALUATION, judged.evaluations), (UNDEFINED, judged.masks)):
        if values:
            inputs.write_npz(part / name, values)
    if judged.gold:
        inputs.write_npz(part / PRODUCED, judged.produced)
        inputs.write_npz(part / GOLD, judged.gold)
    inputs.write_npz(part / WEIGHTS, {})
    exported = Exported(
        format=model.format,
        files=tuple(
            describe_file(path, part / MODEL) for path in sorted(plain_files(part / MODEL))
        ),
        opset=inspected.opset if inspected else None,
        in_parts=False,
        **judged.described(),
        inputs=tuple(_describe_inputs(run, served, inspected)),
        refusal=inspected.refusal if inspected else "",
        export_s=0.0,
    )
    described = describe(exported, model.artifact.id, part)
    finish(part, described, final)
    return {model.artifact.id: fingerprint(described)}


def _other_names(run: Run, model: Import, names: Sequence[str]) -> Iterator[str]:
    """Yield a remark where the only input got an array of another name, maybe by mistake."""
    path = run.user_arrays_path("inputs")
    if len(names) != 1 or not is_there(path) or inputs_for(run, model) != path:
        return
    for name in arrays.names(path):
        if name not in (*names, NAMELESS):
            yield f"--inputs: the array '{name}' is taken for the only input, '{names[0]}'"


def _describe_inputs(
    run: Run, served: Mapping[str, Values], inspected: InspectData | None
) -> Iterator[ModelInput]:
    """Yield what was served; several files of one model share the inputs of the first."""
    sampled = not is_there(run.user_arrays_path("inputs"))
    why = inspected.values if inspected and sampled else {}
    dtypes = inspected.dtypes if inspected else {}
    steering = inspected.steering if inspected else {}
    for name, array in served.items():
        finite = array[np.isfinite(array)] if array.dtype.kind in "fiub" else array[:0]
        yield ModelInput(
            name=name,
            dtype=dtypes.get(name) or ("str" if array.dtype.kind == "U" else str(array.dtype)),
            shape=array.shape,
            low=float(finite.min()) if finite.size else None,
            high=float(finite.max()) if finite.size else None,
            special=_special(array),
            sampled=sampled,
            values=why.get(name, ""),
            steers=steering.get(name, ""),
        )


def _special(array: Values) -> str:
    """Return which of inf, -inf and NaN an array holds."""
    if array.dtype.kind != arrays.FLOATS:
        return ""
    places = {"inf": np.isposinf(array), "-inf": np.isneginf(array), "NaN": np.isnan(array)}
    return ", ".join(name for name, where in places.items() if where.any())


def _judged(run: Run, model: Import, inspection: Path, inspected: InspectData | None) -> Truth:
    """Return what judges a model before its consumers have answered.

    The tolerance scales with the error of the outputs in the model's own precision. Where gold
    comes from a reference or another model, these must not be this model's own: their difference
    from gold would widen its own tolerance.
    """
    plan, reference = run.manifest.plan, run.user_arrays_path("reference")
    if plan.follows(model):
        own = _described(inspection, inspected)
        return follow_first(run, own, list(own.produced))
    is_given = model in plan.served and is_there(reference)
    return judge_inspected(inspection, inspected, reference if is_given else None)


def judge_inspected(
    inspection: Path, inspected: InspectData | None, reference: Path | None
) -> Truth:
    """Return what judges a model that was inspected: by a file with its right outputs, if given.

    Raises arrays.Unreadable where a file is wrong, or does not fit.
    """
    own, precise = _described(inspection, inspected), _arrays(inspection / GOLD)
    if reference:
        return _by_reference(reference, own, precise)
    outputs = own.produced
    if own.gold.keys() != outputs.keys():
        raise arrays.Unreadable("its outputs and its gold have different names")
    sources = inspected.judged_by if inspected and precise else dict.fromkeys(outputs, OWN_OUTPUTS)
    sources = {name: source for name, source in sources.items() if name not in own.unjudged}
    rounded = inspected.rounded if inspected and precise else outputs
    judged = replace(own, sources=sources, rounded=frozenset(rounded))
    if not inspected or not precise:
        return judged
    errors, confirmed = inspected.baseline_errors, frozenset(inspected.confirmed)
    return replace(judged, baseline_errors=errors, confirmed=confirmed)


def _described(inspection: Path, inspected: InspectData | None) -> Truth:
    """Return what an inspection says of a model's outputs; without one, their values alone."""
    outputs = _arrays(inspection / PRODUCED)
    truth = Truth(
        gold=_arrays(inspection / GOLD) or outputs,
        produced=outputs,
        evaluations=_arrays(inspection / EVALUATION),
        masks=_arrays(inspection / UNDEFINED),
    )
    if inspected is None:
        return truth
    return replace(
        truth,
        random=frozenset(inspected.random),
        computed_in=inspected.computed_in,
        quantised=inspected.quantised,
        unordered=inspected.unordered,
        in_order_of=inspected.in_order_of,
        growth=inspected.growth,
        unjudged=inspected.unjudged,
        apart=inspected.apart,
        reshaped=inspected.reshaped,
        remarks=tuple(inspected.remarks),
    )


def follow_first(run: Run, own: Truth, names: Sequence[str]) -> Truth:
    """Return what judges a model whose right outputs, by *names*, the first model gives.

    It is *own* before the outputs of both are known. Raises arrays.Unreadable where the first
    model could not be read, or has other outputs.
    """
    first = run.manifest.plan.imports[0]
    folder = run.artifact_path(first.artifact)
    if not folder.is_dir():
        raise arrays.Unreadable(f"{first.name}, which says what is right, could not be read")
    right = truths.read(folder)
    if not right.gold or not names:
        return replace(own, gold={}, produced={}, evaluations={}, sources={})
    return follow(right, own, names, first.source or first.name)


def _arrays(path: Path) -> dict[str, Values]:
    """Return arrays that the inspector wrote, none where it could not evaluate the model."""
    return arrays.read_all(path, arrays.ANY) if is_there(path) else {}


def _by_reference(path: Path, own: Truth, precise: Mapping[str, Values]) -> Truth:
    outputs, truth, remarks = own.produced, arrays.read_all(path, arrays.ANY), own.remarks
    if outputs:
        names = output_names(list(truth), list(outputs), truths.REFERENCE)
        truth = {new: truth[old] for old, new in names.items()}
        taken = ", ".join(f"{old} for {new}" for old, new in names.items() if old != new)
        if taken:
            remarks = (*remarks, f"--reference has other names, taken in their order: {taken}")
        for name in outputs.keys() - own.reshaped.keys():
            _check_fits(name, truth[name], outputs[name])
    remarks = (*remarks, *_nans(truth))
    floats = _floats(truth, outputs, precise)
    # In the type of the outputs: its precision is part of what is allowed.
    rounded = {
        name: truths.with_errors_of(outputs[name], precise[name], truth[name]) for name in floats
    }
    sources = dict.fromkeys(truth, truths.REFERENCE)
    return replace(
        own,
        evaluations={},
        gold=truth,
        produced={**truth, **rounded},
        sources=sources,
        rounded=frozenset(truth.keys() - floats),
        remarks=remarks,
    )


def _nans(reference: Mapping[str, Values]) -> Iterator[str]:
    """Yield a remark for each output whose reference has NaN, maybe by mistake."""
    for name, values in reference.items():
        count = int(np.isnan(values).sum()) if values.dtype.kind == arrays.FLOATS else 0
        if count:
            yield (
                f"--reference: {count} of {values.size} values of output '{name}' are NaN: there "
                "only NaN is right"
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
    if reference.dtype.kind == "f" and np.isfinite(value).any() > np.isfinite(reference).any():
        raise arrays.Unreadable(
            f"the reference of output '{name}' has no finite value; the model gives some"
        )
