"""What nearly every command begins with: the matrix file, the engine and its limits."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from deepmatrix.config import expected_failures, matrix_file
from deepmatrix.config.documents import did_you_mean
from deepmatrix.config.matrix import Matrix
from deepmatrix.config.sections import ExpectedFailure
from deepmatrix.drawing.terminal import print_line
from deepmatrix.engines import Engine
from deepmatrix.errors import ArgumentError
from deepmatrix.execution.sessions import lanes
from deepmatrix.invocation import command_line
from deepmatrix.planning.cells import Capabilities, Cell, code_differences
from deepmatrix.planning.plan import Plan
from deepmatrix.workloads import networks
from harness.formats import FORMATS

if TYPE_CHECKING:
    from deepmatrix.store.runs import Run

#: At most so many differences of a run from the matrix file are listed.
LISTED_DIFFERENCES = 8


def line_printer(console: Console) -> Callable[[str], None]:
    """Return a function that prints a line, and leaves it to the terminal to break it."""
    return lambda text: print_line(console, text, wrap=False)


def load_matrix(options: argparse.Namespace) -> Matrix:
    """Load the matrix file. Raises ArgumentError, ConfigError."""
    return matrix_file.load(options.file, networks=networks.NETWORKS)


def load_expected_failures(options: argparse.Namespace) -> tuple[ExpectedFailure, ...] | None:
    """Return the expected failures of the file that the user named, None if there is none."""
    if options.expected_failures is None:
        return None
    cell_ids = tuple(load_matrix(options).limited_ids())
    return expected_failures.load(options.expected_failures, cell_ids=cell_ids)


def choose_engine(options: argparse.Namespace, matrix: Matrix, console: Console) -> Engine:
    """Return the engine that the user named. Raises ArgumentError, EngineError."""
    from deepmatrix.engines.choose import choose  # noqa: PLC0415 - slow, and often no engine is asked

    return choose(options.engine, matrix, say=line_printer(console))


def check_architectures(names: Sequence[str], matrix: Matrix) -> None:
    """Raise ArgumentError for a name that is no architecture of the matrix file."""
    for name in names:
        if name not in matrix.architectures:
            raise ArgumentError(
                f"no architecture '{name}'{did_you_mean(name, matrix.architectures)}"
            )


def check_limits(matrix: Matrix, capabilities: Capabilities, cells: Sequence[Cell] = ()) -> None:
    """Raise ArgumentError where *cells*, or any cell, may use CPUs that the engine lacks."""
    threads = max((cell.threads for cell in cells), default=0)
    lanes.timed_lane(matrix.limits, capabilities, threads)


def check_trust(plan: Plan, engine: Engine, *, trusted: bool) -> None:
    """Raise ArgumentError for users' models that run code, outside a container, without trust."""
    if trusted or engine.isolates:
        return
    programs = [
        f"{model.source or model.name} is a program: {FORMATS[model.format].program}"
        for model in plan.imports
        if FORMATS[model.format].program
    ]
    if programs:
        raise _not_held(programs, engine)


def check_run(run: Run, engine: Engine, options: argparse.Namespace) -> None:
    """Raise ArgumentError for a run that starts code of others, outside a container, without trust.

    Its models may be programs. Its plan says what each cell starts, and may come from somebody
    else: what the matrix file does not say counts as code of others.
    """
    check_trust(run.manifest.plan, engine, trusted=options.trust)
    if options.trust or engine.isolates:
        return
    matrix = load_matrix(options)
    cells = run.manifest.plan.cells
    differences = dict.fromkeys(line for cell in cells for line in code_differences(cell, matrix))
    if differences:
        shown = [*differences][:LISTED_DIFFERENCES]
        raise _not_held(
            [f"{run.id} starts other code than {options.file} (--file)", *shown], engine
        )


def _not_held(lines: Sequence[str], engine: Engine) -> ArgumentError:
    """Return the error for code that nothing would hold."""
    return ArgumentError(
        "\n".join([*lines, f"the engine {engine.name} has no containers to hold it"]),
        hint=f"use a container engine (`{command_line('engine')}` sets one up), or add --trust "
        "where you trust its author",
    )
