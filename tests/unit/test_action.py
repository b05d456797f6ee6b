"""The action, run from its own YAML in a repository of one model."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from deepmatrix.paths import ROOT
from deepmatrix.reports.comment import MARKER
from tests import planted
from tests.workflows import Runner, load, plain_environment

ACTION = load(ROOT / "action.yml")
STEPS = ACTION["runs"]["steps"]
CELL = "onnxruntime-debian12-amd64-cpu"

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="no cell of the evaluator has this Python"
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the action's first steps once, and lend what they install the packages of this one."""
    folder = tmp_path_factory.mktemp("installed")
    runner = Runner(folder=folder, temporary=folder / "temp")
    runner.context["github.action_path"] = str(ROOT)
    runner.environment = plain_environment()
    assert runner.run(STEPS[:2]) == 0, runner.log
    (packages,) = (folder / "temp" / "deepmatrix" / "program").glob("lib/*/site-packages")
    (packages / "lent.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "temp"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of one model with its project's file."""
    folder = tmp_path / "models"
    folder.mkdir()
    entry = "{model: net.onnx, inputs: [x.npz], reference: y.npz}"
    (folder / "deepmatrix.yaml").write_text(f"version: 1\nmodels: [{entry}]\n")
    save(folder, planted.model())
    return folder


def save(folder: Path, model: onnx.ModelProto) -> None:
    """Store a model with inputs, and with what is right for them."""
    x = np.random.default_rng(1).standard_normal((2, 8, 12, 12)).astype(np.float32)
    names = [output.name for output in model.graph.output]
    right = dict(zip(names, ReferenceEvaluator(model).run(names, {"x": x}), strict=True))
    onnx.save(model, folder / "net.onnx")
    np.savez(folder / "x.npz", x=x)
    np.savez(folder / "y.npz", **right)


def run_action(repository: Path, installed: Path, **inputs: str) -> tuple[int, Runner]:
    """Run what the action does after the installation; return its exit code, and its runner."""
    shutil.rmtree(installed / "deepmatrix" / "runs", ignore_errors=True)
    runner = Runner(folder=repository, temporary=installed, environment=plain_environment())
    defaults = {key: str(value["default"]) for key, value in ACTION["inputs"].items()}
    given = {key.replace("_", "-"): value for key, value in inputs.items()}
    for key, value in {**defaults, "engine": "here", "cells": CELL, **given}.items():
        runner.context[f"inputs.{key}"] = value
    folder = installed / "deepmatrix"
    outputs = {"program": folder / "program/bin/deepmatrix", "folder": folder}
    for key, path in {**outputs, "runs": folder / "runs"}.items():
        runner.context[f"steps.install.outputs.{key}"] = str(path)
    return runner.run(STEPS[2:]), runner


def comment(runner: Runner) -> str:
    return Path(runner.value(ACTION["outputs"]["comment"]["value"])).read_text()


def test_a_good_model_is_green_and_one_that_drifts_red_with_its_node(
    repository: Path, installed: Path
) -> None:
    code, runner = run_action(repository, installed, config="deepmatrix.yaml")
    assert code == 0, runner.log
    assert comment(runner).startswith(f"{MARKER}\n### deepmatrix: ✓ as expected\n")
    assert "✓ net.onnx: 1 of 1 consumer matches" in comment(runner)
    assert "https://github.example/team/models/actions/runs/7" in comment(runner)

    save(repository, planted.model(gated=True))
    code, runner = run_action(repository, installed, config="deepmatrix.yaml")
    assert code == 1, runner.log
    assert "### deepmatrix: ✗ 1 problem" in comment(runner)
    assert f"net on `{CELL}`: drift, first wrong node `logarithm`" in comment(runner)
    (line,) = [line for line in runner.log.splitlines() if line.startswith("::error ")]
    assert "title=net%3A drift" in line
    assert comment(runner) in runner.summary
    assert "# Verification" in runner.summary


def test_with_a_baseline_only_what_is_worse_fails(repository: Path, installed: Path) -> None:
    _, runner = run_action(repository, installed, config="deepmatrix.yaml")
    program = runner.context["steps.install.outputs.program"]
    runs = [str(path) for path in (installed / "deepmatrix" / "runs").glob("*/")]
    update = [program, "compare", "--baseline", "verdicts.yaml", "--update-baseline", *runs]
    subprocess.run(update, cwd=repository, env=plain_environment(), check=True)
    baseline = {"config": "deepmatrix.yaml", "baseline": "verdicts.yaml"}

    save(repository, planted.model(gated=True))
    code, runner = run_action(repository, installed, **baseline)
    assert code == 1, runner.log
    assert "**Against verdicts.yaml:** ✗ 1 limit broken: 1 new failure" in comment(runner)
    assert "first wrong node `logarithm`" in comment(runner)

    path = repository / "verdicts.yaml"
    accepted = "verdict: drift, error: 1.0, reason: the gate is never used"
    path.write_text(path.read_text().replace("verdict: match", accepted))
    code, runner = run_action(repository, installed, **baseline)
    assert code == 0, runner.log
    assert comment(runner).startswith(f"{MARKER}\n### deepmatrix: ✓ as expected\n")


def test_inputs_are_never_run(repository: Path, installed: Path) -> None:
    hostile = "$(touch ran).onnx\n`touch ran`.onnx\n--help\n; touch ran"
    code, runner = run_action(repository, installed, models=hostile, cells="$(touch ran)")
    assert code == 2
    assert "is not there" in runner.log or "matches no cell" in runner.log
    assert not (repository / "ran").exists()
