"""The inputs of workloads, kept for later runs: found by a digest of all that makes them.

Gold trains in float64, which takes seconds a workload, and gives the same bytes every time on one
processor; NumPy's products differ in their last bits on another.
"""

from __future__ import annotations

import contextlib
import os
import time
import zipfile
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from deepmatrix.boundary.opening import open_plain
from deepmatrix.boundary.writing import replacing, write_bytes
from deepmatrix.engines.hardware import processor_facts
from deepmatrix.errors import EngineError
from deepmatrix.execution.reuse.provenance import digest, program_digest
from deepmatrix.execution.watching import Watcher
from deepmatrix.machine import folders
from deepmatrix.store.runs import Run
from deepmatrix.workloads import inputs
from harness import record

#: All inputs that are kept take no more: those that were used least lately make room.
MOST_BYTES: Final = 512 << 20

#: What was last written so long ago, and is not whole, is of a killed process.
ABANDONED_S: Final = 3600.0

#: What zipfile raises for a file that is gone, or is no zip that this module wrote.
DAMAGED: Final = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)


def make_inputs(run: Run, watcher: Watcher | None = None) -> None:
    """Make the data, weights, orders and gold losses of a run's workloads that are missing.

    What an earlier run made of the same settings, by the same program, is copied from the cache.
    The *watcher* is told of what is made, which may take minutes.
    """
    for name in run.manifest.plan.workloads:
        files = inputs.all_files(run.inputs, name)
        if inputs.are_complete(run.inputs, name):
            continue
        cached = _cached_path(run, name)
        if cached is None or not _copy(cached, files):
            if watcher is not None:
                watcher.making_inputs(name)
            _make(run, name)
            if watcher is not None:
                watcher.made_inputs(name)
            if cached is not None:
                _keep(cached, files)


def _make(run: Run, workload: str) -> None:
    matrix, plan = run.manifest.matrix, run.manifest.plan
    inputs.write_missing(
        run.inputs,
        workload,
        matrix.workloads[workload],
        seed=plan.seed,
        phases=plan.phases,
        held_out=plan.held_out,
    )


def _cached_path(run: Run, workload: str) -> Path | None:
    """Return where the inputs of a workload are kept; None where this machine has no cache."""
    plan = run.manifest.plan
    settings = run.manifest.matrix.workloads[workload].model_dump(mode="json")
    program = [program_digest(), record.IDIOM_STEPS, _processor()]
    key = digest([settings, plan.seed, sorted(plan.phases), plan.held_out, program])
    with contextlib.suppress(EngineError):
        return folders.cache() / "inputs" / f"{key}.zip"
    return None


@cache
def _processor() -> dict[str, str]:
    """Return what decides how NumPy rounds here; it is read once, which is slow with many CPUs."""
    return processor_facts()


def _copy(cached: Path, files: Mapping[str, Path]) -> bool:
    """Copy inputs from the cache, the file that completes them last; return whether that worked.

    What is missing or damaged is made anew: a zip has a checksum of each of its files.
    """
    try:
        with open_plain(cached) as file, zipfile.ZipFile(file) as archive:
            contents = {ending: archive.read(ending) for ending in archive.namelist()}
    except DAMAGED:
        return False
    if not contents.keys() <= files.keys() or inputs.GOLD not in contents:
        return False
    for ending, path in files.items():
        if ending in contents:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, contents[ending])
    with contextlib.suppress(OSError):
        os.utime(cached)
    return True


def _keep(cached: Path, files: Mapping[str, Path]) -> None:
    """Keep inputs, as far as this machine can: a run does not need it.

    What is too large is not kept: all else would make room for it.
    """
    with contextlib.suppress(OSError):
        written = {ending: path for ending, path in files.items() if path.is_file()}
        if sum(path.stat().st_size for path in written.values()) > MOST_BYTES:
            return
        cached.parent.mkdir(parents=True, exist_ok=True)
        with replacing(cached) as file, zipfile.ZipFile(file, "w") as archive:
            for ending, path in written.items():
                archive.write(path, ending)
        _make_room(cached.parent)


def _make_room(folder: Path) -> None:
    """Remove what was used least lately, until all that is kept takes no more than it may.

    And what killed processes have not finished.
    """
    for part in folder.glob("*.part"):
        if time.time() - part.stat().st_mtime > ABANDONED_S:
            part.unlink(missing_ok=True)
    total = 0
    cached = [(path.stat(), path) for path in folder.glob("*.zip")]
    for status, path in sorted(cached, key=lambda pair: pair[0].st_mtime, reverse=True):
        total += status.st_size
        if total > MOST_BYTES:
            path.unlink(missing_ok=True)
