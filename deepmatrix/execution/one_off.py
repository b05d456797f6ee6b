"""Processes that are in no plan: what they say is looked at, and no record of a run."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepmatrix.engines import Engine
from deepmatrix.execution.conclusions import conclude
from deepmatrix.execution.tasks import TaskMaker
from deepmatrix.planning.plan import Capabilities, Cell, Job
from deepmatrix.store.records import Output, Status
from deepmatrix.store.runs import Run, write_text


class Cancelled(Exception):
    """Ctrl-C."""


@dataclass(frozen=True, kw_only=True)
class Left:
    """What a process said, how it ended and why, and the control directory that it left."""

    output: Output | None
    status: Status
    cause: str
    control: Path


@dataclass(frozen=True, kw_only=True)
class Asides:
    """Runs them on an engine that is open, in cells that are ready."""

    run: Run
    engine: Engine
    capabilities: Capabilities
    cancel: threading.Event
    started: Callable[[Job], None]

    @contextlib.contextmanager
    def process(
        self,
        cell: Cell,
        subject: str,
        phases: tuple[str, ...],
        fill: Callable[[Path], dict[str, Any]],
    ) -> Iterator[Left]:
        """Run one; *fill* writes its files and returns what its job is about.

        Raises Cancelled.
        """
        job = Job(wave="consume", cell=cell.id, subject=subject, round=0, phases=phases)
        emulated = cell.architecture not in self.capabilities.native
        maker = TaskMaker(run=self.run, capabilities=self.capabilities, emulated=emulated)
        with self.run.scratch(job) as control:
            task = maker.task(job, cell, control, {**fill(control), "cold": False})
            self.started(job)
            ended = self.engine.run(task, self.cancel)
            if ended.ending == "cancelled":
                raise Cancelled
            write_text(self.run.log(job), ended.log)
            output, status, cause = conclude(job, control, ended)
            yield Left(output=output, status=status, cause=cause, control=control)
