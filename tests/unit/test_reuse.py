"""Reusing a run: what the same made is taken over, everything else is done anew."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepmatrix.cli import main
from deepmatrix.cli.parser import build_parser
from deepmatrix.cli.resuming import most_alike, named_run
from deepmatrix.comparison.history.lines import measurements
from deepmatrix.config.matrix import Matrix
from deepmatrix.engines import Ended, Prepared, Progress, Task
from deepmatrix.engines.hardware import processor_facts
from deepmatrix.errors import Interrupted, RecordError
from deepmatrix.execution.reuse import provenance, reusing
from deepmatrix.execution.reuse.provenance import ROOMS, first_change, program_digest
from deepmatrix.execution.runner import Runner
from deepmatrix.machine import locks
from deepmatrix.paths import ROOT
from deepmatrix.planning.cells import Capabilities, Cell
from deepmatrix.planning.plan import WAVES, Job, Plan
from deepmatrix.reports import markdown
from deepmatrix.results import merging
from deepmatrix.store.parts import Failure
from deepmatrix.store.records import JobRecord
from deepmatrix.store.reported.output import Output
from deepmatrix.store.runs import Run
from deepmatrix.workloads import gold, networks
from tests.unit.examples import CANARY, MATRIX, output, planned

TORCH, JAX = "torch-debian12-amd64-cpu", "jax-debian12-amd64-cpu"
ORT, OPENVINO = "onnxruntime-debian12-amd64-cpu", "openvino-debian12-amd64-cpu"
ARM64 = "onnxruntime-debian13-arm64-cpu"
CELLS = (TORCH, JAX, ORT, OPENVINO, ARM64)
WORKLOAD = "digits-conv"
NETWORK = networks.NETWORKS[WORKLOAD]

#: What tells one machine from another.
FACTS = {
    "machine": "0123456789ab",
    "processor": "Fast",
    "cpu_count": "2",
    "found": "DOCKER_HOST",
    "emulator of arm64": "1",
}


OTHER_IMAGE = f"sha256:{'2' * 64}"


@dataclass
class Told:
    """A watcher that keeps what it is told of reuse."""

    stages: list[tuple[str, int, dict[str, int]]] = field(default_factory=list)

    def reused(self, run_id: str, jobs: Sequence[Job], anew: Mapping[str, int]) -> None:
        self.stages.append((run_id, len(jobs), dict(anew)))

    def totals(self) -> tuple[set[str], int, Counter[str]]:
        """Return the runs that were reused, how many of their jobs, and how many not, by reason."""
        reasons = Counter[str]()
        for _, _, anew in self.stages:
            reasons.update(anew)
        return (
            {run for run, _, _ in self.stages},
            sum(count for _, count, _ in self.stages),
            reasons,
        )

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


@dataclass
class AnsweringEngine:
    """Answers each job at once, with models that tell the image of their producer.

    *ran*: the ids of the jobs that it was given. *crashing*: the cell whose jobs crash. Ctrl-C is
    pressed once *limit* jobs have run. *image_ids*: what cells' images hold, whatever their tag.
    *gone*: images that were removed. *cpus*: those of its machine.
    """

    images: dict[str, str] = field(default_factory=dict)
    image_ids: dict[str, str] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=lambda: dict(FACTS))
    name: str = "docker"
    is_here: bool = True
    crashing: str = ""
    gone: set[str] = field(default_factory=set)
    limit: int = 1000
    cpus: int = 2
    ran: list[str] = field(default_factory=list)

    def capabilities(self) -> Capabilities:
        native, emulated = frozenset({"amd64"}), frozenset({"arm64"})
        return Capabilities(engine=self.name, native=native, emulated=emulated, cpus=self.cpus)

    def describe(self) -> dict[str, str]:
        return self.facts

    def prepare(self, cells: Sequence[Any], progress: Progress) -> dict[str, Prepared]:
        del progress
        return {
            cell.id: Prepared(
                cell_id=cell.id,
                reference=self._image(cell.id),
                image_id=self.image_ids.get(cell.id) or self._image_id(cell.id),
            )
            for cell in cells
        }

    def adopt(self, cell: Cell, earlier: Prepared) -> Prepared:
        is_here = earlier.reference not in self.gone
        if is_here:
            self.images[cell.id] = earlier.reference
        return earlier.adopted(cell.id, "" if is_here else f"{earlier.reference} is gone")

    def open(self, run_id: str) -> None:
        del run_id

    def close(self) -> None:
        pass

    def run(self, task: Task, cancel: threading.Event) -> Ended:
        del cancel
        while True:
            if len(self.ran) >= self.limit:
                return Ended(ending="cancelled", cause="interrupted")
            ended = self._answer(task.folder)
            if not (task.queue and task.queue.has_next and ended.ending == "exited"):
                return ended
            task.queue.advance(ended)

    def _image(self, cell: str) -> str:
        return self.images.get(cell, f"deepmatrix/{cell}:1")

    def _image_id(self, cell: str) -> str:
        return f"sha256:{hashlib.sha256(self._image(cell).encode()).hexdigest()}"

    def _answer(self, folder: Path) -> Ended:
        document = json.loads((folder / "input.json").read_text())
        cell = document["cell"]["id"]
        self.ran.append(document["job"])
        if cell == self.crashing:
            return Ended(ending="crashed", cause="a signal", wall_s=1.0)
        subject = document["job"].removeprefix(f"{cell}--").rpartition("--")[0]
        job = Job(
            wave=document["wave"],
            cell=cell,
            subject=subject,
            round=document["round"],
            phases=tuple(document["phases"]),
        )
        exported = []
        if "deploy" in job.phases:
            exported = [self._export(folder, cell)]
        elif job.wave == "consume":
            (folder / "outputs").mkdir()
            np.save(folder / "outputs" / "0.npy", np.ones((2, 2), np.float32))
        answered = self.timed(output(job, artifacts=exported), cell)
        (folder / "output.json").write_text(answered.model_dump_json(by_alias=True))
        return Ended(ending="exited", cause="", exit_code=0, wall_s=1.0, log=f"{job.id}\n")

    def timed(self, answered: Output, cell: str) -> Output:
        """Return the output of a cell with the times that it took here."""
        del cell
        return answered

    def _export(self, folder: Path, cell: str) -> dict[str, Any]:
        with np.load(folder / "data" / "weights.npz") as archive:
            weights = dict(archive)
        with np.load(folder / "data" / "data.npz") as archive:
            y = gold.forward(NETWORK, weights, archive["probe_x"]).astype(np.float32)
        (folder / "artifacts" / "onnx").mkdir(parents=True)
        np.savez(folder / "artifacts" / "weights.npz", **weights)
        np.savez(folder / "artifacts" / "outputs.npz", y=y)
        model = self._image(cell).encode()
        (folder / "artifacts" / "onnx" / "model.onnx").write_bytes(model)
        digest = hashlib.sha256(model).hexdigest()
        files = [{"path": "model.onnx", "bytes": len(model), "sha256": digest}]
        return {"format": "onnx", "files": files, "export_s": 1.0}


def small_plan(*cells: str, seed: int = 0, samples: int = 1) -> Plan:
    """Return a plan in which all frameworks export ONNX, and all others serve it in two rounds."""
    plan = planned(*cells, seed=seed)
    systems = tuple(
        cell.with_system(**({"exports": ("onnx",)} if cell.exports else {}), reads=("onnx",))
        if cell.role == "runtime"
        else cell.with_system(exports=("onnx",), reads=())
        for cell in plan.cells
    )
    return replace(
        plan,
        cells=systems,
        workloads=(WORKLOAD,),
        phases=("startup", "train", "deploy", "infer"),
        rounds_native=2,
        infer=plan.infer.model_copy(update={"samples": samples}),
    )


def small_matrix(*, emulations: Iterable[str] = (), **limits: Any) -> Matrix:
    """Return a matrix with other limits, and other variables where some architectures are emulated.

    These architectures are *emulations*.
    """
    tiny = MATRIX.workloads[WORKLOAD].model_copy(update={"epochs": 1, "steps": 1})
    workloads = {**MATRIX.workloads, WORKLOAD: tiny}
    changed = MATRIX.limits.model_copy(update=limits)
    other = {"emulation": {"QEMU_CPU": "max,lpa2=off"}}
    architectures = {
        name: entry.model_copy(update=other if name in emulations else {})
        for name, entry in MATRIX.architectures.items()
    }
    return MATRIX.model_copy(
        update={"workloads": workloads, "limits": changed, "architectures": architectures}
    )


NUMBERS = itertools.count()


def repeat(
    parent: Path,
    plan: Plan,
    engine: AnsweringEngine,
    *,
    reuse: str = "base",
    matrix: Matrix | None = None,
    watcher: Told | None = None,
) -> Run:
    """Run a plan in a new run, which reuses another one."""
    name = f"again-{next(NUMBERS)}" if reuse else "base"
    run = Run.create(parent, plan, matrix or small_matrix(), version="1", name=name, reuse=reuse)
    Runner(run=run, engine=engine, watcher=watcher or Told()).execute()
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a finished run, ``base``, of `CELLS`."""
    parent = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locks, "SAMPLING", parent / "sampling.lock")  # it waits for no other run
        repeat(parent, small_plan(*CELLS), AnsweringEngine(), reuse="")
    return parent


