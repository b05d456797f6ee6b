"""Deployment: a trained model exported to each requested format, in that format's folder.

A quantised export has right answers of its own, so its graph is inspected as a user's model is.

A language model is also exported to generate with, with the keys and values of the steps before
among its inputs (its past), so that no step is computed twice.
"""

import functools
import hashlib
import importlib
import json
import os
import shutil
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy

from harness import control, failures, formats, quantisers, record
from harness.adapters import Array, Arrays, Unsupported
from harness.measuring import timing
from harness.phases import inspection
from harness.phases.workload import WorkloadJob


class ExportFailed(Exception):
    """One or more formats could not be written; each has its own error."""


def deploy(job: WorkloadJob, data: Dict[str, Any]) -> None:
    """Export to every requested format; the phase fails at its end if one of them failed.

    Writes the trained weights, the producer's own logits, and a folder for each format; for models
    with past also inputs, and the producer's own outputs on these.
    """
    job.require("build", "export")
    adapter = job.adapter
    model, _ = job.model()
    x = job.inputs()
    control.save_arrays(job.directory, record.TRAINED, adapter.get_weights(model))
    control.save_arrays(job.directory, record.PRODUCED, {"y": adapter.predict(model, x)})
    data["formats"] = {}
    for format_name in job.document["formats"]:
        outcome, artifact = _export(job, model, format_name)
        data["formats"][format_name] = outcome
        if artifact:
            job.produced.append(artifact)
    _raise_for_missing(data["formats"])


def _export(
    job: WorkloadJob, model: Any, format_name: str
) -> Tuple[Dict[str, Any], Optional[Dict[str, Any]]]:
    """Export to one format; a failure is data.

    Returns:
        (the entry of ``formats``, the entry of ``artifacts`` or None where it failed). The time
        of the first export of a format includes the import of its exporter.
    """
    folder = os.path.join(job.directory, record.ARTIFACTS, format_name)
    try:
        (described, inspect), export_s = timing.timed(_write, job, model, format_name, folder)
        if inspect:
            described = dict(described, inspected=_inspected(job, format_name, inspect))
    except failures.CAUGHT as exception:
        shutil.rmtree(folder, ignore_errors=True)
        error = failures.as_error(exception)
        return {"status": failures.status_of(exception), "error": error, "export_s": None}, None
    artifact = {"format": format_name, "files": _files(folder), "export_s": export_s}
    return {"status": record.OK, "error": None, "export_s": export_s}, dict(artifact, **described)


def _write(job: WorkloadJob, model: Any, format_name: str, folder: str) -> Any:
    """Write one format; return its description, and what inspects it where it is quantised."""
    if format_name not in formats.FORMATS:
        raise Unsupported(f"unknown artifact format {format_name}")
    os.makedirs(folder)
    known = formats.FORMATS[format_name]
    path, example = os.path.join(folder, known.model_path), job.inputs()[:2]
    if known.has_past:
        return _write_with_past(job, model, known, folder), None
    if not known.is_quantised:
        return job.adapter.export(model, format_name, path, example), None
    rows = job.workload("data")["train_x"][: quantisers.CALIBRATION_ROWS]
    quantiser = importlib.import_module(quantisers.MODULES[format_name])
    return quantiser.export(job.adapter, model, path, example, rows)


def _inspected(
    job: WorkloadJob, format_name: str, inspect: Callable[..., Dict[str, Any]]
) -> Dict[str, Any]:
    """Inspect a quantised export, with the inputs of inference."""
    facts: Dict[str, Any] = {}
    target = os.path.join(job.directory, record.INSPECTIONS, format_name)
    inspected = inspect(job.inputs(), job.document["threads"])
    inspection.store_inspection(target, inspected, facts, job.document["cell"]["name"])
    return facts


#: So many rows has the example of a model with past, of this share of a sequence's steps before.
ROWS, PAST_SHARE = 16, 3 / 8

#: This share of a sequence is the prompt; the rest is generated.
PROMPT_SHARE = 1 / 4


