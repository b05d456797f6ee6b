"""The harness, driven as the host drives it: a process and a control directory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deepmatrix.workloads import inputs

ROOT = Path(__file__).resolve().parents[2]

LINEAR = {
    "name": "digits-linear",
    "input": [1, 8, 8],
    "classes": 10,
    "layers": [
        {"name": "flatten", "kind": "flatten"},
        {"name": "output", "kind": "dense", "units": 10},
    ],
}


def job(**changes):
    """Return an ``input.json`` without a workload or an artifact."""
    return {
        "schema": 1,
        "run": "a-run",
        "job": "a-job",
        "round": 0,
        "cell": {"id": "fake-debian12-amd64-cpu", "name": "fake", "device": "cpu"},
        "emulated": False,
        "adapter": "fake_adapter",
        "deadline_s": 60,
        "threads": 1,
        "selftest": ["float32", "float64"],
        "infer": {"batches": [1, 32], "samples": 10, "warmup": 2, "min_s": 0.0},
        **changes,
    }


def production(**changes):
    """Return a job that trains the linear network and exports it as ``onnx``."""
    workload = {
        "id": "digits-linear",
        "network": LINEAR,
        "data": "data/data.npz",
        "weights": "data/weights.npz",
        "order": "data/order.npz",
        "batch": 32,
        "optimiser": {"name": "sgd", "rate": 0.5},
    }
    phases = ["startup", "parity", "passes", "train", "deploy", "infer"]
    return job(
        **{"wave": "produce", "phases": phases, "formats": ["onnx"], "workload": workload} | changes
    )


def consumption(**changes):
    """Return a job that reads the artifact of `production`."""
    artifact = {
        "id": "an-artifact",
        "format": "onnx",
        "model": "artifact/model.onnx",
        "inputs": [{"name": "x", "path": "artifact/inputs/0.npy"}],
        "splits": [1, 3],
    }
    return job(
        **{"wave": "consume", "phases": ["startup", "infer"], "artifact": artifact} | changes
    )


def statuses(output):
    return {entry["phase"]: entry["status"] for entry in output["records"]}


def errors(output):
    return {entry["phase"]: entry["error"]["type"] for entry in output["records"] if entry["error"]}


def data_of(output, phase):
    (data,) = [entry["data"] for entry in output["records"] if entry["phase"] == phase]
    return data


#: The phases of `production`.
PHASES = tuple(production()["phases"])


def arrays(path):
    with np.load(path) as archive:
        return dict(archive)


def write_inputs(cell, x):
    (cell.control / "artifact" / "inputs").mkdir()
    np.save(cell.control / "artifact" / "inputs" / "0.npy", x)


class Cell:
    """A control directory in which harness processes run."""

    def __init__(self, control, python=sys.executable):
        self.control = control
        self.python = python
        self.log = ""
        data = inputs.load_data(LINEAR)
        rows = inputs.batch_order(len(data["train_x"]), batch=32, epochs=5, seed=1)
        weights = {
            "output.kernel": np.zeros((10, 64), np.float32),
            "output.bias": np.zeros(10, np.float32),
        }
        (control / "data").mkdir(parents=True)
        for name, arrays in (
            ("data", data),
            ("weights", weights),
            ("order", {"order": rows, "rates": np.full(len(rows), 0.5)}),
        ):
            (control / "data" / f"{name}.npz").write_bytes(inputs.npz_bytes(arrays))

    def start(self, document, fault=""):
        """Run the harness on *document*; return the exit code."""
        text = document if isinstance(document, str) else json.dumps(document)
        (self.control / "input.json").write_text(text, encoding="utf-8")
        ended = subprocess.run(
            [self.python, "-m", "harness", str(self.control)],
            cwd=self.control,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
                "PYTHONDONTWRITEBYTECODE": "1",
                "FAKE_FAULT": fault,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.log = ended.stdout + ended.stderr
        return ended.returncode

    def run(self, document, fault=""):
        """Run the harness, which must exit with 0; return its ``output.json``."""
        code = self.start(document, fault)
        assert code == 0, self.log
        return json.loads((self.control / "output.json").read_text(encoding="utf-8"))


@pytest.fixture
def cell(tmp_path):
    return Cell(tmp_path / "control")
