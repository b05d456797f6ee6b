"""Sessions: real processes that serve a queue of artifacts, some of which end them."""

from __future__ import annotations

import json
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepmatrix.engines import Ended, Prepared, Progress, Task
from deepmatrix.engines.local import LocalProcesses
from deepmatrix.errors import Interrupted
from deepmatrix.execution.runner import Runner
from deepmatrix.execution.sessions import lanes
from deepmatrix.execution.sessions.balancing import LONGEST
from deepmatrix.execution.sessions.schedule import Schedule, Stage
from deepmatrix.execution.sessions.splitting import Session, in_order, split
from deepmatrix.execution.sessions.staging import plan_stages
from deepmatrix.planning.cells import Capabilities, Cell
from deepmatrix.planning.plan import WAVES, Job, Plan
from deepmatrix.results.merging import merge
from deepmatrix.store.records import JobRecord
from deepmatrix.store.runs import Run
from harness.record import INPUT, job_folder
from tests.unit.examples import MATRIX, planned, store_model
from tests.unit.plain_user import as_a_plain_user

ROOT = Path(__file__).parents[2]
ADAPTER = ROOT / "tests" / "inside" / "session_adapter.py"
CONSUMER = "onnxruntime-debian12-amd64-cpu"
MIB = 1 << 20
WORKLOADS = tuple(f"w{number}" for number in range(16))
X = np.arange(8, dtype=np.float32).reshape(4, 2)

real_processes = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the cells are for x86-64"
)


