"""Whether the host stays as it is over many jobs: its memory and CPU for each thousand of them.

A runtime without a library serves thousands of artifacts from queues, in real processes, two lanes
at a time. After every tenth part the host's own resident memory and the CPU seconds that it
used are printed. Run with ``nox -s benchmark -- endurance``.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from deepmatrix.execution import runner  # noqa: E402
from deepmatrix.planning.plan import Job  # noqa: E402
from deepmatrix.store.records import JobRecord  # noqa: E402
from tests.unit import test_sessions  # noqa: E402

JOBS, PARTS, LANES = 10_000, 10, 2


class Meter:
    """A watcher that prints what the host uses, part by part; the first line is the start."""

    def __init__(self, jobs: int) -> None:
        self._part, self._done, self._cpu_s, self._began = jobs // PARTS, 0, 0.0, time.monotonic()
        self._print()

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None

    def ended(self, job: Job, record: JobRecord) -> None:
        """Count a job."""
        del job
        if record.status != "ok":
            raise RuntimeError(f"{record.job} is {record.status}: {record.cause}")
        self._done += 1
        if self._done % self._part == 0:
            self._print()

    def _print(self) -> None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        cpu_s = usage.ru_utime + usage.ru_stime
        print(
            f"{self._done:6} jobs  {_resident_bytes() / 1e6:6.1f} MB resident  "
            f"{cpu_s - self._cpu_s:5.1f} s of CPU  {time.monotonic() - self._began:6.1f} s passed",
            flush=True,
        )
        self._cpu_s = cpu_s


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=JOBS)
    count: int = parser.parse_args().jobs
    test_sessions.WORKLOADS = tuple(f"w{number}" for number in range(count))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run, _ = test_sessions.run_of(folder, ["fine"] * count)
        engine = test_sessions.LocalEngine(folder / "work", cpus=LANES)
        # Consumers read no workload's data, which takes minutes for thousands of workloads.
        runner.make_inputs = lambda _: None
        runner.Runner(
            run=run, engine=engine, watcher=Meter(count), cells={test_sessions.CONSUMER}
        ).execute(["consume"])
        print(f"{len(engine.tasks)} processes")


if __name__ == "__main__":
    main()
