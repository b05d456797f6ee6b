"""A model quantised in its producer's container, and served beside the float32 one."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepmatrix.cli import main
from deepmatrix.results.rows import Results
from tests.containers.conftest import ROOT

pytestmark = [pytest.mark.usefixtures("docker_engine"), pytest.mark.timeout(1200)]

#: One round and one workload of the preset `int8`.
SHORT = """
presets:
  short:
    cells: ["jax_int8-debian12-amd64-cpu", "onnxruntime-debian12-amd64-cpu"]
    workloads: [digits-conv]
    phases: [startup, train, deploy, infer]
    infer: {samples: 20, min_s: 0.05, warmup: 3}
    held_out: true
"""


def test_a_quantised_export_is_served_judged_and_has_its_accuracy(tmp_path: Path) -> None:
    text = (ROOT / "matrix.yaml").read_text(encoding="utf-8")
    text = text.replace("expected-failures.yaml", str(ROOT / "expected-failures.yaml"))
    (tmp_path / "matrix.yaml").write_text(text.replace("\npresets:\n", SHORT, 1), encoding="utf-8")
    arguments = ["--file", str(tmp_path / "matrix.yaml"), "--preset", "short"]
    code = main.main(["matrix", *arguments, "--runs", str(tmp_path / "runs"), "--name", "short"])
    text = (tmp_path / "runs" / "short" / "results.json").read_text(encoding="utf-8")
    results = Results.model_validate_json(text)
    assert code == 0, results.problems
    (row,) = results.quantised
    assert (row.artifact.rsplit("--", 1)[1], row.verdict) == ("onnx-int8", "match")
    assert row.accuracy is not None
    assert row.lost is not None
    assert row.accuracy > 0.9
    assert abs(row.lost) < 0.05
    assert row.bytes is not None
    assert row.original_bytes is not None
    assert row.bytes < row.original_bytes
    (judged,) = [each for each in results.portability if each.artifact == row.artifact]
    assert "quantisation step" in judged.basis
    assert judged.outputs[0].judged_by.startswith("float64 evaluation")
