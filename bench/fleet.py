"""How well a fleet is used: 1,000 jobs that sleep, on 20 workers of three architectures.

A scheduler and the workers are processes of this machine, with TLS; their engine sleeps instead of
running a cell. Every job is a process of its own, which is the hardest case. It prints the share of
the slots' time that jobs slept, and what a job costs more than its sleep. Goals: 90 % and 5 %.

With ``--chaos N`` it makes N trials of 60 jobs on five workers instead. In each, one worker is
killed, one stopped, and one has a full disk; the scheduler is killed and started again, and so is
the controller, with what --resume does. It prints what was lost, done twice or blamed wrongly.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from common import Silent

from deepmatrix.config.matrix import Matrix
from deepmatrix.engines import Ended, Prepared, Progress, Task
from deepmatrix.execution.runner import Runner
from deepmatrix.execution.watching import Place
from deepmatrix.fleet import serving
from deepmatrix.fleet.connecting import connected
from deepmatrix.fleet.host import Host
from deepmatrix.fleet.parcels import Answer, Order
from deepmatrix.machine import locks
from deepmatrix.planning.cells import Capabilities, Cell
from deepmatrix.planning.plan import Job, Plan
from deepmatrix.store.records import JobRecord
from deepmatrix.store.runs import Run
from tests.fleet_processes import Fleet, ended
from tests.unit.examples import MATRIX, output, planned, store_model

CELL = "onnxruntime-debian12-amd64-cpu"
ARCHITECTURES = ("amd64", "arm64", "riscv64")
X = np.arange(8, dtype=np.float32).reshape(4, 2)

#: Every seventh job of the chaos fails by its own fault, and has to be blamed for it.
FAILING = 7


class Sleeping:
    """An engine that sleeps, and answers each job with its own inputs."""

    name = "docker"
    isolates = True
    is_here = True

    def __init__(self, native: Sequence[str], seconds: float) -> None:
        self._native, self._seconds = native, seconds

    def capabilities(self) -> Capabilities:
        """Return one CPU of each architecture."""
        native = frozenset(self._native)
        return Capabilities(engine="docker", native=native, cpus=1, memory_bytes=1 << 40)

    def describe(self) -> dict[str, str]:
        """Return a machine of its own."""
        return {"machine": str(os.getpid())}

    def prepare(self, cells: Sequence[Cell], progress: Progress) -> dict[str, Prepared]:
        """Say that all cells are ready."""
        del progress
        return {cell.id: Prepared(cell_id=cell.id, reference="asleep") for cell in cells}

    def adopt(self, cell: Cell, earlier: Prepared) -> Prepared:
        """Say that a cell is ready."""
        return earlier.adopted(cell.id, "")

    def open(self, run_id: str) -> None:
        """Do nothing."""
        del run_id

    def run(self, task: Task, cancel: threading.Event) -> Ended:
        """Sleep, then answer, or fail."""
        if cancel.wait(self._seconds):
            return Ended(ending="cancelled", cause="interrupted")
        asked = json.loads((task.folder / "input.json").read_text())
        if fails(asked["job"]):
            return Ended(ending="crashed", cause="it was to fail", wall_s=self._seconds)
        job = Job(
            wave="consume",
            cell=asked["cell"]["id"],
            subject="",
            round=0,
            phases=tuple(asked["phases"]),
        )
        answered = output(job).model_copy(update={"job": asked["job"]})
        (task.folder / "output.json").write_text(answered.model_dump_json(by_alias=True))
        (task.folder / "outputs").mkdir()
        x = np.load(task.folder / "artifact" / "inputs" / "0.npy")
        np.save(task.folder / "outputs" / "0.npy", x)
        return Ended(ending="exited", cause="", exit_code=0, wall_s=self._seconds)

    def close(self) -> None:
        """Do nothing."""


def fails(job: str) -> bool:
    """Return whether a job is one of the chaos that fail by their own fault."""
    workload = job.partition("--")[2].split("--")[1]
    return workload.startswith("chaos") and int(workload.removeprefix("chaos")) % FAILING == 0


class BenchHost(Host):
    """The host of a worker whose engine sleeps; its disk may be full."""

    def __init__(
        self, name: str, work: Path, native: Sequence[str], seconds: float, full: bool
    ) -> None:
        self._sleeping, self._full = Sleeping(native, seconds), full
        super().__init__(name=name, engine="docker", matrix=MATRIX, root=work)

    def _choose(self, matrix: Matrix) -> Sleeping:
        del matrix
        return self._sleeping

    def serve(
        self, order: Order, cancel: threading.Event, waiting: Callable[[], None] = lambda: None
    ) -> tuple[Answer, bytes]:
        """Serve, unless the disk is full."""
        if self._full:
            raise OSError(28, "No space left on device", "/disk")
        return super().serve(order, cancel, waiting)


def be_worker(
    address: str, tls: Path, name: str, work: Path, native: str, seconds: float, full: bool
) -> None:
    locks.SAMPLING = work / f"{name}.lock"
    host = BenchHost(name, work, native.split("+"), seconds, full)
    try:
        serving.work(address, tls, host, lambda text: print(text, flush=True))
    finally:
        host.close()


def be_controller(address: str, tls: Path, path: Path) -> None:
    serve(Run.open(path), address, tls)


def serve(run: Run, address: str, tls: Path, watcher: Any = None) -> None:
    """Run what is missing of a run's second wave on a fleet."""
    with connected(address, tls, run.manifest.matrix, put_aside=print) as engines:
        consumers = {cell.id for cell in run.manifest.plan.cells if cell.role == "runtime"}
        runner = Runner(
            run=run,
            engine=engines[0],
            watcher=watcher or Silent(),
            cells=consumers,
            others=engines[1:],
        )
        runner.execute(["consume"])


