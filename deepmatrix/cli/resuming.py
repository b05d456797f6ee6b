"""Resuming a run: with its own plan, by the command that made it, on the engine it began on."""

from __future__ import annotations

import argparse
import contextlib
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from deepmatrix.cli import starting
from deepmatrix.cli.fleet import options as fleets
from deepmatrix.drawing.terminal import print_line
from deepmatrix.engines import Engine
from deepmatrix.engines.choose import KINDS, choose
from deepmatrix.errors import ArgumentError, EngineError, RecordError
from deepmatrix.execution.interrupting import (
    RESUMED,
    engine_names,
    fleet_names,
    how_to_go_on,
    not_resumed,
)
from deepmatrix.execution.reuse.provenance import is_of_this_program
from deepmatrix.execution.runner import pending_cells
from deepmatrix.invocation import command_line
from deepmatrix.paths import RUN_NAME
from deepmatrix.planning.plan import WAVES, Job, Plan
from deepmatrix.store import listing, runs
from deepmatrix.store.runs import Run

#: So many of the newest runs are looked at for one to reuse.
MOST_TRIED = 20


def add_resume(parser: argparse.ArgumentParser) -> None:
    """Add the option that finishes a run instead of starting one."""
    parser.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="RUN",
        help="finish a run of this command; the newest by default",
    )


def resume(
    options: argparse.Namespace,
    command: str,
    console: Console,
    planning: list[object],
    stack: contextlib.ExitStack,
) -> tuple[Run, Sequence[Engine]]:
    """Open the run to finish, on the kind of engine that it began on, as far as it is trusted.

    *planning* holds the values of the options that plan a run: none may be given. It may be
    finished on a fleet, to which the connection ends with *stack*.

    Raises:
        ArgumentError: an option that plans is given, another command made the run, it served
            nothing, or it wants less around its processes than a new run would have.
        EngineError: the engine does not answer.
        RecordError: there is no such run.
    """
    if any(planning):
        raise ArgumentError(
            "--resume finishes a run as it was planned",
            hint="leave out what plans a run: models, cells, inputs, budgets and its name",
        )
    parent = options.runs
    resumed = _named(options.resume, parent, command)
    made_by = resumed.manifest.plan.command
    if made_by != command:
        raise ArgumentError(
            _made_by_another(resumed, command),
            hint=f"finish it with: {command_line(made_by, '--resume', options.resume)}"
            if made_by in RESUMED
            else not_resumed(made_by),
        )
    _refuse_empty(resumed, "finish")
    print_line(console, describe_rest(resumed), "dim", wrap=False)
    engines = _choose_engines(resumed, options, console, stack)
    for engine in engines:
        starting.check_run(resumed, engine, options)
    return resumed, engines


def _choose_engines(
    run: Run, options: argparse.Namespace, console: Console, stack: contextlib.ExitStack
) -> Sequence[Engine]:
    """Return the engines that finish a run: of a fleet where it began on one."""
    began_at, matrix = fleet_names(run), run.manifest.matrix
    is_named = fleets.check_options(options)
    if bool(began_at) != is_named and engine_names(run):
        raise ArgumentError(
            f"{run.id} began on {f'the fleet {began_at[0]}' if began_at else 'one machine'}",
            hint=how_to_go_on(run),
        )
    if not is_named:
        return [choose_engine(run, options, starting.line_printer(console))]
    fleet = fleets.open_fleet(options, console, stack)
    engines = fleets.choose_engines(options, fleet, matrix, console, stack)
    fleets.check_match(fleet, pending_cells(run, WAVES, ()), engines)
    return engines


