"""Running a plan on an engine that is a part of the test."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepmatrix.diagnosis.search.tracing import Tracer
from deepmatrix.engines import Ended, Prepared, Progress
from deepmatrix.errors import EngineError, Interrupted, RecordError, system_error
from deepmatrix.execution.runner import Runner
from deepmatrix.execution.sessions.lanes import Lane
from deepmatrix.execution.tasks import TaskMaker
from deepmatrix.execution.watching import Place
from deepmatrix.machine import locks
from deepmatrix.planning.cells import Capabilities, Cell
from deepmatrix.planning.plan import Job
from deepmatrix.planning.subjects import Artifact
from deepmatrix.results import merging
from deepmatrix.store import artifacts
from deepmatrix.store.reported.output import Exported, ExportedFile
from deepmatrix.store.runs import Run
from deepmatrix.workloads import inputs
from tests import small_disks
from tests.unit.examples import (
    CANARY,
    DOCKER,
    MATRIX,
    artifact,
    new_run,
    output,
    planned,
    save_producer,
)
from tests.unit.test_sessions import LocalEngine, real_processes, run_of
from tests.unit.test_sessions import serve as serve_session


class Quiet:
    """A watcher that says nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


class NativeEngine:
    """An engine of one architecture that cannot make anything; it keeps what it was asked for."""

    name = "venv"
    is_here = True

    def __init__(self) -> None:
        self.asked: list[str] = []

    def capabilities(self) -> Capabilities:
        return Capabilities(engine="venv", native=frozenset({"amd64"}))

    def describe(self) -> dict[str, str]:
        return {}

    def prepare(self, cells: Sequence[Cell], progress: Progress) -> dict[str, Prepared]:
        del progress
        self.asked = [cell.id for cell in cells]
        return {
            cell_id: Prepared(cell_id=cell_id, reference="", error="cannot")
            for cell_id in self.asked
        }

    def adopt(self, cell: Cell, earlier: Prepared) -> Prepared:
        return earlier.adopted(cell.id, "cannot")

    def open(self, run_id: str) -> None:
        del run_id

    def run(self, task: object, cancel: threading.Event) -> Ended:
        raise AssertionError(f"{task} was run, {cancel}")

    def close(self) -> None:
        pass


def test_an_engine_is_not_asked_for_cells_that_it_refuses(tmp_path: Path) -> None:
    plan = planned("onnxruntime-debian1*-cpu", "torch-debian1*-a*64-cpu")
    assert DOCKER.emulated
    run, engine = new_run(tmp_path, plan), NativeEngine()
    Runner(run=run, engine=engine, watcher=Quiet()).execute()
    assert engine.asked
    assert not [cell for cell in engine.asked if "-arm64-" in cell]
    error = run.prepared()["torch-debian13-arm64-cpu"].error
    assert error == "the venv engine runs only its own architecture"


def test_a_locked_run_is_refused(tmp_path: Path) -> None:
    run = new_run(tmp_path, planned("torch-debian12-amd64-cpu"))
    with run.locked(), pytest.raises(RecordError, match="is being run by another process"):
        Runner(run=run, engine=NativeEngine(), watcher=Quiet()).execute()
    assert not (run.path / "builds").exists()


class StoppedEngine(NativeEngine):
    """An engine at which Ctrl-C is pressed."""

    def prepare(self, cells: Sequence[Cell], progress: Progress) -> dict[str, Prepared]:
        del cells, progress
        raise KeyboardInterrupt


def test_an_interruption_names_the_command_that_resumes_the_run(tmp_path: Path) -> None:
    run = new_run(tmp_path / "my runs", planned("torch-debian12-amd64-cpu"))
    with pytest.raises(Interrupted) as raised:
        Runner(run=run, engine=StoppedEngine(), watcher=Quiet()).execute()
    resuming = f"--resume one --engine venv --runs '{tmp_path}/my runs'"
    assert raised.value.hint.endswith(resuming)


class SlowEngine(NativeEngine):
    """An engine that is making cells ready when the user presses Ctrl-C."""

    def prepare(self, cells: Sequence[Cell], progress: Progress) -> dict[str, Prepared]:
        del cells, progress
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
        return {}


