"""The command line: reads arguments, calls one function, turns errors into exit codes."""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import re
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.text import Text

from deepmatrix import __version__, reports
from deepmatrix.cli.display import Display
from deepmatrix.config import matrix_file
from deepmatrix.config.documents import did_you_mean
from deepmatrix.config.matrix_file import Infer, Known, Matrix
from deepmatrix.conformance import suite
from deepmatrix.conformance.suite import Conformity
from deepmatrix.diagnosis.explain import explain_all
from deepmatrix.diagnosis.faults import find_faults
from deepmatrix.engines import Engine
from deepmatrix.engines.choose import choose
from deepmatrix.engines.setup import debian
from deepmatrix.errors import ArgumentError, CellFailed, DeepmatrixError, EngineError, Interrupted
from deepmatrix.execution.runner import Runner, make_inputs
from deepmatrix.images import pins
from deepmatrix.paths import ROOT, SCHEMAS
from deepmatrix.planning import plan
from deepmatrix.planning.plan import Capabilities, Plan, Selection, Wave
from deepmatrix.reports import budgets, markdown, readme
from deepmatrix.results import merging, rows
from deepmatrix.store import models, runs
from deepmatrix.store.runs import Run
from deepmatrix.study import claims, decisions
from deepmatrix.workloads import idioms, networks

WIDE = 160

