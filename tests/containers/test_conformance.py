"""A standard's own tests, in real containers."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
from rich.console import Console

from deepmatrix import __version__
from deepmatrix.cli import main
from deepmatrix.cli.display import Display
from deepmatrix.config.matrix import Matrix
from deepmatrix.conformance import suite
from deepmatrix.conformance.suite import Outcome, Suite, Trial
from deepmatrix.engines.docker.engine import DockerEngine
from deepmatrix.execution.attempts import Attempts
from deepmatrix.planning.cells import Cell
from deepmatrix.planning.selection import Selection
from deepmatrix.planning.suite_plan import plan_suite
from deepmatrix.store.reported.conformance import SuiteCase, SuiteData
from deepmatrix.store.runs import Run
from harness.record import SUITE_ARRAYS, SUITE_MODELS


def cases_of(folder: Path, models: list[str]) -> Suite:
    """Return cases that a faulty adapter takes: to double an array, or to fail at it."""
    (folder / SUITE_MODELS).mkdir(parents=True)
    cases, arrays = [], {}
    for number, model in enumerate(models):
        path = f"{SUITE_MODELS}/{number}.onnx"
        (folder / path).write_text(model, encoding="utf-8")
        facts = {"format": "onnx", "model": path, "inputs": ["x"], "outputs": 1, "rtol": 1e-3}
        cases.append(SuiteCase(name=f"case_{number}", **facts))
        arrays[f"{number}/in/0"] = np.arange(3, dtype=np.float32)
        arrays[f"{number}/out/0"] = np.float32([0, 2, 5 if model == "off" else 4])
    np.savez(folder / SUITE_ARRAYS, **arrays)
    return Suite(name="doubling", data=SuiteData(version="1", cases=cases), folder=folder)


def test_a_case_that_kills_its_process_is_named_and_the_others_are_tried(
    docker_engine: DockerEngine, cell: Cell, matrix: Matrix, tmp_path: Path
) -> None:
    capabilities = docker_engine.capabilities()
    planned = plan_suite(matrix, "onnx", Selection(include=(cell.id,)), capabilities)
    run = Run.create(tmp_path / "runs", planned, matrix, version=__version__)
    attempts = Attempts(
        run=run,
        engine=docker_engine,
        capabilities=capabilities,
        cancel=threading.Event(),
        watcher=Display(Console(quiet=True)),
    )
    faulty = cell.with_system(adapter="faulty_adapter")
    cases = cases_of(
        tmp_path / "suite", ["right", "segfault", "off", "refuse", "widen", "abort", ""]
    )
    conformity = Trial(attempts, faulty, cases).conformity()
    assert conformity.passed == 2
    assert conformity.failed == {
        "case_1": Outcome(
            ending="crash", kind="crashed", reason="killed by SIGSEGV (invalid memory access)"
        ),
        "case_2": Outcome(ending="wrong", kind="values", reason="1 of 3 values differ"),
        "case_3": Outcome(ending="error", kind="ValueError", reason="ValueError: it refuses"),
        "case_4": Outcome(ending="wrong", kind="dtype", reason="the dtype float64, not float32"),
        "case_5": Outcome(
            ending="crash", kind="crashed", reason="killed by SIGABRT (it aborted itself)"
        ),
    }


def test_a_runtime_fails_what_its_baseline_says_and_nothing_else(
    cell: Cell, tmp_path: Path
) -> None:
    code = main.main(["conformance", cell.id, "--runs", str(tmp_path)])
    (path,) = tmp_path.glob("*/conformance/*.json")
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["passed"] > 1500
    if known := suite.baseline(cell.id):
        assert code == 0
        assert document["failed"].keys() <= known.failed.keys()