@pytest.fixture
def copied(runs: Path, tmp_path: Path) -> Path:
    """Return a folder with a copy of that run, for a test that changes it."""
    shutil.copytree(runs / "base", tmp_path / "base")
    return tmp_path


def all_jobs(plan: Plan) -> set[str]:
    return {job.id for wave in WAVES for job in plan.jobs(wave)}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_repetition_in_which_nothing_changed_runs_nothing(runs: Path) -> None:
    plan, engine, watcher = small_plan(*CELLS), AnsweringEngine(), Told()
    before = contents(runs / "base")
    run = repeat(runs, plan, engine, watcher=watcher)

    assert engine.ran == []
    assert contents(runs / "base") == before
    assert watcher.totals() == ({"base"}, 14, {})
    for folder in ("artifacts", "logs"):
        assert contents(run.path / folder) == contents(runs / "base" / folder)
    records = {record.job: record for record in run.records()}
    assert records.keys() == all_jobs(plan)
    assert {record.reused for record in records.values()} == {"base"}
    assert {record.run for record in records.values()} == {run.id}


#: What may change between two runs.
CHANGES = (*CELLS, "options", "machine", "limits", "seed", "samples", "arm64", "amd64")


def affected(changes: frozenset[str], plan: Plan) -> set[str]:
    """Return the jobs that must be done anew, by the meaning of each change."""
    if changes & {"machine", "limits", "seed"}:
        return all_jobs(plan)
    if "samples" in changes:  # what is emulated is only checked
        return {job for job in all_jobs(plan) if not job.startswith(ARM64)} | affected(
            changes - {"samples"}, plan
        )
    cells = {*changes, *([ORT] if "options" in changes else [])}
    cells |= {ARM64} if "arm64" in changes else set()  # amd64 is native, and not emulated
    return {
        job.id
        for wave in WAVES
        for job in plan.jobs(wave)
        if job.cell in cells or (job.artifact and job.artifact.producer in changes)
    }


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.frozensets(st.sampled_from(CHANGES), max_size=3))
def test_exactly_the_jobs_that_a_change_concerns_are_done_anew(
    runs: Path, changes: frozenset[str]
) -> None:
    engine = AnsweringEngine(
        images={cell: "deepmatrix/another:2" for cell in CELLS if cell in changes},
        facts={**FACTS, "machine": "ba9876543210"} if "machine" in changes else FACTS,
    )
    plan = small_plan(*CELLS, seed=int("seed" in changes), samples=2 if "samples" in changes else 1)
    if "options" in changes:
        cells = [
            cell.with_system(options={"optimisation": "none"}) if cell.id == ORT else cell
            for cell in plan.cells
        ]
        plan = replace(plan, cells=tuple(cells))
    emulations = changes & {"arm64", "amd64"}
    limits = {"deadline_s": 77.0} if "limits" in changes else {}
    matrix = small_matrix(emulations=emulations, **limits)
    run = repeat(runs, plan, engine, matrix=matrix)

    assert set(engine.ran) == affected(changes, plan)
    records = list(run.records())
    assert {record.job for record in records} == all_jobs(plan)
    assert {record.job for record in records if record.anew} == affected(changes, plan)


