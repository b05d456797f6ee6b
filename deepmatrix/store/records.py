"""The record of one job, versioned JSON: what ran, how it ended, and what the host concluded.

Its part `Output` is what the harness wrote. Its file is ``records/CELL/SUBJECT/rROUND.json``. Raw
samples are kept, so that new statistics can be
applied to old records.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from deepmatrix.boundary.bounds import (
    Cosine,
    Count,
    CutLine,
    Digest,
    FewFixed,
    Growth,
    Id,
    Joules,
    Line,
    Measure,
    Moment,
    Seconds,
    Share,
    TensorName,
)
from deepmatrix.planning.plan import Wave
from deepmatrix.store.parts import Part
from deepmatrix.store.reported.output import AnyPhase, Output
from harness.record import WRONG_INPUTS

#: The name of a record's file, with its round.
ROUND: Final = re.compile(r"r(\d{1,9})\.json")

#: 1: first version.
RECORD_SCHEMA: Final = 1

#: How a job ended. All but the first three are the host's conclusions.
Status = Literal[
    "ok",
    "failed",
    "unsupported",
    "crashed",
    "oom",
    "timeout",
    "process-limit",
    "log-limit",
    "disk-limit",
    "torn",
    "lost",
    "engine-lost",
    "no-device",
    "start-failed",
    "bad-artifact",
    "damaged",  # its record in the run directory cannot be used
]

#: Failures of the engine or of a disk, not of the cell.
UNDONE: frozenset[str] = frozenset({"engine-lost", "no-device", "start-failed", "damaged"})


#: Floats between two values: no dtype has more.
Ulp = Annotated[int, Field(ge=0, le=2**64)]

#: Errors by layer, parameter or probe; None where a value is not finite.
Errors = Annotated[dict[Id, Measure | None], Field(max_length=10_000)]


class Steps(Part):
    """What a quantised output is allowed: *count* steps of *size*; *error*: over gold's scale.

    *real*: what a step stands for, where the output is itself quantised.
    *capped*: these would be more than a part of the output's range, and that part is allowed.
    *allowed_by*: see `deepmatrix.store.parts.Quantised`.
    """

    count: Count
    size: Measure
    real: Measure | None = None
    error: Measure
    capped: bool = False
    allowed_by: Line = ""


class Slices(Part):
    """The slices of an output along one *axis*, as many as the *count*, which are not zero.

    *small*: the largest values of the small ones over the output's scale, in ascending order, each
    of gold or of the answer. *error*, *producer_error*: the largest of a slice over its own scale.
    """

    axis: Count
    count: Count
    small: FewFixed[Measure]
    error: Measure | None = None
    producer_error: Measure | None = None


class Deviation(Part):
    """How far one output is from gold: see `deepmatrix.judging.deviations`.

    *max_abs*: largest absolute difference. *error*: the same over the scale.
    *max_rel*: largest difference over each value's own gold. *ulp*: most floats of the output's
    dtype between a value and its gold. *top1*: top-1 agreement, the share of rows whose largest
    value has the same index as in gold; *flip_margin*: of those where it has not, gold's largest
    value less its value at the answered index, over the scale; the largest counts. *cosine*: of
    vectors, the smallest cosine similarity of a row with its gold. *row*: the first one with the
    largest error, or with an unexpected non-finite value. *dtype*, *producer_error*: of the
    producer's own output. *caution*: why a match proves little. *judged_by*: where gold comes
    from. *rounded*: gold is in the model's own precision. *computed_in*: the least exact float type
    below float32 that it is computed in. *growth*: by what rounding costs more in its sums than in
    short ones. *random*: it is random by design. *steps*: what a quantised output is allowed.
    *unjudged*: it has no gold, and *note* says why. *slices*: where some of them are much smaller
    than others.
    """

    name: TensorName
    error: Measure | None
    max_abs: Measure | None = None
    max_rel: Measure | None = None
    ulp: Ulp | None = None
    top1: Measure | None = None
    flip_margin: Measure | None = None
    cosine: Cosine | None = None
    row: Count | None = None
    note: CutLine = ""
    dtype: Id = ""
    producer_error: Measure | None = None
    caution: Line = ""
    judged_by: Line = ""
    rounded: bool = False
    computed_in: Id = ""
    growth: Growth = 1.0
    random: bool = False
    steps: Steps | None = None
    unjudged: bool = False
    slices: Slices | None = None


class Agreement(Part):
    """How far a consumer's outputs are from gold and from the producer's; the worst counts.

    Errors are largest absolute differences over *scale*: gold's largest absolute value, at least
    `SMALLEST_SCALE` of `harness.record`. They are None where shapes differ or a value is not
    finite; *note* says which. *accuracy*: of the first output, where the artifact has labels.
    """

    error: Measure | None
    producer_error: Measure | None
    from_producer: Measure | None
    scale: Measure
    note: CutLine = ""
    accuracy: Share | None = None
    outputs: FewFixed[Deviation] = ()


class Generated(Part):
    """How tokens that a consumer generated compare with those that are right.

    *output*: the logits' name. *prompt*: its tokens; *steps*: those that follow. *equal*: so many
    are right before the first other one, *token* in place of *expected*. There *runner_up* came
    second; *margin*: how far its logit is below, over the largest. *repeatable*: each time the
    tokens were the same. *note*: why nothing can be compared.
    """

    output: TensorName
    prompt: Count
    steps: Count
    equal: Count = 0
    token: Count | None = None
    expected: Count | None = None
    runner_up: Count | None = None
    margin: Measure | None = None
    repeatable: bool = True
    note: CutLine = ""


class Parity(Part):
    """A framework's first step against gold: errors in the network's order.

    Largest absolute difference over largest absolute gold value, of an output or of a gradient's
    row; None where a value is not finite. See `deepmatrix.judging.parity`.
    """

    outputs: Errors
    gradients: Errors


class JobRecord(Part):
    """One job: what ran, how it ended, what it reported."""

    schema_version: Literal[1] = RECORD_SCHEMA
    run: Id
    job: Id
    wave: Wave
    cell: Id
    subject: Id
    workload: Id
    round: int = Field(ge=0, le=1_000_000)
    engine: Id
    emulated: bool
    status: Status
    cause: CutLine = ""
    wall_s: Seconds
    #: When the engine was asked to start the process, seconds since 1970.
    started_at: Moment | None = None
    #: Peak memory of the whole process tree, where the engine samples it.
    tree_bytes: Count | None = None
    #: What was around the process: ``container``, ``bubblewrap`` or ``none``.
    containment: Line = ""
    #: Energy of the processors while it ran, the host's part included; None if unreadable, and
    #: where its time does not count: others ran beside it.
    energy_j: Joules | None = None
    output: Output | None = None
    #: How it had failed in a process that served others before; this record is of it alone.
    after_others: CutLine = ""
    #: It failed in a process of several, and has to be run alone before that counts.
    unconfirmed: bool = False
    agreement: Agreement | None = None
    #: Of a consumer of a model that generates.
    generated: Generated | None = None
    parity: Parity | None = None
    #: The error of the idiom's logits from gold, as in `Agreement`.
    idiom: Measure | None = None
    #: The error of each probe that gave a result, by its name.
    probes: Errors | None = None
    #: By artifact that the job stored, what its files hash to: see `deepmatrix.store.artifacts`.
    artifacts: dict[Id, Digest] = Field(default_factory=dict, max_length=1000)
    #: By part of what made it, what that hashes to; see `deepmatrix.execution.reuse.provenance`.
    provenance: dict[Id, Id] = Field(default_factory=dict, max_length=1000)
    #: The process that made it, as no other is called; and the machine on which that ran, whose
    #: facts are in ``engines/``: 12 hex digits. Records of earlier versions have neither.
    attempt: Id = ""
    machine: Id = ""
    #: The run that measured it, where this one took it over.
    reused: Id = ""
    #: Why it was not taken over from the run that this one reuses.
    anew: CutLine = ""

    @property
    def key(self) -> tuple[str, str, int]:
        """What identifies the record in a merge."""
        return (self.cell, self.subject, self.round)

    @property
    def is_repeatable(self) -> bool:
        """Whether a repetition would tell the same: the harness ended as it should."""
        is_told = self.status in ("ok", "failed", "unsupported") and self.output is not None
        return is_told and not self.unconfirmed

    @property
    def is_final(self) -> bool:
        """Whether it counts: ``--resume`` runs the others again."""
        return self.status not in UNDONE and not self.unconfirmed

    @property
    def is_doubtful(self) -> bool:
        """Whether it may have failed because of what its process had served before."""
        return self.status not in ("ok", "unsupported")

    def confirming(self, earlier: JobRecord) -> JobRecord:
        """Return this record of a job alone, saying how it had failed beside or after others."""
        after_others = "" if earlier.start_failed else f"{earlier.status}: {earlier.cause}"
        return self.changed(after_others=after_others, unconfirmed=False)

    def completed(self, earlier: JobRecord) -> JobRecord:
        """Return this record of a retry, with what was not done again of its *earlier* one.

        Where the retry failed, it stands alone.
        """
        if self.status != "ok" or self.output is None or earlier.output is None:
            return self
        output = self.output.completed(earlier.output)
        if output == self.output:
            return self
        return self.changed(
            output=output,
            tree_bytes=max(filter(None, (self.tree_bytes, earlier.tree_bytes)), default=None),
            parity=earlier.parity,
            idiom=earlier.idiom,
            probes=earlier.probes,
            artifacts=earlier.artifacts,
            provenance=earlier.provenance,
        )

    @property
    def start_failed(self) -> bool:
        """Whether its process could serve no job: so far none has had a part in that."""
        return self.output is not None and self.output.start_failed

    @property
    def failure(self) -> AnyPhase | None:
        """The phase that the status and the cause come from, where they come from one."""
        if self.output is None or self.status not in ("failed", "unsupported"):
            return None
        return self.output.failure()

    @property
    def model_problem(self) -> str:
        """What is wrong with the user's own model that the job inspected, for the user."""
        error = self.failure.error if self.failure else None
        return error.line if error else self.cause or self.status

    @property
    def has_wrong_inputs(self) -> bool:
        """Whether a user's own model was refused for the inputs that came with it."""
        return self.error_type == WRONG_INPUTS

    @property
    def failed_phase(self) -> str:
        """The name of the phase that failed, or nothing."""
        return self.failure.phase if self.failure else ""

    @property
    def error_message(self) -> str:
        """The first line of that exception's message, or nothing."""
        return self.failure.error.message_line if self.failure and self.failure.error else ""

    @property
    def error_type(self) -> str:
        """The type of the exception that ended that phase, or nothing."""
        return self.failure.error.type if self.failure and self.failure.error else ""


