"""What a process comes to, from how it ended and what it left."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matrix import runner
from matrix.arrays import Unreadable
from matrix.engines import Ended, Prepared, Progress
from matrix.errors import RecordError
from matrix.plan import Capabilities, Cell
from matrix.records import Exported, ExportedFile
from matrix.runner import Runner, conclude
from tests.unit.examples import CANARY, DOCKER, new_run, output, planned, record

JOB = next(planned("torch-debian12-amd64-cpu").jobs("produce"))
HUNG = """\
harness: train
Timeout (0:10:00)!
Thread 0x00007f (most recent call first):
  File "/opt/deepmatrix/harness/phases.py", line 12 in train
  File "/opt/deepmatrix/harness/job.py", line 3 in main
"""


def ended(code: int | None = 0, log: str = "", ending: Any = "exited", cause: str = "") -> Ended:
    return Ended(ending=ending, cause=cause, exit_code=code, wall_s=1.0, log=log)


def write(control: Path, **changes: Any) -> dict[str, Any]:
    document = json.loads(output(JOB).model_dump_json(by_alias=True))
    document.update(changes)
    (control / "output.json").write_text(json.dumps(document))
    return document


def test_a_whole_output_and_exit_code_0_is_ok(tmp_path: Path) -> None:
    write(tmp_path)
    found, status, cause = conclude(JOB, tmp_path, ended())
    assert (status, cause) == ("ok", "")
    assert found is not None


@pytest.mark.parametrize(
    ("code", "log", "status", "cause"),
    [
        (0, "", "lost", "exited with 0 but wrote no output.json"),
        (3, "one\nBoom: it broke\n", "crashed", "exit code 3: Boom: it broke"),
        (3, "", "crashed", "exit code 3: it left no log"),
        (
            1,
            HUNG,
            "timeout",
            "its own watchdog ended it: it hung in "
            'File "/opt/deepmatrix/harness/phases.py", line 12 in train',
        ),
    ],
)
def test_no_output_is_told_apart(
    tmp_path: Path, code: int, log: str, status: str, cause: str
) -> None:
    assert conclude(JOB, tmp_path, ended(code, log))[1:] == (status, cause)


@pytest.mark.parametrize("kept", [0, 1, 100])
def test_a_torn_output_is_torn(tmp_path: Path, kept: int) -> None:
    write(tmp_path)
    path = tmp_path / "output.json"
    path.write_text(path.read_text()[:kept])
    found, status, cause = conclude(JOB, tmp_path, ended())
    assert (found, status) == (None, "torn")
    assert cause == f"output.json ({kept} bytes) is torn or not a record"


def test_an_output_before_a_death_is_kept_but_is_a_crash(tmp_path: Path) -> None:
    write(tmp_path)
    found, status, cause = conclude(JOB, tmp_path, ended(134))
    assert found is not None
    assert (status, cause) == ("crashed", "exit code 134 after it had written its output")


def test_what_the_engine_says_of_the_end_counts_first(tmp_path: Path) -> None:
    write(tmp_path)
    how = ended(None, ending="oom", cause="more than 4 GiB")
    assert conclude(JOB, tmp_path, how) == (None, "oom", "more than 4 GiB")


def test_the_first_failed_phase_is_the_cause(tmp_path: Path) -> None:
    document = write(tmp_path)
    document["records"][2].update(
        status="failed",
        error={"type": "ValueError", "message": "no such layer\nmore", "traceback": "..."},
    )
    write(tmp_path, records=document["records"])
    assert conclude(JOB, tmp_path, ended())[1:] == ("failed", "train: ValueError: no such layer")


def test_what_is_not_supported_is_its_own_status(tmp_path: Path) -> None:
    document = write(tmp_path)
    document["records"][2].update(
        status="unsupported", error={"type": "Unsupported", "message": "no LSTM", "traceback": ""}
    )
    write(tmp_path, records=document["records"])
    assert conclude(JOB, tmp_path, ended())[1:] == ("unsupported", "train: Unsupported: no LSTM")


@pytest.mark.parametrize(
    ("change", "status", "cause"),
    [
        ({"job": "another"}, "torn", "output.json is that of another job, another"),
        ({"records": []}, "torn", "output.json tells of no phase"),
        ({"selftest": []}, "failed", "its arithmetic was not proven, and yet it went on"),
    ],
)
def test_an_output_that_does_not_fit_the_job_is_not_believed(
    tmp_path: Path, change: dict[str, Any], status: str, cause: str
) -> None:
    write(tmp_path, **change)
    assert conclude(JOB, tmp_path, ended())[1:] == (status, cause)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"environment": {"versions": ["torch"]}},
        {"peak_memory_bytes": "much"},
    ],
)
def test_an_output_of_another_form_is_torn(tmp_path: Path, change: dict[str, Any]) -> None:
    write(tmp_path, **change)
    assert conclude(JOB, tmp_path, ended())[1] == "torn"


@pytest.mark.parametrize(
    ("phase", "data"),
    [
        ("train", {}),
        ("train", {"step_s": ["fast"], "losses": [], "accuracy": 1}),
        ("infer", {"batches": {"x": {"latency_s": [1.0], "warmup": 0}}}),
        ("infer", {"batches": {"1": {"latency_s": [None], "warmup": 0}}}),
        ("infer", {"batches": {"1": {"latency_s": [], "warmup": 0}}}),
        ("infer", {"batches": {"1": {"latency_s": [-1.0], "warmup": 0}}}),
        ("infer", {"batches": {"1": {"latency_s": [1.0, 1.0], "warmup": 2}}}),
        ("train", {"step_s": [1.0], "losses": [1.0], "accuracy": 5.0}),
        ("train", {"step_s": [1.0], "losses": [1.0], "accuracy": float("nan")}),
    ],
)
def test_a_phase_without_its_samples_is_torn(tmp_path: Path, phase: str, data: dict) -> None:
    document = write(tmp_path)
    for said in document["records"]:
        if said["phase"] == phase:
            said["data"] = data
    write(tmp_path, records=document["records"])
    assert conclude(JOB, tmp_path, ended())[1] == "torn"


@pytest.mark.parametrize("path", ["/etc/passwd", "../gold.npz", "a/../../b", "", "C:\\x", "a\\b"])
def test_a_model_file_outside_its_folder_is_torn(tmp_path: Path, path: str) -> None:
    file = {"path": path, "bytes": 1, "sha256": "0" * 64}
    write(tmp_path, artifacts=[{"format": "onnx", "files": [file], "export_s": 1.0}])
    assert conclude(JOB, tmp_path, ended())[1] == "torn"


def exported(folder: Path, *names: str) -> Exported:
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(name.encode())
    files = tuple(
        ExportedFile(path=name, bytes=1, sha256=runner._sha256(folder / name)) for name in names
    )
    return Exported(format="onnx", files=files, export_s=1.0)


def test_a_model_that_is_what_its_producer_says_is_taken(tmp_path: Path) -> None:
    runner._check_export(exported(tmp_path / "onnx", "model.onnx"), tmp_path / "onnx")


def test_a_model_that_is_not_what_its_producer_says_is_refused(tmp_path: Path) -> None:
    said = exported(tmp_path / "onnx", "model.onnx", "data.bin")
    (tmp_path / "onnx" / "data.bin").write_bytes(b"other")
    with pytest.raises(Unreadable, match=r"data\.bin is not what it says"):
        runner._check_export(said, tmp_path / "onnx")
    (tmp_path / "onnx" / "data.bin").unlink()
    (tmp_path / "onnx" / "data.bin").symlink_to("/etc/passwd")
    with pytest.raises(Unreadable, match=r"data\.bin is not both there and named"):
        runner._check_export(said, tmp_path / "onnx")


def test_a_model_may_not_take_the_names_of_the_hosts_files(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"gold\.npz is a name of the host's own"):
        runner._check_export(exported(tmp_path / "onnx", "gold.npz"), tmp_path / "onnx")


def test_a_changed_gold_of_a_kept_model_is_the_runs_own_fault(tmp_path: Path) -> None:
    folder = artifact(tmp_path / "artifact", [[1.0]], [[1.0]])
    for name in ("inputs.npz", "weights.npz"):
        np.savez(folder / name, x=np.ones(1))
    described = runner._describe(exported(tmp_path / "onnx", "model.onnx"), "an-artifact", folder)
    (folder / "model.onnx").write_bytes(b"model.onnx")
    (folder / "artifact.json").write_text(described.model_dump_json())
    runner._verify(folder)
    np.savez(folder / "gold.npz", y=np.full((1, 1), 2.0))
    with pytest.raises(RecordError, match=r"gold\.npz is not what was kept"):
        runner._verify(folder)


def test_a_terminal_obeys_no_cause(tmp_path: Path) -> None:
    _, status, cause = conclude(JOB, tmp_path, ended(3, "\x1b]52;c;AAAA\x07\x1b[31mred\n"))
    made = record(JOB, status=status, cause=cause, output=None)
    assert made.cause == "exit code 3:  ]52;c;AAAA red"


def artifact(folder: Path, truth: object, produced: object) -> Path:
    folder.mkdir(parents=True)
    np.savez(folder / "gold.npz", y=np.asarray(truth))
    np.savez(folder / "outputs.npz", y=np.asarray(produced))
    return folder


@pytest.mark.parametrize(
    ("truth", "answered", "error", "note"),
    [
        ([[1.0, -4.0]], [[1.0, -3.0]], 0.25, ""),
        ([[1.0, -4.0]], [[1.0, np.nan]], None, "its outputs are not finite"),
        ([[1.0, np.nan]], [[1.0, 2.0]], None, "the gold outputs are zero or not finite"),
        ([[0.0, 0.0]], [[1.0, 2.0]], None, "the gold outputs are zero or not finite"),
        (
            [[1.0, -4.0]],
            [[1.0]],
            None,
            "its outputs cannot be used: y has the shape (1, 1), not (1, 2)",
        ),
        (
            [[1.0, -4.0]],
            [[1.0 + 1j, 2.0]],
            None,
            "its outputs cannot be used: y holds complex128, not floats",
        ),
    ],
)
def test_an_answer_is_measured_against_gold(
    tmp_path: Path, truth: list, answered: list, error: float | None, note: str
) -> None:
    np.savez(tmp_path / "outputs.npz", y=np.asarray(answered))
    folder = artifact(tmp_path / "artifact", truth, [[1.0, -4.0]])
    found = runner._agreement(folder, tmp_path / "outputs.npz")
    assert (found.error, found.note) == (error, note)


@pytest.mark.parametrize("content", [b"", b"PK\3\4torn", b"\x93NUMPY", b"x" * 1000])
def test_an_answer_that_is_no_archive_is_the_consumers_fault(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "outputs.npz").write_bytes(content)
    folder = artifact(tmp_path / "artifact", [[1.0]], [[1.0]])
    found = runner._agreement(folder, tmp_path / "outputs.npz")
    assert found.error is None
    assert found.note.startswith("its outputs cannot be used: outputs.npz: ")


def test_a_damaged_gold_is_the_runs_own_fault(tmp_path: Path) -> None:
    folder = artifact(tmp_path / "artifact", [[1.0]], [[1.0]])
    (folder / "gold.npz").write_bytes(b"")
    with pytest.raises(RecordError, match="damaged"):
        runner._agreement(folder, tmp_path / "outputs.npz")


class Quiet:
    """A watcher that says nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