#: What helps when the system refuses.
HINTS = {
    errno.ENOSPC: "make room; what was done is kept: go on with --resume",
    errno.EDQUOT: "make room; what was done is kept: go on with --resume",
}


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code (see deepmatrix.errors)."""
    console = _console(stderr=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options = _parser().parse_args(arguments)
        command: Callable[[argparse.Namespace], None] = options.command
        command(options)
    except DeepmatrixError as error:
        _say_error(console, error)
        return error.exit_code
    except KeyboardInterrupt:
        _say_error(console, Interrupted("interrupted"))
        return Interrupted.exit_code
    except BrokenPipeError:
        return 0
    except OSError as error:
        _say_error(console, _of_system(error))
        return EngineError.exit_code
    except Exception:
        path = _crash_log(arguments)
        console.print_exception(show_locals=False)
        console.print(f"A fault of deepmatrix itself; please report it with {path}", style="red")
        return DeepmatrixError.exit_code
    return 0


def _console(*, stderr: bool = False) -> Console:
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal and "COLUMNS" not in console._environ:
        console.width = WIDE
    return console


def _say_error(console: Console, error: DeepmatrixError) -> None:
    console.print(Text(f"error: {error.message}", style="bold red"), soft_wrap=True)
    if error.hint:
        console.print(Text(f"hint: {error.hint}"), soft_wrap=True)


def _of_system(error: OSError) -> EngineError:
    """Say what the system refused: a full disk, a folder that cannot be written."""
    where = f"{error.filename}: " if error.filename else ""
    return EngineError(
        f"{where}{error.strerror or error}",
        hint=HINTS.get(error.errno or 0, "name another place with --runs"),
    )


def _crash_log(arguments: Sequence[str]) -> Path:
    text = (
        f"deepmatrix {__version__}, Python {sys.version}\n"
        f"arguments: {list(arguments)}\n\n{traceback.format_exc()}"
    )
    path = Path(tempfile.gettempdir()) / f"deepmatrix-crash-{os.getpid()}.log"
    with contextlib.suppress(OSError):
        path.write_text(text, encoding="utf-8")
    return path


class _Parser(argparse.ArgumentParser):
    """A parser that raises ArgumentError with the nearest right word."""

    def error(self, message: str) -> NoReturn:
        unknown = re.match(r"unrecognized arguments: (--[\w-]+)", message)
        if unknown:
            others = self._options()
            near = did_you_mean(unknown[1], others)
            message = f"no option '{unknown[1]}'{near}"
            if unknown[1] in others:
                message = f"this command has no option '{unknown[1]}', another one has"
        wrong = re.match(r"argument \w+: invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if wrong:
            words = [word.strip(" '") for word in wrong[2].split(",")]
            message = f"no command '{wrong[1]}'{did_you_mean(wrong[1], words)}"
        raise ArgumentError(
            message, hint="see `nox -s matrix -- --help`, and `nox -l` for the other sessions"
        )

    def _options(self) -> list[str]:
        """Return the options of all commands: an unknown one is told to the parser of them all."""
        commands = [
            parser
            for action in self._actions
            if isinstance(action, argparse._SubParsersAction)
            for parser in action.choices.values()
        ]
        return [option for one in (self, *commands) for option in one._option_string_actions]


def _parser() -> _Parser:
    parser = _Parser(
        prog="deepmatrix", description="Train, deploy, serve and judge.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"deepmatrix {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    def command(name: str, function: Callable[[argparse.Namespace], None]) -> _Parser:
        help_text = (function.__doc__ or "").splitlines()[0]
        made: _Parser = commands.add_parser(
            name, help=help_text, description=help_text, allow_abbrev=False
        )
        made.set_defaults(command=function)
        made.add_argument("--file", type=Path, default=ROOT / "matrix.yaml", help="the matrix file")
        return made

    def selecting(made: _Parser) -> _Parser:
        made.add_argument(
            "globs", nargs="*", metavar="GLOB", help="cells to take instead of the preset's"
        )
        made.add_argument(
            "--exclude", action="append", default=[], metavar="GLOB", help="cells to leave out"
        )
        made.add_argument(
            "--tag",
            action="append",
            default=[],
            metavar="TAG",
            help="only cells of this system, role, base, architecture or device",
        )
        made.add_argument(
            "--preset", help="of the matrix file, such as smoke or full; `default` by default"
        )
        made.add_argument("--seed", type=_seed, default=0, help="of orders and initial weights")
        return engine_of(made)

    def engine_of(made: _Parser) -> _Parser:
        made.add_argument(
            "--engine",
            default="auto",
            help="docker; docker:CONTEXT_OR_URL; venv (virtual environments on this machine); "
            "here (the interpreter that runs this); auto: docker where it answers, else venv",
        )
        made.add_argument("--runs", type=Path, default=ROOT / "runs", help="where runs are kept")
        return made

    made = selecting(command("matrix", _matrix))
    made.add_argument("--name", help="of the run; made up from the time by default")
    made.add_argument(
        "--resume", nargs="?", const="", metavar="RUN", help="finish a run; the newest by default"
    )
    made = engine_of(command("verify", _verify))
    _of_verify(made)
    made = engine_of(command("conformance", _conformance))
    made.add_argument("globs", nargs="*", metavar="GLOB", help="native cells by default")
    made.add_argument("--record", action="store_true", help="keep what is found as the baseline")
    made.add_argument("--name", help="of the run; made up from the time by default")
    made = selecting(command("plan", _plan))
    made.add_argument("--json", action="store_true", help="for machines")
    made.add_argument("--write", metavar="RUN", help="make the run, with its inputs")
    made.add_argument(
        "--native", action="append", default=[], metavar="ARCH", help="plan as if native there"
    )
    made = engine_of(command("image", _image))
    made.add_argument("globs", nargs="+", metavar="GLOB")
    made = engine_of(command("bench", _bench))
    made.add_argument("globs", nargs="+", metavar="GLOB")
    made.add_argument("--run", type=Path, required=True, help="made by `plan --write`")
    made.add_argument("--wave", choices=("produce", "consume"), action="append", default=[])
    made = _knowing(engine_of(command("merge", _merge)))
    made.add_argument("parts", nargs="*", type=Path, metavar="RUN", help="the newest by default")
    made = _knowing(engine_of(command("readme", _readme)))
    made.add_argument("into", nargs="?", type=Path, default=ROOT / "README.md", metavar="FILE")
    made.add_argument("--run", type=Path, help="instead of the newest")
    _of_claims(_knowing(engine_of(command("claims", _claims))))
    made = command("engine", _engine)
    made.add_argument("--stop", action="store_true", help="end what this command started")
    made = command("pins", _pins)
    made.add_argument("globs", nargs="*", metavar="GLOB")
    made.add_argument("--check", action="store_true", help="write nothing; say what is stale")
    made.add_argument("--upgrade", action="store_true", help="take the newest versions allowed")
    made = command("schema", _schema)
    made.add_argument("--check", action="store_true")
    return parser


def _knowing(made: _Parser) -> _Parser:
    made.add_argument(
        "--known",
        type=Path,
        metavar="FILE",
        help="the matrix file whose known failures count, instead of the run's own",
    )
    return made


def _of_claims(made: _Parser) -> None:
    made.add_argument("parts", nargs="+", type=Path, metavar="RUN")
    made.add_argument("--claims", type=Path, default=claims.FILE, help="the statements")
    made.add_argument("--into", type=Path, metavar="FILE", help="put the tables between its marks")


def _of_verify(made: _Parser) -> None:
    made.add_argument(
        "models", nargs="+", type=Path, metavar="MODEL", help=".onnx, .tflite, .pt or a SavedModel"
    )
    made.add_argument("--inputs", type=Path, metavar="FILE.npz", help="arrays by input name")
    made.add_argument(
        "--reference", type=Path, metavar="FILE.npz", help="what the model should answer"
    )
    made.add_argument(
        "--only", action="append", default=[], metavar="GLOB", help="only these cells"
    )
    made.add_argument(
        "--exclude", action="append", default=[], metavar="GLOB", help="cells to leave out"
    )
    made.add_argument(
        "--same", action="store_true", help="all are one model; the first says what is right"
    )
    made.add_argument("--seed", type=_seed, default=0, help="of the inputs that are made")
    made.add_argument("--name", help="of the run; made up from the time by default")
    made.add_argument("--max-p99", type=budgets.seconds, metavar="5ms", help="native cells only")
    made.add_argument(
        "--max-error", type=budgets.number, metavar="1e-5", help="from gold, over its largest value"
    )
    made.add_argument("--max-image", type=budgets.size, metavar="100MB", help="of every cell")


def _load(options: argparse.Namespace) -> Matrix:
    return matrix_file.load(options.file, networks=networks.NETWORKS)


def _matrix(options: argparse.Namespace) -> None:
    """Plan, build, run, merge and judge, in one go."""
    console = _console()
    if options.resume is None:
        run, engine = _begin(options, console)
    else:
        run, engine = _go_on(options, console)
    console.print(Text(f"run {run.id} in {run.path}", style="dim"), soft_wrap=True)
    if not _left(run):
        console.print("nothing is left to run")
    else:
        _execute(run, engine, console)
    _report([run], console)


def _left(run: Run) -> bool:
    """Return whether a run has a job that is not done, of those whose artifact is there.

    Or an answer that is not right and has not been explained.
    """
    plan_of = run.manifest.plan
    return bool(find_faults(run)) or any(
        not run.done(job)
        for wave in plan.WAVES
        for job in plan_of.jobs(wave)
        if job.artifact is None or run.artifact(job.artifact).is_dir()
    )


def _begin(options: argparse.Namespace, console: Console) -> tuple[Run, Engine]:
    """Make a new run of what is selected, for the engine that answers."""
    matrix = _load(options)
    name = _name(options.name)
    engine = choose(options.engine, matrix, say=_sayer(console))
    planned = _make_plan(options, matrix, engine.capabilities())
    _check_limits(matrix, engine.capabilities())
    if not planned.cells:
        reasons = sorted({f"{one.cell.id}: {one.reason}" for one in planned.skipped})
        raise ArgumentError("none of the selected cells can run", hint="\n".join(reasons))
    if not planned.size("produce"):
        raise ArgumentError(
            "nothing to do: no selected cell trains, so there is nothing to serve",
            hint="add a framework, for example 'torch-*'",
        )
    return Run.create(options.runs, planned, matrix, version=__version__, name=name), engine


#: How a person's own model is timed: it may be large.
OWN = Infer(batches=(1,), samples=20, min_s=0.2, max_s=1.0, warmup=1)


def _verify(options: argparse.Namespace) -> None:
    """Serve models of your own on every cell that reads them, and judge the answers."""
    console = _console()
    matrix = _load(options)
    found = models.recognise(options.models)
    models.check_declared(found, options.inputs, same=options.same)
    if options.reference and not options.inputs:
        raise ArgumentError(
            f"--reference {options.reference} without --inputs: what does it answer?",
            hint="give the inputs that it answers: --inputs FILE.npz",
        )
    engine = choose(options.engine, matrix, say=_sayer(console))
    planned = plan.of_models(
        matrix,
        [(one.name, one.format, one.main) for one in found],
        Selection(include=tuple(options.only), exclude=tuple(options.exclude)),
        engine.capabilities(),
        seed=options.seed,
        infer=OWN,
        same=options.same,
    )
    _check_limits(matrix, engine.capabilities())
    arrays_of = {"inputs": options.inputs, "reference": options.reference}
    models.check_arrays(arrays_of)
    run = Run.create(options.runs, planned, matrix, version=__version__, name=_name(options.name))
    budgets.keep(budgets.Budgets(options.max_p99, options.max_error, options.max_image), run)
    for one in found:
        models.take(one, run.model(one.name))
    models.give(arrays_of, run)
    console.print(Text(f"run {run.id} in {run.path}", style="dim"), soft_wrap=True)
    _execute(run, engine, console, waves=["produce"])
    _refuse_unreadable(run, found)
    _execute(run, engine, console, waves=["consume"])
    _report([run], console)


def _conformance(options: argparse.Namespace) -> None:
    """Try the ONNX standard's own tests of single nodes; a new failure fails."""
    console = _console()
    matrix = _load(options)
    engine = choose(options.engine, matrix, say=_sayer(console))
    selection = Selection(include=tuple(options.globs))
    planned = plan.of_suite(matrix, "onnx", selection, engine.capabilities())
    run = Run.create(options.runs, planned, matrix, version=__version__, name=_name(options.name))
    console.print(Text(f"run {run.id} in {run.path}", style="dim"), soft_wrap=True)
    found: list[Conformity] = []

    def tried(one: Conformity) -> None:
        found.append(one)
        suite.keep(one, suite.path_in(run.path, one.cell))
        if options.record:
            suite.keep(one, suite.baseline_path(one.cell))
        console.print(Text(f"✓ {one.cell}: {one.passed} pass, {len(one.failed)} do not"))

    with Display(console) as display, tempfile.TemporaryDirectory() as folder:
        runner = Runner(run=run, engine=engine, watcher=display)
        with runner.open(planned.cells) as opened:
            broken = suite.try_all(opened, Path(folder), tried)
    worse = reports.show_conformance(console, found)
    runs.write_text(run.path / "report.md", reports.conformance_page(run.id, found))
    for cell_id, why in broken.items():
        console.print(Text(f"✗ {cell_id}: {why}", style="red"), soft_wrap=True)
    if broken or worse:
        raise CellFailed(f"{worse} new failures, {len(broken)} cells that could not be tried")