class Quiet:
    """A watcher that says nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


class LocalEngine:
    """Runs the harness of this repository in processes of this interpreter."""

    name = "venv"
    is_here = True

    def __init__(self, work: Path, cpus: int = 1, memory_bytes: int = 1 << 40) -> None:
        self._processes = LocalProcesses(
            clean=True, extra={"session_adapter.py": ADAPTER}, root=work
        )
        self.work = work
        self._cpus = cpus
        self._memory_bytes = memory_bytes
        self.tasks: list[Task] = []

    def capabilities(self) -> Capabilities:
        return Capabilities(
            engine="venv",
            native=frozenset({"amd64"}),
            cpus=self._cpus,
            memory_bytes=self._memory_bytes,
        )

    def describe(self) -> dict[str, str]:
        return {}

    def prepare(self, cells: Sequence[Cell], progress: Progress) -> dict[str, Prepared]:
        del progress
        return {cell.id: Prepared(cell_id=cell.id, reference="here") for cell in cells}

    def adopt(self, cell: Cell, earlier: Prepared) -> Prepared:
        return earlier.adopted(cell.id, "")

    def open(self, run_id: str) -> None:
        del run_id
        self._processes.open()

    def run(self, task: Task, cancel: threading.Event) -> Ended:
        self.tasks.append(task)
        return self._processes.run(task, Path(sys.executable), cancel)

    def close(self) -> None:
        self._processes.close()


def plan_of(count: int, *, adapter: str = "session_adapter", **changes: Any) -> Plan:
    """Return a plan in which one consumer serves *count* artifacts, for their verdicts only."""
    python = "{}.{}".format(*sys.version_info)
    plan = planned("torch-debian12-amd64-cpu", CONSUMER)
    cells = tuple(replace(cell.with_system(adapter=adapter), python=python) for cell in plan.cells)
    infer = plan.infer.model_copy(update={"batches": (1,), "samples": 1, "min_s": 0, "warmup": 0})
    settled: dict[str, Any] = {
        "cells": cells,
        "workloads": WORKLOADS[:count],
        "rounds_native": 1,
        "infer": infer,
        "emulated": frozenset({"torch-debian12-amd64-cpu"}),
    }
    return replace(plan, **{**settled, **changes})


def run_of(
    folder: Path,
    faults: Sequence[str],
    memory: int = 300 * MIB,
    deadline_s: float = 120,
    **changes: Any,
) -> tuple[Run, dict[str, Job]]:
    """Return a run with a model for each fault, and the jobs that serve them, by model."""
    plan = plan_of(len(faults), **changes)
    limits = MATRIX.limits.model_copy(
        update={"memory": memory, "deadline_s": deadline_s, "log": MIB}
    )
    tiny = MATRIX.workloads["digits-conv"].model_copy(update={"epochs": 1, "steps": 1})
    workloads = dict.fromkeys(WORKLOADS, tiny)
    matrix = MATRIX.model_copy(update={"limits": limits, "workloads": workloads})
    run = Run.create(folder, plan, matrix, version="0.1.0", name="one")
    jobs = {}
    for job in plan.jobs("consume"):
        assert job.artifact is not None
        if job.artifact.format == "onnx":
            number = plan.workloads.index(job.workload)
            model = f"{number} {faults[number]}"
            if model not in jobs:  # else it is of another round
                store_model(run, job.artifact, X + number, faults[number].encode())
            jobs[model] = job
    return run, jobs


def serve(run: Run, engine: LocalEngine) -> None:
    Runner(run=run, engine=engine, watcher=Quiet(), cells={CONSUMER}).execute(["consume"])


def records(run: Run, jobs: Mapping[str, Job]) -> dict[str, JobRecord]:
    return {model: run.record(job) for model, job in jobs.items()}


@real_processes
def test_one_process_serves_a_queue_and_each_artifact_has_its_record(tmp_path: Path) -> None:
    run, jobs = run_of(tmp_path, ["fine"] * 4)
    engine = LocalEngine(tmp_path / "work")
    serve(run, engine)
    served = records(run, jobs)
    assert [record.status for record in served.values()] == ["ok"] * 4
    assert len(engine.tasks) == 1
    outputs = [record.output for record in served.values() if record.output]
    assert sorted(output.place for output in outputs) == [1, 2, 3, 4]
    assert all(record.agreement and record.agreement.error == 0 for record in served.values())
    logs = [run.log_path(job).read_text() for job in jobs.values()]
    assert [log.count("serving fine") for log in logs] == [1] * 4
    assert not (run.path / "scratch").exists()


class LookingEngine(LocalEngine):
    """Looks at what is left of the jobs of a queue when its process has ended."""

    def __init__(self, work: Path) -> None:
        super().__init__(work)
        self.left: list[str] = []

    def run(self, task: Task, cancel: threading.Event) -> Ended:
        ended = super().run(task, cancel)
        self.left += sorted(path.name for path in (task.control / "jobs").iterdir())
        return ended


@real_processes
def test_the_files_of_a_job_are_removed_once_the_next_is_served(tmp_path: Path) -> None:
    run, _ = run_of(tmp_path, ["fine"] * 4)
    engine = LookingEngine(tmp_path / "work")
    serve(run, engine)
    assert engine.left == [Path(job_folder(4)).name]


class Killed(BaseException):
    """Stands for the end of the host."""


class ReadingEngine(LocalEngine):
    """Reads of all jobs of the first queue whether their start is cold; runs none."""

    cold: Sequence[bool] = ()

    def run(self, task: Task, cancel: threading.Event) -> Ended:
        del cancel
        assert task.queue
        inputs = [task.control / folder / INPUT for folder in task.queue.write_ahead()]
        self.cold = [json.loads(path.read_text())["cold"] for path in inputs]
        raise Killed


def test_only_the_first_job_of_a_process_starts_cold(tmp_path: Path) -> None:
    run, _ = run_of(tmp_path, ["fine"] * 3, cold=True, rounds_native=2, emulated=frozenset())
    engine = ReadingEngine(tmp_path / "work")
    with pytest.raises(Killed):
        serve(run, engine)
    assert engine.cold == [True, False, False]


@real_processes
def test_with_isolate_each_artifact_has_a_process(tmp_path: Path) -> None:
    run, jobs = run_of(tmp_path, ["fine"] * 3, isolate=True)
    engine = LocalEngine(tmp_path / "work")
    serve(run, engine)
    assert len(engine.tasks) == 3
    assert {record.output.place for record in records(run, jobs).values() if record.output} == {1}


#: What ends a process or a phase, and the status of the artifact that did it.
FAULTS = {
    "segfault": "crashed",
    "hang": "timeout",
    "out_of_memory": "oom",
    "torn": "torn",
    "leaving": "lost",
    "flood": "log-limit",
    "raising": "failed",
}


@real_processes
def test_what_ends_a_process_is_blamed_on_its_artifact_and_the_others_are_served(
    tmp_path: Path,
) -> None:
    faults = [name for fault in FAULTS for name in (fault, "fine")][:12]
    run, jobs = run_of(tmp_path, faults, deadline_s=20)
    serve(run, LocalEngine(tmp_path / "work"))
    served = records(run, jobs)
    for model, record in served.items():
        assert record.status == FAULTS.get(model.split()[1], "ok"), (model, record.cause)
    for model, job in jobs.items():
        fault = model.split()[1]
        if fault not in ("flood", "leaving"):  # these end before their output is flushed
            assert run.log_path(job).read_text().count(f"serving {fault}") == 1


@real_processes
def test_what_needs_more_than_its_share_of_the_memory_runs_alone_with_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "LEAST_MEMORY", 150 * MIB)
    faults = ["fine", "quarter_of_a_gigabyte", "fine", "out_of_memory", "fine", "fine"]
    run, jobs = run_of(tmp_path, faults, memory=600 * MIB)
    engine = LocalEngine(tmp_path / "work", cpus=2, memory_bytes=400 * MIB)
    serve(run, engine)
    served = {model.split()[1]: record for model, record in records(run, jobs).items()}
    assert {fault: record.status for fault, record in served.items()} == {
        "fine": "ok",
        "quarter_of_a_gigabyte": "ok",
        "out_of_memory": "oom",
    }
    assert served["out_of_memory"].cause == "needed more than its 600 MiB of memory"
    assert served["quarter_of_a_gigabyte"].after_others.endswith("its 175 MiB of memory")
    promised = [task.limits.memory_bytes // MIB for task in engine.tasks]
    assert promised.count(600) == 2
    assert set(promised) == {175, 600}


@real_processes
def test_what_is_confirmed_in_a_share_of_the_memory_is_confirmed_with_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "LEAST_MEMORY", 150 * MIB)
    faults = ["first quarter_of_a_gigabyte"] * 4
    run, jobs = run_of(tmp_path, faults, memory=600 * MIB)
    serve(run, LocalEngine(tmp_path / "work", cpus=2, memory_bytes=400 * MIB))
    assert {record.status for record in records(run, jobs).values()} == {"ok"}


@real_processes
@pytest.mark.parametrize("fault", ["segfault", "raising"])
def test_what_only_fails_after_others_counts_as_it_is_alone(tmp_path: Path, fault: str) -> None:
    run, jobs = run_of(tmp_path, [f"again {fault}"] * 3)
    serve(run, LocalEngine(tmp_path / "work"))
    served = list(records(run, jobs).values())
    assert [record.status for record in served] == ["ok"] * 3
    doubted = [record for record in served if record.after_others]
    assert doubted
    assert {record.output.place for record in doubted if record.output} == {1}


@real_processes
def test_a_job_in_the_way_of_the_next_one_costs_that_one_a_process_and_says_why(
    tmp_path: Path,
) -> None:
    run, jobs = run_of(tmp_path, ["barring"] * 3)
    as_a_plain_user(lambda: serve(run, LocalEngine(tmp_path / "work")))
    served = list(records(run, jobs).values())
    assert [record.status for record in served] == ["ok"] * 3
    doubts = [record.after_others for record in served if record.after_others]
    assert doubts
    assert all("jobs/000" in doubt and "Permission denied" in doubt for doubt in doubts), doubts


@real_processes
def test_a_start_that_fails_is_confirmed_once_and_stands_for_the_queue(tmp_path: Path) -> None:
    run, jobs = run_of(tmp_path, ["fine"] * 5, adapter="no_such_adapter")
    engine = LocalEngine(tmp_path / "work")
    serve(run, engine)
    assert len(engine.tasks) == 2
    for record in records(run, jobs).values():
        assert (record.status, record.is_final, record.after_others) == ("failed", True, "")
        assert record.error_type == "ModuleNotFoundError"


class HiccupEngine(LocalEngine):
    """Forgets the adapter in its first process."""

    def run(self, task: Task, cancel: threading.Event) -> Ended:
        if self.tasks:
            return super().run(task, cancel)
        self.tasks.append(task)
        bare = LocalProcesses(clean=True, root=self.work / "bare")
        bare.open()
        try:
            return bare.run(task, Path(sys.executable), cancel)
        finally:
            bare.close()


@real_processes
def test_a_start_that_fails_once_only_costs_no_job(tmp_path: Path) -> None:
    run, jobs = run_of(tmp_path, ["fine"] * 3)
    serve(run, HiccupEngine(tmp_path / "work"))
    assert {record.status for record in records(run, jobs).values()} == {"ok"}


class DyingWatcher(Quiet):
    """Ends the host when a number of jobs have ended."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs

    def ended(self, job: Job, record: JobRecord) -> None:
        del job, record
        self._jobs -= 1
        if self._jobs == 0:
            raise Killed