class NativeEngine:
    """An engine of one architecture that cannot make anything; it keeps what it was asked for."""

    name = "venv"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def capabilities(self) -> Capabilities:
        return Capabilities(engine="venv", native=frozenset({"amd64"}))

    def describe(self) -> dict[str, str]:
        return {}

    def prepare(self, cells: Sequence[Cell], progress: Progress) -> dict[str, Prepared]:
        del progress
        self.asked = [cell.id for cell in cells]
        return {one: Prepared(cell_id=one, reference="", error="cannot") for one in self.asked}

    def open(self, run_id: str) -> None:
        del run_id

    def run(self, task: object, cancel: threading.Event) -> Ended:
        raise AssertionError(f"{task} was run, {cancel}")

    def close(self) -> None:
        pass


def test_another_engine_is_not_asked_for_what_it_cannot_run(tmp_path: Path) -> None:
    made = planned("onnxruntime-debian1*-cpu", "torch-debian1*-a*64-cpu")
    assert DOCKER.emulated
    run, engine = new_run(tmp_path, made), NativeEngine()
    Runner(run=run, engine=engine, watcher=Quiet()).execute()
    assert engine.asked
    assert not [cell for cell in engine.asked if "-arm64-" in cell]
    error = run.prepared()["torch-debian13-arm64-cpu"].error
    assert error == "the venv engine runs only its own architecture"


