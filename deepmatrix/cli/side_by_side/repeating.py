"""Measuring again what seems slower between two runs: both in turn, where they are at hand."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping, Sequence
from functools import cache, partial

from rich.console import Console

from deepmatrix import __version__
from deepmatrix.boundary.bounds import path_text
from deepmatrix.cli import resuming, starting
from deepmatrix.cli.side_by_side import trying
from deepmatrix.comparison.changes import Comparison
from deepmatrix.comparison.limits import Limit
from deepmatrix.comparison.reading import run_at
from deepmatrix.comparison.trials import confirmed, key_of, split_suspects, suspects
from deepmatrix.errors import ArgumentError, EngineError, RecordError
from deepmatrix.execution.reuse.repeating import Earlier, other_settings, take_over
from deepmatrix.planning.trials import Trial, plan_repeat
from deepmatrix.results.rows import Results
from deepmatrix.store.runs import Run


def repeat_slower(
    options: argparse.Namespace,
    comparison: Comparison,
    wanted: Sequence[Limit],
    console: Console,
) -> Comparison:
    """Return a comparison of two runs in which slow-downs that break a limit are measured again.

    What cannot be measured again stays as it is, with the reason.

    Raises:
        Interrupted: Ctrl-C.
    """
    suspected = () if options.no_repeat else suspects(comparison, wanted)
    if not suspected:
        return comparison
    titles = (comparison.base.name, comparison.head.name)
    second = None
    try:
        earlier = _open(options, console)
        refusal = cache(partial(_refusal, earlier, titles))
        served, refused = split_suspects(comparison, suspected, refusal)
        if served:
            trying.announce_repeat(console, len(suspected) - len(refused))
            tried, results = _measure(options, earlier, titles, served, console)
            second = trying.compare_trials(results, tried, wanted)
    except (ArgumentError, EngineError, RecordError) as error:
        reason = "; ".join(error.message.splitlines())
        refused = {key_of(change): reason for change in suspected}
    return confirmed(comparison, second, suspected, refused)


def _open(options: argparse.Namespace, console: Console) -> list[Earlier]:
    """Return both runs on the engine that the later one ran on.

    Raises:
        ArgumentError: they are not trusted to run without a container.
        EngineError: the engine does not answer.
        RecordError: a run is not here, or one run cannot have the settings of both.
    """
    runs = []
    for path in options.sides:
        run = run_at(path, options.runs)
        if run is None:
            raise RecordError(f"{path_text(path)} has the results of a run, and not the run")
        runs.append(run)
    if name := other_settings(runs):
        raise RecordError(f"the runs differ in their {name}")
    engine = resuming.choose_engine(runs[-1], options, starting.line_printer(console))
    for run in runs:
        starting.check_run(run, engine, options)
    return [Earlier(run=run, engine=engine) for run in runs]


def _refusal(earlier: Sequence[Earlier], titles: Sequence[str], cell: str, artifact: str) -> str:
    """Return why a cell cannot serve an artifact of both runs again, and of which, or nothing."""
    for run, title in zip(earlier, titles, strict=True):
        if reason := run.refusal(cell, artifact):
            return f"{title}: {reason}"
    return ""


def _measure(
    options: argparse.Namespace,
    earlier: Sequence[Earlier],
    titles: Sequence[str],
    served: Mapping[str, Collection[str]],
    console: Console,
) -> tuple[list[Trial], Results]:
    """Serve artifacts of both runs in a new run, in turn; return the trials and what they gave.

    Raises:
        ArgumentError: the engine has too few CPUs.
        EngineError: the engine went away.
        RecordError: an artifact changed meanwhile.
    """
    plans = [attempt.run.manifest.plan for attempt in earlier]
    matrix, engine = earlier[-1].run.manifest.matrix, earlier[-1].engine
    names = sorted({name for names in served.values() for name in names})
    fingerprints = [{name: attempt.fingerprint(name) for name in names} for attempt in earlier]
    rounds = options.rounds or max(trying.ROUNDS, *(plan.rounds_native for plan in plans))
    plan, tried = plan_repeat(plans, titles, served, fingerprints, rounds)
    starting.check_limits(matrix, engine.capabilities())
    run = Run.create(options.runs, plan, matrix, version=__version__)
    for each, trial in zip(earlier, tried, strict=True):
        take_over(run, each, trial)
    return tried, trying.serve(run, engine, console)