def test_other_memory_or_another_split_into_processes_makes_another_record(runs: Path) -> None:
    plan, others = small_plan(*CELLS), []
    ways: tuple[tuple[Plan, dict[str, Any]], ...] = (
        (plan, {"memory": 1 << 30}),
        (replace(plan, isolate=True), {}),
    )
    for changed, limits in ways:
        run = repeat(runs, changed, AnsweringEngine(), matrix=small_matrix(**limits))
        others.append({record.anew for record in run.records()})
    assert others == [{"limits changed"}, {"", "process changed"}]


@pytest.mark.parametrize(
    ("digest", "part"), [("_harness_digest", "harness"), ("program_digest", "program")]
)
def test_another_version_of_the_harness_or_of_this_program_makes_other_records(
    runs: Path, monkeypatch: pytest.MonkeyPatch, digest: str, part: str
) -> None:
    monkeypatch.setattr(provenance, digest, lambda *_: "another")
    plan, engine = small_plan(TORCH, ORT), AnsweringEngine()
    run = repeat(runs, plan, engine)
    assert set(engine.ran) == all_jobs(plan)
    assert {record.anew for record in run.records()} == {f"{part} changed"}


def test_another_command_of_a_cell_makes_other_records(runs: Path) -> None:
    plan = small_plan(TORCH, ORT)
    commands = [
        replace(plan, cells=tuple(cell.with_system(command=(name,)) for cell in plan.cells))
        for name in ("/runner", "/other")
    ]
    base = Run.create(runs, commands[0], small_matrix(), version="1", name="commands")
    Runner(run=base, engine=AnsweringEngine(), watcher=Told()).execute()
    run = repeat(runs, commands[1], AnsweringEngine(), reuse="commands")
    assert {record.anew for record in run.records()} == {"command changed"}


