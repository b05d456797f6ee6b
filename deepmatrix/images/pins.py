"""Pins: one hash-locked list of wheels a cell, made from a few requirements by uv.

``docker/wheels/requirements/NAME-DEVICE.in`` is written by hand and names what matters;
``NAME-DEVICE.excludes`` beside it lists dependencies that nothing here imports, and
``NAME-DEVICE.overrides`` versions other than those that dependents require;
``docker/wheels/pins/CELL.txt`` is compiled from them for the cell's platform and Python; that of a
version on trial goes to the user's cache. Pins hold hashes and no addresses: the machine that
installs a file chooses its index.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from uv import find_uv_bin

from deepmatrix.config.families import FAMILIES
from deepmatrix.config.sections import Architecture
from deepmatrix.errors import EngineError
from deepmatrix.machine import folders, processes
from deepmatrix.machine.packages import indexes
from deepmatrix.paths import DOCKER
from deepmatrix.planning.cells import Cell

FOLDER = DOCKER / "wheels"

#: The tools that install wheels inside the build; one file serves all platforms.
TOOLS = "tools"

#: How many lists are locked at a time.
PARALLEL = 4


@dataclass(frozen=True, kw_only=True)
class Change:
    """What pinning one list changed: lines such as ``numpy 2.4.5 -> 2.4.6``, or an error."""

    name: str
    lines: tuple[str, ...] = ()
    error: str = ""


def path(cell_id: str) -> Path:
    """Return where the pins of a cell (or of TOOLS) stand; those of a trial are in the cache."""
    shipped = _shipped(cell_id)
    return shipped if shipped.exists() else folders.cache() / "pins" / shipped.name


def _shipped(cell_id: str) -> Path:
    return FOLDER / "pins" / f"{cell_id}.txt"


def requirements(cell: Cell) -> Path:
    """Return the requirements that a cell's pins are made from."""
    return FOLDER / "requirements" / f"{cell.pins_name}-{cell.device}.in"


def version(cell: Cell) -> str | None:
    """Return the pinned version of a cell's distribution, or None without pins.

    ``onnxruntime-gpu`` counts as ``onnxruntime``.
    """
    if not path(cell.pinned).exists():
        return None
    versions = dict(indexes.hashes_by_project(path(cell.pinned).read_text("utf-8")).keys())
    return versions.get(cell.distribution) or versions.get(f"{cell.distribution}-gpu")


def pin(
    cells: Sequence[Cell],
    architectures: Mapping[str, Architecture],
    *,
    check: bool = False,
    upgrade: bool = False,
) -> list[Change]:
    """Lock the pins of *cells* and of the build's tools; return the changes, tools first.

    With *check* nothing is written, and a change means that the pins are stale. With *upgrade*
    free versions move to the newest; without it, pinned versions stay where they fit.
    A list that cannot be resolved, or lacks a wheel, is returned with its error.
    """
    tools = FOLDER / "requirements" / f"{TOOLS}.in"
    jobs = [(_shipped(TOOLS), tools, ["--universal"])]
    jobs += [
        (_shipped(cell.id), requirements(cell), _platform(cell, architectures[cell.architecture]))
        for cell in cells
        if FAMILIES[cell.family].pinned and cell.pinned == cell.id
    ]
    # uv waits for indexes most of the time.
    with ThreadPoolExecutor(PARALLEL) as pool:
        return list(pool.map(lambda job: _pin(*job, check=check, upgrade=upgrade), jobs))


def pin_version(own: Cell, trial: Cell, version: str, architecture: Architecture) -> Change:
    """Lock the pins of a cell on trial: those of the cell it stands for, in another version.

    All other packages stay at their versions where they fit.

    Raises:
        EngineError: the cache cannot be written.
    """
    source = requirements(own)
    target = path(trial.pinned)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise folders.not_writable(target.parent, error) from None
    with TemporaryDirectory() as folder:
        copied = Path(folder) / source.name
        for suffix in (".in", ".excludes", ".overrides"):
            if source.with_suffix(suffix).exists():
                shutil.copyfile(source.with_suffix(suffix), copied.with_suffix(suffix))
        with copied.with_suffix(".overrides").open("a", encoding="utf-8") as overrides:
            overrides.write(f"{own.distribution}=={version}\n")
        shutil.copyfile(path(own.pinned), target)
        return _pin(target, copied, _platform(own, architecture), check=False, upgrade=False)


def differences(before: str, after: str) -> tuple[str, ...]:
    """Return the changes between two lock files, one line a project."""
    if before == after:
        return ()
    old = dict(indexes.hashes_by_project(before).keys())
    new = dict(indexes.hashes_by_project(after).keys())
    lines = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            lines.append(f"{name} {new[name]} added")
        elif name not in new:
            lines.append(f"{name} {old[name]} removed")
        elif old[name] != new[name]:
            lines.append(f"{name} {old[name]} -> {new[name]}")
    return tuple(lines) or ("hashes",)


def _platform(cell: Cell, architecture: Architecture) -> list[str]:
    assert architecture.wheels, "an architecture without wheels has no cells of wheels"
    return ["--python-platform", architecture.wheels, "--python-version", cell.python]


def _pin(target: Path, source: Path, where: list[str], *, check: bool, upgrade: bool) -> Change:
    with TemporaryDirectory(dir=target.parent) as temporary:
        fresh = Path(temporary) / target.name
        if target.exists():
            shutil.copyfile(target, fresh)
        try:
            _compile(fresh, source, where, upgrade)
            if where != ["--universal"]:
                _check_wheels(fresh, where)
        except EngineError as error:
            return Change(name=target.stem, error=error.message)
        before = target.read_text() if target.exists() else ""
        changed = differences(before, fresh.read_text())
        if changed and not check:
            fresh.replace(target)
    return Change(name=target.stem, lines=changed)


def _compile(target: Path, source: Path, where: list[str], upgrade: bool) -> None:
    beside = {name: source.with_suffix(f".{name}") for name in ("excludes", "overrides")}
    _uv(
        ["pip", "compile", str(source), "--output-file", str(target), "--generate-hashes"],
        ["--no-header", "--no-annotate", "--only-binary", ":all:", "--quiet", *where],
        ["--upgrade"] if upgrade else [],
        *([f"--{name}", str(path)] for name, path in beside.items() if path.exists()),
    )


def _check_wheels(pins: Path, where: list[str]) -> None:
    """Check that the wheels exist: a version can be resolved without one for this platform."""
    _uv(
        ["pip", "install", "--dry-run", "--no-deps", "--require-hashes", "--quiet"],
        ["--only-binary", ":all:", "--requirements", str(pins), *where],
        ["--target", str(pins.parent / "none")],
    )


def _uv(*arguments: list[str]) -> None:
    processes.run(
        [find_uv_bin(), *itertools.chain.from_iterable(arguments)],
        environment=indexes.configured_sources().shared().environment(),
    )
