"""The types behind ``compare --json`` and its published schema."""

from __future__ import annotations

from typing import Literal

from deepmatrix.config import documents
from deepmatrix.results.timing.rows import Row

#: 1: first version. 2: it says of each change which limit it breaks, and what is accepted.
COMPARISON_SCHEMA = 2

#: What a verdict is about: an artifact that a cell serves, a training, an idiom or a probe.
Kind = Literal["serving", "training", "idiom", "probe"]

#: What a time is of; `deepmatrix.comparison.times` says where each comes from.
Quantity = Literal[
    "inference",
    "training step",
    "forward",
    "forward and backward",
    "first inference",
    "prefill",
    "decode",
    "all",
]

ABSENT = "absent"


class Side(Row):
    """One of the two that are compared: a run, or a file of accepted verdicts.

    *name*: what the user named, or the version of a package that was tried.
    """

    name: str
    run: str = ""
    created: str = ""
    version: str = ""


#: What a verdict is of: its kind, its subject's id and its cell.
Key = tuple[Kind, str, str]


class Change(Row):
    """What differs. *breaks*: the name of the limit that it breaks, empty if it breaks none."""

    breaks: str = ""


class Placed(Change):
    """What differs in a cell. *machine*: on which of its machines, where it ran on several."""

    cell: str
    machine: str = ""

    @property
    def place(self) -> str:
        """The cell, and its machine where it has one, as people read it."""
        return f"{self.cell} on {self.machine}" if self.machine else self.cell


class VerdictChange(Placed):
    """A verdict that is another one, or one whose error grew.

    *subject*: what people call it; *artifact*: its id, where it is served.
    *base*, *head*: words of the verdict; `ABSENT` where one side does not have it.
    *base_expected*, *head_expected*: why it may fail there; empty where it may not, or succeeds.
    *growth*: the error over the earlier one, None where either is not finite.
    """

    kind: Kind
    subject: str
    artifact: str = ""
    base: str
    head: str
    reason: str = ""
    base_expected: str = ""
    head_expected: str = ""
    base_error: float | None = None
    head_error: float | None = None
    tolerance: float | None = None
    growth: float | None = None

    @property
    def key(self) -> Key:
        """What it is of."""
        return self.kind, self.artifact or self.subject, self.cell


class OperatorChange(Row):
    """A kind of operator that takes more seconds of an inference; *base_s* is None of a new one."""

    kind: str
    base_s: float | None
    head_s: float

    @property
    def added_s(self) -> float:
        """What it adds to an inference."""
        return self.head_s - (self.base_s or 0.0)


class TimeChange(Placed):
    """A time that both sides measured on the same machine.

    *ratio*, *low*, *high*: the time of HEAD over that of BASE with its 95 % interval, of this
    comparison alone. *p*: adjusted for all comparisons of times. *word*: what it allows to say at
    95 % certainty of all such words together. *subject*, *batch*: empty and 0 where it is the mean
    of all inferences of a cell, *count* of them. *artifact*: the subject's id, where people call it
    something else. *again*: it seemed too slow, and these are the
    rounds of a second measurement. *unrepeated*: it seemed too slow, and why it was not measured
    again. *operators*: of an inference on a cell that became slower, where
    its runtime timed them: those that became slower, what adds most first.
    """

    quantity: Quantity
    subject: str = ""
    artifact: str = ""
    batch: int = 0
    count: int = 1
    base_s: float | None = None
    head_s: float | None = None
    rounds: tuple[int, int]
    ratio: float
    low: float
    high: float
    p: float
    word: Literal["slower", "faster", "cannot tell"]
    again: bool = False
    unrepeated: str = ""
    operators: tuple[OperatorChange, ...] = ()


class LostTime(Row):
    """A time that only BASE has, of a cell that ran on the same machine on both sides.

    *machine*: which, where it ran on several.
    """

    cell: str
    machine: str = ""
    quantity: Quantity
    subject: str
    batch: int


class SizeChange(Change):
    """A size in bytes that is another one: of an image, an exported model, or memory.

    *base_job*, *head_job*: in which memory was measured, by their ids.
    """

    quantity: Literal["image", "artifact", "memory"]
    cell: str
    subject: str = ""
    base: int
    head: int
    base_job: str = ""
    head_job: str = ""

    @property
    def ratio(self) -> float:
        """The size of HEAD over that of BASE."""
        return self.head / self.base


class Untimed(Row):
    """Cells whose times are not compared, and why."""

    cells: tuple[str, ...]
    reason: str


class OtherVersion(Row):
    """Cells that ran in another version on each side."""

    cells: tuple[str, ...]
    base: str
    head: str


class Comparison(Row):
    """What changed between two runs: ``compare --json``.

    *failures*: new ones, and consumers that are lost. *changes*: verdicts that are other ones, and
    no new failure. *drifts*: errors that grew under the same verdict. *accepted*: failures of HEAD
    that BASE has too, or has worse. *sizes*: grown or shrunk.
    *unchanged*: how many verdicts are the same. *added*: how many only HEAD has, and are no
    failures. *gone*: how many only BASE has, and did not run, or might fail. *compared*: how many
    both sides have, and ran for. *single*: how many times have one round on a side, which tells
    nothing. *lost_times*: those that only BASE has, such as of what the later preset only checks.
    *other_versions*: of cells that both sides ran. *other_inputs*: own models that the two sides
    served with other inputs; *other_files*: those whose files differ.
    *broken*: a line for everything that breaks a limit of ``--fail-on``.
    """

    schema_version: int = COMPARISON_SCHEMA
    base: Side
    head: Side
    failures: tuple[VerdictChange, ...] = ()
    changes: tuple[VerdictChange, ...] = ()
    drifts: tuple[VerdictChange, ...] = ()
    accepted: tuple[VerdictChange, ...] = ()
    times: tuple[TimeChange, ...] = ()
    sizes: tuple[SizeChange, ...] = ()
    untimed: tuple[Untimed, ...] = ()
    unchanged: int = 0
    added: int = 0
    gone: int = 0
    compared: int = 0
    single: int = 0
    lost_times: tuple[LostTime, ...] = ()
    other_versions: tuple[OtherVersion, ...] = ()
    other_inputs: tuple[str, ...] = ()
    other_files: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()

    @property
    def slower(self) -> list[TimeChange]:
        """What became slower, the most first."""
        slower = [change for change in self.times if change.word == "slower"]
        return sorted(slower, key=lambda change: -change.ratio)

    @property
    def faster(self) -> list[TimeChange]:
        """What became faster, the most first."""
        faster = [change for change in self.times if change.word == "faster"]
        return sorted(faster, key=lambda change: change.ratio)

    @property
    def lacks_times(self) -> bool:
        """Whether two runs have no time that can be compared; accepted verdicts have none ever."""
        return bool(self.base.run) and not self.times

    @property
    def is_void(self) -> bool:
        """Whether nothing could be compared: the sides have no verdict and no time in common.

        A size tells nothing of that: an image has one also where nothing was served.
        """
        return not self.compared and not self.times


def schema() -> str:
    """Return the JSON Schema of ``compare --json``, as published in the repository."""
    return documents.json_schema(Comparison, "deepmatrix comparison", written=True)
