"""``matrix``: plan, build, run, merge and judge."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console

from deepmatrix import __version__
from deepmatrix.cli import options as shared
from deepmatrix.cli import resuming, running, starting
from deepmatrix.cli.fleet import options as fleets
from deepmatrix.diagnosis.faults import find_faults
from deepmatrix.drawing.terminal import make_console, print_line
from deepmatrix.engines import Engine
from deepmatrix.errors import ArgumentError
from deepmatrix.planning.cells import joint
from deepmatrix.planning.matrix_plan import plan_matrix
from deepmatrix.planning.plan import WAVES
from deepmatrix.store.artifacts import stored_of
from deepmatrix.store.runs import Run
from deepmatrix.workloads import programs


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    shared.add_selection(parser)
    shared.add_engine(parser)
    fleets.add_fleet(parser)
    shared.add_trust(parser)
    shared.add_explain(parser)
    shared.add_isolate(parser)
    shared.add_run_name(parser)
    shared.add_reuse(parser)
    shared.add_tables(parser)
    resuming.add_resume(parser)


def run(options: argparse.Namespace) -> None:
    """Plan, build, run, merge and judge, in one go."""
    console = make_console()
    with contextlib.ExitStack() as stack:
        if options.resume is None:
            opened_run, engines = _create_run(options, console, stack)
        else:
            planning = [options.globs, options.exclude, options.tag, options.name, options.preset]
            planning += [options.seed, options.threads, options.isolate]
            planning.append(options.reuse is not None)
            opened_run, engines = resuming.resume(options, "matrix", console, planning, stack)
        running.announce(opened_run, console)
        if _is_finished(opened_run):
            print_line(console, "nothing is left to run")
        else:
            running.execute(
                opened_run, engines, console, explain=options.explain, explain_s=options.explain_for
            )
    from deepmatrix.cli import reporting  # noqa: PLC0415 - slow; loaded while the jobs run

    reporting.report([opened_run], console, all_tables=options.tables)


def _is_finished(unfinished: Run) -> bool:
    """Return whether every job whose artifact exists is done, and every wrong answer explained."""
    is_stored = stored_of(unfinished)
    pending = any(
        not unfinished.is_done(job)
        for wave in WAVES
        for job in unfinished.manifest.plan.jobs(wave)
        if job.artifact is None or is_stored(job.artifact)
    )
    return not pending and not find_faults(unfinished)


def _create_run(
    options: argparse.Namespace, console: Console, stack: contextlib.ExitStack
) -> tuple[Run, Sequence[Engine]]:
    """Create a run of the selected cells for the engine, or the fleet, that the user named."""
    matrix = starting.load_matrix(options)
    name, reuse = shared.check_run_name(options.name), resuming.named_run(options, "matrix")
    fleet = fleets.open_fleet(options, console, stack)
    engines = fleets.choose_engines(options, fleet, matrix, console, stack)
    able = joint([engine.capabilities() for engine in engines])
    planned = plan_matrix(
        matrix,
        shared.selection(options),
        able,
        seed=options.seed,
        idioms=programs.available_idioms(),
        probes=programs.available_probes(),
    )
    planned = replace(planned, isolate=options.isolate)
    starting.check_limits(matrix, able, planned.cells)
    skipped = [skip.cell for skip in planned.skipped if not matrix.exclusion(skip.cell.id)]
    fleets.check_match(fleet, [*planned.cells, *skipped], engines)
    if not planned.cells:
        reasons = sorted({f"{skipped.cell.id}: {skipped.reason}" for skipped in planned.skipped})
        raise ArgumentError("none of the selected cells can run", hint="\n".join(reasons))
    if not planned.size("produce"):
        raise ArgumentError(
            "nothing to do: no selected cell trains, so there is nothing to serve",
            hint="add a framework, for example 'torch-*'",
        )
    reuse = reuse or resuming.most_alike(options, planned)
    new_run = Run.create(options.runs, planned, matrix, version=__version__, name=name, reuse=reuse)
    return new_run, engines
