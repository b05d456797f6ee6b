"""The progress display: what is being built, what runs, how much time remains."""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from deepmatrix.cli.spending import Spending
from deepmatrix.drawing import numbers
from deepmatrix.drawing.console import STYLES
from deepmatrix.drawing.escaping import terminal
from deepmatrix.drawing.layout import native
from deepmatrix.drawing.verdicts import EXPECTED_SIGN, MOODS, SIGNS
from deepmatrix.engines import Prepared
from deepmatrix.errors import OutputClosed
from deepmatrix.execution.watching import Place
from deepmatrix.judging.terms import terms_of
from deepmatrix.judging.verdicts import judge
from deepmatrix.planning.plan import Job
from deepmatrix.store.causes import Cause
from deepmatrix.store.manifests import Manifest
from deepmatrix.store.records import JobRecord
from deepmatrix.workloads.inputs import trains_gold
from harness.record import INSPECT

Work = tuple[str, str, str]
"""What jobs take alike: a cell, a wave, and what their time goes to."""


class Display:
    """Shows the progress of a run: a live panel on a terminal, a line for each event elsewhere.

    The panel is redrawn only once a second, so that it does not disturb the measurements. The
    *manifest* of a run tells what its jobs are for. A lane is known by its CPUs, for an engine may
    tell of it from several threads, and does one job at a time.
    """

    def __init__(self, console: Console, manifest: Manifest | None = None) -> None:
        self._console = console
        self._manifest = manifest
        self._spending = Spending()
        self._preparing: dict[str, tuple[str, float]] = {}
        self._lock = threading.RLock()  # jobs of several lanes end at once
        self._count = 0
        self._pending: dict[str, Job] = {}
        self._running: dict[Place, tuple[Job, float]] = {}
        self._waited_on: set[str] = set()
        self._waiting_since: float | None = None
        self._walls: dict[Work, list[float]] = {}
        #: The most lanes that did timed work at once, and any other.
        self._lanes: Counter[bool] = Counter()
        self._live = Live(  # calls _panel at once
            get_renderable=self._panel, console=console, refresh_per_second=1, transient=True
        )

    def __enter__(self) -> Display:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._live.stop()
        except (OSError, OutputClosed):
            if error is None:
                raise
            # The terminal is gone, and *error* says what ended the run.
        if self._manifest and error is None and (line := self._spending.line()):
            self._print(Text(line, style="dim"))

    def preparing(self, cell_id: str, text: str) -> None:
        """Show the step that prepares a cell."""
        self._show_preparing(cell_id, text, "making cells ready")

    def making_inputs(self, workload: str) -> None:
        """Show that the inputs of a workload are made."""
        if self._manifest and not trains_gold(self._manifest.plan.phases):
            self._show_preparing(workload, "its data and weights are made", "making inputs")
        else:
            self._show_preparing(workload, "gold is trained in float64", "training gold")

    def made_inputs(self, workload: str) -> None:
        """Show that no more."""
        self._end_preparing(workload)

    def _show_preparing(self, name: str, text: str, kind: str) -> None:
        if name not in self._preparing:
            self._print(Text(f"… {name}: {terminal(text)}", style="dim"))
        _, since = self._preparing.get(name, ("", time.monotonic()))
        with self._lock:
            self._preparing[name] = (text, since)
            self._spending.begin(name, kind)

    def prepared(self, cell_id: str, result: Prepared) -> None:
        """Print that a cell is ready, or why it is not."""
        self._end_preparing(cell_id)
        if result.not_pulled:
            text = f"! {cell_id} was not pulled: {terminal(result.not_pulled)}"
            self._print(Text(text, style="yellow"))
        size = numbers.size(result.size_bytes)
        if result.error:
            self._print(Text(f"✗ {cell_id}: {terminal(result.error)}", style="bold red"))
        elif result.pulled:
            registry = terminal(result.pulled.rpartition(f"/{cell_id}@")[0])
            self._print(Text(f"✓ {cell_id} pulled: {size} from {registry}", style="green"))
        elif result.built:
            took = numbers.duration(result.build_s)
            self._print(Text(f"✓ {cell_id} built: {size} in {took}", style="green"))

    def pushed(self, cell_id: str, name: str) -> None:
        """Print what the image of a cell is called in a registry."""
        self._end_preparing(cell_id)
        self._print(Text(f"✓ {cell_id} pushed: {terminal(name)}", style="green"))

    def _end_preparing(self, name: str) -> None:
        with self._lock:
            self._preparing.pop(name, None)
            self._spending.end(name)

    def planned(self, jobs: Sequence[Job], retry: bool) -> None:
        """Print how many jobs will run, by what they do, or are retried (*retry*)."""
        self._pending = {job.id: job for job in jobs}
        self._count, self._waited_on = len(jobs), set()
        by_work: dict[str, list[Job]] = {}
        for job in jobs:
            by_work.setdefault(_work_name(job), []).append(job)
        reason = ", retried because the machine was slower" if retry else ""
        for name, alike in by_work.items():
            cells = len({job.cell for job in alike})
            counts = f"{_jobs(len(alike))} on {cells} cell{'s' * (cells > 1)}"
            self._print(Text(f"{name}: {counts}{reason}", style="bold"))

    def reused(self, run_id: str, jobs: Sequence[Job], anew: Mapping[str, int]) -> None:
        """Print how many planned jobs another run did, and why others are done anew."""
        self._drop(jobs)
        text = f"{_jobs(len(jobs))} reused of {run_id}"
        if anew:
            reasons = ", ".join(f"{reason} ({number})" for reason, number in anew.items())
            text += f"; anew: {reasons}"
        self._print(Text(terminal(text), style="bold"))

    def without_model(self, jobs: Sequence[Job]) -> None:
        """Print how many planned jobs cannot run, for lack of a model."""
        self._drop(jobs)
        text = f"! {_jobs(len(jobs))} cannot run, for no model was produced"
        self._print(Text(text, style="yellow"))

    def _drop(self, jobs: Sequence[Job]) -> None:
        """Count some planned jobs no more."""
        with self._lock:
            for job in jobs:
                self._count -= self._pending.pop(job.id, None) is not None

    def waiting_for_cpus(self, place: Place) -> None:
        """Print that another run is measuring: once a machine, however often they take turns."""
        worker, _ = place
        with self._lock:
            is_news = worker not in self._waited_on
            self._waited_on.add(worker)
            if not worker:  # else the job has started, and nobody tells when it has its turn
                self._waiting_since = time.monotonic()
                self._spending.begin(place, "waiting for another run")
        if is_news:
            machine = terminal(worker) or "this machine"
            text = f"… another run is measuring on {machine}: both take turns, and take longer"
            self._print(Text(text, style="dim"))

    def put_aside(self, worker: str, reason: str) -> None:
        """Print that a machine of the fleet gets nothing more to do, and why."""
        self._print(aside_line(worker, reason))

    def started(self, job: Job, place: Place) -> None:
        """Show the job that started, in place of the one before in its lane."""
        with self._lock:
            self._running[place] = (job, time.monotonic())
            self._waiting_since = None
            running = Counter(self._is_timed(job) for job, _ in self._running.values())
            self._lanes |= running
            self._spending.begin(place, self._kind(job))

    def ended(self, job: Job, record: JobRecord) -> None:
        """Print how a job ended."""
        with self._lock:
            self._end_running(lambda running: running.id == job.id)
            work = self._work(job)
            self._pending.pop(job.id, None)
            if record.status == "ok":
                self._walls.setdefault(work, []).append(record.wall_s)
            line = self._ended_line(job, record)
        self._print(line)  # not within the lock: printing waits for the panel, which waits for it

    def _ended_line(self, job: Job, record: JobRecord) -> Text:
        verdict, result = self._result(job, record)
        sign, style = SIGNS[verdict], STYLES[MOODS[verdict]]
        reason = "" if verdict in ("match", "not-run") else self._expected_failure(job)
        if reason:
            sign, style = EXPECTED_SIGN, STYLES["muted"]
            result = f"{result.partition(':')[0]}, as expected: {reason}"
        text = Text(f"{sign} ", style=style)
        text.append(f"{self._ended}/{self._count} ", style="dim")
        text.append(terminal(f"{self._name(job)}  "))
        is_emulated = self._is_emulated(job.cell)
        text.append(native(numbers.duration(record.wall_s), is_emulated), style="dim")
        text.append(terminal(f"  {result}" if result else ""), style=style)
        if record.status != "ok" and not reason:
            text.append(f"  (logs/{job.id}.log)", style="dim")
        return text

    def _name(self, job: Job) -> str:
        has_rounds = self._manifest is None or self._manifest.plan.rounds_native > 1
        return _job_name(job, with_round=has_rounds or job.round > 0)

    def _result(self, job: Job, record: JobRecord) -> tuple[str, str]:
        """Return the verdict to which a job leads, as far as it is known, and what to say of it."""
        if record.status != "ok":
            return "error", f"{record.status}: {record.cause}"
        if job.artifact is None or self._manifest is None:
            return "match", ""
        (consumer,) = [cell for cell in self._manifest.plan.cells if cell.id == job.cell]
        verdict = judge([record], terms_of(self._manifest, consumer, job.subject), "")
        if verdict.name == "not-run":  # the other consumers of a user's own model judge it
            return verdict.name, "checked later"
        reason = f": {verdict.reason}" if verdict.reason else ""
        return verdict.name, f"{verdict.name}{reason}"

    def _expected_failure(self, job: Job) -> str:
        """Return why a job may fail, or nothing."""
        if self._manifest is None:
            return ""
        return self._manifest.matrix.expected_failure(job.cell, job.subject)

    def _kind(self, job: Job) -> str:
        """Return what the time of a job goes to."""
        if job.id not in self._pending or self._manifest is None:
            return "searching causes"
        if self._is_emulated(job.cell):
            return f"emulated {'consumers' if job.artifact else 'producers'}"
        return "timed work" if self._is_timed(job) else "checked work"

    def _is_timed(self, job: Job) -> bool:
        return bool(self._manifest and self._manifest.plan.is_timed(job))

    def _is_emulated(self, cell_id: str) -> bool:
        return bool(self._manifest and cell_id in self._manifest.plan.emulated)

    def explained(self, cause: Cause) -> None:
        """Print the cause of a wrong answer."""
        with self._lock:
            self._end_running(lambda running: running.id not in self._pending)
        subject = f"{cause.model or cause.artifact} on {cause.consumer}"
        self._print(Text(terminal(f"→ {subject}: {cause.text}"), style="yellow"))

    def _end_running(self, is_over: Callable[[Job], bool]) -> None:
        for place in [place for place, (job, _) in self._running.items() if is_over(job)]:
            del self._running[place]
            self._spending.end(place)

    @property
    def _ended(self) -> int:
        return self._count - len(self._pending)

    def remaining(self) -> str:
        """Estimate the remaining time of what is planned from jobs that have ended.

        Emulated work takes many times as long as native work, and timed work longer than what is
        only checked, and has fewer lanes. Before some of a kind has ended, only a lower bound is
        known.
        """
        with self._lock:
            works = {job.id: self._work(job) for job in self._pending.values()}
            seconds_of = {work: self._typical_s(*work) for work in set(works.values())}
            typical = {job: seconds_of[work] for job, work in works.items()}
            since = {job.id: at for job, at in self._running.values()}
            timed = {job.id for job in self._pending.values() if self._is_timed(job)}
        known = {job: seconds for job, seconds in typical.items() if seconds is not None}
        if typical and not known:
            return "estimating …"
        now = time.monotonic()
        seconds = sum(
            max(taken - (now - since.get(job, now)), 0.0) / max(self._lanes[job in timed], 1)
            for job, taken in known.items()
        )
        if known and not seconds:
            return "longer than expected" if known == typical else "estimating …"
        return f"{'about' if known == typical else 'at least'} {_clock(seconds)} left"

    def _running_work(self) -> str:
        """Return what the job does that runs, else the next one."""
        with self._lock:
            running = next((job for job, _ in self._running.values()), None)
            job = running or next(iter(self._pending.values()), None)
        return _work_name(job) if job else ""

    def _work(self, job: Job) -> Work:
        return job.cell, job.wave, self._kind(job)

    def _typical_s(self, cell: str, wave: str, kind: str) -> float | None:
        """Return what jobs of a kind take in a cell, else what those in other cells do."""
        if walls := self._walls.get((cell, wave, kind)):
            return statistics.median(walls)
        alike = [
            statistics.median(walls)
            for (_, *work), walls in self._walls.items()
            if work == [wave, kind]
        ]
        return statistics.fmean(alike) if alike else None

    def _print(self, text: Text) -> None:
        """Print a line; on a terminal it breaks between words, not inside the name of a cell."""
        self._console.print(text, soft_wrap=not self._console.is_terminal)

    def _panel(self) -> RenderableType:
        lines: list[RenderableType] = [
            _line(f"{cell_id}  {text}", since)
            for cell_id, (text, since) in list(self._preparing.items())
        ]
        if self._count:
            lines.append(self._bar())
        lines += [_line(self._name(job), since) for job, since in list(self._running.values())]
        if self._waiting_since and not self._running:
            lines.append(
                _line("waiting for its turn: another run is measuring", self._waiting_since)
            )
        return Group(*lines)

    def _bar(self) -> RenderableType:
        grid = Table.grid(padding=(0, 1))
        grid.add_row(
            Text(self._running_work(), style="bold"),
            ProgressBar(total=self._count, completed=self._ended, width=40),
            Text(f"{self._ended}/{self._count}"),
            Text(self.remaining(), style="dim"),
        )
        return grid


