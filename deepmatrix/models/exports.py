"""What a training exports as artifacts: with inputs, labels, and what is right for them.

What a float model should answer follows from its weights, by the float64 evaluation of its network.
A quantised one is another function, so its producer inspects its graph as a user's model is.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from deepmatrix.boundary.copying import NO_ROOM, copy_file, copy_tree
from deepmatrix.errors import RecordError
from deepmatrix.models.imports import judge_inspected
from deepmatrix.planning.plan import Job
from deepmatrix.store import arrays
from deepmatrix.store.arrays import Floats, Values
from deepmatrix.store.artifacts import (
    GOLD,
    INPUTS,
    LABELS,
    MODEL,
    PRODUCED,
    WEIGHTS,
    check_files,
    check_generation,
    describe,
    fingerprint,
    finish,
)
from deepmatrix.store.reported.output import Exported, Output
from deepmatrix.store.runs import Run
from deepmatrix.store.truths import Truth
from deepmatrix.workloads import gold, inputs, networks
from deepmatrix.workloads.networks import Network
from harness.formats import FORMATS
from harness.record import ARTIFACTS, INSPECTIONS, PAST_INPUTS, PAST_OUTPUTS, TOKENS, cache_names


def keep_exports(run: Run, job: Job, output: Output, control: Path) -> dict[str, str]:
    """Copy exported models from a control directory to the run's artifacts, with their gold.

    Returns the fingerprint of each, by the artifact's id.

    Raises arrays.Unreadable where a file is missing or wrong.
    """
    exported = {model.format: model for model in output.artifacts}
    has_past = any(FORMATS[name].has_past for name in exported.keys() & FORMATS.keys())
    by_weights = _by_weights(run, job, control, has_past=has_past)
    stored = {}
    for artifact in run.manifest.plan.exports(job):
        if (model := exported.get(artifact.format)) is None:
            continue
        final = run.artifact_path(artifact)
        part = final.with_name(f"{final.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        _copy_model(model, control / ARTIFACTS / model.format, part / MODEL)
        check_generation(part)
        copy_file(control / ARTIFACTS / WEIGHTS, part / WEIGHTS)
        judged, served = by_weights[FORMATS[model.format].has_past]
        if model.inspected:
            inspection = control / INSPECTIONS / model.format / ARTIFACTS
            judged = judge_inspected(inspection, model.inspected, None)
            served = arrays.read_all(inspection / INPUTS, arrays.ANY)
            model = model.changed(inspected=None, **judged.described())
        for name, values in ((INPUTS, served), (PRODUCED, judged.produced), (GOLD, judged.gold)):
            inputs.write_npz(part / name, values)
        if run.manifest.plan.held_out and not FORMATS[model.format].has_past:
            inputs.write_npz(part / LABELS, {"y": _data(run, job.workload, "test_y")})
        described = describe(model, artifact.id, part)
        finish(part, described, final)
        stored[artifact.id] = fingerprint(described)
    return stored


def _by_weights(
    run: Run, job: Job, control: Path, *, has_past: bool
) -> dict[bool, tuple[Truth, Mapping[str, Values]]]:
    """Return what is right by the trained weights, and for which inputs, without and with past.

    Raises arrays.Unreadable where a file of the producer does not fit.
    """
    network = networks.NETWORKS[run.manifest.matrix.workloads[job.workload].network]
    weights = arrays.read(control / ARTIFACTS / WEIGHTS, networks.parameters(network))
    probe = _data(run, job.workload, "probe_x")
    right = {"y": gold.forward(network, weights, probe)}
    judged: dict[bool, tuple[Truth, Mapping[str, Values]]] = {
        False: (_truth(right, control / ARTIFACTS / PRODUCED), {"x": probe})
    }
    if has_past:
        past_inputs = _past_inputs(control / PAST_INPUTS, network)
        right = gold.step_with_past(network, weights, past_inputs)
        judged[True] = (_truth(right, control / PAST_OUTPUTS), past_inputs)
    return judged


def _truth(right: Mapping[str, Floats], produced: Path) -> Truth:
    shapes = {name: values.shape for name, values in right.items()}
    return Truth(gold=right, produced=arrays.read(produced, shapes))


def _past_inputs(path: Path, network: Network) -> dict[str, Values]:
    """Return what a producer tried a model with past on. Raises arrays.Unreadable."""
    past_inputs = arrays.read_all(path, arrays.NUMBERS)
    tokens = past_inputs.get(TOKENS, np.zeros(0))
    cache = [x for name, x in past_inputs.items() if name != TOKENS]
    past = cache[0].shape[2] if cache and cache[0].ndim == 4 else 0
    shapes = networks.cache_shapes(network, len(tokens), past)
    if not (
        list(past_inputs) == [TOKENS, *cache_names(len(shapes) // 2)]
        and [x.shape for x in cache] == shapes
        and tokens.ndim == 2
        and tokens.size
        and tokens.shape[1] + past <= network["input"][0]
        and tokens.dtype == np.int64
        and 0 <= tokens.min() <= tokens.max() < network["classes"]
    ):
        raise arrays.Unreadable(f"{path.name}: these are no inputs of a model with past")
    return past_inputs


def _copy_model(exported: Exported, source: Path, target: Path) -> None:
    check_files(exported, source)
    try:
        copy_tree(source, target)
    except FileNotFoundError:
        raise arrays.Unreadable(f"there is no {exported.format}") from None
    except OSError as error:
        if error.errno in NO_ROOM:
            raise
        raise arrays.Unreadable(f"{exported.format}: {error.strerror}") from None


def _data(run: Run, workload: str, name: str) -> Values:
    """Return an array of a workload's data. Raises RecordError where the file is damaged."""
    path = inputs.files(run.inputs, workload)["data.npz"]
    try:
        return arrays.read(path, {name: None}, arrays.NUMBERS)[name]
    except arrays.Unreadable as error:
        raise RecordError(
            f"{path}: damaged: {error}", hint="the run's own file changed: start a new run"
        ) from None
