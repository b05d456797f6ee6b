"""``verify``: serve a person's own models on every cell that reads them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from deepmatrix import __version__
from deepmatrix.cli import options as shared
from deepmatrix.cli import running
from deepmatrix.config.sections import Infer
from deepmatrix.errors import ArgumentError, EngineError
from deepmatrix.planning.model_plan import plan_models
from deepmatrix.planning.selection import Selection
from deepmatrix.reports import budgets
from deepmatrix.store import user_models
from deepmatrix.store.runs import Run

#: How a person's own model is timed: it may be large.
OWN_MODEL = Infer(batches=(1,), samples=20, min_s=0.2, max_s=1.0, warmup=1)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "models",
        nargs="+",
        type=Path,
        metavar="MODEL",
        help="a file of a model, or a SavedModel's folder",
    )
    shared.add_engine(parser)
    parser.add_argument(
        "--inputs", type=Path, metavar="FILE.npz", help="input arrays by input name"
    )
    parser.add_argument(
        "--reference", type=Path, metavar="FILE.npz", help="the outputs that the model should give"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="GLOB", help="only these cells"
    )
    shared.add_exclude(parser)
    parser.add_argument(
        "--same",
        action="store_true",
        help="all files are one model; the first one's outputs are right",
    )
    parser.add_argument(
        "--seed", type=shared.seed, default=0, help="seed of the sample inputs, without --inputs"
    )
    shared.add_explain_for(parser)
    shared.add_run_name(parser)
    parser.add_argument(
        "--max-p99",
        type=budgets.seconds,
        metavar="5ms",
        help="fail above this 99th percentile of latency; native cells only",
    )
    parser.add_argument(
        "--max-error",
        type=budgets.number,
        metavar="1e-5",
        help="fail above this error: largest difference from gold over gold's largest value",
    )
    parser.add_argument(
        "--max-image", type=budgets.size, metavar="100MB", help="fail above this size of an image"
    )


def run(options: argparse.Namespace) -> None:
    """Serve models of your own on every cell that reads them, and judge the answers."""
    console = running.make_console()
    matrix = running.load_matrix(options)
    own_models = user_models.recognise(options.models)
    user_models.check_declared(own_models, options.inputs, same=options.same)
    if options.reference and not options.inputs:
        raise ArgumentError(
            f"--reference {options.reference} without --inputs: outputs of which inputs?",
            hint="name the inputs that belong to these outputs: --inputs FILE.npz",
        )
    engine = running.choose_engine(options, matrix, console)
    planned = plan_models(
        matrix,
        [(model.name, model.format, model.main) for model in own_models],
        Selection(include=tuple(options.only), exclude=tuple(options.exclude)),
        engine.capabilities(),
        seed=options.seed,
        infer=OWN_MODEL,
        same=options.same,
    )
    running.check_limits(matrix, engine.capabilities())
    array_files = {"inputs": options.inputs, "reference": options.reference}
    user_models.check_arrays(array_files)
    name = shared.check_run_name(options.name)
    new_run = Run.create(options.runs, planned, matrix, version=__version__, name=name)
    limits = budgets.Budgets(options.max_p99, options.max_error, options.max_image)
    budgets.save(limits, new_run)
    for model in own_models:
        user_models.copy_model(model, new_run.model_path(model.name))
    user_models.copy_arrays(array_files, new_run)
    running.announce(new_run, console)
    running.execute(new_run, engine, console, waves=["produce"])
    _refuse_unreadable(new_run, own_models)
    running.execute(new_run, engine, console, waves=["consume"], explain_s=options.explain_for)
    running.report([new_run], console)


def _refuse_unreadable(inspected: Run, own_models: Sequence[user_models.Model]) -> None:
    """Raise where none of the models could be inspected; one that could not costs its own cells.

    Raises:
        ArgumentError: every model is refused.
        EngineError: the same, and an inspector is not ready.
    """
    paths = {model.name: model.path for model in own_models}
    causes, unready = [], []
    for job in inspected.manifest.plan.jobs("produce"):
        if not inspected.record_path(job).is_file():
            unready.append(f"{job.cell} is not ready: {inspected.prepared()[job.cell].error}")
        elif (record := inspected.record(job)).status != "ok":
            causes.append(f"{paths[job.subject]}: {record.model_problem}")
    if len(causes) + len(unready) < len(own_models):
        return
    if unready:
        raise EngineError(unready[0])
    hint = f"nothing was served; the log is in {inspected.path}"
    raise ArgumentError("\n".join(causes), hint=hint)
