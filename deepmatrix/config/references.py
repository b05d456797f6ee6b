"""Checks of a matrix file beyond its form: names that point at nothing, and what cannot be."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from deepmatrix.config.cell_globs import no_match, unmatched
from deepmatrix.config.completion import default_adapter
from deepmatrix.config.documents import Problem, did_you_mean
from deepmatrix.config.families import FAMILIES
from deepmatrix.config.matrix import Matrix
from deepmatrix.config.reading.source import Location
from deepmatrix.config.sections import Preset, System
from deepmatrix.paths import HARNESS, IMPORT_ROOT
from harness.record import NEEDS, STARTUP

#: What the digits leave for training once the test images are held out.
TRAINING_IMAGES = 1438

#: The most cells that a file may make: thirty times ours.
MOST_CELLS = 4_000


def check(matrix: Matrix, networks: Collection[str]) -> Iterator[Problem]:
    """Yield all problems of a matrix file. *networks* are unchecked when empty."""
    cells = len(matrix.systems()) * len(matrix.bases)
    cells *= len(matrix.architectures) * len(matrix.devices)
    if cells > MOST_CELLS:
        message = f"systems, bases, architectures and devices make {cells} cells"
        yield (), f"{message}; at most {MOST_CELLS} can be planned", False
        return
    yield from _clashes(matrix)
    for use in _names(matrix, networks):
        if use.known and use.word not in use.known:
            suggestion = did_you_mean(use.word, use.known)
            yield use.location, f"no {use.kind} '{use.word}'{suggestion}", False
    yield from _missing_adapters_and_networks(matrix, networks)
    yield from _systems(matrix)
    yield from _wheels(matrix)
    for name, workload in matrix.workloads.items():
        if workload.batch > TRAINING_IMAGES:
            message = f"'batch': the training set has {TRAINING_IMAGES} images"
            yield ("workloads", name, "batch"), f"{message}, found {workload.batch}", False
    ids = list(matrix.cell_ids())
    yield from unmatched("exclude", [exclusion.cells for exclusion in matrix.exclude], ids)
    for name, preset in matrix.presets.items():
        yield from _preset(matrix, name, preset, ids)


class _Name(NamedTuple):
    """A use of a name: where it stands, of what kind it is, and the names there are."""

    location: Location
    kind: str
    word: str
    known: Collection[str]


def _clashes(matrix: Matrix) -> Iterator[Problem]:
    """Yield duplicate names and ids, and a missing default preset."""
    for name in matrix.runtimes:
        if name in matrix.frameworks:
            yield ("runtimes", name), f"'{name}' is already a framework; ids must be unique", True
    if "default" not in matrix.presets:
        yield ("presets",), "there must be a preset 'default'", True
    for cell_id, count in Counter(matrix.cell_ids()).items():
        if count > 1:
            message = f"the id '{cell_id}' stands for two cells; rename one of its parts"
            yield ("bases",), message, True
            return


def _names(matrix: Matrix, networks: Collection[str]) -> Iterator[_Name]:
    """Yield every use of a name in the file."""
    yield from _names_of_systems(matrix)
    systems = matrix.systems()
    for section, places in (("bases", matrix.bases), ("architectures", matrix.architectures)):
        for name, place in places.items():
            for index, system in enumerate(place.systems or ()):
                yield _Name((section, name, "systems", index), "system", system, systems)
    for name, isa in matrix.isas.items():
        location = ("isas", name, "architecture")
        yield _Name(location, "architecture", isa.architecture, matrix.architectures)
        for index, system in enumerate(isa.systems or ()):
            yield _Name(("isas", name, "systems", index), "system", system, systems)
    for name, base in matrix.bases.items():
        if base.installer:
            yield _Name(("bases", name, "installer"), "base", base.installer, matrix.bases)
    for name, workload in matrix.workloads.items():
        if workload.network != name:
            yield _Name(("workloads", name, "network"), "network", workload.network, networks)
    tags = {tag for system in systems.values() for tag in system.tags}
    for name, preset in matrix.presets.items():
        for index, tag in enumerate(preset.without):
            yield _Name(("presets", name, "without", index), "tag", tag, tags)
        for index, kept_to in enumerate(preset.isas):
            yield _Name(("presets", name, "isas", index), "instruction set", kept_to, matrix.isas)


def _names_of_systems(matrix: Matrix) -> Iterator[_Name]:
    adapters = _adapters()
    for role, name, system in _with_roles(matrix):
        yield _Name((role, name, "family"), "image family", system.family, FAMILIES)
        for index, base in enumerate(system.bases or ()):
            yield _Name((role, name, "bases", index), "base", base, matrix.bases)
        if system.pins:
            yield _Name((role, name, "pins"), "system", system.pins, matrix.systems())
        if system.adapter and system.adapter != default_adapter(role, name):
            yield _Name((role, name, "adapter"), "adapter", system.adapter, adapters)


def _with_roles(matrix: Matrix) -> Iterator[tuple[str, str, System]]:
    """Yield each system with its section and its name."""
    for name, framework in matrix.frameworks.items():
        yield "frameworks", name, framework
    for name, runtime in matrix.runtimes.items():
        yield "runtimes", name, runtime


def _adapters() -> set[str]:
    files = HARNESS.glob("*/*/adapter.py")
    return {".".join(file.relative_to(IMPORT_ROOT).with_suffix("").parts) for file in files}


def _missing_adapters_and_networks(matrix: Matrix, networks: Collection[str]) -> Iterator[Problem]:
    """Yield missing default adapters and networks."""
    adapters = _adapters()
    for role, name, system in _with_roles(matrix):
        default = default_adapter(role, name)
        if system.adapter == default and default not in adapters:
            path = f"{default.replace('.', '/')}.py"
            message = f"'{name}' has no adapter: write {path}, or name an adapter or a command"
            yield (role, name), message, True
    for name, workload in matrix.workloads.items():
        if networks and workload.network == name and name not in networks:
            suggestion = did_you_mean(name, networks)
            yield ("workloads", name), f"no network '{name}'{suggestion}", True


def _systems(matrix: Matrix) -> Iterator[Problem]:
    """Yield systems that cannot be started, or that nothing says how to judge."""
    for role, name, system in _with_roles(matrix):
        if system.adapter and system.command:
            yield (role, name), f"'{name}' needs an adapter or a command, and not both", True
        if system.precision != "float32" and system.precision not in matrix.tolerances.reduced:
            message = f"no tolerance for {system.precision} under tolerances.reduced"
            yield (role, name, "precision"), message, False


def _wheels(matrix: Matrix) -> Iterator[Problem]:
    """Yield the architectures whose systems need wheels, and whose wheels have no tag."""
    families = {name: FAMILIES.get(system.family) for name, system in matrix.systems().items()}
    wheeled = {name for name, family in families.items() if family and family.pinned}
    for name, _, architecture, _ in matrix.cells():
        if name in wheeled and not matrix.architectures[architecture].wheels:
            message = f"'{name}' is made of wheels: give their tag, or name the systems without it"
            yield ("architectures", architecture), message, True


def _preset(matrix: Matrix, name: str, preset: Preset, ids: list[str]) -> Iterator[Problem]:
    """Yield selections that match nothing, and the phases that lack the one they need."""
    if "phases" in preset.model_fields_set:
        yield from _unreached_phases(name, preset)
    for index, glob in enumerate(preset.cells):
        location = ("presets", name, "cells", index)
        matches = fnmatch.filter(ids, glob)
        if not matches:
            yield location, no_match(glob, ids), False
        elif all(matrix.exclusion(cell_id) for cell_id in matches):
            reason = matrix.exclusion(matches[0])
            yield location, f"'{glob}' matches only excluded cells: {reason}", False
    yield from _workloads(matrix.workloads, ("presets", name, "workloads"), preset.workloads)
    chosen = [
        workload
        for workload in matrix.workloads
        if any(fnmatch.fnmatchcase(workload, glob) for glob in preset.workloads)
    ]
    yield from _workloads(chosen, ("presets", name, "checked"), preset.checked)


def _workloads(
    names: Collection[str], location: Location, globs: Sequence[str]
) -> Iterator[Problem]:
    """Yield the globs that match none of some workloads."""
    for index, glob in enumerate(globs):
        if fnmatch.filter(names, glob):
            continue
        if "*" in glob or "?" in glob or "[" in glob:
            yield (*location, index), no_match(glob, names, noun="workload"), False
        else:
            yield (*location, index), f"no workload '{glob}'{did_you_mean(glob, names)}", False


def _unreached_phases(name: str, preset: Preset) -> Iterator[Problem]:
    for index, phase in enumerate(preset.phases):
        needed = NEEDS.get(phase)
        if needed and needed not in preset.phases:
            message = f"'{phase}' needs the phase '{needed}', which is not listed"
            yield ("presets", name, "phases", index), message, False
    if STARTUP not in preset.phases:
        yield ("presets", name, "phases"), f"the phase '{STARTUP}' must be listed", False
