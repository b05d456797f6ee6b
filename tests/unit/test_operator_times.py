"""The operators of ONNX Runtime, timed by its own profiler."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from deepmatrix.store.reported.phases import InferData
from harness.phases import inference
from tests import planted

pytest.importorskip("onnxruntime")

from harness.runtimes.onnxruntime import adapter, operator_times

X = np.random.default_rng(1).standard_normal((2, 8, 12, 12)).astype(np.float32)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    adapter.start()
    adapter.configure("cpu", 1)
    path = tmp_path / "model.onnx"
    onnx.save(planted.model(), path)
    return path


def test_every_kind_has_its_time_and_nothing_stays(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = model.parent / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    started = time.perf_counter()
    times = adapter.time_operators(str(model), {"x": X})
    wall_s = time.perf_counter() - started
    assert {"Conv", "Add", "ReduceMean"} <= times.keys(), "ONNX Runtime fuses Tanh into Conv"
    assert 0 < sum(times.values()) < wall_s / operator_times.WARMUP
    assert max(times, key=lambda kind: times[kind]) == "Conv"
    assert list(scratch.iterdir()) == []


def test_odd_answers_and_the_coarse_clock_do_not_decide(tmp_path: Path) -> None:
    def answer(microseconds: int) -> list[dict[str, Any]]:
        node = {"cat": "Node", "name": "n_kernel_time", "args": {"op_name": "Add"}}
        return [{**node, "dur": microseconds}, {"cat": "Session", "name": "model_run"}]

    warmup, timed = [900] * operator_times.WARMUP, [4, 5, 4, 5, 4, 5, 4, 5000]
    path = tmp_path / "profile.json"
    path.write_text(json.dumps([event for value in (*warmup, *timed) for event in answer(value)]))
    assert operator_times.read(str(path)) == {"Add": pytest.approx(4.5e-6)}


@pytest.mark.parametrize("wanted", [True, False])
def test_the_phase_times_the_operators_of_each_batch_where_it_is_asked_to(
    model: Path, wanted: bool
) -> None:
    np.save(model.with_name("x.npy"), X)
    artifact = {"inputs": [{"name": "x", "path": "x.npy"}], "model": "model.onnx"}
    settings = {"batches": [1, 2], "samples": 3, "min_s": 0.0, "max_s": 1.0, "warmup": 1}
    document: dict[str, Any] = {
        "artifact": {**artifact, "format": "onnx", "splits": [1, 1]},
        "infer": {**settings, "operators": wanted},
        "threads": 1,
    }
    data: dict[str, Any] = {}
    inference.infer(inference.ArtifactJob(str(model.parent), document, adapter, {}), data)
    reported = InferData.model_validate(data)
    assert list(reported.operators) == (["1", "2"] if wanted else [])
    for times in reported.operators.values():
        assert times["Conv"] > 0