def test_an_interruption_while_several_engines_make_cells_ready_names_it_too(
    tmp_path: Path,
) -> None:
    run = new_run(tmp_path, planned("torch-debian12-amd64-cpu"))
    runner = Runner(run=run, engine=SlowEngine(), watcher=Quiet(), others=[NativeEngine()])
    with pytest.raises(Interrupted) as raised:
        runner.execute()
    assert "--resume one" in raised.value.hint


class DisturbedEngine(NativeEngine):
    """An engine whose machine is slow at the first *times* processes of round 1."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times
        self.ran: list[str] = []
        self.jobs = {job.id: job for job in REPEATED.jobs("consume")}

    def prepare(self, cells: Sequence[Cell], progress: Progress) -> dict[str, Prepared]:
        del progress
        return {cell.id: Prepared(cell_id=cell.id, reference="here") for cell in cells}

    def run(self, task: Any, cancel: threading.Event) -> Ended:
        del cancel
        ended = self._answer(task.folder)
        while task.queue and task.queue.has_next:
            task.queue.advance(ended)
            ended = self._answer(task.folder)
        return ended

    def _answer(self, folder: Path) -> Ended:
        job_id = json.loads((folder / "input.json").read_text())["job"]
        self.ran.append(job_id)
        job = self.jobs[job_id]
        slow = job.round == 1 and self.ran.count(job_id) <= self.times
        canary = {**CANARY, "matmul_flops": CANARY["matmul_flops"] * (0.5 if slow else 1)}
        job_output = output(job, canaries=[canary])
        (folder / "output.json").write_text(job_output.model_dump_json(by_alias=True))
        (folder / "outputs").mkdir()
        np.save(folder / "outputs" / "0.npy", np.ones((2, 2), np.float32))
        return Ended(ending="exited", cause="", exit_code=0, wall_s=1.0, log="")


class LateEngine(DisturbedEngine):
    """An engine during whose last process the user presses Ctrl-C, which it does not heed."""

    def _answer(self, folder: Path) -> Ended:
        ended = super()._answer(folder)
        if len(self.ran) == len([job for job in REPEATED.jobs("consume") if job.cell == CONSUMER]):
            os.kill(os.getpid(), signal.SIGINT)
        return ended


CONSUMER = "onnxruntime-debian12-amd64-cpu"
REPEATED = planned("torch-debian12-amd64-cpu", CONSUMER)


def test_ctrl_c_at_the_last_process_ends_what_comes_after_it(tmp_path: Path) -> None:
    run = new_run(tmp_path, REPEATED)
    jobs = [job for job in REPEATED.jobs("consume") if job.cell == CONSUMER]
    for exported in {job.artifact for job in jobs if job.artifact}:
        with_inputs(run, exported)
    runner = Runner(run=run, engine=LateEngine(0), watcher=Quiet(), cells={CONSUMER})
    with pytest.raises(Interrupted):
        runner.execute(["consume"])
    assert all(run.is_done(job) for job in jobs)


def test_ctrl_c_while_inputs_are_made_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path, REPEATED)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(
        inputs, "write_missing", lambda *_, **__: signal.raise_signal(signal.SIGINT)
    )
    with pytest.raises(Interrupted) as raised:
        Runner(run=run, engine=DisturbedEngine(0), watcher=Quiet()).execute()
    assert "--resume one" in raised.value.hint


@pytest.mark.parametrize(("times", "retries"), [(0, 0), (1, 1), (9, 2)])
def test_a_noisy_round_is_retried_at_most_twice_and_its_records_stay(
    tmp_path: Path, times: int, retries: int
) -> None:
    run, engine = new_run(tmp_path, REPEATED), DisturbedEngine(times)
    jobs = [job for job in REPEATED.jobs("consume") if job.cell.startswith("onnxruntime")]
    for exported in {job.artifact for job in jobs if job.artifact}:
        with_inputs(run, exported)
    Runner(run=run, engine=engine, watcher=Quiet(), cells={jobs[0].cell}).execute(["consume"])

    second = [job for job in jobs if job.round == 1]
    assert sorted(engine.ran) == sorted(
        [job.id for job in jobs] + [job.id for job in second] * retries
    )
    for job in second:
        record_files = sorted(path.name for path in run.record_path(job).parent.glob("r1.*"))
        assert record_files == ["r1.json"] + [
            f"r1.retried{number + 1}.json" for number in range(retries)
        ]
    assert len([record for record in run.records() if record.wave == "consume"]) == len(jobs)


class FillingEngine(DisturbedEngine):
    """An engine at whose fifth job a disk becomes full."""

    def __init__(self, disk: Path) -> None:
        super().__init__(times=0)
        self.filler = disk / "filler"

    def _answer(self, folder: Path) -> Ended:
        if len(self.ran) == 4:
            with self.filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(1 << 12))
        return super()._answer(folder)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, of 100 MiB."""
    with small_disks.mounted(tmp_path / "disk", "100m") as folder:
        yield folder


