"""The reusable workflows, run from their own YAML: the plan, the review, the comment."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import jsonschema
import onnx
import pytest

from deepmatrix.cli import main
from deepmatrix.cli.commands.verify import OWN_MODEL
from deepmatrix.config import matrix_file
from deepmatrix.errors import ArgumentError
from deepmatrix.paths import ROOT, SCHEMAS
from deepmatrix.planning.cells import Capabilities
from deepmatrix.planning.fan_out import JOB_MIN, fan_out, minutes
from deepmatrix.planning.model_plan import plan_models
from deepmatrix.planning.selection import Selection
from deepmatrix.reports.comment import MARKER
from tests import planted
from tests.workflows import Runner, load, plain_environment, plant

VERIFY = load(ROOT / ".github/workflows/verify.yml")
ACTION = load(ROOT / "action.yml")
COMMENT = load(ROOT / ".github/workflows/comment.yml")
ARCHITECTURES = ("amd64", "arm64")
CELL = "onnxruntime-debian12-amd64-cpu"

needs_evaluator = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="no cell of the evaluator has this Python"
)


def new_runner(folder: Path, temporary: Path, **inputs: str) -> Runner:
    runner = Runner(folder=folder, temporary=temporary, environment=plain_environment())
    runner.store = folder.parent / "store"
    if not (folder / ".deepmatrix").exists():
        (folder / ".deepmatrix").symlink_to(ROOT)
    declared = VERIFY["on"]["workflow_call"]["inputs"]
    given = {key.replace("_", "-"): value for key, value in inputs.items()}
    for key, value in {name: str(entry["default"]) for name, entry in declared.items()}.items():
        runner.context[f"inputs.{key}"] = given.get(key, value)
    runner.context["github.workspace"] = str(folder)
    return runner


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    plant(folder)
    onnx.save(planted.model(), folder / "net.onnx")
    shutil.copy(ROOT / "tests" / "models" / "softmax11.onnx", folder)
    (folder / "deepmatrix.yaml").write_text(
        "version: 1\nmodels: [{model: net.onnx, only: ['onnxruntime*']}, {model: softmax11.onnx}]\n"
    )
    return folder


def planned_pairs(only: dict[str, tuple[str, ...]]) -> set[tuple[str, str]]:
    """Return each model with each cell that the plan of its verification has."""
    matrix = matrix_file.load(ROOT / "matrix.yaml")
    plans = {
        (model, architecture): plan_models(
            matrix,
            [("m", "onnx", "model.onnx")],
            Selection(include=globs, native=True),
            Capabilities(engine="docker", native=frozenset({architecture})),
            seed=0,
            infer=OWN_MODEL,
        )
        for model, globs in only.items()
        for architecture in ARCHITECTURES
    }
    return {
        (model, cell.id) for (model, _), plan in plans.items() for cell in plan.cells if cell.serves
    }


@pytest.mark.parametrize("config", ["", "deepmatrix.yaml"])
def test_the_jobs_of_the_workflow_verify_what_the_plan_has_each_once(
    models: Path, tmp_path: Path, config: str
) -> None:
    systems = {"windows": "true", "macos": "true"}
    runner = new_runner(models, tmp_path / "temp", config=config, **systems)
    assert runner.job(VERIFY, "plan") == 0, runner.log
    assert given(runner)["config"] == "deepmatrix.yaml"
    jobs = json.loads(runner.context["steps.plan.outputs.jobs"])["include"]
    native = [job for job in jobs if job["engine"] == "docker"]
    pairs = [
        (model, cell)
        for job in native
        for model in job["models"].splitlines()
        for cell in job["cells"].splitlines()
    ]
    wanted = planned_pairs({"net.onnx": ("onnxruntime*",), "softmax11.onnx": ()})
    assert sorted(pairs) == sorted(wanted)
    assert {job["runner"] for job in native} == {"ubuntu-24.04", "ubuntu-24.04-arm"}
    assert {cell.split("-")[-2] for _, cell in pairs} == set(ARCHITECTURES)
    in_venv = [job for job in jobs if job["engine"] == "venv"]
    assert [(job["name"], job["runner"]) for job in in_venv] == [
        ("windows", "windows-2025"),
        ("macos", "macos-15"),
    ]
    assert {(job["models"], job["cells"]) for job in in_venv} == {("", "")}
    assert len({job["name"] for job in jobs}) == len(jobs) <= 256


@pytest.mark.parametrize(
    ("inputs", "secret", "index"),
    [
        ({}, "", ""),
        ({"extra_index_url": "https://a.example"}, "", "https://a.example"),
        ({"extra_index_url": "https://a.example"}, "https://b.example", "https://b.example"),
    ],
)
def test_the_jobs_have_the_further_index_that_the_caller_gives(
    tmp_path: Path, inputs: dict[str, str], secret: str, index: str
) -> None:
    """The variables of a caller do not reach a workflow that it calls."""
    runner = new_runner(tmp_path, tmp_path / "temp", **inputs)
    runner.context["secrets.extra-index-url"] = secret
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "results.json").touch()
    leave(runner, tmp_path / "runs", "amd64-1")
    assert runner.environment["PIP_EXTRA_INDEX_URL"] == index


def test_the_jobs_are_json_by_their_schema(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["jobs", str(models / "net.onnx"), "--native", "amd64"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document
    jsonschema.validate(document, json.loads((SCHEMAS / "jobs.schema.json").read_text()))


@pytest.mark.parametrize("most", [1, 2, 7, 256])
@pytest.mark.parametrize("count", [1, 40, 300])
def test_however_many_models_there_are_the_jobs_stay_few_and_have_each_pair_once(
    count: int, most: int
) -> None:
    cells = tuple(f"cell{number}" for number in range(20))
    readers = {(f"m{number}", "amd64"): cells for number in range(count)}
    readers["none", "amd64"] = ()
    shares = fan_out(readers, most)
    assert 0 < len(shares) <= most
    pairs = [(m, cell) for share in shares for m in share.models for cell in share.cells]
    assert len(pairs) == len(set(pairs)) == count * len(cells)


def test_jobs_are_as_few_as_keep_their_time_and_even() -> None:
    cells = tuple(f"cell{number}" for number in range(8))
    architectures = ("amd64", "arm64")
    for count, few in ((1, 2), (11, 2), (12, 4), (20, 4), (100, 20)):
        readers = {(f"m{number}", name): cells for name in architectures for number in range(count)}
        shares = fan_out(readers, 256)
        assert len(shares) == few
        sizes = {len(share.models) for share in shares}
        assert max(sizes) - min(sizes) <= 1
        assert all(minutes(len(share.models), len(share.cells)) <= JOB_MIN for share in shares)
    assert minutes(12, 8) > JOB_MIN, "fewer jobs would take too long"


def test_models_with_too_many_sets_of_cells_are_refused() -> None:
    readers = {(f"m{number}", "amd64"): (f"cell{number}",) for number in range(9)}
    with pytest.raises(ArgumentError, match="the models need 9 jobs, and there may be 8"):
        fan_out(readers, 8)


def test_the_jobs_are_of_the_file_that_is_here_when_no_model_is_named(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(models)
    assert main.main(["jobs", "--native", "amd64"]) == 0
    shares = json.loads(capsys.readouterr().out)
    assert {model for share in shares for model in share["models"]} == {
        "net.onnx",
        "softmax11.onnx",
    }
    (models / "deepmatrix.yaml").unlink()
    assert main.main(["jobs", "--native", "amd64"]) == 2
    assert "hint: name models, or list them in deepmatrix.yaml" in capsys.readouterr().err


def test_a_model_that_no_architecture_serves_is_refused(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["jobs", str(models / "net.onnx"), "--native", "amd64", "--only", "torch-*"]
    assert main.main(words) == 2
    assert "no selected cell that can run here reads the format onnx" in capsys.readouterr().err


def test_a_file_that_is_no_model_is_in_one_job_beside_a_model(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pointer = models / "far.onnx"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1234\n")
    words = ["jobs", str(pointer), str(models / "net.onnx"), "--native", "amd64"]
    assert main.main(words) == 0
    given = [job["models"] for job in json.loads(capsys.readouterr().out)]
    assert given[0] == [str(models / "net.onnx"), str(pointer)]
    assert not [names for names in given[1:] if str(pointer) in names]
    assert main.main(["jobs", str(pointer), "--native", "amd64"]) == ArgumentError.exit_code
    assert "Git LFS pointer" in capsys.readouterr().err


def test_a_model_that_no_selected_cell_reads_has_a_job_of_its_own(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lite = models / "lite.tflite"
    lite.write_bytes(b"\0\0\0\0TFL3")
    words = ["jobs", str(lite), str(models / "net.onnx"), "--native", "amd64", "--most", "3"]
    only = ["--only", "onnxruntime-*"]
    assert main.main([*words, *only]) == 0
    first, *_, last = json.loads(capsys.readouterr().out)
    assert first["models"] == [str(models / "net.onnx")]
    assert (last["models"], last["cells"]) == ([str(lite)], only[1:])
    names = "version: 1\nmodels: [{model: net.onnx}, {model: softmax11.onnx, only: ['litert*']}]\n"
    (models / "deepmatrix.yaml").write_text(names)
    config = ["jobs", "--config", str(models / "deepmatrix.yaml"), "--native", "amd64"]
    assert main.main(config) == 0
    *_, last = json.loads(capsys.readouterr().out)
    assert (last["models"], last["cells"]) == ([str(models / "softmax11.onnx")], [])
    assert main.main([*words[:-1], "1", *only]) == ArgumentError.exit_code
    assert "error: the models need 2 jobs, and there may be 1\n" in capsys.readouterr().err
    runs = ["--runs", str(tmp_path / "runs")]
    assert main.main([*words, "--only", "torch-*", *runs]) == ArgumentError.exit_code
    assert capsys.readouterr().err.count("no selected cell that can run here reads") == 2


def test_where_no_file_is_a_model_the_comment_says_so_file_by_file(
    models: Path, tmp_path: Path
) -> None:
    names = ("net.onnx", "softmax11.onnx")
    for name in names:
        (models / name).write_text("version https://git-lfs.github.com/spec/v1\n")
    runner = new_runner(models, tmp_path / "temp", models="\n".join(names))
    assert runner.job(VERIFY, "plan") == ArgumentError.exit_code, runner.log
    code, page, _ = review(models, tmp_path / "temp", None, plan="failure", verify="skipped")
    assert code == 1
    assert "### deepmatrix: ✗ 3 problems" in page
    for name in names:
        assert f"- the model is not served: {name} is a Git LFS pointer" in page


def test_a_list_that_no_variable_can_hold_is_said_with_its_bound(
    models: Path, tmp_path: Path
) -> None:
    runner = new_runner(models, tmp_path / "temp", models="net.onnx\n" * 20_000)
    assert runner.job(VERIFY, "plan") == 1
    (line,) = [line for line in runner.log.splitlines() if line.startswith("::error ")]
    assert "each may have 128 KiB; list the models in a project's file" in line
    runner = new_runner(models, tmp_path / "temp", models="missing.onnx")
    assert runner.job(VERIFY, "plan") == ArgumentError.exit_code
    assert "128 KiB" not in runner.log


@needs_evaluator
def test_a_job_whose_models_are_all_damaged_is_reviewed_and_named(
    models: Path, tmp_path: Path
) -> None:
    (models / "net.onnx").write_bytes((models / "net.onnx").read_bytes()[:200])
    verify(models, tmp_path / "temp", "amd64-1")
    code, page, _ = review(models, tmp_path / "temp", ["amd64-1"], verify="failure")
    assert code == 1
    assert "### deepmatrix: ✗ 2 problems" in page
    assert "the job amd64-1 could not verify all: net.onnx, other.onnx on" in page.replace("\\", "")
    assert "net: the model is not served: " in page


@pytest.mark.parametrize("name", ["a\nb.onnx", "a\u2028b.onnx", "a\udcff.onnx", "a\r.onnx"])
def test_a_path_that_is_no_line_of_utf8_is_refused_and_named(
    models: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    odd = models / name
    odd.write_bytes((models / "net.onnx").read_bytes())
    words = ["jobs", str(models / "net.onnx"), str(odd), "--native", "amd64"]
    assert main.main(words) == ArgumentError.exit_code
    shown = capfd.readouterr()
    assert not shown.out
    error, hint = shown.err.splitlines()
    assert f"a job cannot be given {str(odd)!a}: its models are named one a line" in error
    assert hint.startswith("hint: rename what has a line break")


@needs_evaluator
def test_the_results_of_all_jobs_are_reviewed_together(models: Path, tmp_path: Path) -> None:
    verify(models, tmp_path / "temp", "amd64-1")
    bad = verify(models, tmp_path / "temp", "amd64-2", max_error="1e-30")
    document = json.loads(bad.read_text())
    code, page, runner = review(models, tmp_path / "temp", ["amd64-1", "amd64-2"])
    assert document["over_budget"] == document["problems"]
    assert code == 1, runner.log
    assert page.startswith(f"{MARKER}\n### deepmatrix: ✗ {len(document['problems'])} problem")
    assert "**Broken budgets**" in page
    assert "net.onnx: 2 of 2 consumers match" in page
    assert page in runner.summary


@needs_evaluator
def test_models_of_one_file_name_have_the_same_names_in_every_job(
    models: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (models / name).mkdir()
        onnx.save(planted.model(gated=name == "b"), models / name / "net.onnx")
    inputs = {"models": "a/net.onnx\nb/net.onnx\n", "cells": CELL}
    temporary = tmp_path / "temp"
    runner = new_runner(models, temporary, **inputs)
    assert runner.job(VERIFY, "plan") == 0, runner.log
    jobs = json.loads(runner.context["steps.plan.outputs.jobs"])["include"]
    (job,) = jobs
    assert job["models"] == "a/net.onnx\nb/net.onnx"
    jobs = [{**job, "name": name, "models": f"{name}/net.onnx"} for name in ("a", "b")]
    (runner.store / "deepmatrix-models-plan" / "plan.json").write_text(
        json.dumps({"include": jobs})  # as of a plan of so many models that each has a job
    )
    results = [run_job(models, temporary, job, **inputs) for job in jobs]
    names = [json.loads(path.read_text())["models"][0]["name"] for path in results]
    assert names == ["a-net", "b-net"]
    words = ["compare", "--baseline", str(models / "verdicts.yaml"), "--update-baseline"]
    assert main.main([*words, *map(str, results)]) == 0
    code, page, runner = review(models, temporary, None, baseline="verdicts.yaml")
    assert code == 0, runner.log
    assert "**Against verdicts.yaml:** ✓ nothing changed" in page


def run_job(folder: Path, temporary: Path, job: dict[str, str], **inputs: str) -> Path:
    """Run a job of the workflow, of its action the verification; return its results."""
    runner = new_runner(folder, temporary / job["name"], **inputs)
    runner.context.update({f"matrix.{key}": value for key, value in job.items()})
    runner.context.update({f"inputs.{key}": value for key, value in given(runner).items()})
    runner.context["inputs.engine"] = "here"
    runs = runner.temporary / "runs"
    program = runner.temporary / "deepmatrix"
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -P -m deepmatrix "$@"\n'
    )
    program.chmod(0o755)
    runner.context["steps.install.outputs.program"] = str(program)
    runner.context["steps.install.outputs.runs"] = str(runs)
    (step,) = (step for step in ACTION["runs"]["steps"] if step.get("id") == "verify")
    assert runner.run([step]) == 0, runner.log
    return leave(runner, runs, job["name"])


def given(runner: Runner) -> dict[str, str]:
    """Return what the jobs of the workflow give the action, after a plan by this runner."""
    for key, text in VERIFY["jobs"]["plan"]["outputs"].items():
        runner.context[f"needs.plan.outputs.{key}"] = runner.value(text)
    (used,) = (step for step in VERIFY["jobs"]["verify"]["steps"] if step.get("id") == "deepmatrix")
    return {key: runner.value(text) for key, text in used["with"].items()}


def leave(runner: Runner, runs: Path, job: str, code: int = 0) -> Path:
    """Leave runs as a job of the workflow does; return the results of the only one.

    *code*: that of `verify`.
    """
    outputs = {"runs": str(runs), "code": str(code)}
    runner.context |= {f"steps.deepmatrix.outputs.{key}": text for key, text in outputs.items()}
    runner.context["matrix.name"] = job
    failed = code if code > 1 else 0  # the action leaves verdicts to the review
    assert runner.job(VERIFY, "verify", after="deepmatrix", failed=failed) == failed, runner.log
    (path,) = runner.store.glob(f"deepmatrix-models-results-{job}/{job}/*/results.json")
    return path


@needs_evaluator
@pytest.mark.parametrize("result", ["failure", "cancelled", "success"])
def test_a_job_that_left_no_results_is_named_with_its_cells(
    models: Path, tmp_path: Path, result: str
) -> None:
    verify(models, tmp_path / "temp", "amd64-1")
    code, page, runner = review(models, tmp_path / "temp", ["amd64-1", "arm64-2"], verify=result)
    assert code == 1, runner.log
    assert "### deepmatrix: ✗ 1 problem" in page
    lost = f"the job arm64-2 left no results: net.onnx, other.onnx on {CELL}, another"
    assert f"**Lost**\n\n- {lost}" in page.replace("\\", "")
    assert "net.onnx: 1 of 1 consumer matches" in page
    assert f"::error title=lost::{lost}" in runner.log


def test_a_plan_larger_than_a_variable_may_be_is_reviewed(models: Path, tmp_path: Path) -> None:
    names = [f"models/{number:05}/net.onnx" for number in range(6000)]
    code, page, runner = review(models, tmp_path / "temp", ["amd64-1"], share="\n".join(names))
    assert code == 1, runner.log
    named = f"{', '.join(names[:8])}, 5992 more on {CELL}, another"
    assert f"the job amd64-1 left no results: {named}" in page.replace("\\", "")


@needs_evaluator
def test_jobs_that_ended_badly_are_named_although_all_left_results(
    models: Path, tmp_path: Path
) -> None:
    verify(models, tmp_path / "temp", "amd64-1")
    code, page, _ = review(models, tmp_path / "temp", ["amd64-1"])
    assert (code, "✓ as expected" in page) == (0, True)
    code, page, _ = review(models, tmp_path / "temp", ["amd64-1"], verify="cancelled")
    assert code == 1
    assert "the jobs that verify ended as cancelled, though all left results" in page


@pytest.mark.parametrize("baseline", ["", "verdicts.yaml"])
def test_a_plan_that_failed_leaves_a_comment_too(
    models: Path, tmp_path: Path, baseline: str
) -> None:
    code, page, _ = review(
        models, tmp_path / "temp", None, plan="failure", verify="skipped", baseline=baseline
    )
    assert code == 1
    assert "✗ 1 problem" in page
    assert "nothing was verified: the job that plans ended as failure" in page


@pytest.mark.parametrize(
    ("baseline", "fail_on"), [("versoin: 1", "drift"), ("version: 1", "drfit")]
)
def test_a_wrong_baseline_or_limit_is_said_before_anything_is_planned(
    models: Path, tmp_path: Path, baseline: str, fail_on: str
) -> None:
    (models / "verdicts.yaml").write_text(f"{baseline}\n")
    inputs = {"baseline": "verdicts.yaml", "fail_on": fail_on}
    runner = new_runner(models, tmp_path / "temp", **inputs)
    assert runner.job(VERIFY, "plan") == 2, runner.log
    assert "steps.plan.outputs.started" not in runner.context
    assert "versoin" in runner.log or "drfit" in runner.log


@needs_evaluator
def test_where_a_comparison_fails_the_verdicts_are_reviewed_without_it(
    models: Path, tmp_path: Path
) -> None:
    verify(models, tmp_path / "temp", "amd64-1")
    (models / "verdicts.yaml").write_text("versoin: 1\n")
    baseline = {"baseline": "verdicts.yaml"}
    code, page, runner = review(models, tmp_path / "temp", ["amd64-1"], **baseline)
    assert code == 1, runner.log
    assert "- nothing was compared: compare ended with the exit code 2\n" in page
    assert "net.onnx: 1 of 1 consumer matches" in page
    assert page in runner.summary


def verify(models: Path, temporary: Path, job: str, max_error: str = "1") -> Path:
    """Verify, and leave the run as a job of the workflow does; return its results."""
    runner = new_runner(models, temporary / job)
    runs = runner.temporary / "runs"
    words = ["verify", str(models / "net.onnx"), "--engine", "here", "--only", CELL]
    words += ["--explain", "none", "--max-error", max_error]
    code = main.main([*words, "--runs", str(runs), "--name", job])
    return leave(runner, runs, job, code)


def review(
    models: Path,
    temporary: Path,
    jobs: list[str] | None,
    *,
    plan: str = "success",
    verify: str = "success",
    share: str = "net.onnx\nother.onnx\n",
    **inputs: str,
) -> tuple[int, str, Runner]:
    """Run the job that reviews what the jobs left; return its exit code and its comment.

    *jobs*: those of a plan; without it, the plan that the workflow left is reviewed.
    """
    runner = new_runner(models, temporary / "review", **inputs)
    if jobs:
        cells = f"{CELL}\nanother"
        planned = {"include": [{"name": name, "models": share, "cells": cells} for name in jobs]}
        left = runner.store / "deepmatrix-models-plan" / "plan.json"
        left.parent.mkdir(parents=True, exist_ok=True)
        left.write_text(json.dumps(planned))
    runner.context["needs.plan.result"] = plan
    runner.context["needs.verify.result"] = verify
    code = runner.job(VERIFY, "review")
    return code, (runner.temporary / "comment.md").read_text(), runner


GH = """#!/usr/bin/env python3
import json, pathlib, sys
folder = pathlib.Path(__file__).parent
words = sys.argv[1:]
path = next(word for word in words if word.startswith("repos/"))
body = pathlib.Path(words[words.index("--input") + 1]).read_text() if "--input" in words else ""
with (folder / "calls").open("a") as calls:
    calls.write(json.dumps([words, body]) + "\\n")