def cells_with_records(path: Path) -> list[str]:
    """Return the cells that a run directory has records of, in order."""
    return [Path(folder).name for folder in _folders(path / "records")]


def record_files(path: Path, cell: str, subject: str = "") -> Iterator[str]:
    """Yield the record files of one cell of a run directory, or of one subject there, in order.

    Names, not paths: making 100,000 `Path` takes as long as reading the files.
    """
    root = path / "records" / cell
    subjects = [str(root / subject)] if subject else _folders(root)
    for folder in subjects:
        try:
            names = os.listdir(folder)
        except (FileNotFoundError, NotADirectoryError):
            continue
        rounds = filter(None, map(ROUND.fullmatch, names))
        for match in sorted(rounds, key=lambda match: int(match[1])):
            yield f"{folder}/{match[0]}"


def _folders(path: Path) -> list[str]:
    """Return the folders in a folder in order; none without it."""
    if not path.is_dir():
        return []
    return sorted(entry.path for entry in os.scandir(path) if entry.is_dir())


def record_path(cell: str, subject: str, number: int = 0) -> str:
    """Return where a run has the record of a job in a round."""
    return f"records/{cell}/{subject}/r{number}.json"


def log_path(cell: str, subject: str, number: int = 0) -> str:
    """Return where a run has the log of a job in a round."""
    return f"logs/{cell}--{subject}--r{number}.log"


def image_path(cell: str) -> str:
    """Return where a run has the image or environment of a cell, and what it cost to make."""
    return f"builds/{cell}.json"


def paths_of_job(cell: str, job: str) -> dict[str, str]:
    """Return where a run has the ``record`` and the ``log`` of a cell's job, by its id."""
    subject, _, number = job.removeprefix(f"{cell}--").rpartition("--r")
    if not number.isdecimal():
        return {}
    return {
        "record": record_path(cell, subject, int(number)),
        "log": log_path(cell, subject, int(number)),
    }


def place_of(path: str | Path) -> tuple[str, str, str]:
    """Return the cell, the subject and the name of a record's file."""
    *_, cell, subject, name = str(path).replace(os.sep, "/").split("/")
    return cell, subject, name
