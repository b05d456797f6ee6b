"""Records and runs for the tests, made by code so that they follow its types."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from deepmatrix.config import matrix_file
from deepmatrix.config.matrix import Matrix
from deepmatrix.paths import ROOT
from deepmatrix.planning.cells import Capabilities
from deepmatrix.planning.matrix_plan import plan_matrix
from deepmatrix.planning.plan import Job, Plan
from deepmatrix.planning.selection import Selection
from deepmatrix.planning.subjects import Artifact
from deepmatrix.store.artifacts import fingerprint, read_description, sha256
from deepmatrix.store.records import Agreement, JobRecord, Parity
from deepmatrix.store.reported.output import Exported, ExportedFile, Output
from deepmatrix.store.runs import Run

MATRIX = matrix_file.load(ROOT / "matrix.yaml")
DOCKER = Capabilities(
    engine="docker", native=frozenset({"amd64"}), emulated=frozenset({"arm64"}), cpus=2
)

CANARY = {"matmul_flops": 5e10, "matmul_flops_best": 6e10, "copy_bytes_s": 1e10}
PARITY = Parity(outputs={"output": 1e-7}, gradients={"output.kernel": 2e-7})


def write_zip(path: Path, *names: str) -> Path:
    """Write a zip archive with files of these names, and return its path."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return path


def planned(*globs: str, seed: int = 0) -> Plan:
    return plan_matrix(MATRIX, Selection(include=globs), DOCKER, seed=seed)


def new_run(parent: Path, plan: Plan, name: str = "one", matrix: Matrix = MATRIX) -> Run:
    return Run.create(parent, plan, matrix, version="0.1.0", name=name)


def output(job: Job, **changes: Any) -> Output:
    base = 1.0 + job.round / 100
    phases = {
        "startup": {"import_s": 0.5 * base, "first_step_s": 0.01},
        "train": {
            "step_s": [0.002 * base + i * 1e-6 for i in range(30)],
            "losses": [2.3, 1.2, 0.7],
            "accuracy": 0.97,
        },
        "inspect": {},
        "parity": {},
        "passes": {
            "batch": 16,
            "forward": {"latency_s": [1e-3 * base] * 20, "warmup": 2},
            "backward": {"latency_s": [3e-3 * base] * 20, "warmup": 2},
        },
        "steps": {"batches": {"32": {"latency_s": [3e-3 * base] * 20, "warmup": 2}}},
        "probe": {"probes": {}},
        "deploy": {},
        "infer": {
            "batches": {
                str(batch): {"latency_s": [1e-4 * batch * base] * 20, "warmup": 2}
                for batch in (1, 32)
            },
            "outputs": ["y"] if job.wave == "consume" else [],
        },
    }
    document = {
        "schema": 1,
        "job": job.id,
        "harness": "0" * 16,
        "environment": {"versions": {job.cell.split("-")[0]: "1.2.3"}},
        "selftest": [{"dtype": "float32", "passed": True, "error": 0.0}],
        "peak_memory_bytes": 123_000_000,
        "memory_source": "cgroup1",
        "records": [
            {
                "phase": phase,
                "status": "ok",
                "error": None,
                "started_s": 0.0,
                "seconds": 1.0,
                "data": phases[phase],
            }
            for phase in job.phases
        ],
        "artifacts": [],
        "canaries": [CANARY] * 2,
        **changes,
    }
    return Output.model_validate(document)


def record(job: Job, **changes: Any) -> JobRecord:
    agreement = Agreement(error=2e-7, producer_error=1e-7, from_producer=1e-7, scale=10.0)
    values: dict[str, Any] = {
        "run": "one",
        "job": job.id,
        "wave": job.wave,
        "cell": job.cell,
        "subject": job.subject,
        "workload": job.workload,
        "round": job.round,
        "engine": "docker",
        "emulated": "-arm64-" in job.cell,
        "status": "ok",
        "wall_s": 1.5,
        "output": output(job),
        "agreement": agreement if job.wave == "consume" else None,
        "parity": PARITY if "parity" in job.phases else None,
    }
    return JobRecord(**{**values, **changes})


def save_producer(run: Run, exported: Artifact) -> None:
    """Save the record of the job that stored an artifact."""
    cell, workload = exported.producer, exported.workload
    job = Job(wave="produce", cell=cell, subject=workload, round=0, phases=("deploy",))
    earlier = run.record(job).artifacts if run.record_path(job).is_file() else {}
    digest = fingerprint(read_description(run.artifact_path(exported)))
    run.save(job, record(job, artifacts={**earlier, exported.id: digest}))


def artifact(folder: Path, truth: object, produced: object) -> Path:
    """Make the folder of a kept model, as far as answers are judged by it."""
    (folder / "model").mkdir(parents=True)
    np.savez(folder / "gold.npz", y=np.asarray(truth))
    np.savez(folder / "outputs.npz", y=np.asarray(produced))
    model = ExportedFile(path="model/model.onnx", bytes=1, sha256="0" * 64)
    description = Exported(format="onnx", files=(model,), export_s=1.0)
    (folder / "artifact.json").write_text(description.model_dump_json())
    return folder


def store_model(run: Run, exported: Artifact, x: np.ndarray, content: bytes) -> None:
    """Store an ONNX artifact of a producer that ran, with its inputs *x* as gold, too."""
    folder = artifact(run.artifact_path(exported), x, x)
    np.savez(folder / "inputs.npz", x=x)
    model = folder / "model" / "model.onnx"
    model.write_bytes(content)
    file = ExportedFile(path="model/model.onnx", bytes=1, sha256=sha256(model))
    described = Exported(id=exported.id, format="onnx", files=(file,), export_s=1.0)
    (folder / "artifact.json").write_text(described.model_dump_json())
    save_producer(run, exported)
