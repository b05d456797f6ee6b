"""The options of a fleet, and what has to be installed for it."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from deepmatrix.cli import starting
from deepmatrix.cli.display import aside_line
from deepmatrix.config.matrix import Matrix
from deepmatrix.drawing.terminal import print_line
from deepmatrix.engines import Engine
from deepmatrix.errors import ArgumentError
from deepmatrix.fleet.launching import document
from deepmatrix.planning.cells import Cell

#: The packages of the extra ``fleet``, as `pyproject.toml` pins them.
PACKAGES = ("cryptography==50.0.2", "distributed==2026.8.0")

#: What the extra ``slurm`` has beside them.
SLURM_PACKAGES = ("dask-jobqueue==0.9.0",)

#: Their modules, and those that they need.
MODULES = ("cryptography", "dask", "distributed")
SLURM_MODULE = "dask_jobqueue"


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """A fleet whose scheduler answers: *address*, and the *folder* of its certificates.

    *label*: what the user named: the address, or the file that lists it. *is_launched*: whether
    this command has started it, so that all its workers are there.
    """

    address: str
    folder: Path
    label: str
    is_launched: bool


def add_certificates(
    parser: argparse.ArgumentParser, *, required: bool, addition: str = ""
) -> None:
    """Add the option that names the folder of the certificates; *addition* ends its help."""
    parser.add_argument(
        "--tls",
        type=Path,
        required=required,
        metavar="FOLDER",
        help="the folder with the certificates of the fleet, as `fleet certificates` makes them"
        + addition,
    )


def add_fleet(parser: argparse.ArgumentParser) -> None:
    """Add the options that run cells on the machines of a fleet."""
    parser.add_argument(
        "--fleet",
        metavar="ADDRESS|FILE",
        help="run on the workers of this scheduler instead of here: tls://name:8786; or start "
        "those that a file lists: fleet.yaml",
    )
    add_certificates(parser, required=False)


def open_fleet(
    options: argparse.Namespace, console: Console, stack: contextlib.ExitStack
) -> Fleet | None:
    """Return the fleet that the user named, None without any.

    One that a file lists is started, and ends with *stack*.

    Raises:
        ArgumentError: the options contradict each other, or what a fleet needs is missing.
        ConfigError: the file is wrong.
        EngineError: a worker of the file does not come.
    """
    if not check_options(options):
        return None
    if not document.is_file(options.fleet):
        return Fleet(
            address=options.fleet, folder=options.tls, label=options.fleet, is_launched=False
        )
    with installed():
        from deepmatrix.fleet.launching.launch import launched  # noqa: PLC0415  # optional packages

        path = Path(options.fleet)
        address, folder = stack.enter_context(launched(path, starting.line_printer(console)))
    return Fleet(address=address, folder=folder, label=options.fleet, is_launched=True)


def choose_engines(
    options: argparse.Namespace,
    fleet: Fleet | None,
    matrix: Matrix,
    console: Console,
    stack: contextlib.ExitStack,
) -> Sequence[Engine]:
    """Return the engines of a fleet, until *stack* ends; without any, the one here.

    Raises:
        ArgumentError: what a fleet needs is missing.
        EngineError: the engine, the scheduler or every worker does not answer.
    """
    if fleet is None:
        return [starting.choose_engine(options, matrix, console)]
    return connect(fleet, matrix, console, stack)


def check_options(options: argparse.Namespace) -> bool:
    """Return whether the user named a fleet. Raises ArgumentError where its options are wrong."""
    if options.fleet is None and options.tls is None:
        return False
    if options.fleet and document.is_file(options.fleet):
        if options.tls is not None:
            raise ArgumentError(
                f"--tls is for a scheduler that runs already, and {options.fleet} starts one",
                hint="leave --tls out: the fleet of a file has certificates of its own",
            )
    elif options.fleet is None or options.tls is None:
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
    fleet: Fleet, matrix: Matrix, console: Console, stack: contextlib.ExitStack
) -> Sequence[Engine]:
    """Return the engines of a fleet's workers, until *stack* ends; say which cannot be used."""

    def put_aside(worker: str, reason: str) -> None:
        console.print(aside_line(worker, reason), soft_wrap=True)

    def say_that_it_waits(reason: str) -> None:
        print_line(console, f"… {reason}: waiting", "dim")

    with installed():
        from deepmatrix.fleet import connecting  # noqa: PLC0415  # optional packages
    print_line(console, f"… connecting to the fleet: {fleet.label}", "dim")
    return stack.enter_context(
        connecting.connected(
            fleet.address,
            fleet.folder,
            matrix,
            put_aside=put_aside,
            waits=say_that_it_waits,
            settled_s=0.0 if fleet.is_launched else connecting.SETTLED_S,
            label=fleet.label,
        )
    )


def check_match(fleet: Fleet | None, cells: Sequence[Cell], engines: Sequence[Engine]) -> None:
    """Raise ArgumentError for cells of an architecture or a device that no worker has."""
    if fleet is None:
        return
    from deepmatrix.fleet import connecting  # noqa: PLC0415  # optional packages

    connecting.check_match(cells, [engine.capabilities() for engine in engines])


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Raise ArgumentError for what a fleet needs and is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in (*MODULES, SLURM_MODULE):
            raise
        packages = (*PACKAGES, *(SLURM_PACKAGES if name == SLURM_MODULE else ()))
        raise ArgumentError(
            f"a fleet needs the package {error.name}",
            hint=f"pip install {' '.join(packages)}",
        ) from None
