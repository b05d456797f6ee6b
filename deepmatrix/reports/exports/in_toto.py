"""In-toto statements of test results, one a line for each model: to be signed by who ran them.

https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepmatrix.errors import ArgumentError
from deepmatrix.results import remarks
from deepmatrix.results.counting import consumers
from deepmatrix.results.rows import ModelRow, PortabilityRow, Results
from harness.formats import FORMATS

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"


def document(results: Results) -> str:
    """Return a statement for each of the users' own models whose files the run has.

    Raises:
        ArgumentError: there is none.
    """
    statements = [_statement(results, model) for model in results.models if model.sha256]
    if not statements:
        raise ArgumentError(
            f"{results.run} has the files of no model of yours, which a statement is about",
            hint="name a run of `verify` that did not refuse all models",
        )
    return "".join(json.dumps(statement) + "\n" for statement in statements)


def _statement(results: Results, model: ModelRow) -> dict[str, Any]:
    rows = consumers(results.verdicts_of(model.artifact))
    return {
        "_type": STATEMENT,
        "subject": [
            {"name": _path(model, name), "digest": {"sha256": digest}}
            for name, digest in model.sha256.items()
        ],
        "predicateType": PREDICATE,
        "predicate": _predicate(results, rows),
    }


def _path(model: ModelRow, name: str) -> str:
    """Return the path of a model's file, as the user named the model; *name* is its own there."""
    if not model.source:
        return name
    named, entry = Path(model.source), FORMATS[model.format]
    if name == entry.model_path:
        return named.as_posix()
    if name in entry.parts:
        return named.with_suffix(Path(name).suffix).as_posix()
    if name.startswith(f"{entry.model_path}/"):
        return (named / name.removeprefix(f"{entry.model_path}/")).as_posix()
    return (named.parent / name).as_posix()


def _predicate(results: Results, rows: Sequence[PortabilityRow]) -> dict[str, Any]:
    """Return the verdicts by their weight: an expected failure is a warning.

    The budgets of a run are those of all its models: one that is broken is a failed test of each.
    """
    failed = [row.consumer for row in rows if remarks.is_problem(row)]
    failed += [f"budget: {line}" for line in dict.fromkeys(results.over_budget)]
    warned = [row.consumer for row in rows if row.expected_failure and row.verdict != "match"]
    passed = [row.consumer for row in rows if row.verdict == "match"]
    result = "FAILED" if failed or not passed else "WARNED" if warned else "PASSED"
    return {
        "result": result,
        "configuration": _configuration(results, {row.consumer for row in rows}),
        "passedTests": passed,
        "warnedTests": warned,
        "failedTests": failed,
    }


def _configuration(results: Results, consumers: set[str]) -> list[dict[str, Any]]:
    """Return what ran: deepmatrix, and each consumer's image by its digest."""
    images = [
        {"name": cell.cell, "digest": {"sha256": match[1]}}
        for cell in results.cells
        if cell.cell in consumers
        and (match := re.fullmatch("sha256:([0-9a-f]{64})", cell.image_id))
    ]
    return [{"name": "deepmatrix", "uri": f"pkg:pypi/deepmatrix@{results.version}"}, *images]