answer = folder / (path.split("/")[-1] + ".json")
print(answer.read_text() if answer.exists() else "[]")
"""


@pytest.mark.parametrize("is_first", [True, False])
def test_the_comment_is_posted_once_and_then_replaced(tmp_path: Path, is_first: bool) -> None:
    """GitHub's program is replaced by one that answers from files: it needs GitHub."""
    (tmp_path / "pulls.json").write_text('[{"number": 4, "head": {"sha": "abc"}}]')
    own = {"id": 9, "user": {"login": "github-actions[bot]"}, "body": f"{MARKER}\nold"}
    forged = {"id": 8, "user": {"login": "somebody"}, "body": f"{MARKER}\nforged"}
    (tmp_path / "comments.json").write_text(json.dumps([forged, *([] if is_first else [own])]))
    leave_comments(tmp_path / "store", models="new `text`")
    event = {"head_repository.owner.login": "fork", "head_branch": "b", "head_sha": "abc"}
    _, calls = post(tmp_path, **event)
    assert "head=fork:b" in calls[0][0]
    words, body = calls[-1]
    assert ("POST" in words) == is_first
    place = "repos/team/models/issues/4/comments" if is_first else "/comments/9"
    assert any(word.endswith(place) for word in words)
    assert json.loads(body) == {"body": f"{MARKER}\nnew `text`\n"}