def _jobs(count: int) -> str:
    return f"{count} job{'s' * (count != 1)}"


def _work_name(job: Job) -> str:
    """Return what a job does, in the user's words: a model of the user's own is not produced."""
    if job.phases == (INSPECT,):
        return "read the model"
    if job.artifact and job.artifact.imported:
        return "serve the model"
    return job.wave


def _job_name(job: Job, *, with_round: bool) -> str:
    """Return the name of a job as the user reads it; a model of the user's own has no rounds."""
    if job.phases == (INSPECT,) or (job.artifact and job.artifact.imported):
        return f"{job.cell} · {job.workload}"
    model = f" · {job.artifact.format} of {job.artifact.producer}" if job.artifact else ""
    name = f"{job.cell} · {job.workload}{model}"
    return f"{name} · round {job.round}" if with_round else name


def _line(text: str, since: float) -> RenderableType:
    """Return a line with the seconds since a monotonic time; a long text is cut."""
    spent = f"{time.monotonic() - since:4.0f} s  "
    return Text(terminal(spent + text), style="cyan", no_wrap=True, overflow="ellipsis")


def _clock(seconds: float) -> str:
    minutes, full_seconds = divmod(round(seconds), 60)
    return f"{minutes}:{full_seconds:02d}"


def aside_line(worker: str, reason: str) -> Text:
    """Return the line which says that a machine of the fleet gets nothing more to do, and why."""
    return Text(terminal(f"! {worker} is put aside: {reason}"), style="bold yellow")
