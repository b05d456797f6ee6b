"""Exporting a model: into the folder of its format, with the files it became."""

import hashlib
import os
import shutil

from harness import failures, formats, record
from harness.adapters import Unsupported
from harness.measuring import timing


class ExportFailed(Exception):
    """One or more formats could not be written; each has its own error."""


def export(directory, adapter, model, form, example):
    """Export to one format; a failure is an answer.

    Returns:
        (the entry of ``formats``, the entry of ``artifacts`` or None where it failed). The first
        export of a format includes the import of its exporter.
    """
    folder = os.path.join(directory, record.ARTIFACTS, form)
    try:
        described, export_s = timing.timed(_export, adapter, model, form, folder, example)
    except failures.CAUGHT as exception:
        shutil.rmtree(folder, ignore_errors=True)
        error = failures.as_error(exception)
        return {"status": failures.status_of(exception), "error": error, "export_s": None}, None
    artifact = {"format": form, "files": _files(folder), "export_s": export_s}
    return {"status": record.OK, "error": None, "export_s": export_s}, dict(artifact, **described)


def raise_for(formats):
    """Raise where a format is not there, so that the phase says so besides what it found."""
    missing = {form: entry for form, entry in formats.items() if entry["status"] != record.OK}
    if not missing:
        return
    summary = "; ".join(f"{form}: {entry['error']['message']}" for form, entry in missing.items())
    unsupported = all(entry["status"] == record.UNSUPPORTED for entry in missing.values())
    raise (Unsupported if unsupported else ExportFailed)(summary)


def _export(adapter, model, form, folder, example):
    if form not in formats.MODEL_PATHS:
        raise Unsupported(f"unknown artifact format {form}")
    os.makedirs(folder)
    return adapter.export(model, form, os.path.join(folder, formats.MODEL_PATHS[form]), example)


def _files(folder):
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
    return sorted(files, key=lambda entry: entry["path"])