def test_uses_of_the_workflow_share_one_comment(tmp_path: Path) -> None:
    (tmp_path / "pulls.json").write_text('[{"number": 4, "head": {"sha": "abc"}}]')
    leave_comments(tmp_path / "store", vision="of vision", audio="of audio")
    runner, calls = post(tmp_path, head_sha="abc")
    assert json.loads(calls[-1][1]) == {"body": f"{MARKER}\nof audio\nof vision\n"}, runner.log


def test_a_commit_that_no_open_pull_request_has_gets_no_comment(tmp_path: Path) -> None:
    leave_comments(tmp_path / "store", models="text")
    _, calls = post(tmp_path)
    assert len(calls) == 1


@pytest.mark.parametrize("is_known", [True, False])
def test_a_verification_that_left_no_comment_replaces_an_old_one_only(
    tmp_path: Path, is_known: bool
) -> None:
    (tmp_path / "pulls.json").write_text('[{"number": 4, "head": {"sha": "abc"}}]')
    old = {"id": 9, "user": {"login": "github-actions[bot]"}, "body": f"{MARKER}\n✓ as expected"}
    (tmp_path / "comments.json").write_text(json.dumps([old] if is_known else []))
    link = "https://github.example/runs/8"
    runner, calls = post(tmp_path, head_sha="abc", html_url=link)
    assert len(calls) == (3 if is_known else 2), runner.log
    if is_known:
        said = f"### deepmatrix: no results\n\nThe [verification]({link}) of abc left none.\n"
        assert json.loads(calls[-1][1]) == {"body": f"{MARKER}\n{said}"}


