"""Loading the matrix file: read, completed, checked, with the expected failures beside it."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from pathlib import Path

from deepmatrix.config import documents, expected_failures, references
from deepmatrix.config.completion import complete
from deepmatrix.config.matrix import Matrix
from deepmatrix.errors import ArgumentError

#: Keys that are filled in where the file does not state them, by model.
FILLED_IN = {
    "Framework": {"adapter"},
    "Workload": {"network", "batch", "epochs", "rate", "accuracy"},
    "Preset": {"rounds", "infer"},
    "Rounds": {"native", "emulated"},
    "Infer": {"batches", "samples", "min_s", "warmup"},
}


def load(path: Path, *, networks: Iterable[str] = ()) -> Matrix:
    """Load and check a matrix file, and ``expected-failures.yaml`` beside it where there is one.

    Args:
        path: the file.
        networks: names that a workload may use; unchecked when empty.

    Raises:
        ArgumentError: the file is not there.
        ConfigError: it is wrong; one line a problem, each ``path:line:column: what``.
    """
    names = tuple(networks)
    matrix = documents.load(
        path, Matrix, lambda document: references.check(document, names), complete=complete
    )
    changes: dict[str, object] = {
        "presets": {
            name: preset.model_copy(
                update={
                    "workloads": (workloads := _match(preset.workloads, matrix.workloads)),
                    "checked": _match(preset.checked, workloads),
                }
            )
            for name, preset in matrix.presets.items()
        }
    }
    if matrix.images:
        changes["images"] = matrix.images.below(path.parent)
    if matrix.expected_failures_file is not None:
        named = path.parent / matrix.expected_failures_file
        cell_ids = tuple(matrix.limited_ids())
        try:
            changes["expected_failures"] = expected_failures.load(named, cell_ids=cell_ids)
        except ArgumentError as error:
            raise ArgumentError(
                error.message,
                hint=f"`expected_failures_file` in {path} names it, from the folder of that file",
            ) from None
    return matrix.model_copy(update=changes)


def _match(globs: Iterable[str], workloads: Iterable[str]) -> tuple[str, ...]:
    """Return the workloads that globs match: glob by glob, those of one in their order."""
    names: dict[str, None] = {}
    for glob in globs:
        names |= dict.fromkeys(fnmatch.filter(workloads, glob))
    return tuple(names)


def schema() -> str:
    """Return the JSON Schema of the matrix file, as published in the repository.

    It describes the file as written, without what `complete` fills in.
    """
    return documents.json_schema(Matrix, "deepmatrix matrix file", _as_written)


def _as_written(document: dict[str, object]) -> None:
    """Change the schema of the model into that of the file."""
    properties, models = document["properties"], document["$defs"]
    assert isinstance(properties, dict)
    assert isinstance(models, dict)
    del properties["expected_failures"]
    del models["ExpectedFailure"]
    for name, keys in FILLED_IN.items():
        required = [key for key in models[name]["required"] if key not in keys]
        models[name]["required"] = required
    for name in ("Framework", "Runtime"):
        required = models[name].pop("required")
        models[name]["anyOf"] = [{"required": ["variant_of"]}, {"required": required}]