def test_variables_of_emulated_processes_concern_only_what_is_emulated(runs: Path) -> None:
    plan, engine = small_plan(*CELLS), AnsweringEngine()
    variables = {"XLA_FLAGS": "--xla_backend_optimization_level=0"}
    cells = tuple(cell.with_system(emulated_environment=variables) for cell in plan.cells)
    run = repeat(runs, replace(plan, cells=cells), engine)

    assert set(engine.ran) == affected(frozenset({"arm64"}), plan) != set()
    assert {record.anew for record in run.records()} == {"", "environment changed"}


def test_a_cell_that_is_new_is_done_and_the_others_are_taken_over(runs: Path) -> None:
    before = small_plan(TORCH, ORT)
    base = Run.create(runs, before, small_matrix(), version="1", name="small")
    Runner(run=base, engine=AnsweringEngine(), watcher=Told()).execute()
    engine, watcher = AnsweringEngine(), Told()
    run = repeat(runs, small_plan(*CELLS), engine, reuse="small", watcher=watcher)
    assert set(engine.ran) == all_jobs(small_plan(*CELLS)) - all_jobs(before)
    assert watcher.totals() == ({"small"}, 4, {reusing.NO_RECORD: 10})
    assert {record.run for record in run.records()} == {run.id}


def test_a_new_cell_serves_in_its_one_round_what_is_taken_over_and_was_not_timed(
    tmp_path: Path,
) -> None:
    def plan(*cells: str) -> Plan:
        return replace(small_plan(*cells), phases=("deploy",), rounds_native=1)

    repeat(tmp_path, plan(TORCH), AnsweringEngine(), reuse="")
    engine = AnsweringEngine()
    run = repeat(tmp_path, plan(TORCH, ORT), engine)
    assert {record.job for record in run.records()} == all_jobs(plan(TORCH, ORT))
    assert set(engine.ran) == all_jobs(plan(TORCH, ORT)) - all_jobs(plan(TORCH))


@pytest.mark.parametrize(
    ("facts", "name", "reason"),
    [
        ({"machine": "ba9876543210"}, "docker", "machine changed"),
        ({"processor": "Slow"}, "docker", "machine changed"),
        ({"version": "99"}, "docker", "engine changed"),
        ({"machine": ""}, "docker", reusing.UNKNOWN),
        ({}, "here", reusing.UNKNOWN),
    ],
)
def test_nothing_is_taken_over_from_another_machine_or_engine(
    runs: Path, facts: dict[str, str], name: str, reason: str
) -> None:
    engine, plan = AnsweringEngine(facts={**FACTS, **facts}, name=name), small_plan(TORCH, ORT)
    run = repeat(runs, plan, engine)
    assert set(engine.ran) == all_jobs(plan)
    assert {record.anew for record in run.records()} == {reason}


@pytest.mark.parametrize("is_measuring", [False, True])
def test_of_several_machines_the_one_that_measures_takes_over_what_it_did(
    tmp_path: Path, *, is_measuring: bool
) -> None:
    plan = small_plan(TORCH, ORT)
    repeat(tmp_path, plan, AnsweringEngine(cpus=4), reuse="")
    mine = AnsweringEngine(cpus=4)
    other = AnsweringEngine(cpus=2 if is_measuring else 8, facts={**FACTS, "machine": "another"})
    run = Run.create(tmp_path, plan, small_matrix(), version="1", name="second", reuse="base")
    Runner(run=run, engine=other, others=[mine], watcher=Told()).execute()
    assert {*mine.ran, *other.ran} == (set() if is_measuring else all_jobs(plan))


