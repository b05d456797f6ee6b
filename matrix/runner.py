"""Running a plan: every job of both waves, each to a record, whatever happens to it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import signal
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import numpy as np
from pydantic import ValidationError

from harness.record import FIRST_STEP, SCHEMA_VERSION
from matrix import arrays, canaries, gold, inputs, locks, networks, parity
from matrix.arrays import Floats
from matrix.engines import Ended, Engine, Limits, Prepared, Task
from matrix.errors import ArgumentError, EngineError, Interrupted, RecordError
from matrix.plan import Capabilities, Cell, Job, Wave
from matrix.records import Agreement, Exported, ExportedFile, JobRecord, Output, Parity, Status
from matrix.runs import Run, write_text

#: How much longer than its own watchdog, which leaves a traceback, a process may live.
GRACE_S = 10.0


#: What the host puts beside a model: inputs, the producer's outputs and weights, gold outputs.
HOST_FILES = ("gold.npz", "inputs.npz", "outputs.npz", "weights.npz")

#: How often a round on a disturbed machine is run again.
MOST_AGAIN = 2


class Watcher(Protocol):
    """Who is told what happens, as it happens."""

    def preparing(self, cell_id: str, text: str) -> None:
        """Tell that a cell's image or environment is being made."""
        ...

    def prepared(self, cell_id: str, result: Prepared) -> None:
        """Tell that a cell is ready, or why it is not."""
        ...

    def planned(self, jobs: Sequence[Job]) -> None:
        """Tell what a wave has still to do."""
        ...

    def waiting(self) -> None:
        """Tell that another process measures on this machine, and that this one waits."""
        ...

    def started(self, job: Job) -> None:
        """Tell that a job's process starts."""
        ...

    def ended(self, job: Job, record: JobRecord) -> None:
        """Tell how it ended."""
        ...


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Runs what is missing of a run on one engine.

    *cells* narrows it to some cell ids (one CI job a cell); all the others count as elsewhere.
    """

    run: Run
    engine: Engine
    watcher: Watcher
    cells: Collection[str] = ()

    def execute(self, waves: Sequence[Wave] = ("produce", "consume")) -> None:
        """Make the cells ready, run the waves in their order, keep every record.

        Raises:
            EngineError: the engine went away and did not come back.
            Interrupted: Ctrl-C, or SIGTERM; what was done is kept.
        """
        with self.run.locked():
            self.run.sweep()
            capabilities = self.engine.capabilities()
            self.run.save_engine({"engine": self.engine.name, **self.engine.describe()})
            make_inputs(self.run)
            ready = self._prepare(self._mine(waves), capabilities)
            with _interruptible() as cancel:
                try:
                    self.engine.open(self.run.id)
                    for wave in waves:
                        self._wave(wave, ready, capabilities, cancel)
                finally:
                    self.engine.close()

    def _mine(self, waves: Sequence[Wave]) -> list[Cell]:
        """Return the cells that still have a job to do here."""
        busy = {job.cell for wave in waves for job in self._missing(wave)}
        return [cell for cell in self.run.manifest.plan.cells if cell.id in busy]

    def _missing(self, wave: Wave) -> list[Job]:
        return [
            job
            for job in self.run.manifest.plan.jobs(wave)
            if (not self.cells or job.cell in self.cells) and not self.run.done(job)
        ]

    def _prepare(self, cells: Sequence[Cell], capabilities: Capabilities) -> dict[str, Cell]:
        """Return the cells that are ready, by id.

        A plan made for another engine may hold cells that this one cannot run.
        """
        refused = {cell.id: reason for cell in cells if (reason := capabilities.refusal(cell))}
        able = [cell for cell in cells if cell.id not in refused]
        try:
            results = self.engine.prepare(able, self.watcher.preparing)
        except KeyboardInterrupt:
            raise self._interrupted() from None
        for cell_id, reason in refused.items():
            results[cell_id] = Prepared(cell_id=cell_id, reference="", error=reason)
        self._refuse_other_images(results)
        self.run.save_prepared(results)
        for cell_id, result in results.items():
            self.watcher.prepared(cell_id, result)
        return {cell.id: cell for cell in able if not results[cell.id].error}

    def _refuse_other_images(self, results: dict[str, Prepared]) -> None:
        """Refuse to finish a cell on another image than the one that it began on."""
        before = self.run.prepared()
        for cell_id, result in results.items():
            old = before.get(cell_id)
            began = (self.run.path / "records" / cell_id).is_dir()
            if old and began and not result.error and old.reference != result.reference:
                raise RecordError(
                    f"{cell_id} began on {old.reference} and would go on on {result.reference}",
                    hint="its pins, Dockerfile or engine changed since: start a new run",
                )

    def _wave(
        self,
        wave: Wave,
        ready: dict[str, Cell],
        capabilities: Capabilities,
        cancel: threading.Event,
    ) -> None:
        jobs = [
            job
            for job in self._missing(wave)
            if job.cell in ready and (job.artifact is None or self._exported(job))
        ]
        self._jobs(jobs, ready, capabilities, cancel)
        while strayed := self._strayed(jobs):
            for job in strayed:
                self.run.set_aside(job)
            self._jobs(strayed, ready, capabilities, cancel)

    def _jobs(
        self,
        jobs: Sequence[Job],
        ready: dict[str, Cell],
        capabilities: Capabilities,
        cancel: threading.Event,
    ) -> None:
        self.watcher.planned(jobs)
        for job in jobs:
            record = self.perform(job, ready[job.cell], capabilities, cancel)
            if record.status == "start-failed":  # the engine's hiccup, more often than not
                record = self.perform(job, ready[job.cell], capabilities, cancel)
            self.run.save(job, record)
            self.watcher.ended(job, record)
            if record.status == "engine-lost":
                self._wait_for_engine()

    def _strayed(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the native jobs that a disturbed machine touched and that may be run again."""
        emulated = self.run.manifest.plan.emulated
        taken: dict[str, dict[str, canaries.Rates]] = {}
        for job in jobs:
            if job.cell not in emulated and (found := canaries.rates(self.run.record(job))):
                taken.setdefault(job.cell, {})[job.id] = found
        strayed = {one for cell in taken.values() for one in canaries.strays(cell)}
        return [job for job in jobs if job.id in strayed and self.run.times_aside(job) < MOST_AGAIN]

    def _exported(self, job: Job) -> bool:
        return job.artifact is not None and self.run.artifact(job.artifact).is_dir()

    def perform(
        self, job: Job, cell: Cell, capabilities: Capabilities, cancel: threading.Event
    ) -> JobRecord:
        """Run one job of a cell that is ready, on an engine that is open; return its record.

        Raises Interrupted when *cancel* was set.
        """
        emulated = cell.architecture not in capabilities.native
        task_of = TaskMaker(run=self.run, capabilities=capabilities, emulated=emulated)
        with self.run.scratch(job) as control:
            task = task_of(job, cell, control)
            with locks.alone(cancel, self.watcher.waiting):
                self.watcher.started(job)
                ended = self.engine.run(task, cancel)
            if ended.ending == "cancelled":
                raise self._interrupted()
            write_text(self.run.log(job), ended.log)
            output, status, cause = conclude(job, control, ended)
            agreement, first = None, None
            if output and output.first_step():
                try:
                    first = _parity(self.run, job, control / FIRST_STEP)
                except arrays.Unreadable as error:
                    status, cause = "torn", f"its first step cannot be used: {error}"
            if output and "deploy" in job.phases:
                try:
                    _keep_artifacts(self.run, job, output, control)
                except arrays.Unreadable as error:
                    status, cause = "bad-artifact", f"what it exported is not whole: {error}"
                exported = {one.format for one in output.artifacts}
                if status == "ok" and exported != set(cell.exports):
                    status, cause = "bad-artifact", f"it exported {', '.join(sorted(exported))}"
            if job.artifact is not None and status == "ok":
                agreement = _agreement(self.run.artifact(job.artifact), control / "outputs.npz")
        return JobRecord(
            run=self.run.id,
            job=job.id,
            wave=job.wave,
            cell=job.cell,
            subject=job.subject,
            workload=job.workload,
            round=job.round,
            engine=self.engine.name,
            emulated=emulated,
            status=status,
            cause=cause,
            wall_s=ended.wall_s,
            output=output,
            agreement=agreement,
            parity=first,
        )

    def _wait_for_engine(self) -> None:
        try:
            self.engine.capabilities()
        except EngineError as error:
            raise EngineError(
                f"the engine went away: {error.message}",
                hint=f"start it again, then: nox -s matrix -- --resume {self.run.id}",
            ) from None

    def _interrupted(self) -> Interrupted:
        return Interrupted(
            "interrupted; what was done is kept",
            hint=f"go on with: nox -s matrix -- --resume {self.run.id}",
        )


