"""The action and GitLab's template, run from their own YAML in a repository of one model."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from deepmatrix.errors import ArgumentError, ConfigError, Interrupted
from deepmatrix.paths import ROOT
from deepmatrix.reports.comment import MARKER
from tests import planted
from tests.workflows import Runner, load, plain_environment, plant

ACTION = load(ROOT / "action.yml")
GITLAB = load(ROOT / "gitlab.yml")["deepmatrix"]
STEPS = ACTION["runs"]["steps"]
INSTALLED = {key: f"steps.install.outputs.{key}" for key in ("program", "folder", "runs")}
CELL = "onnxruntime-debian12-amd64-cpu"

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="no cell of the evaluator has this Python"
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return install(tmp_path_factory.mktemp("installed"))


def install(temporary: Path) -> dict[str, str]:
    """Run the action's first steps; return their outputs.

    What they install is lent the packages of this Python.
    """
    checkout = temporary / "checkout"
    checkout.mkdir(exist_ok=True)
    plant(checkout)
    runner = Runner(folder=checkout, temporary=temporary, environment=plain_environment())
    runner.context["github.action_path"] = str(ROOT)
    assert runner.run(STEPS[:2]) == 0, runner.log
    outputs = {key: runner.context[path] for key, path in INSTALLED.items()}
    lend(Path(outputs["folder"]) / "program")
    return outputs


def lend(environment: Path) -> None:
    """Lend a virtual environment the packages of this Python."""
    (packages,) = environment.glob("lib/*/site-packages")
    (packages / "lent.pth").write_text(sysconfig.get_path("purelib"))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of one model with its project's file."""
    folder = tmp_path / "models"
    folder.mkdir()
    plant(folder)
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


def run_action(repository: Path, installed: dict[str, str], **inputs: str) -> tuple[int, Runner]:
    """Run what the action does after the installation; return its exit code, and its runner."""
    shutil.rmtree(installed["runs"], ignore_errors=True)
    temporary = Path(installed["folder"]).parent
    runner = Runner(folder=repository, temporary=temporary, environment=plain_environment())
    defaults = {key: str(value["default"]) for key, value in ACTION["inputs"].items()}
    given = {key.replace("_", "-"): value for key, value in inputs.items()}
    for key, value in {**defaults, "engine": "here", "cells": CELL, **given}.items():
        runner.context[f"inputs.{key}"] = value
    for key, path in INSTALLED.items():
        runner.context[path] = installed[key]
    return runner.run(STEPS[2:]), runner


def comment(runner: Runner) -> str:
    return Path(runner.value(ACTION["outputs"]["comment"]["value"])).read_text()