@dataclass
class DisturbedEngine(AnsweringEngine):
    """An engine whose machine is slow at its first training, which fails too.

    *trained*: the phases that it was given of that job, each time.
    """

    trained: list[tuple[str, ...]] = field(default_factory=list)

    def timed(self, answered: Output, cell: str) -> Output:
        if cell != TORCH or not answered.job.endswith("--r0"):
            return answered
        self.trained.append(tuple(entry.phase for entry in answered.records))
        if len(self.trained) > 1:
            return answered
        error = Failure(type="RuntimeError", message="it failed")
        failed = {"status": "failed", "error": error, "data": {}}
        records = (*answered.records[:-1], answered.records[-1].model_copy(update=failed))
        slow = tuple(
            canary.model_copy(update={"matmul_flops": canary.matmul_flops / 2})
            for canary in answered.canaries
        )
        return answered.model_copy(update={"records": records, "canaries": slow})


def test_what_failed_while_the_machine_was_slow_is_done_again_as_a_whole(tmp_path: Path) -> None:
    engine = DisturbedEngine()
    run = repeat(tmp_path, small_plan(TORCH, ORT), engine, reuse="")
    assert len(engine.trained) == 2
    assert engine.trained[0] == engine.trained[1]
    assert {record.status for record in run.records()} == {"ok"}


def test_how_an_engine_was_found_does_not_matter(runs: Path) -> None:
    engine = AnsweringEngine(facts={**FACTS, "found": "the context default"})
    repeat(runs, small_plan(*CELLS), engine)
    assert engine.ran == []


def test_another_emulator_concerns_what_it_emulates_only(tmp_path: Path) -> None:
    plan = small_plan(TORCH, ORT, ARM64)
    repeat(tmp_path, plan, AnsweringEngine(), reuse="")
    engine = AnsweringEngine(facts={**FACTS, "emulator of arm64": "2", "emulator of arm": "3"})
    run = repeat(tmp_path, plan, engine)
    assert set(engine.ran) == {job.id for job in plan.jobs("consume") if "-arm64-" in job.cell}
    assert {record.anew for record in run.records()} == {"", "emulator changed"}


def test_another_image_with_the_same_tag_is_another_image(runs: Path) -> None:
    engine, plan = AnsweringEngine(image_ids={ORT: OTHER_IMAGE}), small_plan(*CELLS)
    repeat(runs, plan, engine)
    assert set(engine.ran) == affected(frozenset({ORT}), plan)


def test_a_run_does_not_go_on_with_another_image_of_the_same_tag(tmp_path: Path) -> None:
    plan = small_plan(TORCH, ORT)
    with pytest.raises(Interrupted):
        repeat(tmp_path, plan, AnsweringEngine(limit=1), reuse="")
    engine = AnsweringEngine(image_ids={TORCH: OTHER_IMAGE})
    run = Run.open(tmp_path / "base")
    with pytest.raises(RecordError, match="another image of that name"):
        Runner(run=run, engine=engine, watcher=Told()).execute()
    engine.facts = {**FACTS, "machine": "ba9876543210"}  # it builds an image of its own
    Runner(run=run, engine=engine, watcher=Told()).execute()
    assert {record.job for record in run.records()} == all_jobs(plan)


def edit_record(folder: Path, job: str, changes: dict[str, Any]) -> None:
    cell, subject, number = job.split("--", 1)[0], job.split("--", 1)[1][:-4], job[-2:]
    path = folder / "records" / cell / subject / f"{number}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_record_of_an_older_version_is_not_taken_over(copied: Path) -> None:
    edit_record(copied / "base", f"{TORCH}--{WORKLOAD}--r1", {"provenance": {}})
    engine, watcher = AnsweringEngine(), Told()
    repeat(copied, small_plan(*CELLS), engine, watcher=watcher)
    assert engine.ran == [f"{TORCH}--{WORKLOAD}--r1"]
    assert watcher.totals() == ({"base"}, 13, {reusing.UNSAID: 1})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "timeout"}, "it ended as timeout"),
        ({"run": "foreign"}, "it ended as damaged"),
        ({"wall_s": -1}, "it ended as damaged"),
        ({"artifacts": {"../../escape": "0" * 64}}, reusing.OTHER_ARTIFACTS),
        ({"artifacts": {}}, reusing.OTHER_ARTIFACTS),
    ],
)
def test_a_record_that_is_damaged_or_proves_nothing_is_not_taken_over(
    copied: Path, changes: dict[str, Any], reason: str
) -> None:
    job = f"{TORCH}--{WORKLOAD}--r0"
    edit_record(copied / "base", job, changes)
    engine = AnsweringEngine()
    run = repeat(copied, small_plan(*CELLS), engine)
    assert engine.ran == [job]
    assert {record.job: record.anew for record in run.records() if record.anew} == {job: reason}


