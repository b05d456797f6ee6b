"""``plan``: show what would run, as a table or as JSON."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from deepmatrix import __version__
from deepmatrix.cli import options as shared
from deepmatrix.cli import plan_table, starting
from deepmatrix.config.matrix import Matrix
from deepmatrix.drawing.console import print_table
from deepmatrix.drawing.terminal import make_console
from deepmatrix.planning.cells import Capabilities
from deepmatrix.planning.matrix_plan import plan_matrix
from deepmatrix.planning.plan import Plan
from deepmatrix.workloads import programs


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    shared.add_selection(parser)
    shared.add_engine(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, for machines")
    parser.add_argument(
        "--write", metavar="RUN", help="create the run of this name, with its inputs"
    )
    shared.add_repeated(
        parser,
        "--native",
        metavar="ARCH",
        help="plan as if this architecture were native; asks no engine",
    )


def run(options: argparse.Namespace) -> None:
    """Show which cells would run, and why the others would not."""
    matrix = starting.load_matrix(options)
    capabilities = _capabilities(options, matrix)
    planned = plan_matrix(
        matrix,
        shared.selection(options),
        capabilities,
        seed=options.seed,
        idioms=programs.available_idioms(),
        probes=programs.available_probes(),
    )
    if options.write is not None:
        _write(options, planned, matrix)
    if options.json:
        print(json.dumps(asdict(plan_table.document(planned, capabilities.engine)), indent=1))
    else:
        print_table(make_console(), plan_table.table(planned, capabilities.engine))


def _write(options: argparse.Namespace, planned: Plan, matrix: Matrix) -> None:
    """Create the run, with its inputs."""
    # Slow to import, and nothing else here needs it.
    from deepmatrix.execution.reuse.inputs_cache import make_inputs  # noqa: PLC0415
    from deepmatrix.store.runs import Run  # noqa: PLC0415

    name = shared.check_run_name(options.write)
    make_inputs(Run.create(options.runs, planned, matrix, version=__version__, name=name))


def _capabilities(options: argparse.Namespace, matrix: Matrix) -> Capabilities:
    """Return what the engine can run, or what ``--native`` names."""
    if not options.native:
        console = make_console(stderr=True)
        capabilities = starting.choose_engine(options, matrix, console).capabilities()
        starting.check_limits(matrix, capabilities)
        return capabilities
    starting.check_architectures(options.native, matrix)
    return Capabilities(engine="docker", native=frozenset(options.native))