def start_worker(
    fleet: Fleet, name: str, native: str, seconds: float, *, full: bool = False
) -> None:
    """Start a worker of some architectures, whose disk may be full."""
    work = fleet.folder / "work"
    work.mkdir(exist_ok=True)
    arguments = (fleet.address, fleet.tls, name, work, native, seconds, full)
    fleet.processes.start(name, be_worker, *arguments)


def plan_of(names: Sequence[str], architectures: Sequence[str]) -> Plan:
    """Return a plan in which a consumer of each architecture serves the artifacts of workloads."""
    plan = planned("torch-debian12-amd64-cpu", CELL)
    producer, consumer = plan.cells
    consumers = [replace(consumer, architecture=name) for name in architectures]
    return replace(
        plan,
        cells=(producer, *consumers),
        workloads=tuple(names),
        rounds_native=1,
        rounds_emulated=1,
        emulated=frozenset({producer.id}),
        isolate=True,
    )


def run_of(folder: Path, plan: Plan) -> tuple[Run, list[Job]]:
    """Return a run with a model for each workload, and the jobs that serve them."""
    tiny = MATRIX.workloads["digits-conv"]
    matrix = MATRIX.model_copy(update={"workloads": dict.fromkeys(plan.workloads, tiny)})
    run = Run.create(folder, plan, matrix, version="bench", name="one")
    stored, jobs = set(), []
    for job in plan.jobs("consume"):
        assert job.artifact is not None
        if job.artifact.format != "onnx" or job.cell == plan.cells[0].id:
            continue
        if job.artifact.id not in stored:
            stored.add(job.artifact.id)
            store_model(run, job.artifact, X, job.artifact.id.encode())
            gold = run.inputs / f"{job.workload}.gold.json"  # so that none is computed
            gold.parent.mkdir(exist_ok=True)
            gold.write_text('{"losses": [], "accuracy": 0}')
        jobs.append(job)
    return run, jobs


