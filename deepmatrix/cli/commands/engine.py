"""``engine``: set up a container engine."""

from __future__ import annotations

import argparse

from deepmatrix.cli import starting
from deepmatrix.drawing.terminal import make_console
from deepmatrix.engines.setup import debian


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--stop", action="store_true", help="end what this command started")


def run(options: argparse.Namespace) -> None:
    """Set a container engine up on Debian or Ubuntu, or end the one that was set up."""
    print_line = starting.line_printer(make_console())
    if options.stop:
        debian.stop(say=print_line)
    else:
        debian.start(say=print_line)
