"""The matrix: everything that the matrix file and its expected failures state, as one model."""

from __future__ import annotations

import fnmatch
import itertools
import re
from collections.abc import Iterable, Iterator

from pydantic import Field

from deepmatrix.config.documents import Name, Section, Text
from deepmatrix.config.sections import (
    Architecture,
    Base,
    Defaults,
    Device,
    Exclusion,
    ExpectedFailure,
    Framework,
    Images,
    InstructionSet,
    Limits,
    Override,
    Preset,
    Runtime,
    Tolerances,
    Workload,
)

#: What the id of a cell with a number of threads of its own has beside that of the plain one.
THREADS = re.compile(r"_[0-9]+threads-")


class Matrix(Section):
    """The whole matrix file, completed, with the expected failures of the file that it names."""

    version: int = Field(ge=1, le=1)
    bases: dict[Name, Base] = Field(min_length=1)
    architectures: dict[Name, Architecture] = Field(min_length=1)
    isas: dict[Name, InstructionSet] = Field(default_factory=dict)
    devices: tuple[Device, ...] = Field(min_length=1)
    images: Images | None = None
    frameworks: dict[Name, Framework] = Field(min_length=1)
    runtimes: dict[Name, Runtime] = Field(default_factory=dict)
    exclude: tuple[Exclusion, ...] = ()
    expected_failures_file: Text | None = None
    expected_failures: tuple[ExpectedFailure, ...] = ()
    defaults: Defaults = Defaults()
    workloads: dict[Name, Workload] = Field(min_length=1)
    presets: dict[Name, Preset] = Field(min_length=1)
    tolerances: Tolerances
    limits: Limits

    def systems(self) -> dict[str, Framework | Runtime]:
        """Return frameworks and runtimes by name, frameworks first."""
        return {**self.frameworks, **self.runtimes}

    def cell_ids(self) -> Iterator[str]:
        """Yield the id of every cell that can be written down, excluded ones included."""
        for parts in self.cells():
            yield "-".join(parts)

    def limited_ids(self) -> Iterator[str]:
        """Yield these ids, and that of each cell where it is kept to an instruction set."""
        yield from self.cell_ids()
        for system, base, architecture, device in self.cells():
            for name, isa in self.isas.items():
                if isa.architecture == architecture:
                    yield f"{system}_{name}-{base}-{architecture}-{device}"

    def cells(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield system, base, architecture and device of every cell that can be written down.

        A base or an architecture that names its systems has their variants too.
        """
        places = list(itertools.product(self.bases, self.architectures, self.devices))
        for name, system in self.systems().items():
            names = {name, system.variant_of}
            for base, architecture, device in places:
                listed = (self.architectures[architecture].systems, self.bases[base].systems)
                exists = all(systems is None or names & {*systems} for systems in listed)
                exists &= base in (system.bases or (base,))
                if exists and device in (system.devices or (device,)):
                    yield name, base, architecture, device

    def overridden(self, overrides: Iterable[Override], images: Images | None = None) -> Matrix:
        """Return this matrix with more tolerances that are set by hand, before its own.

        *images* replaces its own.
        """
        tolerances = self.tolerances.model_copy(
            update={"overrides": (*overrides, *self.tolerances.overrides)}
        )
        return self.model_copy(update={"tolerances": tolerances, "images": images or self.images})

    def exclusion(self, cell_id: str) -> str | None:
        """Return why a cell is excluded, or None."""
        for exclusion in self.exclude:
            if fnmatch.fnmatchcase(cell_id, exclusion.cells):
                return exclusion.reason
        return None

    def expected_failure(self, cell_id: str, subject: str) -> str:
        """Return why a cell is expected to fail at a subject, or an empty text.

        It may fail at the same with every number of threads.
        """
        cell_id = THREADS.sub("-", cell_id)
        for failure in self.expected_failures:
            if fnmatch.fnmatchcase(cell_id, failure.cells) and fnmatch.fnmatchcase(
                subject, failure.subjects
            ):
                return failure.reason
        return ""
