"""Queues with models that end a process or hang, on the runners in C++, Node and a browser.

And what the runner in C++ says of a full disk.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from deepmatrix.engines.docker.engine import DockerEngine
from deepmatrix.execution.runner import Runner
from deepmatrix.execution.sessions.lanes import Lane
from deepmatrix.execution.sessions.splitting import split
from deepmatrix.execution.tasks import TaskMaker
from deepmatrix.machine import processes
from deepmatrix.planning.plan import Plan
from deepmatrix.store.records import JobRecord
from deepmatrix.store.runs import Run
from harness.record import NO_ROOM
from tests import small_disks
from tests.unit.examples import MATRIX, planned, store_model

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

PRODUCER = "torch-debian12-amd64-cpu"
X = np.arange(8, dtype=np.float32).reshape(4, 2)
MIB = 1 << 20


def model(nodes: Sequence[onnx.NodeProto], **held: Any) -> bytes:
    """Return a model x (n, 2) -> y (n, 2) of these nodes, and constants by their names."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in "xy")
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()]
    graph = helper.make_graph(nodes, "graph", [x], [y], constants)
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()


def fine() -> bytes:
    return model([helper.make_node("Identity", ["x"], ["y"])])


def division() -> bytes:
    """Divide integers by zero: Debian's ONNX Runtime lets the processor do it."""
    return model(
        [
            helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT32),
            helper.make_node("Sub", ["i", "i"], ["zero"]),
            helper.make_node("Div", ["i", "zero"], ["quotient"]),
            helper.make_node("Cast", ["quotient"], ["y"], to=TensorProto.FLOAT),
        ]
    )


def endless() -> bytes:
    """Add one for ever."""
    values = [
        helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in (
            ("count", TensorProto.INT64, []),
            ("goes_on", TensorProto.BOOL, []),
            ("sum", TensorProto.FLOAT, None),
            ("still", TensorProto.BOOL, []),
            ("more", TensorProto.FLOAT, None),
        )
    ]
    one = numpy_helper.from_array(np.float32(1), "one")
    nodes = [
        helper.make_node("Identity", ["goes_on"], ["still"]),
        helper.make_node("Add", ["sum", "one"], ["more"]),
    ]
    body = helper.make_graph(nodes, "body", values[:3], values[3:], [one])
    loop = helper.make_node("Loop", ["times", "always", "x"], ["y"], body=body)
    return model([loop], times=np.int64(2**62), always=np.bool_(True))


def huge() -> bytes:
    """Add nothing from a tensor of 1.5 GiB: more than the container has, less than a page may."""
    return model(
        [
            helper.make_node("Slice", ["x", "zero", "one", "zero"], ["row"]),
            helper.make_node("Expand", ["row", "shape"], ["large"]),
            helper.make_node("ReduceMax", ["large"], ["largest"], axes=[0], keepdims=1),
            helper.make_node("Mul", ["largest", "nothing"], ["added"]),
            helper.make_node("Add", ["x", "added"], ["y"]),
        ],
        zero=np.array([0], np.int64),
        one=np.array([1], np.int64),
        shape=np.array([3 << 26, 2], np.int64),
        nothing=np.float32(0),
    )


MODELS = {"fine": fine, "division": division, "endless": endless, "huge": huge}


def plan_of(cell: str, count: int) -> Plan:
    """Return a plan in which a cell serves *count* models in one process."""
    plan = planned(PRODUCER, cell)
    infer = plan.infer.model_copy(update={"batches": (1,), "samples": 1, "min_s": 0, "warmup": 0})
    workloads = tuple(f"w{number}" for number in range(count))
    emulated = frozenset({PRODUCER})  # what it made is served once, and not timed
    return replace(plan, workloads=workloads, infer=infer, emulated=emulated)


def run_of(folder: Path, plan: Plan, deadline_s: float) -> Run:
    """Return a run of one lane whose processes have a gigabyte."""
    changes = {"memory": 1024 * MIB, "deadline_s": deadline_s, "cpus": (0,)}
    tiny = MATRIX.workloads["digits-conv"].model_copy(update={"epochs": 1, "steps": 1})
    matrix = MATRIX.model_copy(
        update={
            "limits": MATRIX.limits.model_copy(update=changes),
            "workloads": dict.fromkeys(plan.workloads, tiny),
        }
    )
    return Run.create(folder, plan, matrix, version="0.1.0", name="one")


class Quiet:
    """A watcher that says nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


@pytest.mark.parametrize(
    ("cell", "deadline_s", "faults"),
    [
        ("onnxruntime-cpp", 4, {"division": "crashed", "endless": "timeout"}),
        ("onnxruntime-node", 6, {"endless": "timeout", "huge": "oom"}),
        ("onnxruntime-web", 60, {"huge": "failed"}),
    ],
)
def test_the_model_that_ends_a_runner_is_blamed_and_those_around_it_are_served(
    cell: str,
    deadline_s: float,
    faults: Mapping[str, str],
    docker_engine: DockerEngine,
    tmp_path: Path,
) -> None:
    cell = f"{cell}-debian13-amd64-cpu"
    names = ["fine", *(name for fault in faults for name in (fault, "fine"))]
    run = run_of(tmp_path, plan_of(cell, len(names)), deadline_s)
    plan = run.manifest.plan
    jobs = [job for job in plan.jobs("consume") if job.cell == cell]
    (session,) = split(plan, jobs)
    for job, name in zip(session.jobs, names, strict=True):
        assert job.artifact is not None
        store_model(run, job.artifact, X, MODELS[name]())
    engine = DockerEngine(docker_engine.endpoint, matrix=run.manifest.matrix)
    Runner(run=run, engine=engine, watcher=Quiet(), cells={cell}).execute(["consume"])
    records: list[JobRecord] = [run.record(job) for job in session.jobs]
    for name, record in zip(names, records, strict=True):
        assert record.status == faults.get(name, "ok"), (name, record.cause)
        assert bool(record.after_others) == (name in faults)
        assert not (record.output and record.output.canaries)  # nothing is timed


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, of a few files, which every user may write."""
    with small_disks.mounted(tmp_path / "disk", "256k") as folder:
        folder.chmod(0o777)
        yield folder


@pytest.mark.parametrize("content", [fine(), b"no model"], ids=["its outputs", "its record"])
def test_a_runner_in_cpp_says_that_the_disk_is_full(
    content: bytes, docker_engine: DockerEngine, disk: Path, tmp_path: Path
) -> None:
    plan = plan_of("onnxruntime-cpp-debian13-amd64-cpu", 1)
    run = run_of(tmp_path, plan, deadline_s=60)
    cell = next(cell for cell in plan.cells if cell.name == "onnxruntime-cpp")
    (job,) = (job for job in plan.jobs("consume") if job.cell == cell.id)
    assert job.artifact is not None
    store_model(run, job.artifact, X, content)
    image = docker_engine.prepare([cell], lambda *_: None)[cell.id].reference
    lane = Lane((0,), 1024 * MIB)
    able = docker_engine.capabilities()
    maker = TaskMaker(run=run, capabilities=able, emulated=False, lane=lane)
    maker.write_input(job, cell, disk, maker.contents(job, cell, disk))
    with (disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 12))

    command = ["docker", "run", "--rm", "--network=none", f"--volume={disk}:/control"]
    with pytest.raises(processes.CommandFailed) as failed:
        processes.run(
            [*command, image, "/control"], environment=docker_engine.endpoint.environment()
        )
    assert failed.value.code == NO_ROOM
    assert failed.value.output.endswith("No space left on device")
    assert not (disk / "output.json").exists()
