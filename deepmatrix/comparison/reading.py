"""Reading what is compared: runs, by name or folder, and ``results.json``; and comparisons."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter

from deepmatrix.boundary.bounds import path_text
from deepmatrix.boundary.files import Damaged, read_json
from deepmatrix.comparison.changes import COMPARISON_SCHEMA, Comparison
from deepmatrix.errors import RecordError
from deepmatrix.results import merging
from deepmatrix.results.rows import RESULTS_SCHEMA, Results
from deepmatrix.store import listing
from deepmatrix.store.runs import Run

Document = TypeVar("Document")

_RESULTS, _COMPARISON = TypeAdapter(Results), TypeAdapter(Comparison)


def read_results(path: Path, parent: Path) -> Results:
    """Return the results of a run, merged anew, or of a ``results.json``.

    Args:
        path: a file, the folder of a run, or a run's name.
        parent: the folder of all runs, for a name.

    Raises:
        RecordError: it is neither, it cannot be read, or it is of another version.
    """
    if path.is_file():
        return _read_file(path)
    run = run_at(path, parent)
    return merging.merge([run]) if run else _read_file(listing.named(path, parent) / "results.json")


def read_comparison(path: Path) -> Comparison:
    """Return what ``compare --json`` wrote. Raises RecordError for anything else."""
    hint = "name the file that `compare --json FILE` of this version wrote"
    comparison = _read(path, _COMPARISON, "comparison", hint)
    version = comparison.schema_version
    _check_schema(path, f"a comparison of schema {version}", version, COMPARISON_SCHEMA, hint)
    return comparison


def run_at(path: Path, parent: Path) -> Run | None:
    """Return the run that is named like in `read_results`, or None where only its results are.

    Raises:
        RecordError: it is neither.
    """
    folder = listing.named(path, parent)
    has_results = path.is_file() or (folder / "results.json").is_file()
    return None if has_results and not (folder / "plan.json").is_file() else Run.open(folder)


def _read_file(path: Path) -> Results:
    hint = "name a run, or the results.json of one"
    results = _read(path, _RESULTS, "results", hint)
    version = results.schema_version
    written = f"results of schema {version}, written by deepmatrix {results.version}"
    _check_schema(path, written, version, RESULTS_SCHEMA, hint)
    return results


def _read(path: Path, adapter: TypeAdapter[Document], kind: str, hint: str) -> Document:
    try:
        return read_json(path, adapter)
    except Damaged as error:
        message = f"{path_text(path)}: no {kind} of this version: {error.problem}"
        raise RecordError(message, hint=hint) from None


def _check_schema(path: Path, written: str, version: int, wanted: int, hint: str) -> None:
    if version != wanted:
        message = f"{path_text(path)}: {written}; this version reads schema {wanted}"
        raise RecordError(message, hint=hint)
