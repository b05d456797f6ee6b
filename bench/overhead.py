"""The cost of running a job beyond the framework's import and the phases themselves.

Side by side, interleaved: the job as a matrix runs it, and a hand-written ``docker run`` of the
same harness on the same control directory with bind mounts. Both are warm.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from common import ROOT, Bench, ready, show

from deepmatrix.execution.tasks import TaskMaker
from deepmatrix.planning.plan import Job
from deepmatrix.store.records import JobRecord


def by_hand(bench: Bench, job: Job, control: Path) -> float:
    """Run ``docker run`` on a fresh copy of a control directory; return its wall time."""
    copy = control.with_name("copy")
    shutil.copytree(control, copy)
    for path in (copy, *copy.rglob("*")):
        os.chmod(path, 0o777 if path.is_dir() else 0o666)  # noqa: PTH101
    command = [
        "docker",
        "run",
        "--rm",
        "--network=none",
        f"--volume={copy}:/control",
        f"--volume={ROOT}/harness:/opt/deepmatrix/harness:ro",
        "--env=PYTHONPATH=/opt/deepmatrix:/packages",
        "--workdir=/opt/deepmatrix",
        "--tmpfs=/tmp:exec",
        "--cpuset-cpus=1",
        bench.engine.references[job.cell],
        *("-m", "harness", "/control"),
    ]
    start = time.perf_counter()
    subprocess.run(
        command,
        check=True,
        capture_output=True,
        env={**os.environ, **bench.engine.endpoint.environment()},
    )
    took = time.perf_counter() - start
    assert json.loads((copy / "output.json").read_text())["records"]
    shutil.rmtree(copy)
    return took


def between_samples(record: JobRecord) -> list[float]:
    """Return the nanoseconds lost between two samples, for each batch size."""
    assert record.output is not None
    infer = record.output.infer()
    assert infer is not None
    return [
        (batch.wall_s - sum(batch.latency_s)) / len(batch.latency_s) * 1e9
        for batch in infer.batches.values()
        if batch.wall_s is not None
    ]


def compare(bench: Bench, job: Job, repeat: int, folder: Path) -> None:
    """Print the times of a job, run by the matrix and by hand in turn."""
    control = folder / "control"
    control.mkdir()
    capabilities = bench.engine.capabilities()
    maker = TaskMaker(run=bench.run, capabilities=capabilities, emulated=False, cpus=(0,))
    cell = bench.opened.ready[job.cell]
    maker.write_input(job, cell, control, maker.contents(job, cell, control))
    matrix, hand, beyond, lost = [], [], [], []
    for _ in range(repeat):
        start = time.perf_counter()
        record = bench.perform(job)
        matrix.append(time.perf_counter() - start)
        assert record.status == "ok", record.cause
        assert record.output is not None
        startup = record.output.startup()
        assert startup is not None
        work = startup.import_s + sum(
            phase_record.seconds for phase_record in record.output.records
        )
        beyond.append(matrix[-1] - work)
        lost += between_samples(record)
        hand.append(by_hand(bench, job, control))
    shutil.rmtree(control)
    ratio = statistics.median(matrix) / statistics.median(hand)
    print(f"{job.id}, {repeat} times each")
    print(f"  by the matrix     {show(matrix)} s")
    print(f"  by hand           {show(hand)} s")
    print(f"  ratio             {ratio:.2f}")
    print(f"  beyond import and phases  {show(beyond)} s")
    print(f"  lost between samples      {show(lost, 1)} ns each")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ready(Path(folder)) as bench:
        for wave in ("produce", "consume"):
            compare(bench, bench.job(wave), options.repeat, Path(folder))


if __name__ == "__main__":
    main()