def test_a_full_disk_loses_no_record_and_the_run_goes_on_when_there_is_room(disk: Path) -> None:
    engine = FillingEngine(disk)
    with pytest.raises(OSError, match="No space left on device") as raised:
        serve(disk, engine)
    assert system_error(raised.value).hint.startswith("make room")
    kept = {
        path: path.read_bytes() for path in (disk / "one" / "records" / CONSUMER).rglob("*.json")
    }
    assert len(kept) == 4
    assert not list(disk.rglob("*.part"))
    assert not (disk / "one" / "scratch").exists()
    engine.filler.unlink()
    run = Run.open(disk / "one")
    Runner(run=run, engine=DisturbedEngine(0), watcher=Quiet(), cells={CONSUMER}).execute(
        ["consume"]
    )
    assert {record.status for record in run.records()} == {"ok"}
    assert {path: path.read_bytes() for path in kept} == kept


class LeavingEngine(DisturbedEngine):
    """An engine that goes away under the first process, and under no other one."""

    def __init__(self, *, returns: bool) -> None:
        super().__init__(times=0)
        self.returns = returns
        self.is_away = False

    def capabilities(self) -> Capabilities:
        if self.is_away:
            raise EngineError("nobody answers")
        return super().capabilities()

    def run(self, task: Any, cancel: threading.Event) -> Ended:
        if self.ran:
            return super().run(task, cancel)
        self.ran.append(json.loads((task.folder / "input.json").read_text())["job"])
        self.is_away = not self.returns
        return Ended(ending="engine-lost", cause="the engine went away", exit_code=None, wall_s=1.0)


def serve(folder: Path, engine: DisturbedEngine) -> tuple[Run, list[Job]]:
    """Run the jobs of a consumer on an engine; return the run, and these jobs."""
    run = new_run(folder, REPEATED)
    jobs = [job for job in REPEATED.jobs("consume") if job.cell.startswith("onnxruntime")]
    for exported in {job.artifact for job in jobs if job.artifact}:
        with_inputs(run, exported)
    Runner(run=run, engine=engine, watcher=Quiet(), cells={jobs[0].cell}).execute(["consume"])
    return run, jobs


@real_processes
def test_what_finds_the_disk_full_is_not_to_blame_and_has_no_final_record(
    disk: Path, tmp_path: Path
) -> None:
    run, jobs = run_of(tmp_path, ["filling"])
    serve_session(run, LocalEngine(disk / "work"))
    (job,) = jobs.values()
    record = run.record(job)
    assert record.status == "engine-lost"
    assert record.cause.startswith("the disk of its machine is full: harness: [Errno 28]")
    assert not run.is_done(job)


class ArmEngine(NativeEngine):
    """An engine of another machine, which has nothing to do."""

    def capabilities(self) -> Capabilities:
        return Capabilities(engine="venv", native=frozenset({"arm64"}))


class LosingEngine(DisturbedEngine):
    """An engine that loses its first process, and each second one up to the fifth."""

    def __init__(self) -> None:
        super().__init__(times=0)
        self.processes = 0

    def run(self, task: Any, cancel: threading.Event) -> Ended:
        self.processes += 1
        if self.processes in (1, 3, 5):
            return Ended(ending="engine-lost", cause="the engine went away, and came back")
        return super().run(task, cancel)


