"""What the records of some cells give, until the results are made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from deepmatrix.results.cells import CellSummary
from deepmatrix.results.expressiveness.rows import FactRow, IdiomRow, ProbeRow
from deepmatrix.results.portability import Judged, Pair
from deepmatrix.results.rows import TrainingRow
from deepmatrix.results.timeline import Work
from deepmatrix.results.timing.rows import (
    CompileRow,
    ExportRow,
    GenerationRow,
    InferenceRow,
    PassRow,
    ScenarioRow,
    ServingRow,
    StartupRow,
    StepRow,
)
from deepmatrix.store.records import JobRecord


@dataclass(kw_only=True)
class Collected:
    """What the records of whole cells give; every field is a list or a dict, in the cells' order.

    *summaries*: by cell. *training*, *inspections*: by cell and workload or model. *trained*: the
    same trainings, with a row for each machine where several timed one. *judged*, *accuracies*: by
    artifact and consumer. *notes*: by framework and what they are about. *reused*: pairs of a run
    and a job of it; *anew*: of a reason and a job.
    """

    summaries: dict[str, CellSummary] = field(default_factory=dict)
    works: list[Work] = field(default_factory=list)
    training: dict[Pair, TrainingRow] = field(default_factory=dict)
    trained: dict[Pair, Sequence[TrainingRow]] = field(default_factory=dict)
    inspections: dict[Pair, JobRecord] = field(default_factory=dict)
    judged: dict[Pair, Judged] = field(default_factory=dict)
    accuracies: dict[Pair, float] = field(default_factory=dict)
    startup: list[StartupRow] = field(default_factory=list)
    inference: list[InferenceRow] = field(default_factory=list)
    serving: list[ServingRow] = field(default_factory=list)
    scenarios: list[ScenarioRow] = field(default_factory=list)
    generation: list[GenerationRow] = field(default_factory=list)
    exports: list[ExportRow] = field(default_factory=list)
    passes: list[PassRow] = field(default_factory=list)
    steps: list[StepRow] = field(default_factory=list)
    compilation: list[CompileRow] = field(default_factory=list)
    idioms: list[IdiomRow] = field(default_factory=list)
    probes: list[ProbeRow] = field(default_factory=list)
    facts: list[FactRow] = field(default_factory=list)
    notes: dict[tuple[str, str], str] = field(default_factory=dict)
    reused: list[tuple[str, str]] = field(default_factory=list)
    anew: list[tuple[str, str]] = field(default_factory=list)

    def absorb(self, further: Collected) -> None:
        """Add what further cells give. Of a key that both have, the first value stays."""
        for name in (each.name for each in fields(self)):
            mine, new = getattr(self, name), getattr(further, name)
            if isinstance(mine, list):
                mine += new
            else:
                for key, value in new.items():
                    mine.setdefault(key, value)
