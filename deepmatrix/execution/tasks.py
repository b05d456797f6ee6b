"""Tasks: the control directory, limits and environment of a process."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from deepmatrix.boundary.copying import copy_file, copy_tree
from deepmatrix.boundary.files import Damaged
from deepmatrix.boundary.opening import is_there
from deepmatrix.engines import Limits, Queue, Task
from deepmatrix.execution.sessions.lanes import Lane
from deepmatrix.models import imports
from deepmatrix.planning.cells import Capabilities, Cell
from deepmatrix.planning.plan import Job
from deepmatrix.store import arrays, artifacts
from deepmatrix.store.runs import Run
from deepmatrix.workloads import inputs, networks, probes
from harness.record import INPUT, INSPECT, SCHEMA_VERSION

#: Seconds that a process may live beyond its own watchdog, which writes a traceback.
GRACE_S = 10.0

#: Names the processor that QEMU emulates.
QEMU_CPU = "QEMU_CPU"

#: How an artifact is run where its times do not count: once.
UNTIMED = {"samples": 1, "min_s": 0.0, "max_s": None, "warmup": 0}

#: How often a model that generates does so: the first time is warm-up; once where nothing is timed.
GENERATIONS = 4

#: At most this many answers of such a cell are compared: each may take minutes.
MOST_REPEATS_UNTIMED = 3


def process_environment(run: Run, capabilities: Capabilities, cell: Cell) -> dict[str, str]:
    """Return the variables of a cell's processes on an engine."""
    is_native = cell.architecture in capabilities.native
    architecture = run.manifest.matrix.architectures[cell.architecture]
    emulation = {} if is_native else architecture.emulation
    processor = {QEMU_CPU: cell.processor} if cell.processor else {}
    emulated = cell.emulated_environment if _compiles_slowly(run, capabilities, cell) else {}
    return {**emulation, **processor, **cell.environment, **emulated}


def _compiles_slowly(run: Run, capabilities: Capabilities, cell: Cell) -> bool:
    """Return whether a cell's compiler is emulated, on our own networks: see `System`."""
    return capabilities.emulates(cell) and not run.manifest.plan.imports