class CrowdedEngine(DisturbedEngine):
    """An engine with two lanes. In the first that is used one process crashes, the next is lost."""

    def __init__(self) -> None:
        super().__init__(times=0)
        self.started = threading.Lock()
        self.lane: list[int] = []
        self.crashed = ""

    def capabilities(self) -> Capabilities:
        return replace(super().capabilities(), cpus=2, memory_bytes=5 << 30)

    def run(self, task: Any, cancel: threading.Event) -> Ended:
        with self.started:
            first = self.lane[0] if self.lane else threading.get_ident()
            self.lane += [first] * (first == threading.get_ident())
            place = len(self.lane) if first == threading.get_ident() else 0
        if place == 2:
            return Ended(ending="engine-lost", cause="the engine went away, and came back")
        if place == 1:
            self.crashed = json.loads((task.folder / "input.json").read_text())["job"]
            self.ran.append(self.crashed)
            return Ended(ending="crashed", cause="a signal")
        return super().run(task, cancel)


class RoomyEngine(DisturbedEngine):
    """An engine with CPUs to spare; it keeps which processes ran at once."""

    def __init__(self) -> None:
        super().__init__(times=0)
        self._lock, self._running = threading.Lock(), list[Any]()
        self.together: list[tuple[bool, bool]] = []
        self.counts = {True: 0, False: 0}

    def capabilities(self) -> Capabilities:
        return replace(super().capabilities(), cpus=4, memory_bytes=64 << 30)

    def run(self, task: Any, cancel: threading.Event) -> Ended:
        with self._lock:
            self.counts[task.timed] += 1
            self.together += [(task.timed, other.timed) for other in self._running]
            assert all(
                set(task.limits.cpus).isdisjoint(other.limits.cpus) for other in self._running
            )
            self._running.append(task)
        time.sleep(0.1)
        ended = super().run(task, cancel)
        with self._lock:
            self._running.remove(task)
        return ended


def serve_with_room(folder: Path, engine: RoomyEngine, *, beside: bool) -> Run:
    """Run what one consumer is timed for, and what another one is only checked for."""
    checked = CONSUMER.replace("debian12", "debian13")
    plan = replace(
        planned("torch-debian12-amd64-cpu", CONSUMER, checked),
        checked_cells=frozenset({checked}),
        isolate=True,
    )
    limits = MATRIX.limits.model_copy(update={"beside": beside})
    run = new_run(folder, plan, matrix=MATRIX.model_copy(update={"limits": limits}))
    jobs = [job for job in plan.jobs("consume") if job.cell in (CONSUMER, checked)]
    for exported in {job.artifact for job in jobs if job.artifact}:
        with_inputs(run, exported)
    engine.jobs = {job.id: job for job in jobs}
    Runner(run=run, engine=engine, watcher=Quiet(), cells={CONSUMER, checked}).execute(["consume"])
    assert {run.record(job).status for job in jobs} == {"ok"}
    return run


@pytest.mark.parametrize("beside", [True, False])
def test_what_is_checked_runs_beside_what_is_timed_only_where_that_is_asked(
    tmp_path: Path, beside: bool
) -> None:
    engine = RoomyEngine()
    run = serve_with_room(tmp_path, engine, beside=beside)
    assert min(engine.counts.values()) > 1
    assert (True, True) not in engine.together  # what is timed runs one after another
    assert (False, False) in engine.together
    is_beside = {(True, False), (False, True)} & set(engine.together)
    assert bool(is_beside) == beside
    results = merging.merge([run])
    assert results.beside == beside
    assert any("have run beside" in warning for warning in results.warnings) == beside