@dataclass(frozen=True, kw_only=True)
class TaskMaker:
    """Writes a job's control directory, and says how to run it."""

    run: Run
    capabilities: Capabilities
    emulated: bool

    def __call__(self, job: Job, cell: Cell, control: Path) -> Task:
        """Write *job* into the empty folder *control*; return what an engine needs to run it."""
        matrix = self.run.manifest.matrix
        limits = matrix.limits
        deadline = limits.deadline_s * (limits.emulated if self.emulated else 1)
        document = self._document(job, cell, deadline)
        document.update(self._produce(job, cell, control) if job.artifact is None else {})
        document.update(self._consume(job, control) if job.artifact else {})
        (control / "input.json").write_text(json.dumps(document), encoding="utf-8")
        environment = matrix.architectures[cell.architecture].emulation if self.emulated else {}
        return Task(
            id=job.id,
            run_id=self.run.id,
            cell=cell,
            control=control,
            deadline_s=deadline + GRACE_S,
            limits=self._limits(),
            environment=dict(environment),
        )

    def _limits(self) -> Limits:
        limits = self.run.manifest.matrix.limits
        if limits.threads > self.capabilities.cpus:
            raise ArgumentError(
                f"limits.threads is {limits.threads}; the engine has {self.capabilities.cpus} CPUs"
            )
        last = self.capabilities.cpus
        return Limits(
            memory_bytes=int(limits.memory),
            processes=limits.processes,
            cpus=tuple(range(last - limits.threads, last)),  # the first are busiest with others
            log_bytes=int(limits.log),
            file_bytes=int(limits.file),
        )

    def _document(self, job: Job, cell: Cell, deadline: float) -> dict[str, Any]:
        manifest = self.run.manifest
        infer = manifest.plan.infer
        return {
            "schema": SCHEMA_VERSION,
            "run": self.run.id,
            "job": job.id,
            "wave": job.wave,
            "round": job.round,
            "cell": {
                "id": cell.id,
                "name": cell.name,
                "base": cell.base,
                "architecture": cell.architecture,
                "device": cell.device,
                "python": cell.python,
            },
            "emulated": self.emulated,
            "adapter": cell.adapter,
            "phases": list(job.phases),
            "deadline_s": deadline,
            "threads": manifest.matrix.limits.threads,
            "selftest": ["float32", "float64"],
            "infer": infer.model_dump(),
        }

    def _produce(self, job: Job, cell: Cell, control: Path) -> dict[str, Any]:
        workload = self.run.manifest.matrix.workloads[job.workload]
        data = control / "data"
        data.mkdir()
        for name, source in inputs.files(self.run.inputs, job.workload).items():
            shutil.copyfile(source, data / name)
        return {
            "formats": list(cell.exports),
            "workload": {
                "id": job.workload,
                "network": networks.NETWORKS[workload.network],
                "data": "data/data.npz",
                "weights": "data/weights.npz",
                "order": "data/order.npz",
                "batch": workload.batch,
                "optimiser": {"name": "sgd", "rate": workload.rate},
            },
        }

    def _consume(self, job: Job, control: Path) -> dict[str, Any]:
        assert job.artifact is not None
        source = self.run.artifact(job.artifact)
        _verify(source)
        shutil.copytree(source, control / "artifact", ignore=shutil.ignore_patterns("gold.npz"))
        return {
            "artifact": {
                "id": job.artifact.id,
                "format": job.artifact.format,
                "path": "artifact",
                "inputs": "artifact/inputs.npz",
            }
        }


