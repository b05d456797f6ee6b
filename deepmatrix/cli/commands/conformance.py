"""``conformance``: try a standard's own tests in every cell."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from deepmatrix import __version__, reports
from deepmatrix.boundary.writing import write_text
from deepmatrix.cli import options as shared
from deepmatrix.cli import running, starting
from deepmatrix.cli.display import Display
from deepmatrix.conformance import suite
from deepmatrix.conformance.suite import Conformity
from deepmatrix.drawing.terminal import make_console, print_line
from deepmatrix.errors import CellFailed
from deepmatrix.execution.runner import Runner
from deepmatrix.planning.selection import Selection
from deepmatrix.planning.suite_plan import plan_suite
from deepmatrix.reports.html import Evidence
from deepmatrix.store.runs import Run


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "globs", nargs="*", metavar="GLOB", help="cells to try; the native ones by default"
    )
    shared.add_engine(parser)
    parser.add_argument("--record", action="store_true", help="write the outcomes as the baseline")
    shared.add_run_name(parser)


def run(options: argparse.Namespace) -> None:
    """Try the ONNX standard's own tests of single nodes; a new failure fails."""
    console = make_console()
    matrix = starting.load_matrix(options)
    engine = starting.choose_engine(options, matrix, console)
    selection = Selection(include=tuple(options.globs))
    planned = plan_suite(matrix, suite.SUITE_FORMAT, selection, engine.capabilities())
    name = shared.check_run_name(options.name)
    new_run = Run.create(options.runs, planned, matrix, version=__version__, name=name)
    running.announce(new_run, console)
    conformities: list[Conformity] = []

    def finish(conformity: Conformity) -> None:
        conformities.append(conformity)
        suite.save(conformity, suite.path_in(new_run.path, conformity.cell))
        if options.record:
            suite.save(conformity, suite.baseline_path(conformity.cell))
        counts = f"{conformity.passed} pass, {len(conformity.failed)} do not"
        print_line(console, f"✓ {conformity.cell}: {counts}")

    with Display(console) as display, tempfile.TemporaryDirectory() as folder:
        runner = Runner(run=new_run, engine=engine, watcher=display)
        with runner.open(planned.cells) as opened:
            broken = suite.try_all(opened, Path(folder), finish)
    new_failures = reports.show_conformance(console, conformities)
    page = reports.conformance_page(new_run.id, conformities, broken)
    write_text(new_run.path / "report.md", page)
    evidence = Evidence(folder=new_run.path)
    shown = reports.conformance_html(new_run.id, conformities, broken, evidence)
    write_text(new_run.path / "report.html", shown)
    for cell_id, reason in broken.items():
        print_line(console, f"✗ {cell_id}: {reason}", "red", wrap=False)
    if broken or new_failures:
        raise CellFailed(
            f"{new_failures} new failures, {len(broken)} cells could not be tried",
            hint="they are listed above; --record accepts failures as the baseline",
        )
