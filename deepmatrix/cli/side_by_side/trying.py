"""Trying two versions of a package side by side: lock, plan, run interleaved, compare."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rich.console import Console

from deepmatrix import __version__
from deepmatrix.cli import running, starting
from deepmatrix.comparison.changes import Comparison
from deepmatrix.comparison.comparing import compare_results
from deepmatrix.comparison.limits import Limit
from deepmatrix.comparison.trials import confirmed, side_of, suspects
from deepmatrix.config.matrix import Matrix
from deepmatrix.config.sections import Infer
from deepmatrix.drawing import numbers
from deepmatrix.drawing.terminal import print_line
from deepmatrix.engines import Engine
from deepmatrix.errors import ArgumentError, EngineError
from deepmatrix.images import pins
from deepmatrix.models import files
from deepmatrix.planning import trials
from deepmatrix.planning.model_plan import plan_models
from deepmatrix.planning.plan import RETRIES
from deepmatrix.planning.selection import Selection
from deepmatrix.planning.trials import Trial
from deepmatrix.results import merging
from deepmatrix.results.rows import Results
from deepmatrix.store.runs import Run

#: How many processes of each version are measured.
ROUNDS = 10

#: How a model is timed in each round.
TIMED = Infer(batches=(1,), samples=50, min_s=0.3, max_s=2.0, warmup=3, repeats=3, operators=True)


def compare_versions(
    options: argparse.Namespace, console: Console, wanted: Sequence[Limit]
) -> Comparison:
    """Serve models with two versions of a package, round by round in turn, and compare.

    A slow-down that would break one of the limits is measured again before it counts, unless the
    user asked for one measurement.

    Raises:
        ArgumentError: no model, or no two versions of one package that some cell has.
        EngineError: a version cannot be locked, or its image not be built.
    """
    if not options.sides:
        raise ArgumentError("--with needs a model to serve", hint="name its file before --with")
    package, versions = trials.parse(options.versions)
    matrix = starting.load_matrix(options)
    capabilities = starting.choose_engine(options, matrix, console).capabilities()
    selection = Selection(include=tuple(options.only))
    tried = trials.trials(matrix, package, versions, selection, capabilities)
    extended = trials.with_trials(matrix, tried)
    with _locked(tried, matrix):
        engine = starting.choose_engine(options, extended, console)

        def measure() -> Comparison:
            results = serve(_create_run(options, extended, tried, engine), engine, console)
            _check_served(results, tried)
            return compare_trials(results, tried, wanted)

        comparison = measure()
        suspected = () if options.no_repeat else suspects(comparison, wanted)
        if not suspected:
            return comparison
        announce_repeat(console, len(suspected))
        return confirmed(comparison, measure(), suspected)


def announce_repeat(console: Console, count: int) -> None:
    """Print that a second measurement begins, of so many times."""
    text = (
        f"measured again, old and new in turn, for it seems slower: {numbers.count(count, 'time')}"
    )
    print_line(console, text, "yellow")


def serve(run: Run, engine: Engine, console: Console) -> Results:
    """Run trials side by side, all rounds in turn; return what that gave."""
    running.announce(run, console)
    running.execute(run, [engine], console, explain="none")
    return merging.merge([run])


def compare_trials(results: Results, tried: Sequence[Trial], wanted: Sequence[Limit]) -> Comparison:
    """Compare the two trials of a run."""
    base, head = (side_of(results, trial) for trial in tried)
    return compare_results(base, head, (tried[0].title, tried[1].title), wanted)


@contextlib.contextmanager
def _locked(tried: Sequence[Trial], matrix: Matrix) -> Iterator[None]:
    """Lock the wheels of every trial, and remove the locks in the end."""
    locks = []
    try:
        for trial in tried:
            for own, cell in trial.cells:
                locks.append(pins.path(cell.pinned))
                architecture = matrix.architectures[cell.architecture]
                change = pins.pin_version(own, cell, trial.version, architecture)
                if change.error:
                    raise EngineError(
                        f"{trial.title} cannot be locked for {own.id}: {change.error}",
                        hint="is there such a version, with a wheel for this Python and platform?",
                    )
        yield
    finally:
        for path in locks:
            path.unlink(missing_ok=True)


def _create_run(
    options: argparse.Namespace, matrix: Matrix, tried: Sequence[Trial], engine: Engine
) -> Run:
    models, _ = files.drop_duplicates(files.recognise(options.sides))
    planned = plan_models(
        matrix,
        [(model.name, model.format, model.main) for model in models],
        Selection(include=tuple(cell.id for trial in tried for _, cell in trial.cells)),
        engine.capabilities(),
        seed=0,
        infer=TIMED,
    )
    planned = planned.with_sources({model.name: str(model.path) for model in models})
    rounds = options.rounds or ROUNDS
    planned = replace(planned, rounds_native=rounds, retries=RETRIES, compares=True)
    starting.check_limits(matrix, engine.capabilities())
    starting.check_trust(planned, engine, trusted=options.trust)
    run = Run.create(options.runs, planned, matrix, version=__version__)
    files.copy_models(models, run)
    return run


def _check_served(results: Results, tried: Sequence[Trial]) -> None:
    """Raise EngineError where a version was never run: nothing could be compared."""
    rows = {row.cell: row for row in results.cells}
    for trial in tried:
        for _, cell in trial.cells:
            if not rows[cell.id].jobs:
                raise EngineError(f"{trial.title} did not run: {rows[cell.id].reason}")