@contextlib.contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Turn SIGINT and SIGTERM into an event, so that a job ends in order; put them back after."""
    cancel = threading.Event()

    def set_it(number: int, frame: FrameType | None) -> None:
        del number, frame
        cancel.set()

    before = {number: signal.signal(number, set_it) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield cancel
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def make_inputs(run: Run) -> None:
    """Make the data, weights, orders and gold losses of a run's workloads that are missing."""
    matrix = run.manifest.matrix
    for name in run.manifest.plan.workloads:
        inputs.make(run.inputs, name, matrix.workloads[name], seed=run.manifest.plan.seed)


def conclude(job: Job, control: Path, ended: Ended) -> tuple[Output | None, Status, str]:
    """Say what a process came to, from how it ended and what it left.

    Nothing is believed that does not fit the job: another job's output, phases that are missing
    or too many, an arithmetic that was not proven.

    Returns the output where it can be read, the status, and its cause in one line.
    """
    if ended.ending == "cancelled":
        raise ValueError("a cancelled job has no conclusion")
    if ended.ending != "exited":
        return None, ended.ending, ended.cause
    path = control / "output.json"
    if not path.is_file():
        return _without_output(ended)
    try:
        output = Output.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None, "torn", f"output.json ({path.stat().st_size} bytes) is torn or not a record"
    if output.job != job.id:
        return None, "torn", f"output.json is that of another job, {output.job[:100]}"
    said = tuple(record.phase for record in output.records)
    if said != job.phases:
        return None, "torn", f"output.json tells of {', '.join(said) or 'no phase'}"
    if ended.exit_code != 0:
        return output, "crashed", f"exit code {ended.exit_code} after it had written its output"
    return output, *_of_phases(output)


