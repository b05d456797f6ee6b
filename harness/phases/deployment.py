"""Deployment: a trained model exported to each requested format, in that format's folder.

A quantised export has right answers of its own, so its graph is inspected as a user's model is.
"""

import hashlib
import importlib
import os
import shutil
from typing import Any, Callable, Dict, List, Optional, Tuple

from harness import control, failures, formats, quantisers, record
from harness.adapters import Unsupported
from harness.measuring import timing
from harness.phases import inspection
from harness.phases.workload import WorkloadJob


class ExportFailed(Exception):
    """One or more formats could not be written; each has its own error."""


def deploy(job: WorkloadJob, data: Dict[str, Any]) -> None:
    """Export to every requested format; the phase fails at its end if one of them failed.

    Writes the trained weights, the producer's own logits, and a folder for each format.
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
    if format_name not in formats.MODEL_PATHS:
        raise Unsupported(f"unknown artifact format {format_name}")
    os.makedirs(folder)
    path, example = os.path.join(folder, formats.MODEL_PATHS[format_name]), job.inputs()[:2]
    if format_name not in quantisers.MODULES:
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
