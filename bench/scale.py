"""How planning and merging scale: 10,000 cells, 100,000 records, their time and memory.

Run with ``nox -s benchmark -- scale``. Records are written by the code that writes real ones;
each size is merged in a fresh process, several times, and the median and the range are shown.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from deepmatrix.config import matrix_file  # noqa: E402
from deepmatrix.config.matrix import Matrix  # noqa: E402
from deepmatrix.planning.cells import Capabilities  # noqa: E402
from deepmatrix.planning.matrix_plan import plan_matrix  # noqa: E402
from deepmatrix.planning.plan import Job, Plan  # noqa: E402
from deepmatrix.planning.selection import Selection  # noqa: E402
from deepmatrix.results import merging  # noqa: E402
from deepmatrix.results.collecting.groups import groups  # noqa: E402
from deepmatrix.store.runs import Run  # noqa: E402
from tests.unit import examples  # noqa: E402

MERGED = (1_000, 10_000, 100_000)
CELLS = 10_000


def wide_matrix() -> Matrix:
    """Return a matrix of 50 systems on 50 bases, 2 architectures and 2 devices."""
    small = matrix_file.load(ROOT / "matrix.yaml")
    base, system = small.bases["debian12"], small.frameworks["torch"]
    return small.model_copy(
        update={
            "bases": {f"base{index}": base for index in range(50)},
            "frameworks": {f"system{index}": system for index in range(40)},
            "runtimes": {f"runtime{index}": small.runtimes["onnxruntime"] for index in range(10)},
            "exclude": (),  # they name bases that are not there
        }
    )


def time_planning() -> list[float]:
    matrix = wide_matrix()
    engine = Capabilities(
        engine="docker", native=frozenset(matrix.architectures), devices=frozenset(matrix.devices)
    )
    times = []
    for seed in range(5):
        start = time.perf_counter()
        job_plan = plan_matrix(matrix, Selection(preset="full"), engine, seed=seed)
        counted = sum(1 for _ in job_plan.jobs("produce"))
        times.append(time.perf_counter() - start)
        assert len(job_plan.cells) == CELLS
        assert counted == job_plan.size("produce")
    return times


def write_records(parent: Path, count: int) -> Run:
    """Write a run with *count* records of five rounds: 100 producers, 100 consumers."""
    wide = wide_matrix()
    matrix = wide.model_copy(
        update={
            "bases": dict(itertools.islice(wide.bases.items(), 10)),
            "frameworks": {
                name: system.model_copy(update={"exports": ("onnx",), "reads": ()})
                for name, system in itertools.islice(wide.frameworks.items(), 10)
            },
        }
    )
    engine = Capabilities(engine="docker", native=frozenset({"amd64"}))
    job_plan = plan_matrix(matrix, Selection(preset="full"), engine, seed=0)
    run = Run.create(parent, job_plan, matrix, version="bench", name=f"records{count}")
    for job in itertools.islice(all_jobs(job_plan), count):
        record = examples.record(job, run=run.id)
        path = run.record_path(job)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(record.model_dump_json(by_alias=True))
    return run


def all_jobs(job_plan: Plan) -> Iterator[Job]:
    yield from job_plan.jobs("produce")
    yield from job_plan.jobs("consume")


def merge_one(path: Path) -> None:
    """Merge a run in this process alone; print seconds and peak memory in bytes."""
    run = Run.open(path)
    run.manifest  # noqa: B018  # the plan is read before the clock starts
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    count = sum(len(group) for group in groups(run.records()))
    grouped = time.perf_counter() - start
    start = time.perf_counter()
    rows = merging.merge([run], processes=1)
    merged = time.perf_counter() - start
    assert sum(row.jobs for row in rows.cells) == count
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(
        json.dumps({"records": count, "read_s": grouped, "merge_s": merged, "grown": grown * 1024})
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--merge", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    if options.merge:
        merge_one(options.merge)
        return
    times = time_planning()
    print(f"plan {CELLS:,} cells: {show(times)} s")
    with tempfile.TemporaryDirectory() as folder:
        for count in MERGED:
            run = write_records(Path(folder), count)
            measurements = [
                json.loads(
                    subprocess.run(
                        [sys.executable, __file__, "--merge", str(run.path)],
                        check=True,
                        capture_output=True,
                        text=True,
                    ).stdout
                )
                for _ in range(options.repeat)
            ]
            assert {measurement["records"] for measurement in measurements} == {count}
            grown = max(measurement["grown"] for measurement in measurements)
            merge_s = [measurement["merge_s"] for measurement in measurements]
            read_s = [measurement["read_s"] for measurement in measurements]
            print(
                f"merge {count:,} records: {show(merge_s)} s, of which reading and grouping "
                f"{show(read_s)} s; memory grew by "
                f"{grown / 1e6:.1f} MB, {grown / count:.0f} bytes a record"
            )


def show(values: list[float]) -> str:
    return f"{statistics.median(values):.3f} [{min(values):.3f}, {max(values):.3f}]"


if __name__ == "__main__":
    main()
