"""What the recorded run has no case of: edited copies of its records, and the rows they give.

Each test edits the records of one job, or the plan, and states by hand what follows.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deepmatrix.results import merging
from deepmatrix.results.rows import PortabilityRow, Results
from deepmatrix.store.runs import Run
from tests.unit.test_recorded import unpack

Document = dict[str, Any]
Edit = Callable[[Document], None]

ARTIFACT = "torch-debian12-amd64-cpu--digits-conv--onnx"
PRODUCER = "torch-debian12-amd64-cpu"
CONSUMER = "onnxruntime-cpp-debian13-amd64-cpu"
TRAINER = "jax-debian12-amd64-cpu"

#: The recorded error of the producer, and the tolerance of 16 times that.
PRODUCER_ERROR = 2.810083322702341e-07
TOLERANCE = 16 * PRODUCER_ERROR


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("edited")
    unpack(folder)
    needed = {CONSUMER: {ARTIFACT}, TRAINER: {"seq2seq-tiny"}, PRODUCER: {"digits-conv"}}
    for path in (folder / "recorded" / "records").glob("*/*"):
        if path.name not in needed.get(path.parent.name, ()):
            shutil.rmtree(path)
    return folder / "recorded"


@pytest.fixture
def run(unpacked: Path) -> Iterator[Path]:
    """Return the folder of the recorded run; what a test changes there is undone."""
    before = {path: path.read_text("utf-8") for path in unpacked.rglob("*.json")}
    yield unpacked
    for path, text in before.items():
        if not path.is_file() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def edit(path: Path, change: Edit) -> None:
    document = json.loads(path.read_text("utf-8"))
    change(document)
    path.write_text(json.dumps(document), "utf-8")


def edit_rounds(run: Path, change: Edit, *rounds: int, cell: str = CONSUMER) -> None:
    """Edit the records of the consumer's job with the artifact, of all rounds by default."""
    for number in rounds or (0, 1, 2):
        edit(run / "records" / cell / ARTIFACT / f"r{number}.json", change)


def merge(run: Path) -> Results:
    return merging.merge([Run(path=run)])


def row(run: Path, artifact: str = ARTIFACT, consumer: str = CONSUMER) -> PortabilityRow:
    rows = merge(run).portability
    (portability_row,) = (
        row for row in rows if (row.artifact, row.consumer) == (artifact, consumer)
    )
    return portability_row


def with_error(error: float, output: int = 0) -> Edit:
    def change(record: Document) -> None:
        outputs = record["agreement"]["outputs"]
        outputs[output]["error"] = error
        record["agreement"]["error"] = max(entry["error"] for entry in outputs)

    return change


def with_failure(phase: str, status: str, error_type: str) -> Edit:
    """Return an edit by which a phase of a job ended with an error, and no later one ran."""

    def change(record: Document) -> None:
        phases = record["output"]["records"]
        at = [entry["phase"] for entry in phases].index(phase)
        error = {"type": error_type, "message": "edited", "traceback": ""}
        phases[at].update(status=status, error=error)
        phases[at]["data"] = {}
        del phases[at + 1 :]
        record.update(status=status, cause=f"{phase}: {error_type}: edited", agreement=None)

    return change


def test_an_error_close_below_the_tolerance_matches(run: Path) -> None:
    edit_rounds(run, with_error(0.999 * TOLERANCE))
    judged = row(run)
    assert (judged.verdict, judged.error) == ("match", 0.999 * TOLERANCE)
    assert judged.tolerance == pytest.approx(TOLERANCE)
    assert judged.basis == "16 times the producer's own error"


def test_an_error_close_above_the_tolerance_drifts(run: Path) -> None:
    edit_rounds(run, with_error(1.001 * TOLERANCE))
    judged = row(run)
    assert (judged.verdict, judged.error) == ("drift", 1.001 * TOLERANCE)
    assert judged.reason


def test_the_worst_of_rounds_that_differ_counts(run: Path) -> None:
    edit_rounds(run, with_error(2 * TOLERANCE), 1)
    assert (row(run).verdict, row(run).error) == ("drift", 2 * TOLERANCE)