def choose_engine(run: Run, options: argparse.Namespace, say: Callable[[str], None]) -> Engine:
    """Return the engine that the user named, else one of the kind that the run began on.

    The run's own word for that kind counts only where a new run would have it too, or where it is
    Docker: a run of somebody else must not choose to run without a container.

    Raises:
        ArgumentError: it began on another kind than a new run would have, and is not trusted.
        EngineError: the engine does not answer.
    """
    matrix = run.manifest.matrix
    began_on = next(iter(engine_names(run)), "auto")
    if options.engine != "auto" or began_on == "auto":
        return choose(options.engine, matrix, say=say)
    if began_on == "docker" or (options.trust and began_on in KINDS):
        try:
            return choose(began_on, matrix, say=say)
        except EngineError as error:
            raise EngineError(
                f"{run.id} began on the engine {began_on}: {error.message}",
                hint="start it, or name another one with --engine",
            ) from None
    engine = choose("auto", matrix, say=say)
    if engine.name != began_on:
        raise ArgumentError(
            f"{run.id} began on the engine '{began_on}'; a new run would have {engine.name}",
            hint=f"name the engine that finishes it, such as --engine {engine.name}",
        )
    return engine


def describe_rest(run: Run) -> str:
    """Return how much of a run is left, in one line."""
    plan = run.manifest.plan
    done = [run.is_done(job) for wave in WAVES for job in plan.jobs(wave)]
    left = done.count(False)
    if not left:
        return f"{run.id}: every job has its record, nothing is left to run"
    return f"{run.id}: {left} of {len(done)} jobs are left"


def named_run(options: argparse.Namespace, command: str) -> str:
    """Return the name of the run that the user names for a new one to reuse, or nothing.

    Raises:
        ArgumentError: it lies elsewhere, another command made it, or it served nothing.
        RecordError: there is no such run, or it cannot be read.
    """
    if not options.reuse:
        return ""
    parent: Path = options.runs
    earlier = _named(options.reuse, parent, command)
    if earlier.path.resolve().parent != parent.resolve():
        raise ArgumentError(
            f"--reuse {options.reuse}: it is not below {parent}",
            hint="copy it there, or name its folder with --runs",
        )
    if earlier.manifest.plan.command != command:
        raise ArgumentError(
            _made_by_another(earlier, command),
            hint=f"name a run of {command}, or leave --reuse out",
        )
    _refuse_empty(earlier, "reuse")
    return earlier.path.resolve().name


def most_alike(options: argparse.Namespace, plan: Plan) -> str:
    """Return the name of the run to reuse where none is named: with records of most planned jobs.

    Of the newest runs, the last of those; else the newest. Nothing, where none is to be reused.

    Raises:
        ArgumentError: the only runs of the plan's command served nothing.
        RecordError: it has none, or the newest cannot be reused.
    """
    if options.reuse is None:
        return ""
    jobs = [job for wave in WAVES for job in plan.jobs(wave)]
    best, most_records = "", 0
    for run in itertools.islice(runs.newest(options.runs), MOST_TRIED):
        records = _count_records(run, jobs, plan.command)
        if records > most_records:
            best, most_records = run.path.name, records
        if most_records == len(jobs):
            break
    if best:
        return best
    newest = runs.latest(options.runs, plan.command)
    _refuse_empty(newest, "reuse")
    return newest.path.resolve().name


def _count_records(run: Run, jobs: Sequence[Job], command: str) -> int:
    """Return how many jobs have a record in a run of a command; none, if it cannot be reused."""
    if not RUN_NAME.fullmatch(run.path.name) or run.path.is_symlink():
        return 0
    with contextlib.suppress(RecordError):
        if Run.open(run.path).manifest.plan.command == command:
            done = [job for job in jobs if run.record_path(job).is_file()]
            return len(done) if done and is_of_this_program(run.record(done[0])) else 0
    return 0


def _named(name: str, parent: Path, command: str) -> Run:
    """Open a run by its name or path, without these the newest of *command*. Raises RecordError."""
    if not name:
        return runs.latest(parent, command)
    return Run.open(listing.named(Path(name), parent))


def _refuse_empty(run: Run, verb: str) -> None:
    """Raise ArgumentError, with its reasons, for a run whose models were all refused."""
    plan = run.manifest.plan
    if not plan.cells:
        reasons = (f"{run.id} served nothing: {file.reason}" for file in plan.refused)
        raise ArgumentError("\n".join(reasons), hint=f"it has nothing to {verb}: start a new run")


def _made_by_another(run: Run, command: str) -> str:
    return f"{run.id} is a run of {run.manifest.plan.command}, not of {command}"
