"""Tasks: the control directory, limits and environment of a process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from deepmatrix.engines import Limits, Task
from deepmatrix.errors import ArgumentError
from deepmatrix.models import imports
from deepmatrix.planning.cells import Capabilities, Cell
from deepmatrix.planning.plan import Job
from deepmatrix.store import artifacts
from deepmatrix.store.runs import Run
from deepmatrix.workloads import inputs, networks, probes
from harness.record import INPUT, INSPECT, SCHEMA_VERSION

#: Seconds that a process may live beyond its own watchdog, which writes a traceback.
GRACE_S = 10.0

#: Names the processor that QEMU emulates.
QEMU_CPU = "QEMU_CPU"

#: How an artifact is run where times say nothing of a machine, under emulation or by a standard's
#: evaluator of a user's own model: once.
UNTIMED = {"samples": 1, "min_s": 0.0, "max_s": None, "warmup": 0}

#: At most this many answers of such a cell are compared: each may take minutes.
MOST_REPEATS_UNTIMED = 3


@dataclass(frozen=True, kw_only=True)
class TaskMaker:
    """Writes the control directory of a job and makes its task."""

    run: Run
    capabilities: Capabilities
    emulated: bool

    def contents(self, job: Job, cell: Cell, control: Path) -> Mapping[str, Any]:
        """Write the files of a planned job into *control*; return the job's part of its input."""
        if INSPECT in job.phases:
            return self._inspect(job, control)
        if job.artifact is None:
            return self._produce(job, cell, control)
        return self._consume(job, cell, control)

    def task(self, job: Job, cell: Cell, control: Path, contents: Mapping[str, Any]) -> Task:
        """Write ``input.json`` with the job's own *contents* into *control*; return the task."""
        matrix = self.run.manifest.matrix
        limits = matrix.limits
        deadline = (
            limits.deadline_s * cell.deadline_factor * (limits.emulated if self.emulated else 1)
        )
        document = {**self._document(job, cell, deadline), **contents}
        (control / INPUT).write_text(json.dumps(document), encoding="utf-8")
        is_native = cell.architecture in self.capabilities.native
        emulation = {} if is_native else matrix.architectures[cell.architecture].emulation
        processor = {QEMU_CPU: cell.processor} if cell.processor else {}
        emulator = Path(self.capabilities.emulator) if is_native and cell.processor else None
        return Task(
            id=job.id,
            run_id=self.run.id,
            cell=cell,
            control=control,
            deadline_s=deadline + GRACE_S,
            limits=self._limits(),
            environment={**emulation, **processor, **cell.environment},
            emulator=emulator,
        )

    def _limits(self) -> Limits:
        limits = self.run.manifest.matrix.limits
        if limits.threads > self.capabilities.cpus:
            raise ArgumentError(
                f"limits.threads is {limits.threads}; the engine has {self.capabilities.cpus} CPUs"
            )
        last = self.capabilities.cpus
        cpus = limits.cpus or tuple(range(last - limits.threads, last))  # the first are busiest
        if len(set(cpus)) < limits.threads or max(cpus) >= last:
            raise ArgumentError(
                f"limits.cpus is {list(cpus)}: at least {limits.threads} of the engine's CPUs, "
                f"0 to {last - 1}, are needed"
            )
        return Limits(
            memory_bytes=int(limits.memory),
            processes=limits.processes,
            cpus=cpus,
            log_bytes=int(limits.log),
            file_bytes=int(limits.file),
        )

    def _document(self, job: Job, cell: Cell, deadline: float) -> dict[str, Any]:
        manifest = self.run.manifest
        infer = manifest.plan.infer
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
            "adapter": cell.adapter,
            "options": dict(cell.options),
            "phases": list(job.phases),
            "cold": manifest.plan.is_cold(job, cell),
            "deadline_s": deadline,
            "threads": manifest.matrix.limits.threads,
            "selftest": ["float32", "float64"],
            "infer": infer.model_dump(),
        }

    def _produce(self, job: Job, cell: Cell, control: Path) -> dict[str, Any]:
        workload = self.run.manifest.matrix.workloads[job.workload]
        data = control / "data"
        data.mkdir()
        for name, source in inputs.files(self.run.inputs, job.workload).items():
            shutil.copyfile(source, data / name)
        if "probe" in job.phases:
            (data / "probes.npz").write_bytes(inputs.npz_bytes(_flat(probes.inputs())))
        return {
            **({"probes": "data/probes.npz"} if "probe" in job.phases else {}),
            "formats": list(cell.exports),
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

    def _inspect(self, job: Job, control: Path) -> dict[str, Any]:
        planned = self.run.manifest.plan.imports
        model = next(model for model in planned if model.name == job.subject)
        shutil.copytree(self.run.model_path(model.name), control / "model")
        request = model.sample_request
        sample_inputs = imports.inputs_for(self.run, model)
        if sample_inputs.is_file():
            (control / "given").mkdir()
            shutil.copyfile(sample_inputs, control / "given" / artifacts.INPUTS)
        return {
            "import": {
                "format": model.format,
                "model": f"model/{model.file}",
                "inputs": f"given/{artifacts.INPUTS}" if sample_inputs.is_file() else None,
                "seed": self.run.manifest.plan.seed,
                "shapes": {name: list(sizes) for name, sizes in request.shapes.items()},
                "ranges": {name: list(ends) for name, ends in request.ranges.items()},
            }
        }

    def _consume(self, job: Job, cell: Cell, control: Path) -> dict[str, Any]:
        assert job.artifact is not None
        artifact = artifacts.hand_over(self.run, job.artifact, control)
        infer = self.run.manifest.plan.infer.model_dump()
        if self.emulated or (job.artifact.imported and cell.is_evaluator):
            infer.update(UNTIMED, repeats=min(infer["repeats"], MOST_REPEATS_UNTIMED))
        if artifact["batch"]:
            infer["batches"] = [artifact["batch"]]
        if not artifact["splits"]:
            infer["batches"] = [max(artifact["rows"], 1)]
        return {"artifact": artifact, "infer": infer}


def _flat(grouped: Mapping[str, Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    return {
        f"{group}/{name}": array
        for group, arrays in grouped.items()
        for name, array in arrays.items()
    }
