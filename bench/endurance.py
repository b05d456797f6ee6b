"""Whether the host stays as it is over many jobs: its memory and CPU for each thousand of them.

A runtime without a library serves thousands of artifacts from queues, in real processes, two lanes
at a time, under the display that a terminal has. After every tenth part the host's own resident
memory and the CPU seconds that it used are printed. Run with ``nox -s benchmark -- endurance``.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from deepmatrix.cli.display import Display  # noqa: E402
from deepmatrix.execution import runner  # noqa: E402
from deepmatrix.planning.plan import Job  # noqa: E402
from deepmatrix.store.manifests import Manifest  # noqa: E402
from deepmatrix.store.records import JobRecord  # noqa: E402
from tests.unit import test_sessions  # noqa: E402

JOBS, PARTS, LANES = 10_000, 10, 2


class Meter(Display):
    """A display that nobody sees; it prints what the host uses, first at the start."""

    def __init__(self, console: Console, manifest: Manifest, jobs: int) -> None:
        super().__init__(console, manifest)
        self._part, self._done, self._cpu_s, self._began = jobs // PARTS, 0, 0.0, time.monotonic()
        self._print_use()

    def ended(self, job: Job, record: JobRecord) -> None:
        """Count a job."""
        super().ended(job, record)
        if record.status != "ok":
            raise RuntimeError(f"{record.job} is {record.status}: {record.cause}")
        self._done += 1
        if self._done % self._part == 0:
            self._print_use()

    def _print_use(self) -> None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        cpu_s = usage.ru_utime + usage.ru_stime
        print(
            f"{self._done:6} jobs  {_resident_bytes() / 1e6:6.1f} MB resident  "
            f"{cpu_s - self._cpu_s:5.1f} s of CPU  {time.monotonic() - self._began:6.1f} s passed",
            file=sys.__stdout__,  # the display has taken the other one
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
        runner.make_inputs = lambda *_: None
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            console = Console(file=nowhere, force_terminal=True, width=80)
            with Meter(console, run.manifest, count) as meter:
                runner.Runner(
                    run=run, engine=engine, watcher=meter, cells={test_sessions.CONSUMER}
                ).execute(["consume"])
        print(f"{len(engine.tasks)} processes")


if __name__ == "__main__":
    main()