@real_processes
def test_a_host_that_dies_repeats_nothing_that_was_served(tmp_path: Path) -> None:
    run, jobs = run_of(tmp_path, ["fine"] * 5)
    with pytest.raises(Killed):
        Runner(
            run=run,
            engine=LocalEngine(tmp_path / "work"),
            watcher=DyingWatcher(3),
            cells={CONSUMER},
        ).execute(["consume"])
    assert sum(run.is_done(job) for job in jobs.values()) == 3
    before = {job.id: run.record(job) for job in jobs.values() if run.is_done(job)}
    serve(run, LocalEngine(tmp_path / "work"))
    after = {job.id: run.record(job) for job in jobs.values()}
    assert len(after) == 5
    assert all(after[job] == record for job, record in before.items())


#: A host of its own, which can be killed: it serves the run in a folder, in a number of lanes.
HOST = """
import sys
from pathlib import Path
from deepmatrix.store.runs import Run
from tests.unit.test_sessions import LocalEngine, serve
path, lanes = Path(sys.argv[1]), int(sys.argv[2])
serve(Run.open(path), LocalEngine(path.parent / "work", cpus=lanes))
"""


@real_processes
@pytest.mark.parametrize("lanes", [1, 2])  # a single lane has all in one process
def test_a_killed_host_loses_no_record_and_repeats_one_artifact_a_lane(
    lanes: int, tmp_path: Path
) -> None:
    marks = [tmp_path / f"served-{number}" for number in range(10)]
    run, jobs = run_of(tmp_path, [f"slow {mark}" for mark in marks])
    with (tmp_path / "host.log").open("w") as log:
        host = subprocess.Popen(
            [sys.executable, "-c", HOST, str(run.path), str(lanes)],
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
        while host.poll() is None and sum(run.is_done(job) for job in jobs.values()) < 4:
            time.sleep(0.01)
        host.kill()
        host.wait()
    before = {job.id: run.record(job) for job in jobs.values() if run.is_done(job)}
    assert 4 <= len(before) < 10, (tmp_path / "host.log").read_text()
    serve(run, LocalEngine(tmp_path / "work", cpus=lanes))
    assert {job.id: run.record(job) for job in jobs.values()}.items() >= before.items()
    assert {record.status for record in records(run, jobs).values()} == {"ok"}
    processes = [len(set(mark.read_text().split())) for mark in marks]
    assert sum(processes) - len(marks) <= lanes


class DyingEngine(LocalEngine):
    """Ends the host when its second process is to start."""

    def run(self, task: Task, cancel: threading.Event) -> Ended:
        if self.tasks:
            raise Killed
        return super().run(task, cancel)


@real_processes
def test_a_host_that_dies_before_failures_are_confirmed_repeats_these_alone(tmp_path: Path) -> None:
    run, jobs = run_of(tmp_path, ["again raising"] * 4)
    with pytest.raises(Killed):
        serve(run, DyingEngine(tmp_path / "work"))
    doubted = {job.id for job in jobs.values() if run.record(job).unconfirmed}
    assert doubted == {job.id for job in jobs.values() if not run.is_done(job)}
    assert len(doubted) == 3
    engine = LocalEngine(tmp_path / "work")
    serve(run, engine)
    assert sorted(task.id for task in engine.tasks) == sorted(doubted)
    assert all(task.queue is None for task in engine.tasks)
    served = list(records(run, jobs).values())
    assert {(record.status, record.unconfirmed) for record in served} == {("ok", False)}
    after_others = {record.job for record in served if record.after_others}
    assert after_others == doubted


class StoppingWatcher(Quiet):
    """Presses Ctrl-C when the first job has ended."""

    def ended(self, job: Job, record: JobRecord) -> None:
        del job, record
        signal.raise_signal(signal.SIGINT)


@real_processes
def test_ctrl_c_ends_all_lanes_and_keeps_what_was_served(tmp_path: Path) -> None:
    run, jobs = run_of(tmp_path, ["fine"] * 8, isolate=True)
    runner = Runner(
        run=run,
        engine=LocalEngine(tmp_path / "work", cpus=2),
        watcher=StoppingWatcher(),
        cells={CONSUMER},
    )
    with pytest.raises(Interrupted):
        runner.execute(["consume"])
    assert 0 < sum(run.is_done(job) for job in jobs.values()) < 8
    serve(run, LocalEngine(tmp_path / "work", cpus=2))
    assert all(record.status == "ok" for record in records(run, jobs).values())


MODELS = ("fine", "doubling", "segfault", "raising", "again segfault", "leaving")

VERDICTS = {"fine": "match", "again segfault": "match", "doubling": "drift"}


@real_processes
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(models=st.lists(st.sampled_from(MODELS), min_size=2, max_size=4), seed=st.integers(0, 99))
def test_order_and_split_of_queues_change_no_verdict(
    tmp_path_factory: pytest.TempPathFactory, models: list[str], seed: int
) -> None:
    judged = []
    ways: tuple[tuple[int, dict[str, Any]], ...] = (
        (1, {"isolate": True}),
        (1, {"seed": seed}),
        (2, {"seed": seed}),
    )
    for cpus, changes in ways:
        folder = tmp_path_factory.mktemp("order")
        run, jobs = run_of(folder, models, **changes)
        serve(run, LocalEngine(folder / "work", cpus=cpus))
        verdicts = {
            row.artifact: row for row in merge([run]).portability if row.consumer == CONSUMER
        }
        judged.append({model: verdicts[job.subject] for model, job in jobs.items()})
    assert {model: row.verdict for model, row in judged[0].items()} == {
        f"{number} {model}": VERDICTS.get(model, "error") for number, model in enumerate(models)
    }
    assert judged[0] == judged[1] == judged[2]


def jobs_of(plan: Plan, wave: Any) -> list[Job]:
    return list(plan.jobs(wave))


def stages_of(plan: Plan, jobs: list[Job], lanes: int = 1) -> list[Stage]:
    return plan_stages(plan, jobs, lambda stage: in_order(plan, split(plan, stage, lanes), {}))


def work_off_all(stages: list[Stage]) -> list[tuple[Stage, Session]]:
    """Serve a schedule at a single site that suits all; return the sessions in their order."""
    served: list[tuple[Stage, Session]] = []

    def serve(stage: Stage) -> None:
        served.extend((stage, session) for session in stage.sessions_for(lambda _: True))

    Schedule(stages, threading.Event()).enter(lambda _: True, serve)()
    return served


@given(seed=st.integers(0, 10_000), lanes=st.integers(1, 9))
@settings(max_examples=20, deadline=None)
def test_sessions_hold_every_job_once_and_never_mix_what_is_timed(seed: int, lanes: int) -> None:
    plan = planned("*-debian12-amd64-cpu", "*-debian13-arm64-cpu", seed=seed)
    jobs = [job for wave in WAVES for job in jobs_of(plan, wave)]
    served = work_off_all(stages_of(plan, jobs, lanes))
    assert sorted(job.id for _, each in served for job in each.jobs) == sorted(
        job.id for job in jobs
    )
    for stage, each in served:
        assert each.is_timed == stage.is_timed
        assert {job.cell for job in each.jobs} == {each.cell}
        assert {plan.is_timed(job) for job in each.jobs} == {each.is_timed}


def exported_before(plan: Plan, served: list[tuple[Stage, Session]]) -> bool:
    """Return whether every artifact was exported before any session that serves it."""
    exported: set[Any] = set()
    for _, each in served:
        if any(job.artifact and job.artifact not in exported for job in each.jobs):
            return False
        exported |= {artifact for job in each.jobs for artifact in plan.exports(job)}
    return True


@pytest.mark.parametrize("phases", [None, ("deploy",), ("parity", "deploy")])
def test_a_model_is_produced_before_it_is_served_whatever_is_timed(
    phases: tuple[str, ...] | None,
) -> None:
    plan = planned("*-debian12-amd64-cpu", "*-debian13-arm64-cpu")
    plan = replace(plan, phases=phases or plan.phases)
    jobs = [job for wave in WAVES for job in jobs_of(plan, wave)]
    assert exported_before(plan, work_off_all(stages_of(plan, jobs)))


def test_a_site_waits_for_models_that_another_site_produces() -> None:
    plan = planned("*-debian12-amd64-cpu", "*-debian13-arm64-cpu")
    jobs = [job for wave in WAVES for job in jobs_of(plan, wave)]
    schedule = Schedule(stages_of(plan, jobs), threading.Event())
    served: list[tuple[Stage, Session]] = []

    def enter(wave: str) -> Callable[[], None]:
        def suits(session: Session) -> bool:
            return session.jobs[0].wave == wave

        def serve(stage: Stage) -> None:
            for session in stage.sessions_for(suits):
                served.append((stage, session))
                time.sleep(0.001)

        return schedule.enter(suits, serve)

    sites = [threading.Thread(target=enter(wave)) for wave in reversed(WAVES)]
    for site in sites:
        site.start()
    for site in sites:
        site.join(60)
    assert exported_before(plan, served)
    assert sum(len(session.jobs) for _, session in served) == len(jobs)


def test_a_site_ends_where_nobody_produces_the_models_that_it_would_serve() -> None:
    plan = planned("*-debian12-amd64-cpu")
    jobs = [job for wave in WAVES for job in jobs_of(plan, wave)]
    schedule = Schedule(stages_of(plan, jobs), threading.Event())
    schedule.enter(lambda session: session.jobs[0].wave == "consume", pytest.fail)()
    assert {session.jobs[0].wave for session in schedule.waiting()} == {"produce"}


def test_a_session_that_is_given_back_is_the_next_to_be_served() -> None:
    plan = planned("*-debian12-amd64-cpu")
    for stage in stages_of(plan, jobs_of(plan, "consume")):
        stage.open()
        taken = next(session for session in stage.sessions_for(lambda _: True) if session.jobs[1:])
        remaining = replace(taken, jobs=taken.jobs[1:])
        stage.give_back(remaining)
        assert next(stage.sessions_for(lambda _: True)) == remaining


def test_no_process_serves_more_than_the_longest_queue_timed_or_not() -> None:
    plan = planned(CONSUMER, "torch-debian12-amd64-cpu")
    many = replace(plan, workloads=tuple(f"w{number}" for number in range(LONGEST + 1)))
    for each in (many, replace(many, emulated=frozenset({CONSUMER}))):
        jobs = [job for job in jobs_of(each, "consume") if job.cell == CONSUMER]
        sessions = split(each, jobs)
        assert {session.is_timed for session in sessions} == {CONSUMER not in each.emulated}
        assert max(len(session.jobs) for session in sessions) <= LONGEST
        assert sorted(job.id for session in sessions for job in session.jobs) == sorted(
            job.id for job in jobs
        )


def test_first_verdicts_come_before_what_is_only_checked_and_further_rounds_after_it() -> None:
    plan = planned("*-debian12-amd64-cpu", "*-debian13-arm64-cpu")
    jobs = [job for wave in WAVES for job in jobs_of(plan, wave)]
    stages = stages_of(plan, jobs)
    assert [(stage.jobs[0].wave, stage.is_timed) for stage in stages] == [
        ("produce", True),
        ("consume", True),
        ("produce", False),
        ("consume", False),
        ("produce", True),
        ("consume", True),
    ]
    rounds = [{job.round for job in stage.jobs} for stage in stages if stage.is_timed]
    further = set(range(1, plan.rounds_native))
    assert rounds == [{0}, {0}, further, further]


def test_emulated_cells_that_took_longest_so_far_come_first() -> None:
    plan = planned("*-debian12-amd64-cpu", "*-debian13-arm64-cpu")
    checked = [job for job in jobs_of(plan, "consume") if not plan.is_timed(job)]
    sessions = split(plan, checked, lanes=2)
    slow = "jax-debian13-arm64-cpu"
    served = in_order(plan, sessions, {slow: 60})
    emulated = [each.cell for each in served if each.cell in plan.emulated]
    assert emulated.index(slow) == 0
    assert [each.cell for each in served[-len(emulated) :]] == emulated
    unknown = in_order(plan, sessions, {})
    assert next(each.cell for each in unknown if each.cell in plan.emulated) != slow


def test_checked_cells_are_split_only_where_one_of_them_would_hold_up_the_lanes() -> None:
    frameworks = [f"{name}-debian13-arm64-cpu" for name in ("torch", "tensorflow", "jax")]
    plan = planned(*frameworks, "onnxruntime-debian13-arm64-cpu")
    several = split(plan, jobs_of(plan, "produce"), lanes=3)
    assert sorted(each.cell for each in several) == sorted(frameworks)
    alone = [job for job in jobs_of(plan, "produce") if job.cell == frameworks[0]]
    assert len(alone) > 1
    assert len(split(plan, alone, lanes=2)) > 1
    assert len(split(plan, alone, lanes=1)) == 1


def test_the_first_of_a_timed_session_is_the_same_in_every_round() -> None:
    plan = planned("torch-debian12-amd64-cpu", "jax-debian12-amd64-cpu", CONSUMER)
    sessions = [each for each in split(plan, jobs_of(plan, "consume")) if each.cell == CONSUMER]
    timed = [each for each in sessions if each.is_timed]
    assert len(timed) == plan.rounds_native > 1
    assert len({each.jobs[0].subject for each in timed}) == 1
    assert len({tuple(job.subject for job in each.jobs) for each in timed}) > 1


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_all_cells_open_with_the_same_network_so_that_their_peaks_compare(
    seed: int, lanes: int
) -> None:
    plan = planned("*-debian12-amd64-cpu", "*-debian13-arm64-cpu", seed=seed)
    for wave in ("produce", "consume"):
        openers: dict[str, set[str]] = {}
        for each in split(plan, jobs_of(plan, wave), lanes):
            openers.setdefault(each.cell, set()).add(each.jobs[0].workload)
        compared = {min(networks, key=plan.lot) for networks in openers.values()}
        assert len(plan.workloads) > len(compared) == 1
