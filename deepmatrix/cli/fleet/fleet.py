"""``fleet``: make the certificates of a fleet, or be its scheduler."""

from __future__ import annotations

import argparse
from pathlib import Path

from deepmatrix.cli import options as shared
from deepmatrix.cli import starting
from deepmatrix.cli.fleet import options as of_fleets
from deepmatrix.drawing.terminal import make_console


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "action",
        choices=("certificates", "scheduler"),
        help="certificates: make those of a new fleet in FOLDER; scheduler: be its scheduler, with "
        "the certificates in FOLDER, until Ctrl-C",
    )
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="the folder of the certificates"
    )
    parser.add_argument(
        "--host", default="0.0.0.0", help="the address at which a scheduler listens"
    )
    parser.add_argument(
        "--port", type=shared.port, default=8786, help="the port at which it listens; 0: a free one"
    )


def run(options: argparse.Namespace) -> None:
    """Make the certificates of a fleet of machines, or be its scheduler."""
    print_line = starting.line_printer(make_console())
    with of_fleets.installed():
        from deepmatrix.fleet import certificates, serving  # noqa: PLC0415  # optional packages
    if options.action == "scheduler":
        serving.schedule(options.folder, host=options.host, port=options.port, say=print_line)
        return
    for path in certificates.make_certificates(options.folder):
        print_line(str(path))
    print_line(
        f"copy {certificates.AUTHORITY} with worker.pem and worker.key to each worker; keep "
        f"{certificates.AUTHORITY_KEY} to yourself: whoever has a certificate can run programs on "
        "every machine of the fleet"
    )
