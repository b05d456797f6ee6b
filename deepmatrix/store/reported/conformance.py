"""What the harness reports of a standard's conformance suite. Field names are the harness's own."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from deepmatrix.boundary.bounds import Few, Id, Items, LongText, NotNegative, Remark, TensorName
from deepmatrix.store.parts import Failure, Reported
from deepmatrix.store.reported.phases import PhaseRecord, PhaseStatus


class SuiteCase(Reported):
    """A case of a standard's conformance suite, or why it is skipped."""

    name: Remark
    skipped: Remark | None = None
    format: Id = ""
    model: LongText = ""
    inputs: Few[TensorName] = Field(default_factory=list)
    outputs: int = Field(default=0, ge=0, le=1000)
    rtol: NotNegative = 0.0
    atol: NotNegative = 0.0


class SuiteData(Reported):
    """The cases of a suite, by number; models and arrays are files."""

    version: Remark
    cases: Items[SuiteCase]


class SuiteRecord(PhaseRecord[SuiteData]):
    """The preparation of a standard's conformance suite."""

    phase: Literal["suite"] = "suite"


class CaseOutcome(Reported):
    """How a case ended; its outputs are in a file."""

    status: PhaseStatus
    error: Failure | None = None
    outputs: int = Field(default=0, ge=0, le=1000)


class ConformData(Reported):
    """Outcomes by case number."""

    cases: dict[Id, CaseOutcome] = Field(max_length=100_000)


class ConformRecord(PhaseRecord[ConformData]):
    """A conformance suite, run on a consumer."""

    phase: Literal["conform"] = "conform"