def test_a_run_is_run_by_one_process_at_a_time(tmp_path: Path) -> None:
    run = new_run(tmp_path, planned("torch-debian12-amd64-cpu"))
    with run.locked(), pytest.raises(RecordError, match="is being run by another process"):
        Runner(run=run, engine=NativeEngine(), watcher=Quiet()).execute()
    assert not (run.path / "builds").exists()


class DisturbedEngine(NativeEngine):
    """An engine whose machine is slow at the first *times* processes of round 1."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times
        self.ran: list[str] = []

    def prepare(self, cells: Sequence[Cell], progress: Progress) -> dict[str, Prepared]:
        del progress
        return {cell.id: Prepared(cell_id=cell.id, reference="here") for cell in cells}

    def run(self, task: Any, cancel: threading.Event) -> Ended:
        del cancel
        self.ran.append(task.id)
        (job,) = [job for job in REPEATED.jobs("consume") if job.id == task.id]
        slow = job.round == 1 and self.ran.count(task.id) <= self.times
        canary = {**CANARY, "matmul_flops": CANARY["matmul_flops"] * (0.5 if slow else 1)}
        said = output(job, canaries=[canary])
        (task.control / "output.json").write_text(said.model_dump_json(by_alias=True))
        np.savez(task.control / "outputs.npz", y=np.ones((2, 2), np.float32))
        return ended()


REPEATED = planned("torch-debian12-amd64-cpu", "onnxruntime-debian12-amd64-cpu")


@pytest.mark.parametrize(("times", "again"), [(0, 0), (1, 1), (9, runner.MOST_AGAIN)])
def test_a_round_on_a_disturbed_machine_is_run_again_at_most_twice_and_kept(
    tmp_path: Path, times: int, again: int
) -> None:
    run, engine = new_run(tmp_path, REPEATED), DisturbedEngine(times)
    jobs = [job for job in REPEATED.jobs("consume") if job.cell.startswith("onnxruntime")]
    for made in {job.artifact for job in jobs if job.artifact}:
        folder = artifact(run.artifact(made), np.ones((2, 2)), np.ones((2, 2)))
        np.savez(folder / "inputs.npz", x=np.ones((2, 2)))
        named = ExportedFile(path="gold.npz", bytes=1, sha256=runner._sha256(folder / "gold.npz"))
        described = Exported(id=made.id, format=made.format, files=(named,), export_s=1.0)
        (folder / "artifact.json").write_text(described.model_dump_json())
    Runner(run=run, engine=engine, watcher=Quiet(), cells={jobs[0].cell}).execute(["consume"])

    second = [job for job in jobs if job.round == 1]
    assert sorted(engine.ran) == sorted(
        [job.id for job in jobs] + [job.id for job in second] * again
    )
    for job in second:
        kept = sorted(path.name for path in run.record_path(job).parent.glob("r1.*"))
        assert kept == [f"r1.aside{number + 1}.json" for number in range(again)] + ["r1.json"]
    assert len(list(run.records())) == len(jobs)
