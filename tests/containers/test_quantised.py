"""Quantised models in containers: a product that saturates, and weights of int8 in float32."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from deepmatrix.cli import main
from tests import quantised

pytestmark = pytest.mark.usefixtures("docker_engine")

CELL = "onnxruntime-debian12-amd64-cpu"
HASWELL = "onnxruntime_haswell-debian12-amd64-cpu"


def verify(folder: Path, model: Any, x: np.ndarray, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Verify a model; return the exit code and the rows of portability by consumer."""
    onnx.save(model, folder / "m.onnx")
    np.savez(folder / "x.npz", x=x)
    files = [str(folder / "m.onnx"), "--inputs", str(folder / "x.npz")]
    code = main.main(["verify", *files, "--runs", str(folder / "runs"), *arguments])
    rows = results(folder)["portability"]
    return code, {row["consumer"]: row for row in rows}


def results(folder: Path) -> dict[str, Any]:
    (run,) = (path.parent for path in folder.glob("runs/*/plan.json"))
    document: dict[str, Any] = json.loads((run / "results.json").read_text())
    return document


def test_the_sweep_finds_a_product_that_saturates_without_vnni_and_names_its_node(
    tmp_path: Path,
) -> None:
    code, rows = verify(
        tmp_path,
        quantised.saturating(),
        quantised.large_inputs(),
        *("--only", CELL, "--isa", "haswell", "--explain-for", "4m"),
    )
    assert code == 1
    assert (rows[HASWELL]["isa"], rows[HASWELL]["verdict"]) == ("haswell", "drift")
    assert rows[HASWELL]["cause"]["node"] == "product"
    assert "--isa haswell" in rows[HASWELL]["cause"]["reproduce"]


def test_openvinos_float32_row_quantises_no_activations(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(2, 256)).astype(np.float32)
    code, rows = verify(
        tmp_path, quantised.product_of_weights(), x, "--only", "openvino-debian12-amd64-cpu"
    )
    assert code == 0
    assert rows["openvino-debian12-amd64-cpu"]["error"] < 1e-5


def test_the_cost_against_an_original_is_in_the_results(tmp_path: Path) -> None:
    onnx.save(quantised.chain(0), tmp_path / "original.onnx")
    x = np.array([[1.0, 1.1, 0.0, 0.0], [3.0, 0.0, 0.0, 0.0]], np.float32)  # 1.1 becomes 1
    original = str(tmp_path / "original.onnx")
    code, rows = verify(tmp_path, quantised.chain(1), x, "--only", CELL, "--original", original)
    assert code == 0
    assert list(rows) == [CELL]
    (cost,) = results(tmp_path)["costs"]
    assert (cost["rows"], cost["flips"]) == (2, [0])
    assert cost["margins"] == pytest.approx([0.1], abs=1e-6)
