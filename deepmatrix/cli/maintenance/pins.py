"""``pins``: lock the requirements of the images."""

from __future__ import annotations

import argparse

from deepmatrix.cli import starting
from deepmatrix.drawing.terminal import make_console
from deepmatrix.errors import CellFailed
from deepmatrix.images import pins
from deepmatrix.planning.cells import all_cells
from deepmatrix.planning.selection import check_globs, match_globs


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("globs", nargs="*", metavar="GLOB", help="cells to lock; all by default")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if a lock file is stale"
    )
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions allowed")


def run(options: argparse.Namespace) -> None:
    """Lock the requirements of the cells that match, with hashes."""
    matrix = starting.load_matrix(options)
    cells = [cell for cell in all_cells(matrix) if not matrix.exclusion(cell.id)]
    if options.globs:
        ids = [cell.id for cell in cells]
        check_globs(ids, options.globs)
        selected_ids = match_globs(ids, options.globs)
        cells = [cell for cell in cells if cell.id in selected_ids]
    print_line = starting.line_printer(make_console())
    changes = pins.pin(cells, matrix.architectures, check=options.check, upgrade=options.upgrade)
    for change in changes:
        outcome = change.error or ", ".join(change.lines) or "unchanged"
        print_line(f"{'✗' if change.error else '✓'} {change.name}: {outcome}")
    broken = [change.name for change in changes if change.error]
    if broken:
        raise CellFailed(
            f"cannot be locked: {', '.join(broken)}",
            hint="the reasons are above; list cells of a platform without wheels under `exclude` "
            "in the matrix file",
        )
    stale = [change.name for change in changes if change.lines]
    if options.check and stale:
        raise CellFailed(f"stale: {', '.join(stale)}", hint="run `nox -s pins`")
