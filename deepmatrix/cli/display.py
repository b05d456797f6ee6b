"""The live display: what is built, what runs, how much is left."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from deepmatrix.engines import Prepared
from deepmatrix.planning.plan import Job
from deepmatrix.reports import numbers
from deepmatrix.store.causes import Cause
from deepmatrix.store.records import JobRecord


class Display:
    """Shows a run as it goes: a live panel on a terminal, a line an event elsewhere.

    Redrawn once a second and by nobody's busy loop, so that it does not disturb what is measured.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._preparing: dict[str, tuple[str, float]] = {}
        self._jobs: list[Job] = []
        self._running: tuple[Job, float] | None = None
        self._ended = 0
        self._walls: dict[tuple[str, str], list[float]] = {}
        self._live = Live(  # asks for the panel at once
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
        self._live.stop()

    def preparing(self, cell_id: str, text: str) -> None:
        """Show what is being done to make a cell ready."""
        if cell_id not in self._preparing:
            self._say(Text(f"… {cell_id}: {text}", style="dim"))
        _, since = self._preparing.get(cell_id, ("", time.monotonic()))
        self._preparing[cell_id] = (text, since)

    def prepared(self, cell_id: str, result: Prepared) -> None:
        """Say that a cell is ready, or why it is not."""
        self._preparing.pop(cell_id, None)
        if result.error:
            self._say(Text(f"✗ {cell_id}: {result.error}", style="bold red"))
        elif result.built:
            size = numbers.size(result.size_bytes)
            took = numbers.duration(result.build_s)
            self._say(Text(f"✓ {cell_id} built: {size} in {took}", style="green"))

    def planned(self, jobs: Sequence[Job], again: bool) -> None:
        """Take what a wave has still to do, or does again."""
        self._jobs, self._ended = list(jobs), 0
        if jobs:
            cells = len({job.cell for job in jobs})
            on = f"{len(jobs)} job{'s' * (len(jobs) > 1)} on {cells} cell{'s' * (cells > 1)}"
            why = " again: the machine was slower when they ran" if again else ""
            self._say(Text(f"{jobs[0].wave}: {on}{why}", style="bold"))

    def waiting(self) -> None:
        """Say that another run has its turn."""
        self._say(Text("… waiting: another run is measuring on this machine", style="dim"))

    def started(self, job: Job) -> None:
        """Show the job that runs now."""
        self._running = (job, time.monotonic())

    def ended(self, job: Job, record: JobRecord) -> None:
        """Say how a job ended."""
        self._running = None
        self._ended += 1
        good = record.status == "ok"
        if good:
            self._walls.setdefault((job.cell, job.wave), []).append(record.wall_s)
        text = Text("✓ " if good else "✗ ", style="green" if good else "bold red")
        text.append(f"{self._ended}/{len(self._jobs)} ", style="dim")
        text.append(f"{_named(job)}  ")
        text.append(numbers.duration(record.wall_s), style="dim")
        if not good:
            text.append(f"  {record.status}: {record.cause}", style="bold red")
            text.append(f"  (logs/{job.id}.log)", style="dim")
        self._say(text)

    def explained(self, cause: Cause) -> None:
        """Say what something that is not right was traced to."""
        self._running = None
        self._say(Text(f"→ {cause.artifact} on {cause.consumer}: {cause.text}", style="yellow"))

    def left_s(self) -> float | None:
        """Estimate the time left in this wave from the jobs of the same cells that ended."""
        expected = [self._typical_s(job) for job in self._jobs[self._ended :]]
        if None in expected:
            return None  # a cell of which nothing is known: emulated ones take many times as long
        spent = time.monotonic() - self._running[1] if self._running else 0.0
        return max(sum(filter(None, expected)) - spent, 0.0)

    def _typical_s(self, job: Job) -> float | None:
        walls = self._walls.get((job.cell, job.wave))
        return statistics.median(walls) if walls else None

    def _say(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)

    def _panel(self) -> RenderableType:
        lines: list[RenderableType] = [
            _line(f"{cell_id}  {text}", since) for cell_id, (text, since) in self._preparing.items()
        ]
        if self._jobs:
            lines.append(self._bar())
        if self._running:
            job, since = self._running
            lines.append(_line(_named(job), since))
        return Group(*lines)

    def _bar(self) -> RenderableType:
        left = self.left_s()
        grid = Table.grid(padding=(0, 1))
        grid.add_row(
            Text(self._jobs[0].wave, style="bold"),
            ProgressBar(total=len(self._jobs), completed=self._ended, width=40),
            Text(f"{self._ended}/{len(self._jobs)}"),
            Text("estimating …" if left is None else f"about {_clock(left)} left", style="dim"),
        )
        return grid


def _named(job: Job) -> str:
    """Name a job as people read it."""
    model = f" · {job.artifact.format} of {job.artifact.producer}" if job.artifact else ""
    return f"{job.cell} · {job.workload}{model} · round {job.round}"


def _line(text: str, since: float) -> RenderableType:
    """Return what goes on since a monotonic time, its seconds first: a long text is cut."""
    spent = f"{time.monotonic() - since:4.0f} s  "
    return Text(spent + text, style="cyan", no_wrap=True, overflow="ellipsis")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
