"""The main job, end to end, as a user starts it: and killed, interrupted, resumed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deepmatrix.engines.docker.engine import DockerEngine
from deepmatrix.machine import processes
from deepmatrix.results.rows import Results
from deepmatrix.store.records import JobRecord
from deepmatrix.store.runs import Run
from deepmatrix.workloads import probes
from tests.containers.conftest import ROOT, Waiter

#: A whole matrix, built on a machine that has nothing yet, counts as one test: its first.
pytestmark = pytest.mark.timeout(2400)

NATIVE = ("torch-debian12-amd64-cpu", "onnxruntime-debian12-amd64-cpu")
JOBS = {"produce": 1, "consume": 3}


@contextmanager
def started(runs: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start ``nox -s matrix``'s command as a process of its own; see it ended."""
    command = [sys.executable, "-m", "deepmatrix", "matrix", "--runs", str(runs), *arguments]
    environment = {"PYTHONPATH": str(ROOT), "COLUMNS": "160"}
    with (runs / "log").open("ab") as log:
        process = processes.start(command, cwd=ROOT, output=log, environment=environment)
        try:
            yield process
        finally:
            processes.end(process)


def finish(runs: Path, *arguments: str) -> int:
    with started(runs, *arguments) as process:
        return process.wait()


def command(*arguments: str) -> None:
    """Run a command of the host to its end, which has to be a good one."""
    processes.run([sys.executable, "-m", "deepmatrix", *arguments], cwd=ROOT)


def records(runs: Path, name: str) -> dict[str, bytes]:
    """Return the records of a run by path: a job that ran again has other samples.

    Not those retried, of a time when the machine was slower.
    """
    root = runs / name / "records"
    paths = (path for path in root.rglob("*.json") if ".retried" not in path.name)
    return {str(path): path.read_bytes() for path in paths}


def remaining(engine: DockerEngine, run_id: str) -> str:
    """Return what the engine still has of a run."""
    label = f"label=deepmatrix.run={run_id}"
    environment = engine.endpoint.environment()
    return "".join(
        processes.run(["docker", *command, "--quiet", "--filter", label], environment=environment)
        for command in (["ps", "--all"], ["volume", "ls"])
    )


