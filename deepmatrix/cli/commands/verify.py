"""``verify``: serve the user's own models on every cell that reads them."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from deepmatrix import __version__
from deepmatrix.boundary import removing
from deepmatrix.boundary.opening import is_there
from deepmatrix.cli import options as shared
from deepmatrix.cli import resuming, running, starting
from deepmatrix.cli.fleet import options as fleets
from deepmatrix.cli.own_models import choosing, projects, refusing
from deepmatrix.config.matrix import Matrix
from deepmatrix.config.sections import Infer
from deepmatrix.drawing import numbers
from deepmatrix.drawing.terminal import make_console, print_block, print_line
from deepmatrix.engines import Engine
from deepmatrix.errors import ArgumentError, CellFailed, DeepmatrixError
from deepmatrix.invocation import command_line
from deepmatrix.models import budgets, files, inputs, project
from deepmatrix.planning.cells import Capabilities, joint
from deepmatrix.planning.model_plan import plan_models
from deepmatrix.planning.plan import RETRIES, Plan
from deepmatrix.planning.subjects import SampleRequest
from deepmatrix.store.arrays import Values
from deepmatrix.store.runs import Run

#: How often a model answers: a third answer tells a model with state from one that is random.
REPEATS = 3

#: How a user's own model is timed: it may be large.
OWN_MODEL = Infer(batches=(1,), samples=20, min_s=0.2, max_s=1.0, warmup=1)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    _add_models(parser)
    shared.add_engine(parser)
    fleets.add_fleet(parser)
    shared.add_trust(parser)
    _add_inputs(parser)
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="FILE.npz",
        help="the outputs that the model should give, by name; an .npy for a single one",
    )
    shared.add_repeated(parser, "--only", metavar="GLOB", help="only these cells")
    shared.add_exclude(parser)
    parser.add_argument(
        "--native", action="store_true", help="leave out the cells that run emulated here"
    )
    parser.add_argument(
        "--same",
        action="store_true",
        help="all files are one model in several formats; the first one says what is right",
    )
    parser.add_argument(
        "--original",
        type=Path,
        metavar="MODEL",
        help="the unquantised model; reports the accuracy lost, on the same inputs",
    )
    parser.add_argument(
        "--repeats",
        type=shared.repeats,
        metavar="N",
        help=f"answer N times, {REPEATS} by default, and compare the bits; if N is above "
        f"{REPEATS}, also with two threads",
    )
    shared.add_repeated(
        parser,
        "--isa",
        metavar="NAME",
        help="serve on this instruction set too: haswell, cortex-a53, ...; all: on all there are",
    )
    shared.add_explain(parser)
    shared.add_isolate(parser)
    shared.add_run_name(parser)
    shared.add_reuse(parser)
    resuming.add_resume(parser)
    _add_budgets(parser)


def _add_models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models",
        nargs="*",
        type=Path,
        metavar="MODEL",
        help="a file of a model, or a SavedModel's folder",
    )
    projects.add_config(parser)
    shared.add_repeated(
        parser,
        "--beside",
        type=Path,
        metavar="MODEL",
        help="a model that another run verifies, so that all runs give each model the same name",
    )
    parser.set_defaults(overrides=(), images=None)


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    shared.add_repeated(
        parser,
        "--inputs",
        metavar="FILE",
        help="inputs: an .npz by input name, an .npy named like its input, a folder of either, or "
        "a Python function, module:function, that returns a dict of arrays",
    )
    shared.add_repeated(
        parser,
        "--shape",
        type=shared.shape,
        metavar="NAME=1x3x224x224",
        help="shape of a sample input, or the size of a dynamic dimension: batch=4",
    )
    shared.add_repeated(
        parser,
        "--range",
        type=shared.value_range,
        metavar="NAME=0:255",
        help="smallest and largest value of a sample input",
    )
    parser.add_argument(
        "--seed", type=shared.seed, default=0, help="seed of the sample inputs, without --inputs"
    )


def _add_budgets(parser: argparse.ArgumentParser) -> None:
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
        help="fail above this error: largest difference from gold, divided by gold's largest value",
    )
    parser.add_argument(
        "--max-image", type=budgets.size, metavar="100MB", help="fail above this size of an image"
    )


def run(options: argparse.Namespace) -> None:
    """Serve models of your own on every cell that reads them, and judge the answers."""
    console = make_console()
    is_resumed = options.resume is not None
    if config := options.config if is_resumed else projects.chosen(options):
        with contextlib.ExitStack() as stack:
            _verify_project(options, config, console, stack)
    elif options.models or is_resumed:
        if options.models and project.FILE.is_file():
            line = f"{project.FILE} is not used for models that are named; --config takes it"
            print_line(console, f"{line}: --config {project.FILE}", "yellow", wrap=False)
        with contextlib.ExitStack() as stack:
            _verify(options, console, stack)
    else:
        raise ArgumentError(
            "no model is named",
            hint=f"name a file: {command_line('verify', 'model.onnx')}; or list your models in "
            f"{project.FILE}, which {command_line('init')} writes; or use --resume",
        )


def _verify_project(
    options: argparse.Namespace, path: Path, console: Console, stack: contextlib.ExitStack
) -> None:
    """Verify each model of the project's file *path*, also after one that fails.

    A fleet is connected until *stack* ends.

    Raises:
        CellFailed: a model is not as expected, or is not served.
        ArgumentError: no model could be served.
        DeepmatrixError: an engine fails, or the user interrupts; the hint names what is left.
    """
    _refuse_models_options(options, path)
    matrix = starting.load_matrix(options)
    document = projects.load(path, matrix)
    entries = list(projects.options_by_entry(options, document, path.parent))
    fleet = fleets.open_fleet(options, console, stack)
    failures: list[DeepmatrixError] = []
    without_run: dict[Path, ArgumentError] = {}
    for number, (entry, own_options) in enumerate(entries):
        console.print()
        print_line(console, f"{path}: {entry.model}", "bold", wrap=False)
        created = None
        try:
            with contextlib.ExitStack() as connection:
                created = _create_run(own_options, fleet, console, connection)
                _serve(*created, own_options, console)
        except (CellFailed, ArgumentError) as error:
            failures.append(error)
            if isinstance(error, ArgumentError) and not (created and is_there(created[0].path)):
                without_run |= refusing.by_path(path.parent / entry.model, error)
            name = entry.model
            if isinstance(error, ArgumentError):
                name = projects.as_written(error, path, entry, document)
            _print_failure(f"{name}: {error.message}", error.hint, console)
        except (DeepmatrixError, KeyboardInterrupt) as error:
            unverified = [entry for entry, _ in entries[number + (created is not None) :]]
            left = {path.parent / entry.model: projects.NOT_REACHED for entry in unverified}
            _leave_report(options, without_run | left, matrix)
            raise projects.ended_early(error, unverified, options, path) from None
    console.print()
    count = len(entries)
    if not failures:
        print_line(console, f"✓ {path}: {numbers.count(count, 'model')} as expected", "green")
        return
    _leave_report(options, without_run, matrix)
    message = f"{path}: {len(failures)} of {numbers.count(count, 'model')} not as expected"
    if len(failures) == count and all(isinstance(error, ArgumentError) for error in failures):
        raise ArgumentError(message, hint="below each model above stands what to do")
    raise CellFailed(message)


def _print_failure(message: str, hint: str, console: Console) -> None:
    print_line(console, f"✗ {message}", "red", wrap=False)
    if hint:
        print_block(console, f"hint: {hint}")


def _refuse_models_options(options: argparse.Namespace, path: Path) -> None:
    """Raise ArgumentError for options that the file *path* has for each model, and --resume."""
    if options.resume is not None:
        raise ArgumentError(
            "--config and --resume cannot be combined: each model of the file has its own run",
            hint="finish one of them: leave --config out, and name it with --resume RUN",
        )
    for name in ("inputs", "shape", "range", "reference", "original", "same", "name", "reuse"):
        if getattr(options, name):
            raise ArgumentError(
                f"--{name} is for models that are named, and not for those of {path}",
                hint="name the models without --config, or write it into the file",
            )


def _verify(options: argparse.Namespace, console: Console, stack: contextlib.ExitStack) -> None:
    if options.resume is None:
        fleet = fleets.open_fleet(options, console, stack)
        try:
            verification, engines = _create_run(options, fleet, console, stack)
        except refusing.NothingServed as error:
            _leave_report(options, error.errors, starting.load_matrix(options))
            raise
    else:
        planning = [options.models, options.inputs, options.reference, options.only]
        planning += [options.exclude, options.native, options.same, options.seed, options.name]
        planning += [options.shape, options.range, options.repeats, options.original, options.isa]
        planning += [options.isolate, options.max_p99, options.max_error, options.max_image]
        planning += [options.reuse is not None, options.beside]
        verification, engines = resuming.resume(options, "verify", console, planning, stack)
    _serve(verification, engines, options, console)


def _leave_report(
    options: argparse.Namespace, errors: Mapping[Path, ArgumentError], matrix: Matrix
) -> None:
    """Leave a run that says why some models have none, if there are any."""
    if errors:
        infer, seed, name = OWN_MODEL, options.seed, options.name or ""
        refusing.leave_report(options.runs, errors, matrix, infer=infer, seed=seed, name=name)


def _serve(
    verification: Run, engines: Sequence[Engine], options: argparse.Namespace, console: Console
) -> None:
    """Run a verification and report it; a model that is refused leaves a report, too."""
    running.announce(verification, console)
    try:
        running.execute(
            verification,
            engines,
            console,
            check=lambda: refusing.check_inspected(verification, options),
            explain=options.explain,
            explain_s=options.explain_for,
        )
    except refusing.WrongRequest:
        if options.resume is None:
            removing.remove(verification.path)
        raise
    from deepmatrix.cli import reporting  # noqa: PLC0415 - slow; loaded while the jobs run

    reporting.report([verification], console)


def _create_run(
    options: argparse.Namespace,
    fleet: fleets.Fleet | None,
    console: Console,
    stack: contextlib.ExitStack,
) -> tuple[Run, Sequence[Engine]]:
    """Create a run of the models that the user named, with all that belongs to them."""
    choosing.check_sweep(options)
    name, reuse = shared.check_run_name(options.name), resuming.named_run(options, "verify")
    matrix = starting.load_matrix(options).overridden(options.overrides, options.images)
    readable, refused = choosing.recognise(options)
    own_inputs, reference = _read_arrays(options)
    engines = fleets.choose_engines(options, fleet, matrix, console, stack)
    able = joint([engine.capabilities() for engine in engines])
    own_models, refused = choosing.split_served(readable, refused, options, matrix, able)
    for error in refused.values():
        print_line(console, f"✗ not served: {error.message}", "red", wrap=False)
    own_models, duplicates = files.drop_duplicates(own_models)
    for line in duplicates:
        print_line(console, line, "yellow", wrap=False)
    if options.original and len(own_models) < 2:
        raise ArgumentError(
            "--original needs another model", hint="name the quantised models before it"
        )
    for line in filter(None, map(files.describe_external, own_models)):
        print_line(console, line, "dim", wrap=False)
    files.check_declared(own_models, options.inputs, same=choosing.first(options) != "served")
    planned = _plan(options, matrix, own_models, refused, able)
    starting.check_limits(matrix, able, planned.cells)
    for engine in engines:
        starting.check_trust(planned, engine, trusted=options.trust)
    limits = budgets.Budgets(options.max_p99, options.max_error, options.max_image)

    def fill(new_run: Run) -> None:
        budgets.save(limits, new_run)
        files.copy_models(own_models, new_run)
        files.keep_arrays(own_inputs, reference, new_run)

    return Run.create(
        options.runs,
        planned,
        matrix,
        version=__version__,
        name=name,
        reuse=reuse or resuming.most_alike(options, planned),
        fill=fill,
    ), engines


def _plan(
    options: argparse.Namespace,
    matrix: Matrix,
    own_models: Sequence[files.Model],
    refused: Mapping[Path, ArgumentError],
    able: Capabilities,
) -> Plan:
    """Return the plan of the models that are served, for what is *able* to."""
    planned = plan_models(
        matrix,
        [(model.name, model.format, model.main) for model in own_models],
        choosing.selection(options),
        able,
        seed=options.seed,
        infer=OWN_MODEL.model_copy(update={"repeats": options.repeats or REPEATS}),
        first=choosing.first(options),
        isas=options.isa,
    )
    planned = replace(planned, isolate=options.isolate, refused=refusing.refusals(refused))
    if options.max_p99 is not None:
        planned = replace(planned, retries=RETRIES)
    planned = planned.with_sources({model.name: str(model.path) for model in own_models})
    request = SampleRequest(shapes=dict(options.shape), ranges=dict(options.range))
    return planned.with_sample_request(request)


def _read_arrays(
    options: argparse.Namespace,
) -> tuple[Mapping[str, Values], Mapping[str, Values]]:
    """Return the inputs and the right outputs that the user gives, if any.

    Raises ArgumentError for what is wrong.
    """
    if options.reference and not options.inputs:
        raise ArgumentError(
            f"--reference {options.reference} needs --inputs",
            hint="name the inputs that belong to these outputs: --inputs FILE.npz",
        )
    if options.inputs and (options.shape or options.range):
        raise ArgumentError(
            "--shape and --range are for sample inputs, and --inputs gives real ones",
            hint="leave one of them out",
        )
    reference = inputs.read_reference(options.reference) if options.reference else {}
    try:
        return inputs.read(options.inputs), reference
    except ArgumentError as error:
        error.about = ("inputs",)
        raise
