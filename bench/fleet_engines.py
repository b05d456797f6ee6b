"""Whether a fleet gives the verdicts of one machine: three workers, each with a Docker engine.

    python bench/fleet_engines.py [GLOB ...] [--preset smoke] [--runs FOLDER]

It runs a preset without its GPU cells, or some of its cells, on the engine of this machine, then on
a fleet: one worker offers arm64, which is emulated, and two offer amd64. Each has a daemon with a
socket, data and a network namespace of its own; as such daemons reach no registry, they load the
images that the first run has made. Some records are removed, and made again by --resume. It then
compares the runs with `deepmatrix compare --fail-on changed`, counts the jobs of each worker, and
counts which records say that they were emulated. Needs Linux, root and dockerd.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from common import ROOT

from deepmatrix.cli import main as cli
from deepmatrix.engines.choose import discover
from deepmatrix.engines.setup.daemon import Daemon
from deepmatrix.store.runs import Run
from tests.fleet_processes import Fleet, ended

#: The cells that no worker offers: a fleet refuses them, where one machine leaves them out.
GPU = "*-cuda"

#: The workers, by name, and what each offers.
WORKERS = {"board": "arm64", "first": "amd64", "second": "amd64"}


def run_matrix(selection: Sequence[str], runs: Path, name: str, *options: str) -> Run:
    """Run what is selected, or what is missing of the run of that name; return the run."""
    path, began = runs / name, time.monotonic()
    new = [*selection, "--runs", str(runs), "--name", name]
    what = ["--resume", str(path)] if path.is_dir() else new
    command = [sys.executable, "-m", "deepmatrix", "matrix", *what, *options]
    ended = subprocess.run(command, cwd=ROOT, check=False)
    print(f"{name}: exit {ended.returncode} after {time.monotonic() - began:.0f} s", flush=True)
    return Run.open(path)


def copy_images(run: Run, url: str, architecture: str, source: dict[str, str]) -> None:
    """Load into a daemon what the cells of an architecture ran from."""
    for cell in run.manifest.plan.cells:
        reference = run.prepared()[cell.id].reference
        if cell.architecture != architecture or not reference:
            continue
        save = ["docker", "save", reference]
        with subprocess.Popen(save, stdout=subprocess.PIPE, env=source) as saving:
            load = ["docker", "--host", url, "load", "--quiet"]
            subprocess.run(load, stdin=saving.stdout, check=True)


@contextlib.contextmanager
def daemons(names: Sequence[str]) -> Iterator[dict[str, Daemon]]:
    """Start a daemon for each name; end them, and remove what they have."""
    folder = Path(tempfile.mkdtemp(prefix="dm-", dir="/tmp"))  # a socket's path is short
    started = {
        name: Daemon(run=folder / name / "run", data=folder / name / "data", apart=True)
        for name in names
    }
    try:
        for daemon in started.values():
            daemon.start()
        yield started
    finally:
        for daemon in started.values():
            daemon.stop()
        shutil.rmtree(folder)


def run_on_fleet(local: Run, selection: Sequence[str], runs: Path) -> Run:
    """Run what is selected on a fleet of three engines; return the run."""
    source = {**os.environ, **discover().endpoint.environment()}
    with contextlib.ExitStack() as stack:
        engines = stack.enter_context(daemons(list(WORKERS)))
        for name, daemon in engines.items():
            copy_images(local, daemon.url, WORKERS[name], source)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        fleet = stack.enter_context(ended(Fleet(folder)))
        fleet.start_scheduler()
        for name, architecture in WORKERS.items():
            options = ["--tls", str(fleet.tls), "--name", name, "--architecture", architecture]
            options += ["--engine", f"docker:{engines[name].url}"]
            fleet.processes.start(name, cli.main, ["worker", fleet.address, *options])
        for name in WORKERS:
            fleet.processes.wait_for(name, "connected")
        at_fleet = ("--fleet", fleet.address, "--tls", str(fleet.tls))
        name = f"fleet-{int(time.time())}"
        forget_some(run_matrix(selection, runs, name, *at_fleet))
        return run_matrix(selection, runs, name, *at_fleet)


def forget_some(run: Run) -> None:
    """Remove the record of one job of each architecture, as of a run that was killed."""
    architectures = {cell.id: cell.architecture for cell in run.manifest.plan.cells}
    jobs = {architectures[job.cell]: job for job in run.manifest.plan.jobs("consume")}
    for job in jobs.values():
        run.record_path(job).unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("globs", nargs="*", metavar="GLOB")
    parser.add_argument("--preset", default="smoke")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "fleet-engines")
    options = parser.parse_args()
    selection = [*options.globs, "--preset", options.preset, "--exclude", GPU]
    local = run_matrix(selection, options.runs, "local")
    far = run_on_fleet(local, selection, options.runs)
    workers = {facts["machine"]: facts["worker"] for facts in far.engines().values()}
    counts = [sum(1 for _ in run.records()) for run in (far, local)]
    jobs = Counter((workers[record.machine], record.status) for record in far.records())
    print(f"records of the fleet: {counts[0]}, of one machine: {counts[1]}")
    print(f"by worker: {dict(jobs)}")
    architectures = {cell.id: cell.architecture for cell in far.manifest.plan.cells}
    marked = Counter((architectures[record.cell], record.emulated) for record in far.records())
    print(f"emulated, by architecture: {dict(marked)}")
    paths = [str(run.path) for run in (local, far)]
    command = [sys.executable, "-m", "deepmatrix", "compare", *paths, "--fail-on", "changed"]
    raise SystemExit(subprocess.run(command, cwd=ROOT, check=False).returncode)


if __name__ == "__main__":
    main()