def _refuse_unreadable(run: Run, found: Sequence[models.Model]) -> None:
    """Raise ArgumentError where a model could not be looked into; none was served then."""
    paths = {one.name: one.path for one in found}
    said = []
    for job in run.manifest.plan.jobs("produce"):
        if not run.record_path(job).is_file():
            raise EngineError(f"{job.cell} is not ready: {run.prepared()[job.cell].error}")
        record = run.record(job)
        if record.status != "ok":
            said.append(f"{paths[job.subject]}: {record.model_problem}")
    if said:
        raise ArgumentError("\n".join(said), hint=f"nothing was served; the log is in {run.path}")


def _check_limits(matrix: Matrix, capabilities: Capabilities) -> None:
    """Raise ArgumentError where a cell may use more than the engine has."""
    threads = matrix.limits.threads
    if threads > capabilities.cpus:
        raise ArgumentError(f"limits.threads is {threads}; the engine has {capabilities.cpus} CPUs")


def _go_on(options: argparse.Namespace, console: Console) -> tuple[Run, Engine]:
    """Open a run to finish it: as it was planned, on the kind of engine that it began on."""
    chosen = (options.globs, options.exclude, options.tag, options.name, options.preset)
    if any(chosen) or options.seed:
        raise ArgumentError(
            "--resume finishes a run as it was planned", hint="leave globs and other options out"
        )
    parent = options.runs
    run = Run.existing(parent / options.resume) if options.resume else runs.latest(parent)
    began = sorted({facts["engine"] for facts in run.engines().values()})
    wanted = began[0] if began and options.engine == "auto" else options.engine
    try:
        return run, choose(wanted, run.manifest.matrix, say=_sayer(console))
    except EngineError as error:
        raise EngineError(
            f"{run.id} began on the engine {wanted}: {error.message}",
            hint="start it, or name another one with --engine",
        ) from None


