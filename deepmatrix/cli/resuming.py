"""Resuming a run: with its own plan, by the command that made it, on the engine it began on."""

from __future__ import annotations

import argparse

from rich.console import Console

from deepmatrix.cli import starting
from deepmatrix.drawing.terminal import print_line
from deepmatrix.engines import Engine
from deepmatrix.engines.choose import choose
from deepmatrix.errors import ArgumentError, EngineError
from deepmatrix.invocation import command_line
from deepmatrix.planning.plan import WAVES
from deepmatrix.store import runs
from deepmatrix.store.runs import Run


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
    options: argparse.Namespace, command: str, console: Console, planning: list[object]
) -> tuple[Run, Engine]:
    """Open the run to finish, on the kind of engine that it began on.

    *planning* holds the values of the options that plan a run: none may be given.

    Raises:
        ArgumentError: an option that plans is given, or another command made the run.
        EngineError: the engine does not answer.
        RecordError: there is no such run.
    """
    if any(planning):
        raise ArgumentError(
            "--resume finishes a run as it was planned", hint="leave what plans a run out"
        )
    parent = options.runs
    resumed = Run.open(parent / options.resume) if options.resume else runs.latest(parent, command)
    made_by = resumed.manifest.plan.command
    if made_by != command:
        raise ArgumentError(
            f"{resumed.id} is a run of {made_by}, not of {command}",
            hint=f"finish it with: {command_line(made_by, '--resume', options.resume)}"
            if made_by != "conformance"
            else "conformance runs are not resumed: start it again",
        )
    print_line(console, describe_rest(resumed), "dim", wrap=False)
    engine_names = sorted({facts["engine"] for facts in resumed.engines().values()})
    name = engine_names[0] if engine_names and options.engine == "auto" else options.engine
    try:
        return resumed, choose(name, resumed.manifest.matrix, say=starting.line_printer(console))
    except EngineError as error:
        raise EngineError(
            f"{resumed.id} began on the engine {name}: {error.message}",
            hint="start it, or name another one with --engine",
        ) from None


def describe_rest(run: Run) -> str:
    """Return how much of a run is left, in one line."""
    plan = run.manifest.plan
    done = [run.is_done(job) for wave in WAVES for job in plan.jobs(wave)]
    left = done.count(False)
    if not left:
        return f"{run.id}: every job has its record, nothing is left to run"
    return f"{run.id}: {left} of {len(done)} jobs are left"
