"""Nodes cut out of a quantised model: what is said of them is what verifying them shows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

from deepmatrix.diagnosis.case import Case
from deepmatrix.diagnosis.runtime_cause import RuntimeSearch
from deepmatrix.diagnosis.search.tracing import Tracer
from deepmatrix.planning.subjects import Artifact
from deepmatrix.store.causes import Cause
from deepmatrix.store.records import Agreement, Deviation, Steps
from deepmatrix.store.reported.phases import InspectData, Node
from deepmatrix.workloads.inputs import write_npz
from harness.phases.inspection import InspectionJob, inspect
from harness.phases.tracing import ALL, TraceJob
from harness.record import INSPECT, answer_path
from harness.runtimes.onnx import adapter
from tests.unit.test_verdicts import TERMS

SIZE = 8
FIRST, LAST = "first", "last"


def quantised_model(folder: Path) -> Path:
    """Write y = DynamicQuantizeMatMul(Relu(DynamicQuantizeMatMul(x))); return its path."""
    random = np.random.default_rng(0)
    held = {
        "w": random.integers(100, 156, (SIZE, SIZE), np.uint8),
        "scale": np.float32([0.01]),
        "zero": np.uint8([128]),
    }
    kinds = [("DynamicQuantizeMatMul", "x", "a", FIRST), ("Relu", "a", "b", "middle")]
    kinds.append(("DynamicQuantizeMatMul", "b", "y", LAST))
    nodes = [
        onnx.helper.make_node(
            kind,
            [read] if kind == "Relu" else [read, *held],
            [made],
            name,
            domain="" if kind == "Relu" else "com.microsoft",
        )
        for kind, read, made, name in kinds
    ]
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [4, SIZE])
        for name in ("x", "y")
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "two products",
        ends[:1],
        ends[1:],
        [onnx.numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("com.microsoft", 1)]
    (folder / "model").mkdir(parents=True)
    path = folder / "model" / "model.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    x = random.standard_normal((4, SIZE)).astype(np.float32)
    write_npz(folder / "inputs.npz", {"x": x})
    return path


class HereTracer(Tracer):
    """Runs one-off jobs in this process; the consumer is the evaluator with *moved* nodes."""

    moved: dict[str, float]

    @contextlib.contextmanager
    def _one_off(
        self, cell: Any, subject: str, phases: tuple[str, ...], fill: Callable[[Path], Any]
    ) -> Iterator[tuple[Any, Path]]:
        del cell, subject
        control = self.run.path / f"control{len(list(self.run.path.iterdir()))}"
        control.mkdir()
        document, data = {"cell": {"name": "onnx"}, **fill(control)}, dict[str, Any]()
        if INSPECT in phases:
            inspect(InspectionJob(str(control), document, adapter, {}), data)
        elif phases[0] in ALL:
            ALL[phases[0]](TraceJob(str(control), document, adapter, {}), data)
        else:
            data["outputs"] = self._answer(control, document["artifact"])
        yield (
            SimpleNamespace(
                inspected=lambda: InspectData.model_validate(data),
                traced=lambda: SimpleNamespace(
                    **{**data, "nodes": [Node.model_validate(node) for node in data["nodes"]]}
                ),
                infer=lambda: SimpleNamespace(**data),
            ),
            control,
        )

    def _find_inspector(self, model_format: str) -> Any:
        del model_format

    def _answer(self, control: Path, artifact: dict[str, Any]) -> list[str]:
        model = onnx.load(control / artifact["model"])
        for number, node in reversed(list(enumerate(model.graph.node))):
            if distance := self.moved.get(node.name):
                made, node.output[0] = node.output[0], "exact"
                by = onnx.numpy_helper.from_array(np.float32(distance), "distance")
                model.graph.initializer.append(by)
                model.graph.node.insert(
                    number + 1, onnx.helper.make_node("Add", ["exact", "distance"], [made])
                )
        onnx.save(model, control / "moved.onnx")
        inputs = {entry["name"]: np.load(control / entry["path"]) for entry in artifact["inputs"]}
        answers = adapter.answer(adapter.load("onnx", str(control / "moved.onnx")), inputs)
        (control / "outputs").mkdir()
        for number, value in enumerate(answers.values()):
            np.save(control / answer_path(number), value)
        return list(answers)


def case_of(folder: Path, moved: dict[str, float]) -> Case:
    """Return the case of a consumer that adds something to the outputs of its nodes."""
    plan = SimpleNamespace(seed=0)
    run = SimpleNamespace(
        path=folder, artifact_path=lambda _: folder / "stored", manifest=SimpleNamespace(plan=plan)
    )
    opened = SimpleNamespace(run=run, sites=[])
    tracer = HereTracer(opened=opened)  # type: ignore[arg-type]
    tracer.moved = moved
    case = object.__new__(Case)
    steps = Steps(count=1, size=0.01, error=1e-3)
    worst = Deviation(name="y", error=1.0, steps=steps, dtype="float32")
    agreement = Agreement(
        error=1.0, producer_error=1e-7, from_producer=1.0, scale=1.0, outputs=(worst,)
    )
    artifact = Artifact(producer="p", workload="w", format="onnx", imported=True)
    consumer = SimpleNamespace(id="consumer", library="", isa="")
    vars(case).update(
        tracer=tracer,
        fault=SimpleNamespace(artifact=artifact, consumer=consumer, agreement=agreement),
        folder=folder / "case",
        described=SimpleNamespace(quantised={}, apart={}),
        masks={},
        terms=TERMS,
        outputs={"y": worst},
        worst=worst,
        rows=[],
    )
    case.folder.mkdir()
    return case


def found(folder: Path, moved: dict[str, float]) -> Cause:
    adapter.start()
    quantised_model(folder / "stored")
    case = case_of(folder, moved)
    return RuntimeSearch(case, case.tracer.trace(case.artifact, case.rows)).find_cause()


@pytest.mark.parametrize("moved", [{FIRST: 0.012}, {LAST: 0.0008}])
def test_a_node_within_its_own_steps_is_not_called_wrong_where_the_model_allows_less(
    tmp_path: Path, moved: dict[str, float]
) -> None:
    cause = found(tmp_path, moved)
    assert (cause.kind, cause.alone, cause.node) == ("fusion", False, "")
    assert cause.text.startswith("no node alone is outside its tolerance; the errors add up: after")


def test_a_node_outside_its_own_steps_is_wrong_alone_too(tmp_path: Path) -> None:
    cause = found(tmp_path, {FIRST: 0.5})
    assert (cause.kind, cause.alone, cause.node) == ("runtime", True, FIRST)
    assert "run alone it is wrong too" in cause.text