class PatientEngine(RoomyEngine):
    """Its processes that are only checked last until there was one on each CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.cpus, self.on_each = set[int](), threading.Event()

    def run(self, task: Any, cancel: threading.Event) -> Ended:
        if not task.timed:
            with self._lock:
                self.cpus.update(task.limits.cpus)
            if len(self.cpus) == self.capabilities().cpus:
                self.on_each.set()
            self.on_each.wait(20)
            self.on_each.set()  # no other one has to wait in vain
        return super().run(task, cancel)


def test_what_is_checked_has_all_cpus_once_all_is_timed(tmp_path: Path) -> None:
    engine = PatientEngine()
    serve_with_room(tmp_path, engine, beside=True)
    assert engine.cpus == {0, 1, 2, 3}


class CrampedEngine(RoomyEngine):
    """An engine of less memory; its first process that has a share of it crashes."""

    def __init__(self) -> None:
        super().__init__()
        self.crashed = ""

    def capabilities(self) -> Capabilities:
        return replace(super().capabilities(), memory_bytes=16 << 30)

    def run(self, task: Any, cancel: threading.Event) -> Ended:
        with self._lock:
            is_first = not (task.timed or self.crashed)
            self.crashed = task.id if is_first else self.crashed
        if is_first:
            return Ended(ending="crashed", cause="a signal")
        return super().run(task, cancel)


def test_what_fails_in_a_share_of_the_memory_beside_timed_work_is_tried_with_all_of_it(
    tmp_path: Path,
) -> None:
    engine = CrampedEngine()
    run = serve_with_room(tmp_path, engine, beside=True)
    (doubted,) = (record for record in run.records() if record.after_others)
    assert (doubted.job, doubted.after_others) == (engine.crashed, "crashed: a signal")


def serve_beside_arm(folder: Path, engine: DisturbedEngine, **changes: Any) -> list[str]:
    """Run a consumer's jobs on the only of two machines that can; return how they ended."""
    plan = replace(REPEATED, **changes)
    run = new_run(folder, plan)
    jobs = [job for job in plan.jobs("consume") if job.cell == CONSUMER]
    for exported in {job.artifact for job in jobs if job.artifact}:
        with_inputs(run, exported)
    runner = Runner(run=run, engine=engine, watcher=Quiet(), cells={CONSUMER}, others=[ArmEngine()])
    runner.execute(["consume"])
    return [run.record(job).status for job in jobs]


def test_a_machine_that_loses_processes_now_and_then_is_not_put_aside(tmp_path: Path) -> None:
    assert set(serve_beside_arm(tmp_path, LosingEngine(), isolate=True)) == {"ok"}


def test_what_waits_for_all_of_the_memory_is_done_once_where_the_next_process_is_lost(
    tmp_path: Path,
) -> None:
    engine = CrowdedEngine()
    statuses = serve_beside_arm(tmp_path, engine, checked_cells=frozenset({CONSUMER}))
    assert set(statuses) == {"ok"}
    assert engine.ran.count(engine.crashed) == 2  # in a share of the memory, and with all of it


def test_a_job_that_was_lost_with_the_engine_is_repeated_when_it_is_back(tmp_path: Path) -> None:
    engine = LeavingEngine(returns=True)
    run, jobs = serve(tmp_path, engine)
    assert sorted(engine.ran) == sorted([*(job.id for job in jobs), engine.ran[0]])
    records = [run.record(job) for job in jobs]
    assert {(record.status, record.after_others) for record in records} == {("ok", "")}


def test_an_engine_that_stays_away_ends_the_run_and_the_lost_job_says_why(tmp_path: Path) -> None:
    engine = LeavingEngine(returns=False)
    with pytest.raises(EngineError, match="the engine went away: nobody answers") as raised:
        serve(tmp_path, engine)
    assert "--resume one" in raised.value.hint
    records = Run.open(tmp_path / "one").records()
    lost, *others = [record for record in records if record.cell == CONSUMER]
    assert (lost.status, others, len(engine.ran)) == ("engine-lost", [], 1)


def with_inputs(run: Run, exported: Artifact) -> None:
    """Store an artifact so that it can be handed over."""
    folder = artifact(run.artifact_path(exported), np.ones((2, 2)), np.ones((2, 2)))
    np.savez(folder / "inputs.npz", x=np.ones((2, 2)))
    named = ExportedFile(path="gold.npz", bytes=1, sha256=artifacts.sha256(folder / "gold.npz"))
    described = Exported(id=exported.id, format=exported.format, files=(named,), export_s=1.0)
    (folder / "artifact.json").write_text(described.model_dump_json())
    save_producer(run, exported)