@pytest.mark.parametrize("name", ["model/model.onnx", "gold.npz", "artifact.json"])
def test_an_artifact_that_is_damaged_is_made_anew(copied: Path, name: str) -> None:
    artifact = f"{TORCH}--{WORKLOAD}--onnx"
    (copied / "base" / "artifacts" / artifact / name).write_bytes(b"damaged")
    engine = AnsweringEngine()
    run = repeat(copied, small_plan(*CELLS), engine)
    assert engine.ran == [f"{TORCH}--{WORKLOAD}--r0"]
    anew = [record.anew for record in run.records() if record.anew]
    assert len(anew) == 1
    assert anew[0].startswith("its files cannot be used: ")
    assert (run.path / "artifacts" / artifact / name).read_bytes() != b"damaged"


def test_a_crash_is_tried_again(copied: Path) -> None:
    plan = small_plan(TORCH, ORT)
    images = {ORT: "deepmatrix/another:2"}
    crashed = repeat(copied, plan, AnsweringEngine(images=images, crashing=ORT))
    assert {record.status for record in crashed.records() if record.cell == ORT} == {"crashed"}
    engine = AnsweringEngine(images=images)
    repeat(copied, plan, engine, reuse=crashed.id)
    assert set(engine.ran) == {job.id for job in plan.jobs("consume")}


def test_what_a_producer_left_that_failed_is_not_served(copied: Path) -> None:
    run, engine = Run.open(copied / "base"), AnsweringEngine(crashing=TORCH)
    shutil.rmtree(run.path / "records")  # its host was killed before it could save them
    Runner(run=run, engine=engine, watcher=Told()).execute()
    consumed = {record.subject for record in run.records() if record.wave == "consume"}
    assert consumed == {f"{JAX}--{WORKLOAD}--onnx"}
    assert [path.name for path in (run.path / "artifacts").iterdir()] == list(consumed)


def test_a_run_that_reuses_another_names_the_one_that_measured(runs: Path) -> None:
    plan = small_plan(*CELLS)
    second = repeat(runs, plan, AnsweringEngine(images={ORT: "deepmatrix/another:2"}))
    third = repeat(
        runs, plan, AnsweringEngine(images={ORT: "deepmatrix/another:2"}), reuse=second.id
    )
    origins = {record.cell: record.reused for record in third.records()}
    assert origins == {**dict.fromkeys(CELLS, "base"), ORT: second.id}


def test_an_interrupted_run_goes_on_with_what_it_reuses(runs: Path) -> None:
    plan, images = small_plan(*CELLS), {JAX: "deepmatrix/another:2"}
    engine = AnsweringEngine(images=images, limit=1)
    with pytest.raises(Interrupted):
        repeat(runs, plan, engine)
    run = Run.open(max(runs.glob("again-*"), key=lambda path: int(path.name.split("-")[1])))
    assert 0 < len(list(run.records())) < len(all_jobs(plan))
    engine = AnsweringEngine(images=images, ran=engine.ran)
    Runner(run=run, engine=engine, watcher=Told()).execute()
    assert sorted(engine.ran) == sorted(affected(frozenset({JAX}), plan))
    assert {record.job for record in run.records()} == all_jobs(plan)


def test_a_run_goes_on_where_what_it_reuses_is_gone(copied: Path) -> None:
    plan, engine, watcher = small_plan(TORCH, ORT), AnsweringEngine(), Told()
    shutil.rmtree(copied / "base")
    repeat(copied, plan, engine, watcher=watcher)
    assert set(engine.ran) == all_jobs(plan)
    assert "base cannot be read" in str(watcher.stages)


