"""What seems slower between two runs is served again from both runs' images, in turn."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from deepmatrix.engines.docker.engine import DockerEngine
from deepmatrix.machine import processes
from tests.containers.conftest import ROOT

#: On a machine that others measure on, each process waits for its turn.
pytestmark = pytest.mark.timeout(2400)

TORCH, ONNXRUNTIME = "torch-debian12-amd64-cpu", "onnxruntime-debian12-amd64-cpu"

WORKLOAD = "conv1d-tiny"

#: What the matrix file says here instead: one exported model, served in a few processes.
CHANGES = {
    """    exports: [onnx, torch-export, torchscript]
    reads: [torch-export, torchscript, aotinductor]
""": "    exports: [onnx]\n",
    "\npresets:\n": """
presets:
  again:
    cells: [torch-debian12-amd64-cpu, onnxruntime-debian12-amd64-cpu]
    workloads: [conv1d-tiny]
    phases: [startup, train, deploy]
    rounds: {native: 3}
    infer: {batches: [1], samples: 50, min_s: 0.3, max_s: 1.0, warmup: 5}
""",
}

#: By how much a day is slower: more than rounds differ on a busy machine.
SLOW_DAY = 8

#: What makes each call of Python slower: it remembers where memory was asked for.
SLOW = "\n  onnxruntime:\n    environment: {PYTHONTRACEMALLOC: '1'}\n"


def call(*words: object) -> tuple[int, str]:
    """Run a command of the host; return its exit code and what it printed."""
    command = [sys.executable, "-m", "deepmatrix", *map(str, words)]
    environment = {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    try:
        return 0, processes.run(command, cwd=ROOT, environment=environment)
    except processes.CommandFailed as error:
        return error.code or 4, error.output


@pytest.fixture(scope="module")
def runs(docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with ``monday``; ``tuesday``, the same on a slow day; and ``slowed``."""
    if "amd64" not in docker_engine.capabilities().native:
        pytest.skip("its cells are of amd64")
    folder = tmp_path_factory.mktemp("days")
    text = (ROOT / "matrix.yaml").read_text("utf-8")
    for old, new in CHANGES.items():
        text = text.replace(old, new, 1)
    shutil.copy(ROOT / "expected-failures.yaml", folder)
    (folder / "matrix.yaml").write_text(text, "utf-8")
    (folder / "slow.yaml").write_text(text.replace("\n  onnxruntime:\n", SLOW, 1), "utf-8")
    for name, file, *more in (
        ("monday", "matrix"),
        ("tuesday", "matrix", "--reuse", "monday"),
        ("slowed", "slow", "--reuse", "monday"),
    ):
        where = ("--file", folder / f"{file}.yaml", "--runs", folder, "--name", name)
        code, screen = call("matrix", "--preset", "again", *where, *more)
        assert code == 0, screen
    for path in (folder / "tuesday" / "records" / ONNXRUNTIME).rglob("r?.json"):
        record = json.loads(path.read_text("utf-8"))
        for phase in record["output"]["records"]:
            for batch in phase["data"].get("batches", {}).values():
                batch["latency_s"] = [SLOW_DAY * seconds for seconds in batch["latency_s"]]
        path.write_text(json.dumps(record), "utf-8")
    return folder


def compared(runs: Path, head: str, *words: str) -> tuple[int, str, dict[str, Any]]:
    """Compare a run with Monday's; return the exit code, the screen and the document."""
    files = ("--runs", runs, "--json", runs / f"{head}.json")
    code, screen = call("compare", "monday", head, "--fail-on", "slower:5%", *files, *words)
    return code, screen, json.loads((runs / f"{head}.json").read_text("utf-8"))


def inference(document: dict[str, Any]) -> dict[str, Any]:
    """Return what a comparison says of the artifact's latency on ONNX Runtime."""
    (time,) = (
        time
        for time in document["times"]
        if (time["cell"], time["quantity"]) == (ONNXRUNTIME, "inference")
    )
    assert time["subject"] == f"{TORCH}--{WORKLOAD}--onnx"
    return dict(time)


def test_a_slow_day_fails_the_first_measurement_and_not_the_second(runs: Path) -> None:
    code, _, document = compared(runs, "tuesday", "--no-repeat")
    first = inference(document)
    assert (code, first["word"], first["again"]) == (1, "slower", False)
    assert first["ratio"] == pytest.approx(SLOW_DAY)

    code, screen, document = compared(runs, "tuesday", "--rounds", "5")
    assert code == 0, screen
    second = inference(document)
    assert (second["again"], second["unrepeated"], second["rounds"]) == (True, "", [5, 5])
    assert second["ratio"] < SLOW_DAY / 4


def test_a_slow_environment_is_slow_again_and_breaks_the_limit(runs: Path) -> None:
    code, screen, document = compared(runs, "slowed")
    assert code == 1, screen
    time = inference(document)
    assert (time["again"], time["word"], time["rounds"]) == (True, "slower", [10, 10])
    assert any(ONNXRUNTIME in line for line in document["broken"])