@dataclass(frozen=True, kw_only=True)
class TaskMaker:
    """Writes the control directory of a job and makes its task."""

    run: Run
    capabilities: Capabilities
    emulated: bool
    lane: Lane

    def contents(self, job: Job, cell: Cell, control: Path) -> Mapping[str, Any]:
        """Write the files of a planned job into *control*; return the job's part of its input."""
        if INSPECT in job.phases:
            return self._inspect(job, control)
        if job.artifact is None:
            return self._produce(job, cell, control)
        return self._consume(job, control)

    def task(self, job: Job, cell: Cell, control: Path, queue: Queue | None = None) -> Task:
        """Return the task of a process that starts with *job*, in *lane*."""
        is_native = cell.architecture in self.capabilities.native
        emulator = Path(self.capabilities.emulator) if is_native and cell.processor else None
        return Task(
            id=job.id,
            run_id=self.run.id,
            cell=cell,
            control=control,
            deadline_s=self._deadline_s(cell) + GRACE_S,
            limits=self._limits(cell),
            environment=process_environment(self.run, self.capabilities, cell),
            emulator=emulator,
            keeps_compiled=self._keeps_compiled(cell),
            queue=queue,
            attempt=secrets.token_hex(8),
            timed=self.is_timed(job),
        )

    def _keeps_compiled(self, cell: Cell) -> bool:
        return bool(cell.compile_cache) and _compiles_slowly(self.run, self.capabilities, cell)

    def write_input(self, job: Job, cell: Cell, folder: Path, contents: Mapping[str, Any]) -> None:
        """Write ``input.json`` with the job's own *contents* into its control directory."""
        document = self.document(job, cell, contents)
        (folder / INPUT).write_text(json.dumps(document), encoding="utf-8")

    def _deadline_s(self, cell: Cell) -> float:
        limits = self.run.manifest.matrix.limits
        return limits.deadline_s * cell.deadline_factor * (limits.emulated if self.emulated else 1)

    def _threads(self, cell: Cell) -> int:
        return cell.threads or self.run.manifest.matrix.limits.threads

    def _cpus(self, cell: Cell) -> tuple[int, ...]:
        """Return the CPUs of a cell: the lane's, of which others may have more threads than it."""
        is_swept = any(planned.threads for planned in self.run.manifest.plan.cells)
        return self.lane.cpus[-self._threads(cell) :] if is_swept else self.lane.cpus

    def _limits(self, cell: Cell) -> Limits:
        limits = self.run.manifest.matrix.limits
        return Limits(
            memory_bytes=self.lane.memory_bytes,
            processes=limits.processes,
            cpus=self._cpus(cell),
            log_bytes=int(limits.log),
            file_bytes=int(limits.file),
            disk_bytes=int(limits.disk),
        )

    def document(self, job: Job, cell: Cell, contents: Mapping[str, Any]) -> dict[str, Any]:
        """Return the ``input.json`` of a job with its own *contents*."""
        manifest = self.run.manifest
        return {
            "schema": SCHEMA_VERSION,
            "run": self.run.id,
            "job": job.id,
            "wave": job.wave,
            "round": job.round,
            "cell": {
                "id": cell.id,
                "name": cell.name,
                "base": cell.base,
                "architecture": cell.architecture,
                "device": cell.device,
                "python": cell.python,
            },
            "emulated": self.emulated,
            "timed": self.is_timed(job),
            "adapter": cell.adapter,
            "options": dict(cell.options),
            "phases": list(job.phases),
            "cold": manifest.plan.is_cold(job, cell),
            "deadline_s": self._deadline_s(cell),
            "threads": self._threads(cell),
            "selftest": ["float32", "float64"],
            "infer": self._infer(job),
            **contents,
        }

    def _produce(self, job: Job, cell: Cell, control: Path) -> dict[str, Any]:
        workload = self.run.manifest.matrix.workloads[job.workload]
        data = control / "data"
        data.mkdir()
        for name, source in inputs.files(self.run.inputs, job.workload).items():
            copy_file(source, data / name)
        self._shorten(job, data / "order.npz")
        if "probe" in job.phases:
            (data / "probes.npz").write_bytes(inputs.npz_bytes(_flat(probes.inputs())))
        return {
            **({"probes": "data/probes.npz"} if "probe" in job.phases else {}),
            "formats": list(self.run.manifest.plan.formats(cell, job.workload)),
            "workload": {
                "id": job.workload,
                "network": networks.NETWORKS[workload.network],
                "data": "data/data.npz",
                "weights": "data/weights.npz",
                "order": "data/order.npz",
                "batch": workload.batch,
                "optimiser": {"name": "sgd", "rate": workload.rate},
            },
        }

    def _shorten(self, job: Job, path: Path) -> None:
        """Drop the steps of training that a cell does not do. Raises Damaged."""
        try:
            order = arrays.read_all(path, arrays.NUMBERS)
            planned = len(order["order"])
        except (arrays.Unreadable, KeyError, TypeError) as error:
            original = inputs.files(self.run.inputs, job.workload)["order.npz"]
            raise Damaged(original, f"damaged: {error}", hint="start a new run") from None
        steps = self.run.manifest.plan.steps(job.cell, planned)
        if steps < planned:
            inputs.write_npz(path, {name: values[:steps] for name, values in order.items()})

    def _inspect(self, job: Job, control: Path) -> dict[str, Any]:
        planned = self.run.manifest.plan.imports
        model = next(model for model in planned if model.name == job.subject)
        copy_tree(self.run.model_path(model.name), control / "model")
        request = model.sample_request
        sample_inputs = imports.inputs_for(self.run, model)
        if is_there(sample_inputs):
            (control / "given").mkdir()
            copy_file(sample_inputs, control / "given" / artifacts.INPUTS)
        return {
            "import": {
                "format": model.format,
                "model": f"model/{model.file}",
                "inputs": f"given/{artifacts.INPUTS}" if is_there(sample_inputs) else None,
                "seed": self.run.manifest.plan.seed,
                "shapes": {name: list(sizes) for name, sizes in request.shapes.items()},
                "ranges": {name: list(ends) for name, ends in request.ranges.items()},
            }
        }

    def is_timed(self, job: Job) -> bool:
        """Return whether the times of a job count, on this engine."""
        return not self.emulated and self.run.manifest.plan.is_timed(job)

    def _consume(self, job: Job, control: Path) -> dict[str, Any]:
        assert job.artifact is not None
        artifact = artifacts.hand_over(self.run, job.artifact, control)
        infer = self._infer(job)
        if artifact["batch"]:
            infer["batches"] = [artifact["batch"]]
        if not artifact["splits"]:
            infer["batches"] = [max(artifact["rows"], 1)]
        return {"artifact": artifact, "infer": infer}

    def _infer(self, job: Job) -> dict[str, Any]:
        """Return how inference is sampled in a job."""
        settings = {**self.run.manifest.plan.infer.model_dump(), "generations": GENERATIONS}
        if not self.is_timed(job):
            repeats = min(settings["repeats"], MOST_REPEATS_UNTIMED)
            settings.update(UNTIMED, repeats=repeats, operators=False, generations=1)
            settings["batches"] = [self._known_batch(job)]
        return settings

    def _known_batch(self, job: Job) -> int:
        """Return a batch size that a job has computed before: a new one may compile for minutes."""
        workloads = self.run.manifest.matrix.workloads
        return (
            1 if job.artifact else workloads[job.workload].batch if job.workload in workloads else 1
        )


def _flat(grouped: Mapping[str, Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    return {
        f"{group}/{name}": array
        for group, arrays in grouped.items()
        for name, array in arrays.items()
    }