def test_report_and_results_say_of_which_run_each_record_is(runs: Path) -> None:
    plan = small_plan(*CELLS)
    run = repeat(runs, plan, AnsweringEngine(images={ORT: "deepmatrix/another:2"}))
    results = merging.merge([run])
    anew = {job.id for job in plan.jobs("consume") if job.cell == ORT}
    assert set(results.anew["image changed"]) == anew
    assert set(results.reused["base"]) == all_jobs(plan) - anew
    report = markdown.document(results, ["Reused records"])
    assert f"| {ORT} | anew: image changed | 4 |" in report.replace("\\", "")
    assert f"| {OPENVINO} | reused of base | 4 |" in report.replace("\\", "")


def test_the_history_has_only_what_a_run_measured_itself(runs: Path) -> None:
    run = repeat(runs, small_plan(*CELLS), AnsweringEngine(images={ORT: "deepmatrix/another:2"}))
    lines = [line for line in measurements(merging.merge([run])) if line.unit != "bytes"]
    assert {line.cell for line in lines if line.subject} == {ORT}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--reuse", "nothing"], "is not there"),
        (["--reuse", "../base"], "it is not below"),
        (["--reuse", "base", "--resume"], "--resume finishes a run as it was planned"),
    ],
)
def test_a_run_that_cannot_be_reused_is_refused(
    copied: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (copied / "below").mkdir()
    folder = copied / "below" if "../base" in arguments else copied
    assert main.main(["matrix", "--runs", str(folder), "--engine", "venv", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_run_to_reuse_is_named_by_its_path_too(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copied.parent)
    parser = build_parser()
    for name in ("base", f"{copied.name}/base", str(copied / "base")):
        options = parser.parse_args(["matrix", "--runs", str(copied), "--reuse", name])
        assert named_run(options, "matrix") == "base"


def copy_records(base: Path, run: Run, cell: str) -> None:
    """Give a run the records that the run ``base`` has of a cell."""
    for path in (base / "records" / cell).rglob("*.json"):
        copy = run.path / path.relative_to(base)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(json.dumps({**json.loads(path.read_text()), "run": run.id}))


def test_without_a_name_the_run_with_most_jobs_of_the_plan_is_reused(copied: Path) -> None:
    plan = small_plan(*CELLS)
    for name, cell in (("interrupted", ""), ("partly", ORT), ("newest", "")):
        run = Run.create(copied, plan, small_matrix(), version="1", name=name)
        if cell:
            copy_records(copied / "base", run, cell)
    options = build_parser().parse_args(["matrix", "--runs", str(copied), "--reuse"])
    assert most_alike(options, plan) == "base"
    shutil.rmtree(copied / "base" / "records")
    assert most_alike(options, plan) == "partly"
    shutil.rmtree(copied / "partly" / "records")
    assert most_alike(options, plan) == "newest"
    options = build_parser().parse_args(["matrix", "--runs", str(copied)])
    assert most_alike(options, plan) == ""


@pytest.mark.parametrize("fault", ["link inside", "name", "link", "program", "damaged"])
def test_a_run_that_cannot_be_reused_does_not_hide_an_earlier_one(copied: Path, fault: str) -> None:
    plan = small_plan(*CELLS)
    fits = Run.create(copied, plan, small_matrix(), version="1", name="fits")
    copy_records(copied / "base", fits, ORT)
    newest = copied / ("a copy" if fault == "name" else "newest")
    shutil.move(copied / "base", newest)
    (newest / "plan.json").touch()
    if fault == "link inside":
        (newest / "link").symlink_to(copied)
    elif fault == "link":
        shutil.move(newest, copied.parent / "elsewhere")
        newest.symlink_to(copied.parent / "elsewhere")
    elif fault == "damaged":
        (newest / "plan.json").write_text("{")
    elif fault == "program":
        for path in (newest / "records").rglob("*.json"):
            document = json.loads(path.read_text())
            document["provenance"]["program"] = "another"
            path.write_text(json.dumps(document))
    options = build_parser().parse_args(["matrix", "--runs", str(copied), "--reuse"])
    assert most_alike(options, plan) == "fits"


def test_a_run_of_another_command_is_not_reused(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copied / "model.onnx").write_bytes(b"")
    arguments = [str(copied / "model.onnx"), "--reuse", "base", "--runs", str(copied)]
    assert main.main(["verify", *arguments]) == 2
    assert "base is a run of matrix, not of verify" in capsys.readouterr().err


def test_the_first_part_that_changed_is_named() -> None:
    assert first_change({"a": "1", "b": "2"}, {"a": "1", "b": "2"}) == ""
    assert first_change({"a": "1", "b": "2"}, {"a": "1", "b": "3"}) == "b"
    assert first_change({"a": "1", "gone": "2"}, {"a": "1"}) == "gone"
    assert first_change({"a": "1"}, {"new": "1", "a": "1"}) == "new"


def test_this_programs_digest_follows_what_makes_records(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for folder in folders:
        for room in ("judging", "reports"):
            (folder / room).mkdir(parents=True)
            (folder / room / "module.py").write_text("")
    (folders[1] / "reports" / "module.py").write_text("changed")
    (folders[2] / "judging" / "module.py").write_text("changed")
    digests = [program_digest(folder) for folder in folders]
    assert digests[0] == digests[1] != digests[2]


#: Rooms whose part in a record is in a job's input, its limits, or its image.
STATED = {"config", "planning", "images"}

LIST_ROOMS = """
import sys
from deepmatrix.engines import here, venv
from deepmatrix.engines.docker import engine
from deepmatrix.execution import attempts, collecting
names = [name.split(".") for name in sys.modules if name.startswith("deepmatrix.")]
print(*{name[1] for name in names if len(name) > 2})
"""


def test_this_programs_digest_has_every_room_that_makes_records() -> None:
    listed = subprocess.run(
        [sys.executable, "-c", LIST_ROOMS], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert {"judging", *STATED} <= set(listed.stdout.split()) <= {*ROOMS, *STATED}


def test_a_processor_is_known_by_its_name_and_its_instructions(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("model name\t: Fast 3\nflags\t\t: avx2\n\nmodel name\t: Slow\n")
    facts = processor_facts(cpuinfo)
    assert facts["processor"] == "Fast 3"
    cpuinfo.write_text("model name\t: Fast 3\nflags\t\t: avx2 vnni\n")
    assert processor_facts(cpuinfo)["features"] != facts["features"]
    assert processor_facts(tmp_path / "none")["processor"]


@dataclass
class SlowEngine(AnsweringEngine):
    """An engine whose machine is slow at PyTorch's first process; *done*: by job, its phases."""

    done: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def timed(self, answered: Output, cell: str) -> Output:
        self.done.append((answered.job, tuple(phase.phase for phase in answered.records)))
        is_slow = cell == TORCH and answered.job.endswith("r0") and self.ran.count(answered.job) < 2
        canary = {**CANARY, "matmul_flops": CANARY["matmul_flops"] * (0.5 if is_slow else 1)}
        changes = {"canaries": [canary], "peak_memory_bytes": 3000 if is_slow else 2000}
        return Output.model_validate({**answered.model_dump(mode="json", by_alias=True), **changes})


def test_a_retry_does_only_what_is_timed_and_keeps_the_rest(tmp_path: Path) -> None:
    engine = SlowEngine()
    run = Run.create(tmp_path, small_plan(TORCH, ORT), small_matrix(), version="1", name="one")
    Runner(run=run, engine=engine, watcher=Told()).execute()
    job = next(job for job in run.manifest.plan.jobs("produce") if job.round == 0)
    first, again = (phases for name, phases in engine.done if name == job.id)
    assert set(first) - set(again) == {"deploy"}
    record = run.record(job)
    path = run.record_path(job).with_name("r0.retried1.json")
    kept = JobRecord.model_validate_json(path.read_bytes())
    assert record.output
    assert [phase.phase for phase in record.output.records] == list(first)
    assert record.output.peak_memory_bytes == 3000
    assert record.artifacts == kept.artifacts != {}
    assert {record.status for record in run.records() if record.wave == "consume"} == {"ok"}
    calm = Run.create(tmp_path, small_plan(TORCH, ORT), small_matrix(), version="1", name="calm")
    Runner(run=calm, engine=AnsweringEngine(), watcher=Told()).execute()
    assert merging.merge([run]).problems == merging.merge([calm]).problems


def test_a_run_with_a_retried_producer_is_reused_whole(tmp_path: Path) -> None:
    plan = small_plan(TORCH, ORT)
    run = Run.create(tmp_path, plan, small_matrix(), version="1", name="one")
    Runner(run=run, engine=SlowEngine(), watcher=Told()).execute()
    engine = AnsweringEngine()
    again = Run.create(tmp_path, plan, small_matrix(), version="1", name="two", reuse="one")
    Runner(run=again, engine=engine, watcher=Told()).execute()
    assert engine.ran == []
