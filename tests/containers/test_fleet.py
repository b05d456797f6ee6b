"""A fleet whose worker has a Docker engine of its own, which is on no network."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from deepmatrix.cli import main
from deepmatrix.engines import Engine
from deepmatrix.engines.docker import endpoints
from deepmatrix.engines.docker.engine import DockerEngine
from deepmatrix.engines.setup.daemon import Daemon
from deepmatrix.execution.runner import Runner
from deepmatrix.fleet.connecting import connected
from deepmatrix.planning.cells import Cell
from deepmatrix.planning.plan import Job
from deepmatrix.store.records import JobRecord
from deepmatrix.store.runs import Run
from tests.fleet_processes import Fleet, gives_up_connecting
from tests.unit.examples import store_model

from .conftest import listed
from .test_sessions import MODELS, Quiet, X, plan_of, run_of

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300), gives_up_connecting]

#: A model that is served, and one that ends its process.
NAMES = ("fine", "division")


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path)
    fleet.start_scheduler()
    yield fleet
    fleet.end()
    gc.collect()


def start_worker(fleet: Fleet, *options: str) -> None:
    arguments = ["worker", fleet.address, "--tls", str(fleet.tls), "--name", "far", *options]
    fleet.processes.start("far", main.main, arguments)
    fleet.processes.wait_for("far", "connected to ")


def run_with_models(folder: Path, cell: Cell) -> Run:
    """Return a run in which a cell is to serve the models."""
    run = run_of(folder, plan_of(cell.id, len(NAMES)), 60)
    for job, name in zip(jobs_of(run, cell), NAMES, strict=True):
        assert job.artifact is not None
        store_model(run, job.artifact, X, MODELS[name]())
    return run


def jobs_of(run: Run, cell: Cell) -> list[Job]:
    return [job for job in run.manifest.plan.jobs("consume") if job.cell == cell.id]


def serve(run: Run, cell: Cell, engine: Engine) -> list[JobRecord]:
    """Have a cell serve the models on an engine; return its records."""
    Runner(run=run, engine=engine, watcher=Quiet(), cells={cell.id}).execute(["consume"])
    return [run.record(job) for job in jobs_of(run, cell)]


def outcomes(records: Sequence[JobRecord]) -> list[tuple[object, ...]]:
    return [(record.status, record.agreement, record.emulated) for record in records]


def test_a_worker_with_an_engine_of_its_own_gives_the_records_of_one_machine(
    fleet: Fleet, docker_engine: DockerEngine, second_daemon: Daemon, cell: Cell, tmp_path: Path
) -> None:
    engine = f"docker:{second_daemon.url}"
    start_worker(fleet, "--engine", engine, "--architecture", cell.architecture)
    near, far = (run_with_models(tmp_path / name, cell) for name in ("near", "far"))
    matrix = near.manifest.matrix
    here = serve(near, cell, DockerEngine(docker_engine.endpoint, matrix=matrix))
    with connected(fleet.address, fleet.tls, matrix, put_aside=print) as (worker,):
        able = worker.capabilities()
        there = serve(far, cell, worker)
        machine = worker.describe()["machine"]
    assert able.native | able.emulated == {cell.architecture}
    assert outcomes(there) == outcomes(here)
    assert there[0].status == "ok", there[0].cause
    assert {record.machine for record in there} == {machine}
    assert machine not in {record.machine for record in here}
    apart = DockerEngine(endpoints.endpoint_named(second_daemon.url))
    assert listed(apart, "ps", "--all", "--quiet") == []
    apart.close()
