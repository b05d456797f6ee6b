"""``packages``: ask the package index for the releases of the study's systems."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from deepmatrix.boundary.writing import write_named
from deepmatrix.drawing.terminal import make_console
from deepmatrix.machine.packages.indexes import configured_sources
from deepmatrix.machine.packages.listings import list_files
from deepmatrix.study.rating import packages
from deepmatrix.study.rating.packages import Packages


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--into",
        type=Path,
        default=packages.PACKAGES,
        metavar="FILE",
        help="write the releases to this file",
    )


def run(options: argparse.Namespace) -> None:
    """Ask the package index for the releases of the study's systems, for the ratings."""
    sources = configured_sources()
    listed = {name: packages.releases(list_files(name, sources)) for name in packages.names()}
    document = Packages(asked=datetime.now(UTC).date(), releases=listed)
    write_named(options.into, document.model_dump_json(indent=1) + "\n")
    console = make_console()
    for name, releases in listed.items():
        last = f"the last {releases[-1].version}" if releases else "none"
        console.print(f"{name}: {len(releases)} releases, {last}")
