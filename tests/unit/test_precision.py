"""Less than float32: training in bfloat16, and models quantised after training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from deepmatrix.diagnosis.search.saturation import saturation_advice
from deepmatrix.judging import deviations, parity
from deepmatrix.judging.similarity import accuracy
from deepmatrix.machine import locks
from deepmatrix.models.imports import judge_inspected
from deepmatrix.planning.matrix_plan import plan_matrix
from deepmatrix.planning.plan import Job, Plan
from deepmatrix.planning.selection import Selection, select_cells
from deepmatrix.reports import tables
from deepmatrix.results import merging
from deepmatrix.results.rows import Results
from deepmatrix.store import truths
from deepmatrix.store.records import Parity
from deepmatrix.store.reported.phases import InspectData
from deepmatrix.store.runs import Run
from deepmatrix.store.truths import Truth
from deepmatrix.workloads.networks import NETWORKS
from harness.phases import inspection
from harness.quantisers import onnx_static
from tests.unit import test_reuse
from tests.unit.examples import DOCKER, MATRIX, PARITY, new_run, output, record

BFLOAT16 = ("torch-debian12-amd64-cpu", "torch_bfloat16-debian12-amd64-cpu")
PRODUCER = "jax_int8-debian12-amd64-cpu"
CONSUMER = "onnxruntime-debian12-amd64-cpu"


def planned(preset: str, *cells: str) -> Plan:
    engine = replace(DOCKER, emulator="/usr/bin/qemu-x86_64")
    plan = plan_matrix(MATRIX, Selection(preset=preset, include=cells), engine, seed=0)
    return replace(plan, workloads=("digits-conv",))


def new(parent: Path, plan: Plan) -> Run:
    run = new_run(parent, plan)
    run.inputs.mkdir()
    gold = {"losses": [2.3, 1.2, 0.7], "accuracy": 0.98}
    for workload in plan.workloads:
        (run.inputs / f"{workload}.gold.json").write_text(json.dumps(gold))
    return run


def trained(
    parent: Path,
    of_bfloat16: dict[str, Any],
    step: Parity = PARITY,
    machines: tuple[str, str] = ("", ""),
) -> Results:
    """Merge a training in float32, and one in bfloat16 with some other facts."""
    run = new(parent, planned("precision", *BFLOAT16))
    for job in run.manifest.plan.jobs("produce"):
        facts = output(job).model_dump(by_alias=True)
        is_reduced = job.cell == BFLOAT16[1]
        for phase in facts["records"]:
            phase["data"] |= of_bfloat16 if is_reduced and phase["phase"] == "train" else {}
        changes: dict[str, Any] = {"parity": step} if is_reduced and "parity" in job.phases else {}
        changes["machine"] = machines[is_reduced]
        run.save(job, record(job, output=output(job, records=facts["records"]), **changes))
    return merging.merge([run])


def beside_float32(results: Results) -> dict[str, str]:
    """Return what stands beside the training in float32, by the titles of the columns."""
    (table,) = [
        each for each in tables.result_tables(results) if each.title.startswith("Training in")
    ]
    titles = [column.title for column in table.columns]
    return dict(zip(titles, table.rows[0].texts, strict=True))


def of_bfloat16(results: Results) -> Any:
    return next(row for row in results.training if row.cell == BFLOAT16[1])


def test_a_training_in_bfloat16_is_judged_by_accuracy_and_the_outputs_of_its_first_step(
    tmp_path: Path,
) -> None:
    reduced = Parity(outputs={"output": 9e-3}, gradients={"output.kernel": 0.45})
    facts = {"losses": [2.3, 1.3, 0.9], "step_s": [0.001] * 30, "accuracy": 0.96}
    results = trained(tmp_path, facts, reduced)
    row = of_bfloat16(results)
    assert (row.status, row.precision, row.float32_cell) == ("ok", "bfloat16", BFLOAT16[0])
    assert row.loss_error == pytest.approx(0.2)
    cells = beside_float32(results)
    assert (cells["accuracy in float32"], cells["accuracy"]) == ("97.0 %", "96.0 %")
    assert cells["lost"] == "1.0 points"
    assert cells["time"].startswith("0.49")


@pytest.mark.parametrize("second", ["first", "second"])
def test_a_time_in_bfloat16_is_compared_with_float32_on_its_machine_only(
    tmp_path: Path, second: str
) -> None:
    facts = {"step_s": [0.001] * 30}
    cells = beside_float32(trained(tmp_path, facts, machines=("first", second)))
    assert cells["time"].startswith("0.490×" if second == "first" else "another machine")


@pytest.mark.parametrize(
    ("facts", "outputs", "reason"),
    [
        ({"accuracy": 0.9}, {"output": 9e-3}, "accuracy 0.900 is below 0.95"),
        ({}, {"output": 0.11}, "first outside tolerance: output of output"),
    ],
)
def test_a_training_in_bfloat16_that_does_not_learn_or_computes_something_else_fails(
    tmp_path: Path, facts: dict[str, Any], outputs: dict[str, float], reason: str
) -> None:
    row = of_bfloat16(trained(tmp_path, facts, Parity(outputs=dict(outputs), gradients={})))
    assert (row.status, row.reason) == ("failed", reason)


def test_float32_is_judged_as_before() -> None:
    step = Parity(outputs={"output": 1e-7}, gradients={"output.kernel": 0.45})
    wrong = parity.first_wrong(step, NETWORKS["digits-conv"], MATRIX.tolerances)
    assert wrong == "gradient of output.kernel"


def test_variants_are_in_no_preset_but_their_own_and_the_one_of_all_cells() -> None:
    variants = ("_bfloat16-", "_int8-")
    found = {
        name
        for name in MATRIX.presets
        for cell in select_cells(MATRIX, Selection(preset=name))
        if any(variant in cell.id for variant in variants)
    }
    assert found == {"precision", "int8", "full"}


def test_what_reads_a_format_reads_it_quantised_and_only_runtimes_are_kept_to_processors() -> None:
    plan = planned("int8")
    for format, plain in (("onnx-int8", "onnx"), ("tflite-int8", "tflite")):
        readers = plan.consumers(format)
        assert readers == plan.consumers(plain)
        assert any(cell.isa == "haswell" for cell in readers)
    kept = {cell.name for cell in plan.cells if cell.isa}
    assert {"onnxruntime", "openvino", "litert"} <= kept
    assert kept.isdisjoint({"jax_int8", "tensorflow_int8", "onnx"})


def test_saturation_is_told_of_a_fusion_of_quantisers_on_x86_without_vnni() -> None:
    runtime = next(cell for cell in planned("int8").cells if cell.id == CONSUMER)
    haswell = runtime.kept_to("haswell", MATRIX.isas["haswell"])
    assert saturation_advice("QuantizeLinear", haswell, fused=True)
    assert saturation_advice("QuantizeLinear", haswell) is None  # alone it multiplies nothing
    assert saturation_advice("MaxPool", haswell, fused=True) is None
    assert saturation_advice("QuantizeLinear", runtime, fused=True) is None


def test_accuracy_is_of_the_rows_that_have_a_label() -> None:
    logits = np.float32([[0, 1, 0], [2, 1, 0], [0, 1, 3], [9, 0, 0]])
    assert accuracy(logits, np.array([1, 2, 2])) == pytest.approx(2 / 3)
    assert accuracy(logits.astype(np.int8), np.array([1, 0, 2])) == 1.0
    assert accuracy(logits[:2], np.array([1, 2, 2])) is None
    assert accuracy(logits[0], np.array([1])) is None


def test_an_artifact_has_the_labels_of_the_held_out_rows_that_its_inputs_begin_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "SAMPLING", tmp_path / "sampling.lock")  # it waits for no other run
    plan = replace(test_reuse.small_plan(*test_reuse.CELLS), held_out=True)
    run = test_reuse.repeat(tmp_path, plan, test_reuse.AnsweringEngine(), reuse="")
    (artifact, *_) = plan.artifacts()
    data = np.load(run.inputs / f"{artifact.workload}.npz")
    truth = truths.read(run.artifact_path(artifact))
    served = np.load(run.artifact_path(artifact) / "inputs.npz")["x"]
    assert truth.labels is not None
    np.testing.assert_array_equal(truth.labels, data["test_y"])
    np.testing.assert_array_equal(served[: len(truth.labels)], data["test_x"])
    assert accuracy(truth.gold["y"], truth.labels) is not None


def served(parent: Path) -> Results:
    """Merge what one consumer answers for a float32 artifact and for the quantised one."""
    run = new(parent, planned("int8", PRODUCER, CONSUMER))
    plan = run.manifest.plan
    for job in plan.jobs("produce"):
        exports = [exported("onnx", 1000), exported("onnx-int8", 250)]
        run.save(job, record(job, output=output(job, artifacts=exports)))
    for job in plan.jobs("consume"):
        run.save(job, answered(job, job.subject.endswith("-int8")))
    return merging.merge([run])


def exported(format: str, size: int) -> dict[str, Any]:
    file = {"path": "model.onnx", "bytes": size, "sha256": "0" * 64}
    return {"format": format, "files": [file], "export_s": 1.0}


def answered(job: Job, is_quantised: bool) -> Any:
    plain = record(job)
    assert plain.agreement
    # The worst round counts: the first has 0.9 of float32, and 0.85 quantised.
    share = (0.85 if is_quantised else 0.9) + job.round / 100
    # Without VNNI products saturate.
    error = 0.1 if is_quantised and "_haswell-" in job.cell else plain.agreement.error
    agreement = plain.agreement.model_copy(update={"accuracy": share, "error": error})
    facts = output(job).model_dump(by_alias=True)
    for phase in facts["records"]:
        for batch in phase["data"].get("batches", {}).values():
            batch["latency_s"] = [x / 2 if is_quantised else x for x in batch["latency_s"]]
    return record(job, agreement=agreement, output=output(job, records=facts["records"]))


def test_accuracy_lost_time_and_size_are_those_beside_the_float32_artifact(tmp_path: Path) -> None:
    results = served(tmp_path)
    (row,) = (row for row in results.quantised if not row.isa)
    artifact = f"{PRODUCER}--digits-conv--onnx"
    assert (row.artifact, row.original) == (f"{artifact}-int8", artifact)
    assert (row.original_accuracy, row.accuracy) == (pytest.approx(0.9), pytest.approx(0.85))
    assert row.lost == pytest.approx(0.05)
    assert (row.bytes, row.original_bytes) == (250, 1000)
    assert [speed.batch for speed in row.speed] == [1, 32]
    for speed in row.speed:
        assert speed.ratio == pytest.approx(0.5)
        assert speed.low is not None
        assert speed.high is not None
        assert speed.low < 0.5 < speed.high < 1
        assert speed.direction == "faster"
    (table,) = [
        each for each in tables.result_tables(results) if each.title.startswith("Quantised")
    ]
    assert "5.0 points" in table.rows[0].texts
    assert "25.0 %" in table.rows[0].texts
    words = {row.texts[1]: (row.texts[2], row.moods[2]) for row in table.rows}
    assert words == {
        CONSUMER: ("match", "good"),
        CONSUMER.replace("-", "_haswell-", 1): ("drift: expected failure", "muted"),
    }


def test_a_step_of_a_language_model_is_not_quantised(tmp_path: Path) -> None:
    cells = ("torch-debian12-amd64-cpu", CONSUMER)
    plan = plan_matrix(MATRIX, Selection(preset="small", include=cells), DOCKER, seed=0)
    results = merging.merge([new(tmp_path, replace(plan, workloads=("decoder-small",)))])
    assert any(row.artifact.endswith("--onnx-with-past") for row in results.portability)
    assert results.quantised == ()


RANDOM = np.random.default_rng(0)
WEIGHTS = RANDOM.normal(size=(16, 4)).astype(np.float32)
X = RANDOM.normal(size=(32, 16)).astype(np.float32)


def small_model() -> Any:
    """Return two products of weights, (n, 16) float32 to (n, 4) float32."""
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("MatMul", ["active", "b"], ["y"]),
    ]
    held = {"a": np.repeat(WEIGHTS, 4, axis=1), "b": WEIGHTS}
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


class Exporter:
    """Stands for a framework that exports `small_model`."""

    @staticmethod
    def export(model: Any, format_name: str, path: str, _: Any) -> dict[str, Any]:
        assert format_name == "onnx"
        onnx.save(model, path)
        return {"opset": 17, "exporter": "by hand"}


def quantise(folder: Path) -> tuple[Path, Truth]:
    """Quantise `small_model` as a producer does; return it and what the host judges it by."""
    path = folder / "model.onnx"
    exporter: Any = Exporter
    described, inspect = onnx_static.export(exporter, small_model(), str(path), X[:2], X)
    assert described["exporter"].startswith("quantize_static of onnxruntime ")
    facts: dict[str, Any] = {}
    inspection.store_inspection(str(folder), inspect(X, 1), facts, "jax_int8")
    inspected = InspectData.model_validate(facts)
    return path, judge_inspected(folder / "artifacts", inspected, None)


def answer(path: Path) -> dict[str, Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return {"y": session.run(None, {"x": X})[0]}


def test_a_quantised_model_is_judged_by_its_own_graph_and_a_wrong_scale_is_seen(
    tmp_path: Path,
) -> None:
    path, truth = quantise(tmp_path)
    lost = np.abs(truth.gold["y"] - np.maximum(X @ np.repeat(WEIGHTS, 4, axis=1), 0) @ WEIGHTS)
    ((name, grid),) = truth.quantised.items()
    assert (name, grid.steps >= 1) == ("y", True)

    agreement = deviations.compare(answer(path), truth)
    (right,) = agreement.outputs
    assert right.steps is not None
    assert right.error is not None
    assert right.error <= right.steps.error
    assert lost.max() > grid.step  # float32's answers would be no match

    model = onnx.load(path)
    (scale,) = [each for each in model.graph.initializer if each.name == "b_scale"]
    scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale) * 1.2, scale.name))
    onnx.save(model, path)
    (wrong,) = deviations.compare(answer(path), truth).outputs
    assert wrong.error is not None
    assert wrong.error > right.steps.error