@pytest.fixture(scope="module")
def whole(docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the smoke preset on both architectures."""
    missing = {"amd64", "arm64"} - docker_engine.capabilities().native
    if not missing <= docker_engine.capabilities().emulated:
        pytest.fail("this engine cannot run both architectures: run `nox -s engine`")
    runs = tmp_path_factory.mktemp("whole")
    code = finish(runs, "--preset", "smoke", "--name", "whole")
    assert code == 0, (runs / "log").read_text()[-5000:]
    return runs / "whole"


@pytest.fixture(scope="module")
def results(whole: Path) -> Results:
    return Results.model_validate_json((whole / "results.json").read_text())


def test_all_frameworks_train_alike_on_both_architectures(results: Results) -> None:
    assert len(results.training) == 6
    for row in results.training:
        assert row.status == "ok"
        assert (row.accuracy is None) == row.emulated  # these train the first steps only
        assert row.accuracy is None or row.accuracy >= 0.95
        assert row.loss_error is not None
        assert 0 < row.loss_error < 1e-4
        assert row.first_wrong == ""
        assert row.emulated == ("-arm64-" in row.cell)


def test_every_onnx_artifact_matches_on_both_onnxruntime_cells(results: Results) -> None:
    rows = [row for row in results.portability if row.artifact.endswith("--onnx")]
    assert len(rows) == 12
    for row in rows:
        assert row.verdict == "match"
        assert row.error is not None
        assert row.tolerance is not None
        assert 0 < row.error <= row.tolerance


def test_every_cell_says_what_it_really_was(results: Results) -> None:
    ran = [row for row in results.cells if row.status == "ok"]
    assert len(ran) == 8
    for row in ran:
        machine = {"amd64": "x86_64", "arm64": "aarch64"}[row.cell.split("-")[2]]
        assert row.environment["machine"] == machine
        assert row.environment["device"]["actual"] == "cpu"
        assert row.environment["threads"]["framework"] == 1
        assert row.image_bytes
    skipped = {row.cell: row.reason for row in results.cells if row.status == "not-run"}
    assert "the engine has no NVIDIA runtime" in skipped.values()


def test_every_process_passed_its_self_test(whole: Path) -> None:
    for path in (whole / "records").rglob("*.json"):
        record = JobRecord.model_validate_json(path.read_bytes())
        assert record.output is not None
        assert {test.dtype for test in record.output.selftest} >= {"float32", "float64"}
        assert all(test.passed for test in record.output.selftest)


@pytest.fixture(scope="module")
def expressed(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A run of what a matrix does less often: probes, an idiom, passes; natively."""
    del whole  # its images are there
    runs = tmp_path_factory.mktemp("expressed")
    text = (ROOT / "matrix.yaml").read_text(encoding="utf-8")
    usual = "workloads: [digits-conv]\n    phases: [startup, probe]"
    assert usual in text
    network_workload = (
        "workloads: [conv1d-small]\n    phases: [startup, parity, idiom, probe, passes]"
    )
    (runs / "matrix.yaml").write_text(text.replace(usual, network_workload), encoding="utf-8")
    shutil.copyfile(ROOT / "expected-failures.yaml", runs / "expected-failures.yaml")
    arguments = ("--file", str(runs / "matrix.yaml"), "--preset", "probes", "--name", "expressed")
    cells = [f"{name}-debian12-amd64-cpu" for name in ("torch", "tensorflow", "jax")]
    assert finish(runs, *arguments, *cells) == 0, (runs / "log").read_text()
    return Results.model_validate_json((runs / "expressed" / "results.json").read_text())


def test_probes_have_the_expected_answers(expressed: Results) -> None:
    assert len(expressed.probes) == 3 * len(probes.NAMES)
    assert {row.verdict for row in expressed.probes} == {"match"}
    assert not [row for row in expressed.probes if row.outside]
    assert all("of 1 dimension" in row.ran for row in expressed.probes if "temporal" in row.probe)


def test_an_idiom_is_the_neutral_network(expressed: Results) -> None:
    assert len(expressed.idioms) == 3
    for row in expressed.idioms:
        assert row.status == "ok"
        assert row.lines
        assert row.error is not None
        assert 0 < row.error < 1e-5


def test_passes_have_a_share_of_the_peak(expressed: Results) -> None:
    assert len(expressed.passes) == 3
    for row in expressed.passes:
        assert row.forward_efficiency is not None
        assert row.backward_efficiency is not None
        assert 0 < row.forward_efficiency < 2
        assert 0 < row.backward_efficiency < 2


SERVED = (
    "torch-debian12-amd64-cpu",
    "tensorflow-debian12-amd64-cpu",
    "onnxruntime-cpp-debian13-amd64-cpu",
    "onnxruntime-cpp-debian13-arm64-cpu",
    "onnxruntime-node-debian13-amd64-cpu",
    "onnxruntime-web-debian13-amd64-cpu",
    "onnxruntime-cpp_wine-debian13-amd64-cpu",
    "onnxruntime-node_wine-debian13-amd64-cpu",
    "libtorch-cpp-debian12-amd64-cpu",
    "tensorflow-c-debian12-amd64-cpu",
    "onnx-debian12-amd64-cpu",
    "openvino-debian12-amd64-cpu",
    "openvino_default-debian12-amd64-cpu",
    "litert-debian12-amd64-cpu",
    "torch_edge-debian12-amd64-cpu",
    "executorch-debian13-amd64-cpu",
    "ncnn-debian13-amd64-cpu",
    "ncnn_default-debian13-amd64-cpu",
    "caffe-debian11-amd64-cpu",
    "theano-debian11-amd64-cpu",
    "opencv4-debian12-amd64-cpu",
)


@pytest.fixture(scope="module")
def serving(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that serves two frameworks' models, in every format, wherever they can be."""
    del whole  # the same images, made once
    runs = tmp_path_factory.mktemp("served")
    code = finish(runs, "--preset", "smoke", "--name", "served", *SERVED)
    assert code == 0, (runs / "log").read_text()[-5000:]
    return runs / "served"


@pytest.fixture(scope="module")
def served(serving: Path) -> Results:
    return Results.model_validate_json((serving / "results.json").read_text())


def test_every_runtime_in_every_language_gives_the_same_answers(served: Results) -> None:
    assert {row.consumer for row in served.portability} == set(SERVED)
    for row in served.portability:
        assert row.verdict == "match"
        assert row.repeatable
        (output,) = row.outputs
        assert output.top1 == 1.0
        assert output.max_abs is not None
        assert output.max_abs > 0
    languages = {row.language for row in served.cells if row.jobs}
    assert languages == {
        "Python",
        "C++",
        "C++ for Windows (wine)",
        "JavaScript in Node",
        "JavaScript in Node for Windows (wine)",
        "JavaScript in a browser",
    }


def test_runtimes_under_wine_report_it(served: Results) -> None:
    (cell,) = [row for row in served.cells if row.cell.startswith("onnxruntime-cpp_wine-")]
    assert cell.environment["libc"].startswith("wine ")


def test_reduced_precision_is_named_and_never_passed_off_as_float32(served: Results) -> None:
    named = {row.consumer.split("-")[0]: row.precision for row in served.portability}
    assert named.pop("openvino_default") == "bfloat16"
    assert named.pop("ncnn_default") == "float16"
    assert set(named.values()) == {"float32"}


def test_without_python_an_image_is_a_few_megabytes(served: Results) -> None:
    sizes = {row.cell: row.image_bytes for row in served.cells}
    for cell in ("onnxruntime-cpp-debian13-amd64-cpu", "onnxruntime-cpp-debian13-arm64-cpu"):
        assert sizes[cell] is not None
        assert sizes[cell] < 40e6
    consumers = {row.cell for row in served.serving if not row.emulated}
    started = {row.cell for row in served.serving if row.start_s is not None}
    assert consumers - started == {"onnx-debian12-amd64-cpu"}  # an evaluator is not timed


def verify(runs: Path, model: Path, *arguments: str) -> int:
    command = [sys.executable, "-m", "deepmatrix", "verify", str(model), "--runs", str(runs)]
    with (runs / "log").open("ab") as log:
        process = processes.start(
            [*command, *arguments], cwd=ROOT, output=log, environment={"PYTHONPATH": str(ROOT)}
        )
        try:
            return process.wait()
        finally:
            processes.end(process)


def test_a_users_own_model_is_verified_on_every_runtime(serving: Path, tmp_path: Path) -> None:
    model = tmp_path / "mine.onnx"
    artifact = "torch-debian12-amd64-cpu--digits-conv--onnx"
    shutil.copyfile(serving / "artifacts" / artifact / "model" / "model.onnx", model)
    only = ("--only", "onnxruntime-*-debian13-amd64-cpu", "--name", "mine")
    only += ("--only", "onnxruntime_loadgen-debian12-amd64-cpu")
    assert verify(tmp_path, model, *only, "--max-error", "1e-5", "--max-p99", "10s") == 0
    results = Results.model_validate_json((tmp_path / "mine" / "results.json").read_text())
    assert {row.verdict for row in results.portability} == {"match"}
    assert len(results.portability) == 6
    assert [row.scenario for row in results.scenarios] == ["offline", "server", "single-stream"]
    assert all(row.samples_per_s > 0 for row in results.scenarios)

    torn = tmp_path / "torn.onnx"
    torn.write_bytes(model.read_bytes()[:-9])
    assert verify(tmp_path, torn, "--name", "torn") == 2
    assert "torn.onnx: it is truncated" in (tmp_path / "log").read_text()


def test_a_saved_model_is_verified_by_its_folder(serving: Path, tmp_path: Path) -> None:
    artifact = "tensorflow-debian12-amd64-cpu--digits-conv--saved-model"
    model = serving / "artifacts" / artifact / "model" / "saved_model"
    only = ("--only", "tensorflow-debian12-amd64-cpu", "--name", "saved")
    assert verify(tmp_path, model, *only) == 0, (tmp_path / "log").read_text()[-5000:]
    results = Results.model_validate_json((tmp_path / "saved" / "results.json").read_text())
    assert [row.verdict for row in results.portability] == ["match"]


@pytest.mark.usefixtures("whole")
def test_a_second_run_builds_nothing(tmp_path: Path) -> None:
    assert finish(tmp_path, *NATIVE, "--preset", "smoke", "--name", "again") == 0
    builds = [json.loads(path.read_text()) for path in (tmp_path / "again/builds").iterdir()]
    assert [built_cell["built"] for built_cell in builds] == [False, False]
    assert not (tmp_path / "again" / "scratch").exists()


@pytest.mark.parametrize("wave", ["produce", "consume"])
def test_a_run_whose_host_was_killed_is_finished_by_resume(
    wave: str, docker_engine: DockerEngine, tmp_path: Path, until: Waiter
) -> None:
    run = Run(path=tmp_path / "killed")
    marks = {"produce": "torch-*-cpu--digits-conv--r0", "consume": "*--onnx--r0"}
    with started(tmp_path, *NATIVE, "--preset", "smoke", "--name", "killed") as process:
        until(lambda: any((run.path / "scratch").glob(marks[wave])))
        until(lambda: remaining(docker_engine, "killed") != "")
        process.kill()
    before = records(tmp_path, "killed")
    assert len(before) < sum(JOBS.values())
    assert finish(tmp_path, "--resume", "killed") == 0
    after = records(tmp_path, "killed")
    assert len(after) == sum(JOBS.values())
    assert before.items() <= after.items()
    assert remaining(docker_engine, "killed") == ""
    assert not (run.path / "scratch").exists()
    assert not list(run.path.rglob("*.part"))


def test_ctrl_c_stops_at_once_leaves_nothing_and_can_be_resumed(
    docker_engine: DockerEngine, tmp_path: Path, until: Waiter
) -> None:
    with started(tmp_path, *NATIVE, "--preset", "smoke", "--name", "stopped") as process:
        until(lambda: any((tmp_path / "stopped" / "scratch").glob("*")))
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert "go on with: nox -s matrix -- --resume stopped" in (tmp_path / "log").read_text()
    assert remaining(docker_engine, "stopped") == ""
    assert not (tmp_path / "stopped" / "scratch").exists()
    assert finish(tmp_path, "--resume") == 0
    assert len(records(tmp_path, "stopped")) == sum(JOBS.values())


def reused(runs: Path, name: str) -> dict[str, list[str]]:
    """Return the jobs that a run took over, by the run that did them."""
    results: dict[str, dict[str, list[str]]] = json.loads(
        (runs / name / "results.json").read_text()
    )
    return results["reused"]


@pytest.mark.usefixtures("docker_engine")
def test_a_run_that_repeats_another_takes_its_records_over(tmp_path: Path) -> None:
    assert finish(tmp_path, *NATIVE, "--preset", "smoke", "--name", "first") == 0
    before = records(tmp_path, "first")
    arguments = (*NATIVE, "--preset", "smoke", "--name", "second")
    assert finish(tmp_path, *arguments, "--reuse", "first") == 0
    assert len(reused(tmp_path, "second")["first"]) == sum(JOBS.values())
    assert records(tmp_path, "first") == before

    artifact = tmp_path / "first" / "artifacts" / f"{NATIVE[0]}--digits-conv--onnx"
    model = str(artifact / "model" / "model.onnx")
    verify = ("verify", model, "--only", NATIVE[1], "--runs", str(tmp_path))
    command(*verify, "--name", "served")
    command(*verify, "--name", "again", "--reuse")
    (job,) = reused(tmp_path, "again")["served"]
    assert job.startswith(NATIVE[1])


def test_a_run_spread_over_machines_merges_into_one(tmp_path: Path) -> None:
    """What the workflow does: plan, produce here, consume there, merge the parts."""
    torch, onnxruntime = NATIVE
    plan, produced, consumed = (tmp_path / name for name in ("plan", "produced", "consumed"))
    command("plan", *NATIVE, "--preset", "smoke", "--write", "run", "--runs", str(plan))
    shutil.copytree(plan, produced)
    command("bench", torch, "--run", str(produced / "run"), "--wave", "produce")
    shutil.copytree(plan, consumed)
    for kept in ("artifacts", "records"):
        shutil.copytree(produced / "run" / kept, consumed / "run" / kept)
    command("bench", "*", "--run", str(consumed / "run"), "--wave", "consume")
    parts = [consumed / "run", produced / "run", plan / "run"]
    command("merge", *map(str, parts))
    merged = Results.model_validate_json((parts[0] / "results.json").read_text())
    assert merged.problems == ()
    assert {row.verdict for row in merged.portability} == {"match"}
    assert {row.cell: row.failed for row in merged.cells} == {torch: 0, onnxruntime: 0}