def _write_with_past(
    job: WorkloadJob, model: Any, known: formats.Format, folder: str
) -> Dict[str, Any]:
    """Write a step of a language model, and beside it what to generate: `formats.GENERATION`."""
    job.require("predict_with_past", "export_with_past")
    windows = job.inputs()[:ROWS].argmax(axis=-1).astype("int64")
    empty = _empty_cache(job)
    inputs = _step_inputs(functools.partial(job.adapter.predict_with_past, model), windows, empty)
    outputs = job.adapter.predict_with_past(model, inputs)
    control.save_arrays(job.directory, record.PAST_INPUTS, inputs)
    control.save_arrays(job.directory, record.PAST_OUTPUTS, outputs)
    prompt = windows[0, : int(windows.shape[1] * PROMPT_SHARE)].tolist()
    predict = functools.partial(job.adapter.predict, model)
    expected = continue_greedily(predict, prompt, job.inputs().shape[1:])
    generation = {
        "prompt": prompt,
        "steps": len(expected),
        "tokens": record.TOKENS,
        "logits": record.LOGITS,
        "cache": record.cache_names(len(empty) // 2),
        "shapes": {name: list(x.shape) for name, x in empty.items()},
        "expected": expected,
    }
    with open(os.path.join(folder, formats.GENERATION), "w", encoding="utf-8") as target:
        json.dump(generation, target)
    described: Dict[str, Any] = job.adapter.export_with_past(
        model, known.read_as, os.path.join(folder, known.model_path), inputs
    )
    return described


def _empty_cache(job: WorkloadJob) -> Arrays:
    """Return what a model's first step has of the steps before, by the inputs' names: nothing."""
    network, weights = job.document["workload"]["network"], job.workload("weights")
    shapes = []
    for layer in network["layers"]:
        if layer["kind"] == "multihead_attention":
            width, heads = len(weights[layer["name"] + ".query_bias"]), layer["heads"]
            shapes += 2 * [(1, heads, 0, width // heads)]
    names = record.cache_names(len(shapes) // 2)
    return {name: numpy.zeros(shape, "float32") for name, shape in zip(names, shapes)}


def _step_inputs(predict: Callable[[Arrays], Arrays], windows: Array, empty: Arrays) -> Arrays:
    """Return the later part of some windows (N, T) int64, with the keys and values before it."""
    past = int(windows.shape[1] * PAST_SHARE)
    before = {name: numpy.repeat(x, len(windows), axis=0) for name, x in empty.items()}
    presents = predict(dict(before, **{record.TOKENS: windows[:, :past]}))
    cache = record.cache_names(len(empty) // 2)
    return dict(
        {record.TOKENS: numpy.ascontiguousarray(windows[:, past:])},
        **{name: presents[present] for name, present in cache.items()},
    )


def continue_greedily(
    predict: Callable[[Array], Array], prompt: List[int], shape: Tuple[int, int]
) -> List[int]:
    """Return what follows a prompt, by the likeliest token each time, until the sequence is full.

    *predict* returns the logits of whole sequences, of one-hot tokens in the *shape* (T, tokens).
    """
    x = numpy.zeros((1,) + shape, "float32")
    fed = list(prompt)
    while len(fed) < len(x[0]):
        x[0, numpy.arange(len(fed)), fed] = 1
        fed.append(int(predict(x)[0, len(fed) - 1].argmax()))
    return fed[len(prompt) :]


def _files(folder: str) -> List[Dict[str, Any]]:
    """Return path (relative to *folder*, with ``/``), bytes and SHA-256 of every file."""
    files = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            with open(path, "rb") as source:
                content = source.read()
            files.append(
                {
                    "path": os.path.relpath(path, folder).replace(os.sep, "/"),
                    "bytes": len(content),
                    "sha256": hashlib.sha256(content).hexdigest(),
                }
            )
    return sorted(files, key=lambda entry: str(entry["path"]))


def _raise_for_missing(outcomes: Dict[str, Dict[str, Any]]) -> None:
    """Raise where a format could not be written, so that the phase fails as well."""
    missing = {
        format_name: entry
        for format_name, entry in outcomes.items()
        if entry["status"] != record.OK
    }
    if not missing:
        return
    summary = "; ".join(
        f"{format_name}: {entry['error']['message']}" for format_name, entry in missing.items()
    )
    unsupported = all(entry["status"] == record.UNSUPPORTED for entry in missing.values())
    raise (Unsupported if unsupported else ExportFailed)(summary)
