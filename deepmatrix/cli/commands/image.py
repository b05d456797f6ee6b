"""``image``: build images only, push them, and say what is in them."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence
from pathlib import Path

from deepmatrix.boundary.writing import write_named
from deepmatrix.cli import options as shared
from deepmatrix.cli import starting
from deepmatrix.cli.display import Display
from deepmatrix.config.matrix import Matrix
from deepmatrix.config.sections import DIGESTS
from deepmatrix.drawing.terminal import make_console, print_line
from deepmatrix.engines.docker.engine import DockerEngine
from deepmatrix.errors import ArgumentError, EngineError
from deepmatrix.images.prepared import Prepared
from deepmatrix.images.registry import digests
from deepmatrix.images.sbom import contents
from deepmatrix.invocation import command_line
from deepmatrix.planning.cells import Capabilities, Cell
from deepmatrix.planning.matrix_plan import plan_matrix
from deepmatrix.planning.selection import Selection


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("globs", nargs="+", metavar="GLOB", help="cells whose images are built")
    parser.add_argument(
        "--sbom",
        type=Path,
        metavar="FOLDER",
        help="write the software bill of materials of each image into this folder, as "
        "CELL.cdx.json: CycloneDX 1.6",
    )
    parser.add_argument(
        "--push",
        type=shared.registry,
        metavar="REGISTRY",
        help="push the images to HOST:PORT/PATH, and list their digests in the file that `images` "
        f"of the matrix file names, or in {DIGESTS}",
    )
    shared.add_engine(parser)


def run(options: argparse.Namespace) -> None:
    """Build the images of the cells that match, whether or not they can run here."""
    matrix = starting.load_matrix(options)
    console = make_console()
    engine = starting.choose_engine(options, matrix, console)
    for option in ("sbom", "push"):
        if getattr(options, option) and not isinstance(engine, DockerEngine):
            raise ArgumentError(
                f"--{option} needs a container engine; the engine {engine.name} builds no images",
                hint=f"name one: --engine docker; `{command_line('engine')}` sets one up",
            )
    cells = _cells(matrix, options.globs, engine.name)
    with Display(console) as display:
        prepared_cells = engine.prepare(cells, display.preparing)
        for cell_id, prepared in prepared_cells.items():
            display.prepared(cell_id, prepared)
            if not prepared.error and not prepared.is_new:
                text = f"✓ {cell_id} is cached: {prepared.reference}"
                print_line(console, text, "green")
        images = [image for image in prepared_cells.values() if not image.error]
        if options.push and isinstance(engine, DockerEngine):
            _push(engine, images, options.push, matrix, display)
    if options.sbom and isinstance(engine, DockerEngine):
        for cell in cells:
            if not prepared_cells[cell.id].error:
                path = _write_sbom(engine, cell, prepared_cells[cell.id], options.sbom)
                print_line(console, f"wrote {path}", wrap=False)
    broken = [cell_id for cell_id, prepared in prepared_cells.items() if prepared.error]
    if broken:
        raise EngineError(f"not built: {', '.join(broken)}", hint="the reasons are above")


def _cells(matrix: Matrix, globs: Sequence[str], engine: str) -> tuple[Cell, ...]:
    """Return the cells that match, of every platform. Raises ArgumentError."""
    every_platform = Capabilities(
        engine=engine,
        native=frozenset(matrix.architectures),
        devices=frozenset(matrix.devices),
    )
    planned = plan_matrix(matrix, Selection(include=tuple(globs)), every_platform, seed=0)
    if not planned.cells:
        skipped = planned.skipped[0]
        raise ArgumentError(
            f"{skipped.cell.id} is excluded: {skipped.reason}",
            hint="`exclude` in the matrix file lists what is excluded; choose another cell",
        )
    return planned.cells


def _push(
    engine: DockerEngine, images: Sequence[Prepared], to: str, matrix: Matrix, display: Display
) -> None:
    """Push images, and list the digest of each when it is pushed. Raises EngineError, Damaged."""
    path = Path(matrix.images.digests if matrix.images else DIGESTS)
    digests.read(path)  # it is not found damaged after the first push
    for image in images:
        step = functools.partial(display.preparing, image.cell_id)
        name = engine.push(image.reference, to, step)
        digests.add(path, image.reference, name.rpartition("@")[2])
        display.pushed(image.cell_id, name)


def _write_sbom(engine: DockerEngine, cell: Cell, image: Prepared, folder: Path) -> Path:
    """Write the bill of materials of a cell's image; return its path."""
    from deepmatrix.images.sbom import document  # noqa: PLC0415 - slow

    files = engine.read_files(image.reference, contents.is_wanted)
    path = folder / f"{cell.id}.cdx.json"
    write_named(path, document.render(cell, image, contents.read(files, image.debian)))
    return path
