"""The options of a fleet, and what has to be installed for it."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from deepmatrix.cli import starting
from deepmatrix.config.matrix import Matrix
from deepmatrix.engines import Engine
from deepmatrix.errors import ArgumentError
from deepmatrix.planning.plan import Plan

#: The packages of the extra ``fleet``, as `pyproject.toml` pins them.
PACKAGES = ("cryptography==50.0.2", "distributed==2026.8.0")

#: Their modules, and those that they need.
MODULES = ("cryptography", "dask", "distributed")


def add_certificates(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add the option that names the folder of the certificates."""
    parser.add_argument(
        "--tls",
        type=Path,
        required=required,
        metavar="FOLDER",
        help="the folder with the certificates of the fleet, as `fleet certificates` makes them",
    )


def add_fleet(parser: argparse.ArgumentParser) -> None:
    """Add the options that run cells on the machines of a fleet."""
    parser.add_argument(
        "--fleet",
        metavar="ADDRESS",
        help="run on the workers of this scheduler instead of here: tls://name:8786",
    )
    add_certificates(parser, required=False)


def choose_engines(
    options: argparse.Namespace, matrix: Matrix, console: Console, stack: contextlib.ExitStack
) -> Sequence[Engine]:
    """Return the engines of the fleet that the user named, until *stack* ends; else the one here.

    Raises:
        ArgumentError: the options contradict each other, or what a fleet needs is missing.
        EngineError: the engine, the scheduler or a worker does not answer.
    """
    if not check_options(options):
        return [starting.choose_engine(options, matrix, console)]
    return connect(options, matrix, stack)


def check_options(options: argparse.Namespace) -> bool:
    """Return whether the user named a fleet. Raises ArgumentError for half of its options."""
    if options.fleet is None and options.tls is None:
        return False
    if options.fleet is None or options.tls is None:
        raise ArgumentError(
            "--fleet and --tls go together",
            hint="write: --fleet tls://name:8786 --tls FOLDER, with the fleet's certificates",
        )
    if options.engine != "auto":
        raise ArgumentError(
            "--engine names the engine of this machine, and --fleet that of others",
            hint="leave --engine out here, and give it to each `worker`",
        )
    return True


def connect(
    options: argparse.Namespace, matrix: Matrix, stack: contextlib.ExitStack
) -> Sequence[Engine]:
    """Return the engines of the fleet that the user named, until *stack* ends."""
    with installed():
        from deepmatrix.fleet.connecting import connected  # noqa: PLC0415  # optional packages
    return stack.enter_context(connected(options.fleet, options.tls, matrix))


def check_match(
    options: argparse.Namespace, matrix: Matrix, plan: Plan, engines: Sequence[Engine]
) -> None:
    """Raise ArgumentError for cells of an architecture or a device that no worker has."""
    if options.fleet is None:
        return
    from deepmatrix.fleet import connecting  # noqa: PLC0415  # optional packages

    skipped = [each.cell for each in plan.skipped if not matrix.exclusion(each.cell.id)]
    connecting.check_match([*plan.cells, *skipped], [each.capabilities() for each in engines])


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Raise ArgumentError for what a fleet needs and is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in MODULES:
            raise
        raise ArgumentError(
            f"a fleet needs the package {error.name}",
            hint=f"pip install {' '.join(PACKAGES)}",
        ) from None