def test_a_comment_is_as_long_as_one_may_be(tmp_path: Path) -> None:
    (tmp_path / "pulls.json").write_text('[{"number": 4, "head": {"sha": "abc"}}]')
    leave_comments(tmp_path / "store", models="≠" * 70_000)
    _, calls = post(tmp_path, head_sha="abc")
    assert 50_000 < len(json.loads(calls[-1][1])["body"]) < 65_536


def test_what_no_pull_request_started_gets_no_comment(tmp_path: Path) -> None:
    (tmp_path / "pulls.json").write_text('[{"number": 4, "head": {"sha": "abc"}}]')
    leave_comments(tmp_path / "store", models="text")
    _, calls = post(tmp_path, head_sha="abc", event="push")
    assert calls == []


def test_comments_on_one_branch_wait_for_one_another() -> None:
    group = COMMENT["jobs"]["comment"]["concurrency"]
    for part in ("head_repository.owner.login", "head_branch"):
        assert f"github.event.workflow_run.{part}" in group["group"]
    assert group["cancel-in-progress"] is False


def leave_comments(store: Path, **texts: str) -> None:
    """Write comments as the uses of the workflow, by their names, leave them."""
    for name, text in texts.items():
        folder = store / f"deepmatrix-{name}-comment"
        folder.mkdir(parents=True)
        (folder / "comment.md").write_text(f"{MARKER}\n{text}\n")


def post(folder: Path, **event: str) -> tuple[Runner, list[Any]]:
    """Run the job that comments, with a `gh` that answers from the folder; return its calls.

    *event*: what the event that starts it says of the verification.
    """
    (folder / "gh").write_text(GH)
    (folder / "gh").chmod(0o755)
    runner = Runner(folder=folder, temporary=folder / "temp", environment=plain_environment())
    runner.environment["PATH"] = f"{folder}:{runner.environment['PATH']}"
    runner.store = folder / "store"
    for key, value in {"event": "pull_request", **event}.items():
        runner.context[f"github.event.workflow_run.{key}"] = value
    assert runner.job(COMMENT, "comment") == 0, runner.log
    calls = folder / "calls"
    lines = calls.read_text().splitlines() if calls.exists() else []
    return runner, [json.loads(line) for line in lines]
