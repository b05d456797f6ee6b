"""Queues: the jobs of one process, each handed in when the one before is collected."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from deepmatrix.engines import Ended
from deepmatrix.execution.tasks import TaskMaker
from deepmatrix.machine import energy
from deepmatrix.planning.cells import Cell
from deepmatrix.planning.plan import Job
from harness.record import LAST, READY, SCHEMA_VERSION, SESSION, job_folder

#: Seconds that a process waits for its next job before it concludes that the host is gone.
WAIT_S = 600.0


class JobQueue:
    """The jobs of a process. See `deepmatrix.engines.Queue`.

    A single job has the control directory to itself, as runners in other languages want it.
    *collect* gets each job with its folder, how it ended and the energy that it took; *started* is
    told of each. *describe* says of each, before it starts, what makes its record: *provenance*, of
    the job that the process is on. *place* counts them from 1. *counts_energy*: the machine is this
    one, and nothing else of ours takes energy while a job is timed.
    """

    def __init__(
        self,
        *,
        jobs: Sequence[Job],
        cell: Cell,
        control: Path,
        maker: TaskMaker,
        started: Callable[[Job], None],
        collect: Callable[[Job, Path, Ended, float | None], None],
        describe: Callable[[Job, Mapping[str, Any], Path], dict[str, str]],
        counts_energy: bool,
    ) -> None:
        self.nonce = f"served {secrets.token_hex(16)}"
        self.place = 1
        self._provenance: dict[int, dict[str, str]] = {}
        self._jobs = jobs
        self._cell = cell
        self._control = control
        self._maker = maker
        self._started = started
        self._collect = collect
        self._describe = describe
        self._counts_energy = counts_energy
        self._energy: dict[str, int] = {}

    @property
    def folder(self) -> str:
        """Where the job that the process is on has its files, relative to the task's."""
        return self._folder(self.place)

    @property
    def provenance(self) -> dict[str, str]:
        """What makes the record of the job that the process is on."""
        return self._provenance[self.place]

    @property
    def has_next(self) -> bool:
        """Whether a job follows in this process."""
        return self.place < len(self._jobs)

    def prepare(self) -> None:
        """Write the files of the first job, and of the session if it is one of several."""
        if len(self._jobs) > 1:
            session = {"schema": SCHEMA_VERSION, "nonce": self.nonce, "wait_s": WAIT_S}
            (self._control / SESSION).write_text(json.dumps(session), encoding="utf-8")
        self._write_job(self.place)

    def write_ahead(self) -> list[str]:
        """Write the files of all jobs; return their folders. See `deepmatrix.engines.Queue`."""
        for place in range(self.place + 1, len(self._jobs) + 1):
            self._write_job(place)
        return [job_folder(place) for place in range(1, len(self._jobs) + 1)]

    def begin(self) -> None:
        """Take note that the process begins with the job that it is on."""
        self._started(self._job)
        self._energy = energy.read_counters()

    def advance(self, ended: Ended) -> None:
        """Collect the job that is done; write the files of the next into its folder."""
        self.finish(ended)
        shutil.rmtree(self._control / self.folder, ignore_errors=True)
        self.place += 1
        if self.place not in self._provenance:
            self._write_job(self.place)
        self.begin()

    def finish(self, ended: Ended) -> None:
        """Collect the job that the process was on."""
        joules: float | None = None  # of what is checked, others have their part
        if self._counts_energy and self._maker.is_timed(self._job):
            joules = energy.joules_between(self._energy, energy.read_counters())
        self._collect(self._job, self._control / self.folder, ended, joules)

    @property
    def _job(self) -> Job:
        return self._jobs[self.place - 1]

    def _folder(self, place: int) -> str:
        return job_folder(place) if len(self._jobs) > 1 else "."

    def _write_job(self, place: int) -> None:
        job, folder = self._jobs[place - 1], self._control / self._folder(place)
        folder.mkdir(parents=True, exist_ok=True)
        contents = self._maker.contents(job, self._cell, folder)
        document = self._maker.document(job, self._cell, contents)
        self._provenance[place] = self._describe(job, document, folder)
        if place > 1:  # its framework is imported already
            contents = {**contents, "cold": False}
        self._maker.write_input(job, self._cell, folder, contents)
        if len(self._jobs) > 1:
            (folder / READY).touch()
        if place == len(self._jobs):
            (folder / LAST).touch()
