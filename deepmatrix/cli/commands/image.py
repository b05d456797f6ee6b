"""``image``: build images only."""

from __future__ import annotations

import argparse

from deepmatrix.cli import options as shared
from deepmatrix.cli import starting
from deepmatrix.cli.display import Display
from deepmatrix.drawing.terminal import make_console, print_line
from deepmatrix.errors import ArgumentError, EngineError
from deepmatrix.planning.cells import Capabilities
from deepmatrix.planning.matrix_plan import plan_matrix
from deepmatrix.planning.selection import Selection


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("globs", nargs="+", metavar="GLOB", help="cells whose images are built")
    shared.add_engine(parser)


def run(options: argparse.Namespace) -> None:
    """Build the images of the cells that match, whether or not they can run here."""
    matrix = starting.load_matrix(options)
    console = make_console()
    engine = starting.choose_engine(options, matrix, console)
    every_platform = Capabilities(
        engine=engine.name,
        native=frozenset(matrix.architectures),
        devices=frozenset(matrix.devices),
    )
    planned = plan_matrix(matrix, Selection(include=tuple(options.globs)), every_platform, seed=0)
    if not planned.cells:
        skipped = planned.skipped[0]
        raise ArgumentError(f"{skipped.cell.id} is excluded: {skipped.reason}")
    with Display(console) as display:
        prepared_cells = engine.prepare(planned.cells, display.preparing)
        for cell_id, prepared in prepared_cells.items():
            display.prepared(cell_id, prepared)
    for cell_id, prepared in prepared_cells.items():
        if not prepared.error and not prepared.built:
            text = f"✓ {cell_id} is cached: {prepared.reference}"
            print_line(console, text, "green")
    broken = [cell_id for cell_id, prepared in prepared_cells.items() if prepared.error]
    if broken:
        raise EngineError(f"not built: {', '.join(broken)}")
