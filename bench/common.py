"""What the benchmarks of single jobs share: a small run whose cells are ready."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from deepmatrix.config import matrix_file  # noqa: E402
from deepmatrix.config.sections import Infer  # noqa: E402
from deepmatrix.engines.choose import discover  # noqa: E402
from deepmatrix.engines.docker import endpoints  # noqa: E402
from deepmatrix.engines.docker.engine import DockerEngine  # noqa: E402
from deepmatrix.engines.venv import VenvEngine  # noqa: E402
from deepmatrix.execution.runner import OpenRun, Runner  # noqa: E402
from deepmatrix.planning.matrix_plan import plan_matrix  # noqa: E402
from deepmatrix.planning.plan import Job  # noqa: E402
from deepmatrix.planning.selection import Selection  # noqa: E402
from deepmatrix.store.records import JobRecord  # noqa: E402
from deepmatrix.store.runs import Run  # noqa: E402

CELLS = ("torch-debian12-amd64-cpu", "onnxruntime-debian12-amd64-cpu")

__all__ = ["CELLS", "ROOT", "Bench", "VenvLab", "endpoints", "ready", "run_session", "show"]


class Silent:
    """A watcher that says nothing."""

    def __getattr__(self, name: str) -> object:
        return lambda *_: None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bench:
    """A run on a Docker engine whose first wave is done."""

    run: Run
    engine: DockerEngine
    opened: OpenRun

    def job(self, wave: str, format: str = "onnx") -> Job:
        """Return the first job of a wave; of the second, one that reads *format*."""
        for job in self.run.manifest.plan.jobs(wave):  # type: ignore[arg-type]
            if job.artifact is None or job.artifact.format == format:
                return job
        raise LookupError(wave)

    def perform(self, job: Job) -> JobRecord:
        """Run a job as a matrix would."""
        return self.opened.perform(job)


class VenvLab:
    """A consumer's job in a virtual environment, by its own adapter or one of bench/adapters."""

    def __init__(self, folder: Path, infer: Infer, *adapters: str) -> None:
        matrix = matrix_file.load(ROOT / "matrix.yaml")
        extra = {f"{name}.py": ROOT / "bench" / "adapters" / f"{name}.py" for name in adapters}
        self.engine = VenvEngine(extra=extra)
        self.capabilities = self.engine.capabilities()
        job_plan = plan_matrix(
            matrix, Selection(preset="smoke", include=CELLS), self.capabilities, seed=0
        )
        job_plan = dataclasses.replace(job_plan, infer=infer)
        run = Run.create(folder, job_plan, matrix, version="bench", name="bench")
        self.runner = Runner(run=run, engine=self.engine, watcher=Silent())  # type: ignore[arg-type]
        self.runner.execute()
        self.job = next(job for job in job_plan.jobs("consume") if job.cell == CELLS[1])
        self._cells = job_plan.cells
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.opened = self._stack.enter_context(self.runner.open(self._cells))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def measure(self, adapter: str | None = None) -> JobRecord:
        """Run the job once, in a fresh process."""
        site = self.opened.site_of(self.job.cell)
        cell = site.ready[self.job.cell]
        changed = cell.with_system(adapter=adapter or cell.adapter)
        site = dataclasses.replace(site, ready={**site.ready, cell.id: changed})
        record = site.perform(self.job)
        if record.status != "ok":
            raise SystemExit(f"{record.job}: {record.status}: {record.cause}")
        return record


@contextmanager
def ready(folder: Path, infer: Infer | None = None) -> Iterator[Bench]:
    """Make a run of torch and onnxruntime on digits-conv, and run all of it once."""
    matrix = matrix_file.load(ROOT / "matrix.yaml")
    engine = discover(matrix)
    job_plan = plan_matrix(
        matrix, Selection(preset="smoke", include=CELLS), engine.capabilities(), seed=0
    )
    if infer:
        job_plan = dataclasses.replace(job_plan, infer=infer)
    run = Run.create(folder, job_plan, matrix, version="bench", name="bench")
    runner = Runner(run=run, engine=engine, watcher=Silent())  # type: ignore[arg-type]
    runner.execute()
    failed = [record for record in run.records() if record.status != "ok"]
    if failed:
        raise SystemExit(f"{failed[0].job}: {failed[0].status}: {failed[0].cause}")
    with runner.open(job_plan.cells) as opened:
        yield Bench(run=run, engine=engine, opened=opened)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ran:
    """A command of nox that made a run: when it began and ended, in seconds since 1970."""

    start: float
    end: float
    plan: dict[str, Any]
    records: list[dict[str, Any]]


def run_session(session: str, arguments: Sequence[str], repository: Path = ROOT) -> Ran:
    """Run a session in a working tree, with a folder of its own for the run; exit without one."""
    with tempfile.TemporaryDirectory() as runs:
        command = ["nox", "-s", session, "--", *arguments, "--runs", runs, "--name", "bench"]
        start = time.time()
        ended = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
        end, run = time.time(), Path(runs) / "bench"
        paths = sorted((run / "records").rglob("*.json"))
        if not paths:
            raise SystemExit(ended.stderr or ended.stdout)
        plan = json.loads((run / "plan.json").read_text("utf-8"))["plan"]
        records = [json.loads(path.read_text("utf-8")) for path in paths]
    return Ran(start=start, end=end, plan=plan, records=records)


def show(values: list[float], digits: int = 3) -> str:
    """Show a median with its range."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