def _plan(options: argparse.Namespace) -> None:
    """Show which cells would run, and why the others would not."""
    matrix = _load(options)
    if options.native:
        unknown = [name for name in options.native if name not in matrix.architectures]
        if unknown:
            near = did_you_mean(unknown[0], matrix.architectures)
            raise ArgumentError(f"no architecture '{unknown[0]}'{near}")
        capabilities = Capabilities(engine="docker", native=frozenset(options.native))
    else:
        say = _sayer(_console(stderr=True))
        capabilities = choose(options.engine, matrix, say=say).capabilities()
        _check_limits(matrix, capabilities)
    planned = _make_plan(options, matrix, capabilities)
    if options.write is not None:
        run = Run.create(
            options.runs, planned, matrix, version=__version__, name=_name(options.write)
        )
        make_inputs(run)
    if options.json:
        print(json.dumps(reports.plan_document(planned, capabilities.engine), indent=1))
    else:
        reports.show_plan(_console(), planned, capabilities.engine)


def _image(options: argparse.Namespace) -> None:
    """Build the images of the cells that match, whether or not they can run here."""
    matrix = _load(options)
    console = _console()
    engine = choose(options.engine, matrix, say=_sayer(console))
    anywhere = Capabilities(
        engine=engine.name,
        native=frozenset(matrix.architectures),
        devices=frozenset(matrix.devices),
    )
    planned = plan.make(matrix, Selection(include=tuple(options.globs)), anywhere, seed=0)
    if not planned.cells:
        raise ArgumentError(
            f"{planned.skipped[0].cell.id} is excluded: {planned.skipped[0].reason}"
        )
    with Display(console) as display:
        prepared = engine.prepare(planned.cells, display.preparing)
        for cell_id, one in prepared.items():
            display.prepared(cell_id, one)
    for cell_id, one in prepared.items():
        if not one.error and not one.built:
            console.print(Text(f"✓ {cell_id} is there already: {one.reference}", style="green"))
    broken = [cell_id for cell_id, one in prepared.items() if one.error]
    if broken:
        raise EngineError(f"not built: {', '.join(broken)}")


