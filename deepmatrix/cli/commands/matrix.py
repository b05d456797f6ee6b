"""``matrix``: plan, build, run, merge and judge."""

from __future__ import annotations

import argparse

from rich.console import Console

from deepmatrix import __version__
from deepmatrix.cli import options as shared
from deepmatrix.cli import running
from deepmatrix.diagnosis.faults import find_faults
from deepmatrix.engines import Engine
from deepmatrix.engines.choose import choose
from deepmatrix.errors import ArgumentError, EngineError
from deepmatrix.planning.matrix_plan import plan_matrix
from deepmatrix.planning.plan import WAVES
from deepmatrix.store import runs
from deepmatrix.store.runs import Run
from deepmatrix.workloads import idioms


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    shared.add_selection(parser)
    shared.add_engine(parser)
    shared.add_explain_for(parser)
    shared.add_run_name(parser)
    parser.add_argument(
        "--resume", nargs="?", const="", metavar="RUN", help="finish a run; the newest by default"
    )


def run(options: argparse.Namespace) -> None:
    """Plan, build, run, merge and judge, in one go."""
    console = running.make_console()
    if options.resume is None:
        opened_run, engine = _create_run(options, console)
    else:
        opened_run, engine = _resume_run(options, console)
    running.announce(opened_run, console)
    if _is_finished(opened_run):
        console.print("nothing is left to run")
    else:
        running.execute(opened_run, engine, console, explain_s=options.explain_for)
    running.report([opened_run], console)


def _is_finished(unfinished: Run) -> bool:
    """Return whether every job whose artifact exists is done, and every wrong answer explained."""
    pending = any(
        not unfinished.is_done(job)
        for wave in WAVES
        for job in unfinished.manifest.plan.jobs(wave)
        if job.artifact is None or unfinished.artifact_path(job.artifact).is_dir()
    )
    return not pending and not find_faults(unfinished)


def _create_run(options: argparse.Namespace, console: Console) -> tuple[Run, Engine]:
    """Create a run of the selected cells for the engine that the user named."""
    matrix = running.load_matrix(options)
    name = shared.check_run_name(options.name)
    engine = running.choose_engine(options, matrix, console)
    planned = plan_matrix(
        matrix,
        shared.selection(options),
        engine.capabilities(),
        seed=options.seed,
        idioms=idioms.available_idioms(),
    )
    running.check_limits(matrix, engine.capabilities())
    if not planned.cells:
        reasons = sorted({f"{skipped.cell.id}: {skipped.reason}" for skipped in planned.skipped})
        raise ArgumentError("none of the selected cells can run", hint="\n".join(reasons))
    if not planned.size("produce"):
        raise ArgumentError(
            "nothing to do: no selected cell trains, so there is nothing to serve",
            hint="add a framework, for example 'torch-*'",
        )
    return Run.create(options.runs, planned, matrix, version=__version__, name=name), engine


def _resume_run(options: argparse.Namespace, console: Console) -> tuple[Run, Engine]:
    """Open a run to finish it: with its own plan, on the kind of engine that it began on."""
    selecting = (options.globs, options.exclude, options.tag, options.name, options.preset)
    if any(selecting) or options.seed:
        raise ArgumentError(
            "--resume finishes a run as it was planned", hint="leave globs and other options out"
        )
    parent = options.runs
    resumed = Run.open(parent / options.resume) if options.resume else runs.latest(parent)
    engine_names = sorted({facts["engine"] for facts in resumed.engines().values()})
    name = engine_names[0] if engine_names and options.engine == "auto" else options.engine
    try:
        return resumed, choose(name, resumed.manifest.matrix, say=running.line_printer(console))
    except EngineError as error:
        raise EngineError(
            f"{resumed.id} began on the engine {name}: {error.message}",
            hint="start it, or name another one with --engine",
        ) from None
