"""Exported models: proven whole, and judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmatrix.errors import RecordError
from deepmatrix.judging import deviations
from deepmatrix.models import exports
from deepmatrix.store import artifacts
from deepmatrix.store.arrays import Unreadable
from deepmatrix.store.reported.output import Exported, ExportedFile
from deepmatrix.store.reported.phases import InferData
from deepmatrix.workloads import networks
from deepmatrix.workloads.networks import NETWORKS
from tests.unit.examples import artifact


def exported(folder: Path, *names: str) -> Exported:
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(name.encode())
    files = tuple(
        ExportedFile(path=name, bytes=1, sha256=artifacts.sha256(folder / name)) for name in names
    )
    return Exported(format="onnx", files=files, export_s=1.0)


def test_a_model_that_is_what_its_producer_says_is_taken(tmp_path: Path) -> None:
    artifacts.check_files(exported(tmp_path / "onnx", "model.onnx"), tmp_path / "onnx")


def test_a_model_that_is_not_what_its_producer_says_is_refused(tmp_path: Path) -> None:
    export = exported(tmp_path / "onnx", "model.onnx", "data.bin")
    (tmp_path / "onnx" / "data.bin").write_bytes(b"other")
    with pytest.raises(Unreadable, match=r"data\.bin differs from its listed digest"):
        artifacts.check_files(export, tmp_path / "onnx")
    (tmp_path / "onnx" / "data.bin").unlink()
    (tmp_path / "onnx" / "data.bin").symlink_to("/etc/passwd")
    with pytest.raises(Unreadable, match=r"manifest and disk differ in data\.bin"):
        artifacts.check_files(export, tmp_path / "onnx")


def test_a_changed_gold_of_a_kept_model_is_the_runs_own_fault(tmp_path: Path) -> None:
    folder = artifact(tmp_path / "artifact", [[1.0]], [[1.0]])
    for name in ("inputs.npz", "weights.npz"):
        np.savez(folder / name, x=np.ones(1))
    described = artifacts.describe(exported(tmp_path / "onnx", "model.onnx"), "an-artifact", folder)
    (folder / "model" / "model.onnx").write_bytes(b"model.onnx")
    (folder / "artifact.json").write_text(described.model_dump_json())
    artifacts.verify(folder)
    np.savez(folder / "gold.npz", y=np.full((1, 1), 2.0))
    with pytest.raises(RecordError, match=r"gold\.npz: it has changed"):
        artifacts.verify(folder)


DECODER = NETWORKS["decoder-tiny"]


def past_inputs(**changes: np.ndarray) -> dict[str, np.ndarray]:
    cache = map(np.zeros, networks.cache_shapes(DECODER, 2, 5))
    names = ("past_key_0", "past_value_0")
    return {"tokens": np.arange(6).reshape(2, 3), **dict(zip(names, cache, strict=True)), **changes}


def test_inputs_of_a_model_with_past_are_taken_as_they_are(tmp_path: Path) -> None:
    np.savez(tmp_path / "past-inputs.npz", **past_inputs())
    read = exports._past_inputs(tmp_path / "past-inputs.npz", DECODER)
    assert {name: x.shape for name, x in read.items()} == {
        "tokens": (2, 3),
        "past_key_0": (2, 4, 5, 8),
        "past_value_0": (2, 4, 5, 8),
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"tokens": np.full((2, 3), 256)},
        {"tokens": np.full((2, 3), -1)},
        {"tokens": np.zeros((2, 12), np.int64)},  # after 5 steps, of 16
        {"tokens": np.zeros((2, 0), np.int64)},
        {"tokens": np.zeros(2, np.int64)},
        {"tokens": np.zeros((2, 3))},
        {"past_key_0": np.zeros((2, 2, 5, 3))},
        {"past_key_0": np.zeros(())},
        {"past_value_0": np.zeros((2, 2, 4, 4))},
        {"other": np.zeros(1)},
    ],
)
def test_other_inputs_than_those_of_a_model_with_past_are_refused(
    tmp_path: Path, changes: dict[str, np.ndarray]
) -> None:
    np.savez(tmp_path / "past-inputs.npz", **past_inputs(**changes))
    with pytest.raises(Unreadable, match="no inputs of a model with past"):
        exports._past_inputs(tmp_path / "past-inputs.npz", DECODER)


@pytest.mark.parametrize(
    ("truth", "answered", "error", "note"),
    [
        ([[1.0, -4.0]], [[1.0, -3.0]], 0.25, ""),
        ([[1.0, -4.0]], [[1.0, np.nan]], None, "1 of 2 values of y are not finite"),
        (
            [[1.0, np.nan]],
            [[1.0, 2.0]],
            None,
            "1 of 2 values of y are finite where gold is not, or the reverse",
        ),
        ([[np.inf, 2.0]], [[np.inf, 2.0]], 0.0, ""),
        (
            [[np.inf, 2.0]],
            [[-np.inf, 2.0]],
            None,
            "y has inf, -inf or NaN where gold has another of them",
        ),
        ([[0.0, 0.0]], [[1.0, 2.0]], 8.0, ""),
        ([[1.0, 4.0]], [[1.0, 3.0]], 0.25, ""),
        ([[1.0, 4.0]], [[1, 4]], None, "y is int64, not float64"),
        (
            [[1.0, -4.0]],
            [[1.0]],
            None,
            "y has the shape (1, 1), not (1, 2)",
        ),
        (
            [[1.0, -4.0]],
            [[1.0 + 1j, 2.0]],
            None,
            "its outputs cannot be used: 0.npy holds complex128, not numbers or text (dtype U)",
        ),
    ],
)
def test_an_answer_is_measured_against_gold(
    tmp_path: Path, truth: list, answered: list, error: float | None, note: str
) -> None:
    (tmp_path / "outputs").mkdir()
    np.save(tmp_path / "outputs" / "0.npy", np.asarray(answered))
    folder = artifact(tmp_path / "artifact", truth, [[1.0, -4.0]])
    agreement = deviations.measure(folder, tmp_path, ["y"])
    assert (agreement.error, agreement.note) == (error, note)


@pytest.mark.parametrize("content", [b"", b"PK\3\4torn", b"\x93NUMPY", b"x" * 1000])
def test_an_answer_that_is_no_array_is_the_consumers_fault(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "0.npy").write_bytes(content)
    folder = artifact(tmp_path / "artifact", [[1.0]], [[1.0]])
    agreement = deviations.measure(folder, tmp_path, ["y"])
    assert agreement.error is None
    assert agreement.note.startswith("its outputs cannot be used: 0.npy: ")


@pytest.mark.parametrize(
    ("names", "note"),
    [
        ([], "it gave 0 outputs, 1 are expected"),
        (["y", "z"], "it gave 2 outputs, 1 are expected"),
        (["y", "y"], "its outputs cannot be used: two of them have the same name"),
    ],
)
def test_a_missing_or_extra_output_is_no_answer(
    tmp_path: Path, names: list[str], note: str
) -> None:
    (tmp_path / "outputs").mkdir()
    for number in range(len(names)):
        np.save(tmp_path / "outputs" / f"{number}.npy", np.ones((1, 1)))
    folder = artifact(tmp_path / "artifact", [[1.0]], [[1.0]])
    agreement = deviations.measure(folder, tmp_path, names)
    assert (agreement.error, agreement.note) == (None, note)


@given(st.integers(1, 500))
def test_splits_are_all_rows_and_hold_a_batch_of_one(rows: int) -> None:
    sizes = artifacts.batch_sizes(rows)
    assert sum(sizes) == rows
    assert sizes[0] == 1
    assert min(sizes) > 0


def test_a_damaged_gold_is_the_runs_own_fault(tmp_path: Path) -> None:
    folder = artifact(tmp_path / "artifact", [[1.0]], [[1.0]])
    (folder / "gold.npz").write_bytes(b"")
    with pytest.raises(RecordError, match="damaged"):
        deviations.measure(folder, tmp_path, ["y"])


def test_outputs_may_be_many_and_have_the_long_names_of_traced_programs() -> None:
    names = [f"{'scope/' * 300}{number}" for number in range(2000)]
    answered = InferData.model_validate({"outputs": names, "batches": {}})
    assert answered.outputs == names