def _bench(options: argparse.Namespace) -> None:
    """Run the jobs of some cells in a run that `plan --write` made."""
    console = _console()
    run = _existing(options.run, options.runs)
    engine = choose(options.engine, run.manifest.matrix, say=_sayer(console))
    ids = [cell.id for cell in run.manifest.plan.cells]
    plan.check_globs(ids, options.globs, hint=f"cells of {run.id}: {', '.join(ids)}")
    wanted = plan.matching(ids, options.globs)
    waves: Sequence[Wave] = options.wave or ("produce", "consume")
    _execute(run, engine, console, cells=wanted, waves=waves)
    broken = [cell_id for cell_id in wanted if run.prepared()[cell_id].error]
    if broken:
        raise CellFailed(f"cannot run here: {', '.join(broken)}", hint="the reasons are above")
    jobs = [job for wave in waves for job in run.manifest.plan.jobs(wave) if job.cell in wanted]
    reached = [run.record(job) for job in jobs if run.record_path(job).is_file()]
    failed = [record.job for record in reached if record.status != "ok"]
    if failed:
        raise CellFailed(f"{len(failed)} of {len(reached)} jobs failed", hint="see above")


def _merge(options: argparse.Namespace) -> None:
    """Merge the parts of a run, judge, write the reports into the first part."""
    console = _console()
    parts = [_existing(path, options.runs) for path in options.parts]
    if not parts:
        parts = [runs.latest(options.runs)]
        console.print(Text(f"the newest run: {parts[0].path}", style="dim"), soft_wrap=True)
    _report(parts, console, _known(options))


def _known(options: argparse.Namespace) -> tuple[Known, ...] | None:
    """Return the known failures of the file that was named, if one was."""
    if options.known is None:
        return None
    return matrix_file.load(options.known, networks=networks.NETWORKS).known


def _existing(path: Path, parent: Path) -> Run:
    """Open a run by its path, or by its name among the runs."""
    named = parent / path
    return Run.existing(named if not path.exists() and named.exists() else path)


def _readme(options: argparse.Namespace) -> None:
    """Put the tables of a run into the README, or another page, between its marks."""
    run = _existing(options.run, options.runs) if options.run else runs.latest(options.runs)
    if found := suite.found(run.path):
        readme.insert(options.into, lambda _: reports.conformance_page(run.id, found))
    else:
        merged = merging.merge([run], _known(options))
        if not any(row.status == "ok" for row in merged.cells):
            raise ArgumentError(f"no cell of {run.id} ran", hint="run `nox -s matrix` first")
        readme.insert(options.into, lambda titles: markdown.document(merged, titles))
    _console().print(Text(f"{options.into}: the tables of {run.id}"), soft_wrap=True)