def _without_output(ended: Ended) -> tuple[None, Status, str]:
    if ended.exit_code == 0:
        return None, "lost", "exited with 0 but wrote no output.json"
    if "Timeout (" in ended.log and "most recent call first" in ended.log:
        return None, "timeout", f"its own watchdog ended it: {_hung_at(ended.log)}"
    return None, "crashed", f"exit code {ended.exit_code}: {_last_line(ended.log)}"


def _of_phases(output: Output) -> tuple[Status, str]:
    for status in ("failed", "unsupported"):
        for record in output.records:
            if record.status == status:
                line = record.error.line if record.error else "no error given"
                return status, f"{record.phase}: {line}"
    if not output.selftest or not all(test.passed for test in output.selftest):
        return "failed", "its arithmetic was not proven, and yet it went on"
    return "ok", ""


def _hung_at(log: str) -> str:
    """Return the innermost frame of a faulthandler traceback."""
    lines = log[log.rindex("Timeout (") :].splitlines()
    frames = [line.strip() for line in lines if line.strip().startswith("File ")]
    return f"it hung in {frames[0]}" if frames else "no Python frame was running"


def _last_line(log: str) -> str:
    lines = log.strip().splitlines()
    return lines[-1].strip()[:300] if lines else "it left no log"


def _keep_artifacts(run: Run, job: Job, output: Output, control: Path) -> None:
    """Copy what was exported from a control directory to the run's artifacts, with its gold.

    Raises arrays.Unreadable when a file is missing or not what it should be.
    """
    exported = {one.format: one for one in output.artifacts}
    network = networks.NETWORKS[run.manifest.matrix.workloads[job.workload].network]
    weights = arrays.read(control / "artifacts" / "weights.npz", networks.parameters(network))
    probe = _probe(run, job.workload)
    truth = gold.forward(network, weights, probe)
    arrays.read(control / "artifacts" / "outputs.npz", {"y": truth.shape})
    for artifact in run.manifest.plan.artifacts():
        if (artifact.producer, artifact.workload) != (job.cell, job.workload):
            continue
        if artifact.format not in exported:
            continue
        final = run.artifact(artifact)
        part = final.with_name(f"{final.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        _check_export(exported[artifact.format], control / "artifacts" / artifact.format)
        try:
            shutil.copytree(control / "artifacts" / artifact.format, part)
        except shutil.Error as error:
            raise arrays.Unreadable(f"{artifact.format}: {error}") from None
        except FileNotFoundError:
            raise arrays.Unreadable(f"there is no {artifact.format}") from None
        for name in ("weights.npz", "outputs.npz"):
            shutil.copyfile(control / "artifacts" / name, part / name)
        np.savez(part / "inputs.npz", x=probe)
        np.savez(part / "gold.npz", y=truth)
        described = _describe(exported[artifact.format], artifact.id, part)
        write_text(part / "artifact.json", described.model_dump_json(indent=1))
        shutil.rmtree(final, ignore_errors=True)
        part.replace(final)


def _parity(run: Run, job: Job, said: Path) -> Parity:
    """Compare a job's first step with gold. Raises arrays.Unreadable; see `parity.compare`."""
    network = networks.NETWORKS[run.manifest.matrix.workloads[job.workload].network]
    truth = arrays.read_all(inputs.first_step(run.inputs, job.workload))
    return parity.compare(network, truth, said)


def _probe(run: Run, workload: str) -> Floats:
    """Return the inputs that artifacts are tried on. Raises RecordError when they are damaged."""
    path = inputs.files(run.inputs, workload)["data.npz"]
    try:
        return arrays.read(path, {"probe_x": None})["probe_x"]
    except arrays.Unreadable as error:
        raise RecordError(
            f"{path}: damaged: {error}", hint="the run's own file changed: start a new run"
        ) from None


def _check_export(exported: Exported, folder: Path) -> None:
    """Raise arrays.Unreadable unless a folder holds what its producer says, and nothing else."""
    claimed = {one.path: one.sha256 for one in exported.files}
    found = {path.relative_to(folder).as_posix() for path in _plain_files(folder)}
    if taken := sorted(claimed.keys() & set(HOST_FILES)):
        raise arrays.Unreadable(f"{exported.format}: {taken[0]} is a name of the host's own")
    if different := sorted(claimed.keys() ^ found):
        raise arrays.Unreadable(f"{exported.format}: {different[0]} is not both there and named")
    for path, digest in claimed.items():
        if _sha256(folder / path) != digest:
            raise arrays.Unreadable(f"{exported.format}: {path} is not what it says")


def _plain_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


def _describe(exported: Exported, artifact_id: str, folder: Path) -> Exported:
    """Return what a producer says of its model with the host's files beside it."""
    own = tuple(
        ExportedFile(path=name, bytes=(folder / name).stat().st_size, sha256=_sha256(folder / name))
        for name in HOST_FILES
    )
    return exported.model_copy(update={"id": artifact_id, "files": (*exported.files, *own)})


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verify(artifact: Path) -> None:
    """Raise RecordError when a kept model, or what it is judged by, is not what it was."""
    try:
        described = Exported.model_validate_json((artifact / "artifact.json").read_bytes())
        for one in described.files:
            if _sha256(artifact / one.path) != one.sha256:
                raise ValueError(f"{one.path} is not what was kept")
    except (OSError, ValueError) as error:
        raise RecordError(
            f"{artifact}: damaged: {error}", hint="the run's own file changed: start a new run"
        ) from None


def _agreement(artifact: Path, answer: Path) -> Agreement:
    """Compare a consumer's logits, float32 (N, classes), with gold and with the producer's.

    Raises RecordError when the artifact's own files are damaged.
    """
    try:
        truth = arrays.read(artifact / "gold.npz", {"y": None})["y"]
        produced = arrays.read(artifact / "outputs.npz", {"y": None})["y"]
    except arrays.Unreadable as error:
        raise RecordError(
            f"{artifact}: damaged: {error}", hint="the run's own file changed: start a new run"
        ) from None
    scale = float(np.abs(truth).max(initial=0.0))
    if not np.isfinite(scale) or scale == 0.0:
        note = "the gold outputs are zero or not finite"
        return Agreement(error=None, producer_error=None, from_producer=None, scale=0.0, note=note)
    try:
        answered = arrays.read(answer, {"y": truth.shape})["y"]
        note = "" if np.isfinite(answered).all() else "its outputs are not finite"
    except arrays.Unreadable as error:
        answered, note = np.empty(0), f"its outputs cannot be used: {error}"
    return Agreement(
        error=_distance(answered, truth, scale),
        producer_error=_distance(produced, truth, scale),
        from_producer=_distance(answered, produced, scale),
        scale=scale,
        note=note,
    )


def _distance(one: Floats, other: Floats, scale: float) -> float | None:
    if one.shape != other.shape or not np.isfinite(one).all():
        return None
    return float(np.abs(one.astype(np.float64) - other).max() / scale)
