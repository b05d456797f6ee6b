"""``worker``: offer this machine to a fleet."""

from __future__ import annotations

import argparse
import platform

from deepmatrix.cli import options as shared
from deepmatrix.cli import starting
from deepmatrix.cli.fleet import options as of_fleets
from deepmatrix.drawing.terminal import make_console


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("scheduler", metavar="ADDRESS", help="the scheduler: tls://name:8786")
    of_fleets.add_certificates(
        parser,
        required=True,
        addition="; -: they come over the standard input, and the worker ends with it",
    )
    shared.add_engine_name(parser)
    parser.add_argument(
        "--name", help="what it is called in the fleet; as its machine, if left out"
    )
    shared.add_repeated(
        parser,
        "--architecture",
        metavar="NAME",
        help="offer this architecture only, native or emulated; may be repeated",
    )
    parser.add_argument(
        "--scheduler-timeout",
        type=shared.duration,
        metavar="TIME",
        help="end once no scheduler has answered for so long, such as 1m; never, if left out",
    )


def run(options: argparse.Namespace) -> None:
    """Offer this machine to a fleet, and run what its controllers send, until Ctrl-C."""
    with of_fleets.installed():
        from deepmatrix.fleet import serving  # noqa: PLC0415  # optional packages
        from deepmatrix.fleet.host import Host  # noqa: PLC0415
        from deepmatrix.fleet.launching import receiving  # noqa: PLC0415
    print_line = starting.line_printer(make_console())
    matrix = starting.load_matrix(options)
    starting.check_architectures(options.architecture, matrix)
    with receiving.certificates_of(options.tls) as tls:
        host = Host(
            name=options.name or platform.node(),
            engine=options.engine,
            matrix=matrix,
            architectures=options.architecture,
        )
        try:
            away_s = options.scheduler_timeout
            serving.work(options.scheduler, tls, host, print_line, away_s=away_s)
        finally:
            host.close()
