"""The workflows of this repository whose jobs need a container engine, run from their own YAML."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from deepmatrix.config import matrix_file
from deepmatrix.paths import ROOT
from deepmatrix.planning.cells import all_cells
from tests.workflows import Runner, load, new_checkout, own_runner

CI = load(ROOT / ".github/workflows/ci.yml")
CONFORMANCE = load(ROOT / ".github/workflows/conformance.yml")
MATRIX = load(ROOT / ".github/workflows/matrix.yml")

PRODUCER = "torch-debian12-amd64-cpu"
EVALUATOR = "onnx-debian12-amd64-cpu"
CONSUMER = "onnxruntime-debian12-amd64-cpu"

pytestmark = [
    pytest.mark.usefixtures("docker_engine"),
    pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the workflows have this Python"),
]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_checkout(tmp_path_factory.mktemp("own"))


@pytest.fixture
def runner(checkout: Path, tmp_path: Path) -> Runner:
    return own_runner(checkout, tmp_path)


def change_matrix(checkout: Path, change: Any) -> None:
    """Change the matrix file of a checkout, from what it is in the repository."""
    document = load(ROOT / "matrix.yaml")
    change(document)
    with (checkout / "matrix.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(document, file)


def leave_only(checkout: Path, *kept: str) -> None:
    """Exclude all other cells in the matrix file of a checkout."""
    others = {cell.id for cell in all_cells(matrix_file.load(ROOT / "matrix.yaml"))} - set(kept)

    def change(document: Any) -> None:
        document["exclude"] = [{"cells": name, "reason": "smaller"} for name in sorted(others)]
        document["presets"] = {"default": {"cells": [CONSUMER], "workloads": ["*"]}}
        del document["expected_failures_file"]

    change_matrix(checkout, change)


def jobs(runner: Runner, does: str) -> list[str]:
    """Return the cells that the plan gives jobs, and hand them to the jobs that need them."""
    planned = runner.context[f"steps.plan.outputs.{does}"]
    runner.context[f"needs.plan.outputs.{does}"] = planned
    return [job["cell"] for job in json.loads(planned)["include"]]


def test_what_the_jobs_of_a_matrix_make_is_merged_and_judged(
    checkout: Path, runner: Runner
) -> None:
    def change(document: Any) -> None:
        document["presets"]["smoke"]["cells"] = [PRODUCER, CONSUMER]

    change_matrix(checkout, change)
    runner.context["inputs.preset"] = "smoke"
    assert runner.job(MATRIX, "plan") == 0, runner.log
    runner.context["needs.plan.result"] = "success"
    shutil.rmtree(checkout / "runs")
    for cell in jobs(runner, "produces"):
        runner.context["matrix.cell"] = cell
        assert runner.job(MATRIX, "produce") == 0, runner.log
        assert (runner.store / f"produce-{cell}" / "artifacts").is_dir()
        shutil.rmtree(checkout / "runs")  # each job has a machine of its own
    for cell in jobs(runner, "consumes"):
        runner.context["matrix.cell"] = cell
        assert runner.job(MATRIX, "consume") == 0, runner.log
        assert (runner.store / f"consume-{cell}" / "records").is_dir()
        shutil.rmtree(checkout / "runs")
    assert runner.job(MATRIX, "merge") == 0, runner.log
    assert "**All as expected.**" in runner.summary
    results = json.loads((runner.store / "results" / "results.json").read_text("utf-8"))
    served = {row["consumer"]: row["verdict"] for row in results["portability"]}
    assert served == {PRODUCER: "match", CONSUMER: "match"}


def test_the_standards_tests_and_repeated_models_are_reported_at_night(
    checkout: Path, runner: Runner
) -> None:
    leave_only(checkout, EVALUATOR, CONSUMER)
    runner.context["matrix.architecture"] = "amd64"
    assert runner.job(CONFORMANCE, "conformance") == 0, runner.log
    assert CONSUMER in runner.summary
    kept = runner.store / "conformance-amd64"
    assert (kept / "report.md").is_file()
    assert list((kept / "conformance").iterdir())
    results = json.loads((checkout / "runs/nightly-repeats/results.json").read_text("utf-8"))
    assert {row["consumer"] for row in results["portability"]} >= {CONSUMER}


@pytest.mark.parametrize(("asserted", "code"), [("True", 0), ("False", 1)])
def test_the_coverage_of_the_unit_tests_is_in_the_summary(
    checkout: Path, runner: Runner, asserted: str, code: int
) -> None:
    """In place of all tests one, which passes or fails."""
    for folder in ("unit", "inside"):
        shutil.rmtree(checkout / "tests" / folder)
        (checkout / "tests" / folder).mkdir()
    test = f"from deepmatrix import sizes\n\n\ndef test_one():\n    assert {asserted}, sizes\n"
    (checkout / "tests" / "unit" / "test_one.py").write_text(test, "utf-8")
    runner.context["matrix.python"] = "3.11"
    assert runner.job(CI, "unit") == code, runner.log
    assert ("Coverage of the unit tests, Python 3.11" in runner.summary) == (code == 0)
    assert ("deepmatrix/sizes.py" in runner.summary) == (code == 0)