def _claims(options: argparse.Namespace) -> None:
    """Decide the study's statements by some runs, the last of which that can."""
    document = claims.load(options.claims)
    known = _known(options)
    merged = [merging.merge([_existing(path, options.runs)], known) for path in options.parts]
    decided = decisions.decide(document, merged)
    reports.show_claims(_console(), decided)
    if options.into:
        readme.insert(options.into, lambda _: reports.claims_page(decided))


def _engine(options: argparse.Namespace) -> None:
    """Set a container engine up on Debian or Ubuntu, or end the one that was set up."""
    say = _sayer(_console())
    if options.stop:
        debian.stop(say=say)
    else:
        debian.start(say=say)


def _pins(options: argparse.Namespace) -> None:
    """Lock the requirements of the cells that match, with hashes."""
    matrix = _load(options)
    cells = [cell for cell in plan.all_cells(matrix) if not matrix.exclusion(cell.id)]
    if options.globs:
        ids = [cell.id for cell in cells]
        plan.check_globs(ids, options.globs)
        wanted = plan.matching(ids, options.globs)
        cells = [cell for cell in cells if cell.id in wanted]
    say = _sayer(_console())
    changes = pins.pin(cells, matrix.architectures, check=options.check, upgrade=options.upgrade)
    for change in changes:
        said = change.error or ", ".join(change.lines) or "as it was"
        say(f"{'✗' if change.error else '✓'} {change.name}: {said}")
    broken = [change.name for change in changes if change.error]
    if broken:
        raise CellFailed(f"cannot be locked: {', '.join(broken)}")
    stale = [change.name for change in changes if change.lines]
    if options.check and stale:
        raise CellFailed(f"stale: {', '.join(stale)}", hint="run `nox -s pins`")


def _schema(options: argparse.Namespace) -> None:
    """Write the published JSON Schemas, or check that they are what the code says."""
    documents = {"matrix.schema.json": matrix_file.schema(), "results.schema.json": rows.schema()}
    for name, text in documents.items():
        path = SCHEMAS / name
        if options.check:
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                raise CellFailed(f"{path.name} is stale", hint="run `nox -s schema`")
        else:
            runs.write_text(path, text)


def _make_plan(options: argparse.Namespace, matrix: Matrix, capabilities: Capabilities) -> Plan:
    selection = Selection(
        preset=options.preset or "default",
        include=tuple(options.globs),
        exclude=tuple(options.exclude),
        tags=tuple(options.tag),
    )
    written = idioms.written()
    return plan.make(matrix, selection, capabilities, seed=options.seed, idioms=written)


def _execute(
    run: Run,
    engine: Engine,
    console: Console,
    *,
    cells: Sequence[str] = (),
    waves: Sequence[Wave] = ("produce", "consume"),
) -> None:
    with Display(console) as display:
        runner = Runner(run=run, engine=engine, watcher=display, cells=cells)
        with runner.open(runner.pending_cells(waves)) as opened:
            for wave in waves:
                opened.run_wave(wave)
            if "consume" in waves and not cells:
                explain_all(opened, display.explained)


def _report(
    parts: Sequence[Run],
    console: Console,
    known: Sequence[Known] | None = None,
) -> None:
    merged = merging.merge(parts, known)
    over = tuple(budgets.kept(parts[0]).exceeded(merged))
    merged = merged.model_copy(update={"problems": (*merged.problems, *over)})
    reports.write(parts[0], merged)
    reports.show(console, merged)
    console.print(Text(f"written: {parts[0].path}/report.md, results.json, junit.xml", style="dim"))
    if merged.problems:
        raise CellFailed(f"{len(merged.problems)} not as expected, listed above")


def _sayer(console: Console) -> Callable[[str], None]:
    return lambda text: console.print(Text(text), soft_wrap=True)


def _name(name: str | None) -> str:
    """Check the name of a run; return an empty one where none was given."""
    if name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise ArgumentError(
            f"'{name}' cannot name a run",
            hint="use up to 100 letters, digits, '.', '_' and '-'",
        )
    return name or ""


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 0 on")
    return int(text)