def test_a_good_model_is_green_and_one_that_drifts_red_with_its_node(
    repository: Path, installed: dict[str, str]
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
    assert f"net on `{CELL}`: drift: float32 rounds too much before Log 'logarithm'" in comment(
        runner
    )
    (line,) = [line for line in runner.log.splitlines() if line.startswith("::error ")]
    assert "title=net%3A drift" in line
    assert comment(runner) in runner.summary
    assert "# Verification" in runner.summary


@pytest.mark.parametrize("given", ["config", "models"])
def test_a_file_that_is_no_model_is_named_beside_the_verdicts_of_the_others(
    repository: Path, installed: dict[str, str], given: str
) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:1234\nsize 1\n"
    (repository / "far.onnx").write_text(pointer)
    save(repository, planted.model(gated=True))
    entries = "{model: far.onnx}, {model: net.onnx, inputs: [x.npz], reference: y.npz}"
    (repository / "deepmatrix.yaml").write_text(f"version: 1\nmodels: [{entries}]\n")
    inputs = {"config": {"config": "deepmatrix.yaml"}, "models": {"models": "far.onnx\nnet.onnx"}}
    code, runner = run_action(repository, installed, **inputs[given])
    assert code == 1, runner.log
    page = comment(runner)
    assert page.startswith(f"{MARKER}\n### deepmatrix: ✗ "), page
    assert "**Not served**\n\n- the model is not served: far.onnx is a Git LFS" in page
    assert "net.onnx: " in page
    if given == "config":  # only its inputs show the drift
        assert "before Log 'logarithm'" in page
    assert page in runner.summary

    (repository / "net.onnx").write_text(pointer)
    code, runner = run_action(repository, installed, **inputs[given])
    assert code == ArgumentError.exit_code, "nothing was served"
    page = comment(runner)
    assert page.startswith(f"{MARKER}\n### deepmatrix: ✗ 3 problems"), page
    for name in ("far.onnx", "net.onnx"):
        assert f"- the model is not served: {name} is a Git LFS pointer" in page
    assert page in runner.summary


@pytest.mark.parametrize("decide", ["true", "false"])
def test_a_model_that_only_its_inspector_finds_damaged_is_named_on_the_comment(
    repository: Path, installed: dict[str, str], decide: str
) -> None:
    damage(repository / "net.onnx")
    code, runner = run_action(repository, installed, models="net.onnx", decide=decide)
    assert code == ArgumentError.exit_code, runner.log
    page = comment(runner)
    assert page.startswith(f"{MARKER}\n### deepmatrix: ✗ 2 problems"), page
    assert "- verify could not serve all: it ended with the exit code 2\n" in page
    assert "**Not served**\n\n- net: the model is not served: " in page
    assert page in runner.summary
    assert runner.value(ACTION["outputs"]["code"]["value"]) == "2"


@pytest.mark.parametrize("decide", ["True", "TRUE", "yes", "1", "", "False", " true"])
def test_whether_verdicts_decide_is_true_or_false_and_nothing_else(
    installed: dict[str, str], tmp_path: Path, decide: str
) -> None:
    """The steps after the verification, of a model that has a wrong verdict."""
    runner = Runner(folder=tmp_path, temporary=tmp_path, environment=plain_environment())
    runner.context |= {path: installed[key] for key, path in INSTALLED.items()}
    runner.context |= {"inputs.decide": decide, "steps.verify.outputs.code": "1"}
    assert runner.run(STEPS[-2:]) == ArgumentError.exit_code, runner.log
    (line,) = [line for line in runner.log.splitlines() if line.startswith("::error")]
    assert "decide has to be true or false" in line


def test_what_is_not_served_fails_whatever_a_baseline_accepts(
    repository: Path, installed: dict[str, str]
) -> None:
    (repository / "verdicts.yaml").write_text("version: 1\n")
    damage(repository / "net.onnx")
    baseline = {"models": "net.onnx", "baseline": "verdicts.yaml"}
    code, runner = run_action(repository, installed, **baseline)
    assert code == ArgumentError.exit_code, runner.log
    assert "net: the model is not served: " in comment(runner)
    (repository / "net.onnx").write_text("version https://git-lfs.github.com/spec/v1\n")
    code, runner = run_action(repository, installed, **baseline)
    assert code == ArgumentError.exit_code, runner.log
    assert "the model is not served: net.onnx is a Git LFS" in comment(runner)
    assert "✗ " in comment(runner)


def test_a_model_that_no_selected_cell_reads_is_named_beside_the_others(
    repository: Path, installed: dict[str, str]
) -> None:
    (repository / "lite.tflite").write_bytes(b"\0\0\0\0TFL3")
    code, runner = run_action(repository, installed, models="net.onnx\nlite.tflite")
    assert code == 1, runner.log
    page = comment(runner)
    assert "the model is not served: lite.tflite: no selected cell that can run here" in page
    assert "net.onnx: 1 of 1 consumer matches" in page


def damage(model: Path) -> None:
    """Cut a model so that only its inspector finds it damaged."""
    model.write_bytes(model.read_bytes()[:200])


def test_with_a_baseline_only_what_is_worse_fails(
    repository: Path, installed: dict[str, str]
) -> None:
    _, runner = run_action(repository, installed, config="deepmatrix.yaml")
    program = runner.context["steps.install.outputs.program"]
    runs = [str(path) for path in Path(installed["runs"]).glob("*/")]
    update = [program, "compare", "--baseline", "verdicts.yaml", "--update-baseline", *runs]
    subprocess.run(update, cwd=repository, env=plain_environment(), check=True)
    baseline = {"config": "deepmatrix.yaml", "baseline": "verdicts.yaml"}

    save(repository, planted.model(gated=True))
    code, runner = run_action(repository, installed, **baseline)
    assert code == 1, runner.log
    assert "**Against verdicts.yaml:** ✗ 1 limit broken: 1 new failure" in comment(runner)
    assert "before Log 'logarithm'" in comment(runner)

    path = repository / "verdicts.yaml"
    accepted = "verdict: drift, error: 1.0, reason: the gate is never used"
    path.write_text(path.read_text().replace("verdict: match", accepted))
    code, runner = run_action(repository, installed, **baseline)
    assert code == 0, runner.log
    assert comment(runner).startswith(f"{MARKER}\n### deepmatrix: ✓ as expected\n")


def test_inputs_are_never_run(repository: Path, installed: dict[str, str]) -> None:
    hostile = "$(touch ran).onnx\n`touch ran`.onnx\n--help\n; touch ran"
    code, runner = run_action(repository, installed, models=hostile, cells="$(touch ran)")
    assert code == 2
    assert "is not there" in runner.log or "matches no cell" in runner.log
    assert not (repository / "ran").exists()


def test_a_list_that_no_variable_can_hold_is_said_with_its_bound(
    repository: Path, installed: dict[str, str]
) -> None:
    code, runner = run_action(repository, installed, models="net.onnx\n" * 20_000)
    assert code == 1
    (line,) = [line for line in runner.log.splitlines() if line.startswith("::error ")]
    assert "each may have 128 KiB; list the models in a project's file" in line
    code, runner = run_action(repository, installed, models="missing.onnx")
    assert "128 KiB" not in runner.log


def test_two_uses_in_one_job_see_their_own_runs(
    repository: Path, installed: dict[str, str]
) -> None:
    save(repository, planted.model(gated=True))
    code, runner = run_action(repository, installed, config="deepmatrix.yaml")
    assert code == 1, runner.log
    other = install(Path(installed["folder"]).parent)
    save(repository, planted.model())
    code, second = run_action(repository, other, config="deepmatrix.yaml")
    assert code == 0, second.log
    assert "net.onnx: 1 of 1 consumer matches" in comment(second)
    assert "before Log 'logarithm'" in comment(runner)


def test_results_of_one_run_are_no_baseline_of_several(
    repository: Path, installed: dict[str, str]
) -> None:
    _, runner = run_action(repository, installed, config="deepmatrix.yaml")
    (results,) = Path(installed["runs"]).glob("*/results.json")
    baseline = {"config": "deepmatrix.yaml", "baseline": "results.json"}
    shutil.copy(results, repository)
    code, runner = run_action(repository, installed, **baseline)
    assert code == 0, runner.log
    assert "**Against results.json:**" in comment(runner)

    entry = "{model: net.onnx, inputs: [x.npz], reference: y.npz}"
    again = "{model: other.onnx, inputs: [x.npz]}"
    shutil.copy(repository / "net.onnx", repository / "other.onnx")
    (repository / "deepmatrix.yaml").write_text(f"version: 1\nmodels: [{entry}, {again}]\n")
    code, runner = run_action(repository, installed, **baseline)
    assert code == 2
    assert "results.json is of one run, and there are 2 runs to compare with it" in runner.log
    assert "accepted verdicts: --baseline FILE RUN" in " ".join(runner.log.split())
    page = comment(runner)
    assert "- nothing was compared: compare ended with the exit code 2\n" in page
    assert "other.onnx: 1 of 1 consumer matches" in page
    assert page in runner.summary


def interrupt(repository: Path) -> None:
    """Add a model whose inputs interrupt its verification, and one after it."""
    module = "import os, signal\n\n\ndef make():\n    os.kill(os.getppid(), signal.SIGINT)\n"
    (repository / "interrupting.py").write_text(module)
    for name in ("big.onnx", "last.onnx"):
        shutil.copy(repository / "net.onnx", repository / name)
    entries = "{model: net.onnx}, {model: big.onnx, inputs: ['interrupting:make']}"
    text = f"version: 1\nmodels: [{entries}, {{model: last.onnx}}]\n"
    (repository / "deepmatrix.yaml").write_text(text)


def test_what_a_verification_that_ended_early_did_not_reach_is_named(
    repository: Path, installed: dict[str, str]
) -> None:
    interrupt(repository)
    code, runner = run_action(repository, installed, config="deepmatrix.yaml")
    assert code == Interrupted.exit_code, runner.log
    page = comment(runner)
    assert "### deepmatrix: ✗ 3 problems" in page
    assert "- verify could not serve all: it ended with the exit code 130\n" in page
    assert "last.onnx: the verification ended before it" in page
    assert "net.onnx: 1 of 1 consumer matches" in page


def test_where_nothing_was_planned_the_comment_says_so(
    repository: Path, installed: dict[str, str]
) -> None:
    (repository / "deepmatrix.yaml").write_text("version: 1\n")
    (repository / "verdicts.yaml").write_text("version: 1\n")
    inputs = {"config": "deepmatrix.yaml", "baseline": "verdicts.yaml"}
    code, runner = run_action(repository, installed, **inputs)
    assert code == ConfigError.exit_code, runner.log
    assert "verify could not serve all: it ended with the exit code 2" in comment(runner)


WRONG_LIMITS = [
    ({"baseline": "missing.yaml"}, "missing.yaml"),
    ({"baseline": "verdicts.yaml"}, "verdicts.yaml:1:1: unknown key 'versoin'"),
    ({"baseline": "results.json"}, "results.json"),
    ({"baseline": "accepted.yaml", "fail-on": "drfit"}, "drfit"),
    ({"baseline": "accepted.yaml", "fail-on": "slower:5%"}, "a baseline has no times"),
]


@pytest.mark.parametrize(("inputs", "said"), WRONG_LIMITS)
def test_a_wrong_baseline_or_limit_is_said_before_the_verification(
    repository: Path, installed: dict[str, str], inputs: dict[str, str], said: str
) -> None:
    (repository / "verdicts.yaml").write_text("versoin: 1\n")
    (repository / "accepted.yaml").write_text("version: 1\n")
    code, runner = run_action(repository, installed, config="deepmatrix.yaml", **inputs)
    assert code == ArgumentError.exit_code, runner.log
    assert said in " ".join(runner.log.split())
    assert not Path(installed["runs"]).exists()


def test_gitlabs_template_is_green_red_and_then_green_with_a_baseline(
    repository: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "program", with_pip=True)
    lend(tmp_path / "program")
    code, log = run_gitlab(repository, tmp_path / "program")
    page = (repository / ".deepmatrix" / "comment.md").read_text()
    assert code == 0, log
    assert "### deepmatrix: ✓ as expected" in page
    assert "https://gitlab.example/jobs/7" in page

    save(repository, planted.model(gated=True))
    code, log = run_gitlab(repository, tmp_path / "program")
    assert code == 1, log
    assert "before Log 'logarithm'" in (repository / ".deepmatrix" / "comment.md").read_text()
    for pattern in [*GITLAB["artifacts"]["paths"], GITLAB["artifacts"]["reports"]["junit"]]:
        assert list(repository.glob(pattern)), pattern

    program = str(tmp_path / "program" / "bin" / "deepmatrix")
    runs = [str(path) for path in repository.glob(".deepmatrix/runs/*/")]
    update = [program, "compare", "--baseline", "verdicts.yaml", "--update-baseline", *runs]
    subprocess.run(update, cwd=repository, env=plain_environment(), check=True)
    code, log = run_gitlab(repository, tmp_path / "program", BASELINE="verdicts.yaml")
    assert code == 0, log
    code, log = run_gitlab(repository, tmp_path / "program", MODELS="$(touch ran).onnx")
    assert code == 2, log
    assert not (repository / "ran").exists()


def test_gitlabs_template_refuses_to_install_what_nobody_has_named(
    repository: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "program")  # without pip: nothing can be installed, in no other Python
    given = GITLAB["variables"]["DEEPMATRIX_PACKAGE"]
    code, log = run_gitlab(repository, tmp_path / "program", PACKAGE=given)
    assert (code, len(log.splitlines())) == (2, 1), log
    assert "name in DEEPMATRIX_PACKAGE what pip installs" in log


def test_gitlabs_template_installs_nothing_that_has_another_hash(
    repository: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "program", with_pip=True)
    locked = (ROOT / ".ci" / "nox.txt").read_text("utf-8")
    name = next(line for line in locked.splitlines() if "==" in line).split()[0]
    (tmp_path / "other.txt").write_text(f"{name} --hash=sha256:{'0' * 64}\n")
    code, log = run_gitlab(repository, tmp_path / "program", LOCK=str(tmp_path / "other.txt"))
    assert code == 1, log
    assert "DO NOT MATCH THE HASHES" in log
    assert not (tmp_path / "program" / "bin" / "deepmatrix").exists()


def test_gitlabs_template_reviews_what_is_damaged_and_then_fails(
    repository: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "program", with_pip=True)
    lend(tmp_path / "program")
    damage(repository / "net.onnx")
    code, log = run_gitlab(repository, tmp_path / "program", CONFIG="", MODELS="net.onnx")
    assert code == ArgumentError.exit_code, log
    page = (repository / ".deepmatrix" / "comment.md").read_text()
    assert "net: the model is not served: " in page
    assert (repository / ".deepmatrix" / "junit.xml").is_file()


def test_gitlabs_template_says_what_ended_early_and_what_is_wrong_with_its_limits(
    repository: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "program", with_pip=True)
    lend(tmp_path / "program")
    interrupt(repository)
    page = repository / ".deepmatrix" / "comment.md"
    code, log = run_gitlab(repository, tmp_path / "program")
    assert code == Interrupted.exit_code, log
    assert "verify could not serve all: it ended with the exit code 130" in page.read_text()
    assert "last.onnx: the verification ended before it" in page.read_text()
    code, log = run_gitlab(repository, tmp_path / "program", CONFIG="missing.yaml")
    assert code == ConfigError.exit_code, log
    assert "verify could not serve all: it ended with the exit code 2" in page.read_text()
    (repository / "verdicts.yaml").write_text("versoin: 1\n")
    code, log = run_gitlab(repository, tmp_path / "program", BASELINE="verdicts.yaml")
    assert code == ConfigError.exit_code, log
    assert "verdicts.yaml:1:1: unknown key 'versoin'" in log
    assert not page.parent.exists()


def run_gitlab(repository: Path, program: Path, **variables: str) -> tuple[int, str]:
    """Run the lines of the template in one shell, as GitLab does; return its code and its log."""
    shutil.rmtree(repository / ".deepmatrix", ignore_errors=True)
    lock = str(ROOT / ".ci" / "nox.txt")
    given = {"PACKAGE": str(ROOT), "LOCK": lock, "ENGINE": "here", "CELLS": CELL, **variables}
    environment = plain_environment()
    ended = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", "\n".join(GITLAB["script"])],
        cwd=repository,
        env={
            **environment,
            **GITLAB["variables"],
            **{f"DEEPMATRIX_{key}": value for key, value in given.items()},
            "CI_JOB_URL": "https://gitlab.example/jobs/7",
            "PATH": f"{program / 'bin'}{os.pathsep}{environment['PATH']}",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout
