"""``show``: look at a run, one of its cells, or one verdict, on the terminal."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from deepmatrix import reports
from deepmatrix.cli import options as shared
from deepmatrix.cli import reporting, running
from deepmatrix.conformance import suite
from deepmatrix.drawing.terminal import make_console
from deepmatrix.reports import walk
from deepmatrix.results import merging
from deepmatrix.results.rows import PortabilityRow
from deepmatrix.store import runs
from deepmatrix.store.runs import Run


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "run", nargs="?", type=Path, metavar="RUN", help="a run; the newest by default"
    )
    parser.add_argument(
        "cell", nargs="?", default="", metavar="CELL", help="its id or a part of it"
    )
    parser.add_argument(
        "artifact",
        nargs="?",
        default="",
        metavar="ARTIFACT",
        help="its name or a part of it, or a workload that the cell trains",
    )
    shared.add_runs(parser)


def run(options: argparse.Namespace) -> None:
    """Look at a run, one of its cells, or one verdict or training with its record."""
    console = make_console()
    if options.run:
        opened = running.open_run(options.run, options.runs)
    else:
        opened = runs.latest(options.runs)
    if not options.cell and (conformities := suite.load_all(opened.path)):
        reports.show_conformance(console, conformities)
        return
    results = merging.merge([opened])
    if not options.cell:
        walk.show_run(console, reporting.hold(opened, results))
        return
    cell = walk.find_cell(results, options.cell)
    if not options.artifact:
        walk.show_cell(console, results, cell)
        return
    if trained := walk.find_training(results, cell.cell, options.artifact):
        walk.show_training(console, opened.path, trained)
        return
    judged = walk.find_verdict(results, cell.cell, options.artifact)
    walk.show_verdict(console, opened.path, judged, list(_samples(opened, judged)))


def _samples(opened: Run, judged: PortabilityRow) -> Iterator[list[float]]:
    """Yield the samples of the smallest batch of each round."""
    for record in opened.records_of(judged.consumer, judged.artifact):
        inferred = record.output.infer() if record.output else None
        if inferred and inferred.batches:
            yield inferred.batches[min(inferred.batches, key=int)].latency_s
