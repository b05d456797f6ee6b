"""Workers that are jobs of Slurm: dask-jobqueue submits and cancels them."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from dask_jobqueue.slurm import SLURMJob

from deepmatrix.errors import EngineError
from deepmatrix.fleet.launching.document import AWAY, Slurm
from deepmatrix.fleet.launching.logs import quoted
from deepmatrix.machine import processes
from deepmatrix.machine.processes import CommandFailed

#: For how long jobs that are cancelled are waited for, and how soon their end is noticed, in
#: seconds.
ENDS_S = 30.0
LOOK_S = 0.5


class _WorkerJob(SLURMJob):
    """A job whose script runs *line*: a worker of ours instead of one of Dask's."""

    def __init__(self, line: str, **options: Any) -> None:
        super().__init__(**options)
        self.line = line

    def job_script(self) -> str:
        """Return the script of the job: it waits for the worker that a signal ends."""
        return f"{self.shebang}\n{self.job_header}\ntrap : TERM\n{self.line}\n"

    async def _submit_job(self, script_filename: str) -> str:
        """Submit the job; return what Slurm says. Raises EngineError."""
        command = [*shlex.split(self.submit_command), script_filename]
        hint = "run this where jobs of Slurm are submitted"
        try:
            return await asyncio.to_thread(processes.run, command, hint=hint)
        except CommandFailed as error:
            if error.code is None:
                raise
            raise _not_submitted(error.output) from None


class SlurmWorkers:
    """The workers of a Slurm cluster. See `deepmatrix.fleet.launching.Launcher`.

    Where this process is killed, a job ends once no scheduler has answered for a minute.
    """

    def __init__(self, slurm: Slurm, address: str, tls: Path, logs: Path) -> None:
        self.names = slurm.workers
        self._logs = logs
        self._unanswered = ""  # why Slurm did not tell of the jobs when it was last asked
        self._jobs = {
            name: _WorkerJob(
                _line(slurm, address, tls, name),
                scheduler=address,
                name=name,
                job_name=name,
                cores=slurm.cpus,
                processes=1,
                memory=f"{int(slurm.memory)}B",
                walltime=slurm.time,
                queue=slurm.partition,
                account=slurm.account,
                job_extra_directives=list(slurm.directives),
                log_directory=str(logs),
            )
            for name in self.names
        }

    def start(self) -> None:
        """Submit the jobs. Raises EngineError where Slurm refuses one, or does not answer."""

        async def submit() -> None:
            for job in self._jobs.values():
                await job.start()

        try:
            asyncio.run(submit())
        except ValueError as error:  # what it says has no id of a job
            raise EngineError(f"Slurm did not take a job: {error}") from None

    def check(self, missing: set[str]) -> None:
        """Raise EngineError where a job of the missing workers is over.

        A controller of Slurm that does not answer may be back when it is asked again.
        """
        mine = {name: job for name, job in self._jobs.items() if name in missing}
        if not mine:
            return
        try:
            ids, self._unanswered = _queued_ids(), ""
        except EngineError as error:
            self._unanswered = f"\n{error.message}"
            return
        for name, job in mine.items():
            if job.job_id not in ids:
                raise EngineError(
                    f"the job {job.job_id} of {name} has ended{quoted(self._logs_of(name))}",
                    hint="the lines above are the end of its log",
                )

    def log(self) -> str:
        """Return what the jobs printed last, and why Slurm does not tell of them."""
        logs = quoted(path for name in self.names for path in self._logs_of(name))
        return f"{logs}{self._unanswered}"

    def end(self) -> None:
        """Cancel the jobs, and wait until none runs: each removes what it made."""

        async def cancel() -> None:
            for job in self._jobs.values():
                with contextlib.suppress(FileNotFoundError):
                    await job.close()

        asyncio.run(cancel())
        ids = {job.job_id for job in self._jobs.values() if job.job_id}
        end = time.monotonic() + ENDS_S
        with contextlib.suppress(EngineError):  # why the fleet ends says more
            while ids and ids & _queued_ids() and time.monotonic() < end:
                time.sleep(LOOK_S)

    def _logs_of(self, name: str) -> list[Path]:
        return sorted(self._logs.glob(f"{name}-*"))


def _queued_ids() -> set[str]:
    """Return the ids of this user's jobs that wait or run. Raises EngineError."""
    return set(processes.run(["squeue", "--me", "--noheader", "--format=%i"]).split())


def _not_submitted(reason: str) -> EngineError:
    """Return why a job was not submitted: Slurm is not there, or it refused the job."""
    try:
        _queued_ids()
    except EngineError:
        return EngineError(
            f"Slurm is not configured on this host, or its controller is not reached:\n{reason}",
            hint="run this on a host where `squeue` works: it needs the cluster's slurm.conf, in "
            "/etc/slurm or named by SLURM_CONF, and a slurmctld that runs",
        )
    return EngineError(
        f"Slurm refused a job:\n{reason}", hint="change what the file of the fleet has at `slurm`"
    )


def _line(slurm: Slurm, address: str, tls: Path, name: str) -> str:
    """Return the line of a shell that runs a worker."""
    here = shlex.join([sys.executable, "-m", "deepmatrix"])
    arguments = ["worker", address, "--tls", str(tls), "--name", name, "--engine", slurm.engine]
    return f"{slurm.command or here} {shlex.join([*arguments, '--scheduler-timeout', AWAY])}"
