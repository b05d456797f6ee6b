"""The error of a run that was interrupted: it names the command that resumes it."""

from __future__ import annotations

from deepmatrix.engines.hardware import CERTIFICATES, FLEET
from deepmatrix.errors import Interrupted
from deepmatrix.invocation import command_line
from deepmatrix.planning.plan import WAVES
from deepmatrix.store.runs import Run

#: The commands that can finish a run of theirs.
RESUMED = ("matrix", "verify")


def how_to_go_on(run: Run) -> str:
    """Return a hint: the command that finishes the run, if there is one."""
    command = run.manifest.plan.command
    if command not in RESUMED:
        return not_resumed(command)
    return f"go on with: {resume_command(run)}"


def not_resumed(command: str) -> str:
    """Return the hint for a run of a command that cannot finish its runs."""
    return f"runs of {command} are not resumed: start it again"


def resume_command(run: Run) -> str:
    """Return the command that finishes the run, wherever it is."""
    path = run.path.resolve()
    command = run.manifest.plan.command
    if fleets := fleet_names(run):
        is_address = "://" in fleets[0]
        folders = {facts.get(CERTIFICATES, "FOLDER") for facts in run.engines().values()}
        tls = ["--tls", min(folders)] if is_address else []
        fleet = ["--fleet", fleets[0], *tls]
        return command_line(command, "--resume", path.name, *fleet, "--runs", str(path.parent))
    weaker = [name for name in engine_names(run) if name != "docker"]
    engine = ["--engine", weaker[0]] if weaker else []  # a run alone may not choose it
    return command_line(command, "--resume", path.name, *engine, "--runs", str(path.parent))


def engine_names(run: Run) -> list[str]:
    """Return the kinds of the engines on which the run began, as it says."""
    return sorted({facts.get("engine", "") for facts in run.engines().values()})


def fleet_names(run: Run) -> list[str]:
    """Return the fleets on which the run began, as it says: addresses, or names of files."""
    return sorted({facts[FLEET] for facts in run.engines().values() if FLEET in facts})


def interrupted(run: Run, leftovers: str = "") -> Interrupted:
    """Return the error of an interrupted run; *leftovers* is what may be left behind."""
    also = f"\n{leftovers}" if leftovers else ""
    plan = run.manifest.plan
    if plan.command not in RESUMED:
        return Interrupted(f"interrupted{also}", hint=how_to_go_on(run))
    if not any(plan.size(wave) for wave in WAVES):
        return Interrupted(f"interrupted{also}", hint="nothing was saved: start again")
    return Interrupted(
        f"interrupted; the records of all finished jobs are saved{also}",
        hint=how_to_go_on(run),
    )
