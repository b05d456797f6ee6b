"""Cells in the interpreter that runs the command: for HPC and vendor containers.

Nothing is installed. A cell runs when its framework can be imported here and its architecture,
device and Python are this interpreter's; any other is refused. Its pins are ignored; the record
holds the versions that are installed.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from deepmatrix.engines import Ended, Prepared, Progress, Task, hardware, local
from deepmatrix.engines.local import LocalProcesses
from deepmatrix.machine import binfmt
from deepmatrix.paths import HARNESS
from deepmatrix.planning.cells import Capabilities, Cell

#: Exists when an NVIDIA driver is loaded.
NVIDIA = Path("/dev/nvidiactl")


class HereEngine:
    """An engine that uses the running interpreter. See `deepmatrix.engines.Engine`."""

    name = "here"
    isolates = False
    is_here = True

    def __init__(self, *, harness: Path = HARNESS, extra: Mapping[str, Path] | None = None) -> None:
        self._processes = LocalProcesses(clean=False, harness=harness, extra=extra)

    def capabilities(self) -> Capabilities:
        """Return this machine's architecture, devices, CPUs and this interpreter's Python."""
        return Capabilities(
            engine=self.name,
            native=frozenset({binfmt.docker_name(platform.machine().lower())}),
            devices=frozenset({"cpu", "cuda"} if NVIDIA.exists() else {"cpu"}),
            pythons=frozenset({"{}.{}".format(*sys.version_info)}),
            cpus=len(local.usable_cpus()),
            memory_bytes=local.memory_bytes(),
        )

    def describe(self) -> dict[str, str]:
        """Facts about this interpreter that belong in the run's records."""
        return {
            "product": f"{platform.python_implementation()} {platform.python_version()}",
            "system": platform.platform(),
            **local.limits_held(),
            **hardware.machine_facts(),
        }

    def prepare(self, cells: Sequence[Cell], progress: Progress) -> dict[str, Prepared]:
        """Look for each cell's framework; a cell that is not this interpreter has ``error``."""
        del progress
        able = self.capabilities()
        return {cell.id: _prepare(cell, able) for cell in cells}

    def adopt(self, cell: Cell, earlier: Prepared) -> Prepared:
        """Refuse: nobody knows what was installed here in an earlier run."""
        return earlier.adopted(cell.id, "what is installed here may have changed since")

    def open(self, run_id: str) -> None:
        """Remove the leftovers of dead runs, copy the harness."""
        del run_id
        self._processes.open()

    def run(self, task: Task, cancel: threading.Event) -> Ended:
        """Run one process of this interpreter. See `deepmatrix.engines.Engine`."""
        return self._processes.run(task, Path(sys.executable), cancel)

    def close(self) -> None:
        """Remove the copy of the harness."""
        self._processes.close()


def _prepare(cell: Cell, able: Capabilities) -> Prepared:
    """Say whether a cell can run here; its framework is searched without importing it."""
    error = able.refusal(cell)
    if error is None and importlib.util.find_spec(cell.name.replace("-", "_")) is None:
        error = f"{cell.name} is not installed in {sys.executable}"
    if error:
        return Prepared(cell_id=cell.id, reference="", error=error)
    try:
        version = importlib.metadata.version(cell.distribution)
    except importlib.metadata.PackageNotFoundError:
        version = "of an unknown version"
    return Prepared(cell_id=cell.id, reference=f"{cell.name} {version}")
