"""Subjects of jobs: exported models, users' own ones, and those of earlier runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deepmatrix.boundary.bounds import Digest
from harness.formats import FORMATS


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """An exported model that a planned cell will produce, or a user's own (*imported*)."""

    producer: str
    workload: str
    format: str
    imported: bool = False

    @property
    def title(self) -> str:
        """Its name on screens: a user's own model by its name."""
        return self.workload if self.imported else self.id

    @property
    def read_as(self) -> str:
        """The format that its readers know: that of which its own is a variant, or its own."""
        return FORMATS[self.format].read_as

    @property
    def id(self) -> str:
        """Name of its folder in a run, and the subject of the jobs that consume it."""
        return f"{self.producer}--{self.workload}--{self.format}"


@dataclass(frozen=True, kw_only=True)
class SampleRequest:
    """What a user requests of sample inputs.

    *shapes*: by input or dynamic dimension. *ranges*: by input.
    """

    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict, hash=False)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, kw_only=True)
class Import:
    """A user's own model: its files are below the run's ``models/NAME``, *file* is the main one.

    *cell* inspects it, makes sample inputs where the user has none, and gold where it can.
    *source* is the path that the user gave. *sample_request*: see the class.
    """

    name: str
    format: str
    file: str
    cell: str
    source: str = ""
    sample_request: SampleRequest = SampleRequest()

    @property
    def artifact(self) -> Artifact:
        """What the consumers serve."""
        return Artifact(producer=self.cell, workload=self.name, format=self.format, imported=True)


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A file that a user named beside models, and that is none.

    *reason*: why, with its name and what to do.
    """

    source: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Kept:
    """An artifact of an earlier run, which some cells serve again.

    *origin*: its id in that run. *consumers*: the ids of these cells. *fingerprint*: what the
    record of its producer says of it, see `deepmatrix.store.artifacts`.
    """

    artifact: Artifact
    origin: str
    consumers: tuple[str, ...]
    fingerprint: Digest
