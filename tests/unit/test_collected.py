"""What the host makes of a cell's or a model's names and messages can always be read back."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepmatrix.engines import Ended
from deepmatrix.execution.attempts import Attempt
from deepmatrix.execution.collecting import collect
from deepmatrix.execution.conclusions import conclude
from deepmatrix.execution.settling import settle
from deepmatrix.results import merging
from deepmatrix.store import answers, artifacts, truths
from deepmatrix.store.records import JobRecord
from deepmatrix.store.runs import Run
from deepmatrix.workloads.inputs import npz_bytes
from tests.unit.examples import output, record
from tests.unit.test_models import ONE, looked_into, said

(INSPECTION,) = ONE.jobs("produce")
CELLS = {cell.id: cell for cell in ONE.cells}
ARTIFACT = ONE.imports[0].artifact
ENDED = Ended(ending="exited", cause="", exit_code=0, wall_s=1.0)
VALUES = np.arange(6.0).reshape(2, 3)


def named(path: Path, values: dict[str, np.ndarray]) -> None:
    """Write arrays whose names are too long to be names of files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(npz_bytes(values))


def looked(folder: Path, **values: dict[str, np.ndarray]) -> Run:
    """Return a run in which the only model was inspected: *inputs*, *outputs* and *gold*."""
    run = looked_into(folder)
    for name, arrays in values.items():
        named(folder / "control" / "artifacts" / f"{name}.npz", arrays)
    return run


def collected(run: Run, folder: Path) -> JobRecord:
    """Collect the inspection, and return its record as it is read back."""
    attempt = Attempt(
        output=said(INSPECTION), status="ok", cause="", control=folder / "control", ended=ENDED,
        emulated=False, energy_j=None,
    )  # fmt: skip
    run.save(INSPECTION, collect(run, "docker", INSPECTION, CELLS[INSPECTION.cell], attempt))
    return run.record(INSPECTION)


def test_a_reference_with_other_names_has_one_remark_that_can_be_read(tmp_path: Path) -> None:
    outputs = {f"output_number_{number}_of_the_model": VALUES for number in range(12)}
    run = looked(tmp_path, inputs={"x": VALUES}, outputs=outputs, gold=outputs)
    reference = {f"my_reference_for_output_{number}": VALUES for number in range(12)}
    named(run.user_arrays_path("reference"), reference)
    assert collected(run, tmp_path).status == "ok"
    (remark,) = truths.read(run.artifact_path(ARTIFACT)).remarks
    assert remark.startswith("--reference has other names, taken in their order: my_reference_for")
    assert remark.endswith("my_reference_for_output_11 for output_number_11_of_the_model")
    assert len(remark) == 400


def test_inputs_near_the_end_of_float64_are_kept_and_shown(tmp_path: Path) -> None:
    run = looked(tmp_path, inputs={"x": VALUES * 3e307}, outputs={"y": VALUES}, gold={"y": VALUES})
    assert collected(run, tmp_path).status == "ok"
    (model,) = merging.merge([run]).models
    assert model.inputs[0].high == 1.5e308


@pytest.mark.parametrize("length", [450, 12_000])
def test_a_long_name_of_an_input_array_is_cut_in_its_remark(tmp_path: Path, length: int) -> None:
    run = looked(tmp_path, inputs={"x": VALUES}, outputs={"y": VALUES}, gold={"y": VALUES})
    named(run.user_arrays_path("inputs"), {"n" * length: VALUES})
    assert collected(run, tmp_path).status == "ok"
    (remark,) = truths.read(run.artifact_path(ARTIFACT)).remarks
    assert remark.endswith("n' is taken for the only input, 'x'")


@pytest.mark.parametrize(
    ("input_name", "output_name", "field"),
    [("i" * 20_000, "y", "name: "), ("x", "o" * 20_000, "gold.ooo")],
)
def test_a_name_that_no_tensor_has_is_the_models_own_fault_with_its_field(
    tmp_path: Path, input_name: str, output_name: str, field: str
) -> None:
    run = looked(tmp_path, inputs={input_name: VALUES}, outputs={output_name: VALUES})
    found = collected(run, tmp_path)
    assert found.status == "bad-artifact"
    assert found.cause.startswith(field)