@pytest.mark.parametrize("name", ["onnx", "onnxruntime"])
def test_the_standards_evaluator_is_run_once_and_not_timed(tmp_path: Path, name: str) -> None:
    plan = planned("torch-debian12-amd64-cpu", f"{name}-debian12-amd64-cpu")
    run = new_run(tmp_path, plan)
    cell = next(cell for cell in plan.cells if cell.name == name)
    job = next(job for job in plan.jobs("consume") if job.cell == cell.id)
    assert job.artifact is not None
    job = replace(job, artifact=replace(job.artifact, imported=True))
    with_inputs(run, job.artifact)
    (tmp_path / "control").mkdir()
    maker = TaskMaker(run=run, capabilities=DOCKER, emulated=False, lane=Lane((0,), 1 << 30))
    infer = maker.contents(job, cell, tmp_path / "control")["infer"]
    assert infer["samples"] == (1 if name == "onnx" else plan.infer.samples)
    assert plan.infer.samples > 1


def test_a_run_waits_for_a_process_of_another_one_on_its_cpus(tmp_path: Path) -> None:
    run, engine = new_run(tmp_path, REPEATED), DisturbedEngine(0)
    jobs = [job for job in REPEATED.jobs("consume") if job.cell == CONSUMER]
    for exported in {job.artifact for job in jobs if job.artifact}:
        with_inputs(run, exported)
    ran_before: list[int] = []
    other_run = contextlib.ExitStack()

    def end_the_other_run(_: tuple[int, ...]) -> None:
        ran_before.append(len(engine.ran))
        other_run.close()

    watcher = Quiet()
    watcher.waiting_for_cpus = end_the_other_run  # type: ignore[attr-defined]
    other_run.enter_context(locks.exclusive_cpus(range(64), threading.Event(), lambda: None))
    Runner(run=run, engine=engine, watcher=watcher, cells={CONSUMER}).execute(["consume"])
    assert ran_before == [0]
    assert sorted(engine.ran) == sorted(job.id for job in jobs)


def test_a_lane_that_waits_is_the_one_that_starts_with_fewer_threads_than_others_have(
    tmp_path: Path,
) -> None:
    consumer = next(cell for cell in REPEATED.cells if cell.id == CONSUMER)
    plan = replace(REPEATED, cells=(*REPEATED.cells, consumer.with_threads(2)))
    run, other_run = new_run(tmp_path, plan), contextlib.ExitStack()
    job = next(job for job in REPEATED.jobs("consume") if job.cell == CONSUMER)
    assert job.artifact is not None
    with_inputs(run, job.artifact)
    waited, started = set[Place](), set[Place]()

    def wait(place: Place) -> None:
        waited.add(place)
        other_run.close()

    watcher = Quiet()
    watcher.waiting_for_cpus = wait  # type: ignore[attr-defined]
    watcher.started = lambda _, place: started.add(place)  # type: ignore[attr-defined]
    other_run.enter_context(locks.exclusive_cpus(range(64), threading.Event(), lambda: None))
    engine = DisturbedEngine(0)
    engine.capabilities = lambda: DOCKER  # type: ignore[method-assign]
    runner = Runner(run=run, engine=engine, watcher=watcher, cells={CONSUMER})
    with runner.open([consumer]) as opened:
        opened.perform(job)
    assert waited == started == {("", (0, 1))}


def test_the_time_of_a_search_does_not_pass_while_another_run_has_its_turn(tmp_path: Path) -> None:
    run, other_run, turn_s = new_run(tmp_path, REPEATED), contextlib.ExitStack(), 0.5

    def let_the_other_run_go_on(_: tuple[int, ...]) -> None:
        time.sleep(turn_s)
        other_run.close()

    watcher = Quiet()
    watcher.waiting_for_cpus = let_the_other_run_go_on  # type: ignore[attr-defined]
    other_run.enter_context(locks.exclusive_cpus(range(64), threading.Event(), lambda: None))
    cell = next(cell for cell in REPEATED.cells if cell.id == CONSUMER)
    job = next(job for job in REPEATED.jobs("consume") if job.cell == CONSUMER)
    assert job.artifact is not None
    with_inputs(run, job.artifact)
    runner = Runner(run=run, engine=DisturbedEngine(0), watcher=watcher, cells={CONSUMER})
    with runner.open([cell]) as opened:
        tracer = Tracer(opened=opened)
        searched, began = tracer.clock(), time.monotonic()
        attempts = opened.attempts
        attempts.serve([job], cell, lambda *_: None, attempts.timed_lane)
        searched, passed = tracer.clock() - searched, time.monotonic() - began
    assert passed >= turn_s
    assert 0 <= searched <= passed - turn_s