def test_the_output_that_uses_most_of_its_tolerance_is_the_worst(run: Path) -> None:
    def add_output(record: Document) -> None:
        (first,) = record["agreement"]["outputs"]
        record["agreement"]["outputs"].append({**first, "name": "exact", "producer_error": 1e-9})

    edit_rounds(run, add_output)
    edit_rounds(run, with_error(3e-6))
    edit_rounds(run, with_error(2e-6, output=1))
    judged = row(run)
    assert (judged.verdict, judged.worst_output, judged.error) == ("drift", "exact", 2e-6)
    assert (judged.tolerance, judged.basis) == (1e-6, "the smallest tolerance")
    assert [output.name for output in judged.outputs] == ["y", "exact"]


def test_an_override_of_the_matrix_file_is_the_tolerance(run: Path) -> None:
    def add_override(manifest: Document) -> None:
        override = {"subjects": "torch-*--digits-conv--*", "cells": "onnxruntime-cpp-*"}
        override |= {"outputs": "y", "error": 1e-3, "reason": "pixels"}
        manifest["matrix"]["tolerances"]["overrides"] = [override]

    edit_rounds(run, with_error(0.9e-3))
    edit(run / "plan.json", add_override)
    judged = row(run)
    assert (judged.verdict, judged.tolerance) == ("match", 1e-3)
    assert judged.basis == "override: pixels"


def test_a_lost_engine_says_nothing_of_the_artifact(run: Path) -> None:
    def lose(record: Document) -> None:
        record.update(status="engine-lost", cause="no answer", output=None, agreement=None)

    edit_rounds(run, lose)
    judged = row(run)
    assert (judged.verdict, judged.reason, judged.error) == ("not-run", "no answer", None)


def test_what_a_consumer_does_not_support_is_no_error(run: Path) -> None:
    edit_rounds(run, with_failure("infer", "unsupported", "Unsupported"))
    judged = row(run)
    assert (judged.verdict, judged.failed_phase) == ("unsupported", "infer")
    assert (judged.error_type, judged.reason) == ("Unsupported", "infer: Unsupported: edited")


def test_a_job_without_records_has_not_run(run: Path) -> None:
    for path in (run / "records" / CONSUMER / ARTIFACT).iterdir():
        path.unlink()
    judged = row(run)
    assert (judged.verdict, judged.reason) == ("not-run", "the job has not run")


def test_a_failed_training_tells_its_phase_and_its_artifacts_are_not_run(run: Path) -> None:
    edit(
        run / "records" / TRAINER / "seq2seq-tiny" / "r1.json",
        with_failure("train", "failed", "ValueError"),
    )
    artifact = f"{TRAINER}--seq2seq-tiny--onnx"
    (trained,) = (
        row for row in merge(run).training if (row.cell, row.workload) == (TRAINER, "seq2seq-tiny")
    )
    assert (trained.status, trained.reason) == ("failed", "train: ValueError: edited")
    assert (trained.failed_phase, trained.error_type) == ("train", "ValueError")
    served = row(run, artifact)
    assert served.verdict == "not-run"
    assert served.reason == "the producer failed: train: ValueError: edited"


def test_rows_tell_the_instruction_set_and_what_keeps_to_float32(run: Path) -> None:
    def add_cells(manifest: Document) -> None:
        cells = manifest["plan"]["cells"]
        (cell,) = (cell for cell in cells if cell["name"] == "onnxruntime-cpp")
        cell["system"]["float32_by"] = "PRECISION=f32"
        cells.append({**copy.deepcopy(cell), "isa": "haswell"})

    edit(run / "plan.json", add_cells)
    results = merge(run)
    swept = CONSUMER.replace("-debian13", "_haswell-debian13")
    isas = {row.consumer: row.isa for row in results.portability if row.artifact == ARTIFACT}
    by = {row.cell: row.float32_by for row in results.cells}
    assert (isas[CONSUMER], isas[swept]) == ("", "haswell")
    assert (by[CONSUMER], by[swept], by[TRAINER]) == ("PRECISION=f32", "PRECISION=f32", "")