def test_a_record_that_could_not_be_read_back_is_torn_with_its_field(tmp_path: Path) -> None:
    run = looked(tmp_path, inputs={"x": VALUES}, outputs={"y": VALUES}, gold={"y": VALUES})
    attempt = Attempt(
        output=said(INSPECTION), status="ok", cause="", control=tmp_path / "control", ended=ENDED,
        emulated=False, energy_j=None, provenance={"p" * 500: "0"},
    )  # fmt: skip
    found = collect(run, "docker", INSPECTION, CELLS[INSPECTION.cell], attempt)
    assert (found.status, found.output, found.artifacts) == ("torn", None, {})
    assert found.cause.startswith("it cannot be recorded: provenance")


def test_a_doubt_about_an_output_with_a_long_name_is_written_once_and_can_be_read(
    tmp_path: Path,
) -> None:
    values = {f"{'scope/' * 58}out": VALUES}
    run = looked(tmp_path, inputs={"x": VALUES}, outputs=values)
    named(run.user_arrays_path("reference"), values)
    collected(run, tmp_path)
    for job in ONE.jobs("consume"):
        answers.store(run, ARTIFACT, job.cell, dict.fromkeys(values, VALUES + 5))
        run.save(job, record(job, agreement=None))
    settle(run)
    settle(run)
    (remark,) = truths.read(run.artifact_path(ARTIFACT)).remarks
    assert remark.startswith("output scope/")
    assert remark.endswith(": check --reference")


@pytest.mark.parametrize("text", ["message", "type"])
def test_a_very_long_error_of_a_cell_is_a_cause_that_can_be_read(tmp_path: Path, text: str) -> None:
    run = looked(tmp_path)
    job = next(ONE.jobs("consume"))
    document = json.loads(output(job).model_dump_json(by_alias=True))
    error = {"type": "RuntimeError", "message": "why", text: "N" * 99_999, "traceback": ""}
    document["records"][-1].update(status="failed", error=error, data={})
    (tmp_path / "control" / "output.json").write_text(json.dumps(document))
    read, status, cause = conclude(job, tmp_path / "control", ENDED)
    failed = record(job, output=read, status=status, cause=cause * 20)
    run.save(job, failed.confirming(failed))
    again = run.record(job)
    assert again.cause.startswith("infer: ")
    assert len(again.cause) == len(again.after_others) == 10_000
    assert len(again.model_problem) <= 10_000


LENGTHS = st.sampled_from([1, 250, 399, 401, 5_000, 9_999, 10_001, 20_000])


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_names_of_any_length_are_kept_and_settled_or_named(data: st.DataObject) -> None:
    """Whatever a model calls its tensors, all that is written of it is read back."""

    def names(letter: str) -> list[str]:
        count = data.draw(st.integers(1, 3))
        return [f"{letter * data.draw(LENGTHS)}{number}" for number in range(count)]

    outputs = dict.fromkeys(names("o"), VALUES)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        run = looked(folder, inputs=dict.fromkeys(names("i"), VALUES), outputs=outputs)
        if data.draw(st.booleans()):
            named(folder / "control" / "artifacts" / "gold.npz", outputs)
        if data.draw(st.booleans()):
            named(run.user_arrays_path("reference"), dict.fromkeys(names("r"), VALUES))
        if data.draw(st.booleans()):
            named(run.user_arrays_path("inputs"), dict.fromkeys(names("g"), VALUES))
        found = collected(run, folder)
        assert found.status in ("ok", "bad-artifact")
        stored: dict[str, Any] = outputs if found.status == "ok" else {}
        for job in ONE.jobs("consume") if stored else ():
            answers.store(run, ARTIFACT, job.cell, dict.fromkeys(stored, VALUES + 5))
            run.save(job, record(job, agreement=None))
        settle(run)
        settle(run)
        merging.merge([run])
        if stored:
            artifacts.read_description(run.artifact_path(ARTIFACT))
