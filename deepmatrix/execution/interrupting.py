"""The error of a run that was interrupted: it names the command that resumes it."""

from __future__ import annotations

from deepmatrix.errors import Interrupted
from deepmatrix.invocation import command_line
from deepmatrix.planning.plan import WAVES
from deepmatrix.store.runs import Run


def resume_command(run: Run) -> str:
    """Return the command that finishes the run, wherever it is."""
    path = run.path.resolve()
    command = run.manifest.plan.command
    weaker = [name for name in engine_names(run) if name != "docker"]
    engine = ["--engine", weaker[0]] if weaker else []  # a run alone may not choose it
    return command_line(command, "--resume", path.name, *engine, "--runs", str(path.parent))


def engine_names(run: Run) -> list[str]:
    """Return the kinds of the engines on which the run began, as it says."""
    return sorted({facts.get("engine", "") for facts in run.engines().values()})


def interrupted(run: Run, leftovers: str = "") -> Interrupted:
    """Return the error of an interrupted run; *leftovers* is what may be left behind."""
    also = f"\n{leftovers}" if leftovers else ""
    plan = run.manifest.plan
    if plan.kept:
        return Interrupted(f"interrupted{also}", hint="a comparison is not resumed: start it again")
    if not any(plan.size(wave) for wave in WAVES):
        return Interrupted(f"interrupted{also}", hint="nothing was saved: start again")
    return Interrupted(
        f"interrupted; the records of all finished jobs are saved{also}",
        hint=f"go on with: {resume_command(run)}",
    )