class Clock(Silent):
    """A watcher that takes note of when jobs start and end."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}
        self.took: dict[str, float] = {}

    def started(self, job: Job, place: Place) -> None:
        """Take note of a start."""
        del place
        self.began[job.id] = time.monotonic()

    def ended(self, job: Job, record: JobRecord) -> None:
        """Take note of an end."""
        del record
        self.took[job.id] = time.monotonic() - self.began[job.id]


def measure(count: int, workers: int, seconds: float, folder: Path) -> None:
    """Serve *count* jobs that sleep *seconds* on *workers*, and print how well that went."""
    names = [f"w{number}" for number in range(-(-count // len(ARCHITECTURES)))]
    run, jobs = run_of(folder / "runs", plan_of(names, ARCHITECTURES))
    # A third of the workers each, and the rest have all: so that 20 can share the jobs evenly.
    each = workers // len(ARCHITECTURES)
    natives = [name for name in ARCHITECTURES for _ in range(each)]
    natives += ["+".join(ARCHITECTURES)] * (workers - len(natives))
    with ended(Fleet(folder)) as fleet:
        fleet.start_scheduler()
        for number, native in enumerate(natives):
            start_worker(fleet, f"worker{number:02}", native, seconds)
        for number in range(workers):
            fleet.processes.wait_for(f"worker{number:02}", "connected")
        clock = Clock()
        serve(run, fleet.address, fleet.tls, clock)
    statuses = Counter(run.record(job).status for job in jobs)
    span = max(clock.began[name] + took for name, took in clock.took.items())
    span -= min(clock.began.values())
    overhead = statistics.median(clock.took.values()) / seconds - 1
    print(f"{len(jobs)} jobs of {seconds:g} s on {workers} workers: {dict(statuses)}")
    print(f"slots used: {len(jobs) * seconds / (workers * span):.1%} (goal: 90 %)")
    print(f"a job takes longer by: {overhead:.1%} (goal: 5 %)")


def try_chaos(seed: int, folder: Path) -> dict[str, int]:
    """Disturb a run in every way at once; return what is wrong with its records."""
    dice = random.Random(seed)
    run, jobs = run_of(folder / "runs", plan_of([f"chaos{n}" for n in range(60)], ("amd64",)))
    names = [f"worker{number}" for number in range(5)]
    bad = dice.sample(names, 3)
    killed, hung, full = bad
    with ended(Fleet(folder)) as fleet:
        fleet.start_scheduler()
        for name in names:
            start_worker(fleet, name, "amd64", 0.5, full=name == full)
        for name in names:
            fleet.processes.wait_for(name, "connected")
        controller = ("controller", be_controller, fleet.address, fleet.tls, run.path)
        fleet.processes.start(*controller)
        finals: dict[str, str] = {}
        faults = [
            lambda: fleet.processes.kill(killed),
            lambda: fleet.processes.send(hung, signal.SIGSTOP),
            fleet.restart_scheduler,
            lambda: fleet.processes.kill("controller"),
        ]
        dice.shuffle(faults)
        for fault in faults:
            time.sleep(dice.uniform(0.5, 3))
            note(run, jobs, finals)
            fault()
        for _ in range(5):  # as often as a person would start it again
            note(run, jobs, finals)
            if fleet.processes.wait("controller") == 0:
                break
            fleet.processes.start(*controller)
    records = {job.id: run.record(job) for job in jobs if run.record_path(job).is_file()}
    attempts = Counter(record.attempt for record in records.values())
    wanted = {job.id: "crashed" if fails(job.id) else "ok" for job in jobs}
    return {
        "lost": len(jobs) - len(records),
        "done twice": sum(count - 1 for count in attempts.values())
        + sum(records[name].attempt != attempt for name, attempt in finals.items()),
        "blamed wrongly": sum(record.status != wanted[name] for name, record in records.items()),
    }


def note(run: Run, jobs: Sequence[Job], finals: dict[str, str]) -> None:
    """Take note of the attempts of the records that count so far: they may not change."""
    finals.update(
        (job.id, run.record(job).attempt)
        for job in jobs
        if job.id not in finals and run.is_done(job)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--chaos", type=int, metavar="N")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="of the trials")
    options = parser.parse_args()
    if options.chaos:
        total: Counter[str] = Counter()
        for seed in range(options.first, options.first + options.chaos):
            with tempfile.TemporaryDirectory() as folder:
                wrong = try_chaos(seed, Path(folder))
            print(f"trial {seed}: {wrong}", flush=True)
            total.update(wrong)
        for name, count in total.items():
            print(f"{name}: {count} (goal: 0)")
    else:
        with tempfile.TemporaryDirectory() as folder:
            measure(options.jobs, options.workers, options.seconds, Path(folder))


if __name__ == "__main__":
    main()
