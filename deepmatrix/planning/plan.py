"""A plan: the jobs and artifacts of a run, and all that follows from its cells and workloads."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product, starmap
from typing import Annotated, Literal

from pydantic import AliasChoices, Field

from deepmatrix.boundary.bounds import path_text
from deepmatrix.config.sections import Infer
from deepmatrix.planning.cells import Cell, Skipped
from deepmatrix.planning.subjects import Artifact, Import, Kept, Refused, SampleRequest
from harness import record
from harness.formats import FORMATS

#: The largest seed that every generator of random numbers takes.
LARGEST_SEED = 2**32 - 1

#: A seed of random orders and weights, rounds of a measurement, retries of a noisy job.
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Rounds = Annotated[int, Field(ge=1, le=1000)]
Retries = Annotated[int, Field(ge=0, le=100)]

#: How often a job is retried that a busy machine slowed down.
RETRIES = 2

#: Jobs of a plan, and artifacts: a day has 86,400 seconds, and few jobs take less than one.
LARGEST_PLAN = 200_000

Wave = Literal["produce", "consume"]

WAVES: tuple[Wave, ...] = ("produce", "consume")

#: The phases of a consumer. Those of a producer are the preset's, in the harness's order.
CONSUMING = (record.STARTUP, record.INFER)

#: Phases with the same outcome in every round: only the first round has them.
ONCE = frozenset({record.PARITY, record.IDIOM, record.PROBE, record.DEPLOY})

#: Phases of a producer whose times are results; nothing else may run beside them.
TIMED = frozenset({record.STARTUP, record.PASSES, record.STEPS, record.TRAIN, record.INFER})


@dataclass(frozen=True, kw_only=True)
class Job:
    """One process: a cell and its subject (a workload, or an artifact to consume) in a round."""

    wave: Wave
    cell: str
    subject: str
    round: int
    phases: tuple[str, ...]
    artifact: Artifact | None = None

    @property
    def id(self) -> str:
        """Unique within a run; the path of its record."""
        return f"{self.cell}--{self.subject}--r{self.round}"

    @property
    def workload(self) -> str:
        """Id of the workload, whichever the wave."""
        return self.artifact.workload if self.artifact else self.subject

    @property
    def timed_part(self) -> Job:
        """What of the job is timed: a machine that was slow has changed nothing else."""
        return replace(self, phases=tuple(name for name in self.phases if name not in ONCE))


def first_consumption(cell: str, artifact: Artifact) -> Job:
    """Return the job in which a cell serves an artifact in the first round."""
    return Job(
        wave="consume",
        cell=cell,
        subject=artifact.id,
        round=0,
        phases=CONSUMING,
        artifact=artifact,
    )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The cells that run, those that do not, and everything that follows from them."""

    preset: str
    seed: Seed
    cells: tuple[Cell, ...]
    skipped: tuple[Skipped, ...]
    emulated: frozenset[str]
    workloads: tuple[str, ...]
    rounds_native: Rounds
    rounds_emulated: Rounds
    phases: tuple[str, ...]
    cold: bool
    infer: Infer
    retries: Retries = RETRIES
    #: So many steps an emulated cell trains; None: all.
    steps_emulated: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    imports: tuple[Import, ...] = ()
    #: What the user named too, and nothing can be done with.
    refused: tuple[Refused, ...] = ()
    #: Each job has a process of its own.
    isolate: bool = False
    same: bool = False
    #: The first import is what the others were quantised from: it gives inputs, and is not served.
    original: bool = False
    #: Pairs of a framework and a workload: the framework has an idiom of the workload's network.
    idioms: frozenset[tuple[str, str]] = frozenset()
    #: The cells whose framework has probes.
    probed: frozenset[str] = frozenset()
    #: The workloads whose network generates: it is also exported with past.
    generating: frozenset[str] = frozenset()
    #: The cells, which are evaluators, and workloads that are only checked: their times do not
    #: count. Plans of earlier versions timed both, or had other names for these.
    checked_cells: Annotated[
        frozenset[str], Field(validation_alias=AliasChoices("checked_cells", "untimed"))
    ] = frozenset()
    checked_workloads: Annotated[
        frozenset[str], Field(validation_alias=AliasChoices("checked_workloads", "checked"))
    ] = frozenset()
    #: The cells with a number of threads of their own. In plans of earlier versions they ran all.
    timed_only: frozenset[str] = frozenset()
    #: Artifacts of earlier runs; the cells that serve them run from what they ran from there.
    kept: tuple[Kept, ...] = ()
    #: Artifacts are served all held-out data, so that each consumer has an accuracy.
    held_out: bool = False
    #: Two versions, or two earlier runs, are served side by side to be compared.
    compares: bool = False

    def with_sample_request(self, request: SampleRequest) -> Plan:
        """Return this plan, with what a user requests of the sample inputs of all own models."""
        imports = tuple(replace(model, sample_request=request) for model in self.imports)
        return replace(self, imports=imports)

    @property
    def command(self) -> str:
        """The command that makes such a plan, and resumes its run."""
        if self.compares:
            return "compare"
        if self.imports or self.refused:
            return "verify"
        return "matrix" if self.phases else "conformance"

    def with_sources(self, sources: Mapping[str, str]) -> Plan:
        """Return this plan with the paths that the user gave for the models, by their names."""
        imports = tuple(
            replace(model, source=path_text(sources[model.name])) for model in self.imports
        )
        return replace(self, imports=imports)

    def rounds(self, cell: Cell) -> int:
        """Return the number of rounds in which this cell runs what is timed.

        Rounds are for times, and an evaluator's do not count.
        """
        is_checked = cell.id in self.emulated or cell.id in self.checked_cells
        return self._rounds(is_checked=is_checked)

    def _rounds(self, *, is_checked: bool) -> int:
        return self.rounds_emulated if is_checked else self.rounds_native

    def training_rounds(self, cell: Cell, workload: str) -> int:
        """Return the number of rounds in which a framework trains a workload."""
        return self._rounds_in(cell, is_checked=self._is_checked(cell.id, workload))

    def _rounds_in(self, cell: Cell, *, is_checked: bool) -> int:
        """Return the number of rounds in which a cell runs what is only checked, or what is not."""
        if is_checked and cell.id in self.timed_only:
            return 0
        return min(self.rounds(cell), self._rounds(is_checked=is_checked))

    def _is_checked(self, producer: str, workload: str) -> bool:
        """Return whether a producer's model of a workload is only checked, in any cell."""
        return producer in self.emulated or workload in self.checked_workloads

    @cached_property
    def _evaluators(self) -> frozenset[str]:
        return frozenset(cell.id for cell in self.cells if cell.is_evaluator)

    def rounds_of(self, artifact: Artifact, consumer: Cell) -> int:
        """Return the number of rounds in which a consumer serves an artifact.

        An artifact of an emulated producer is served in no more rounds than its producer had: it
        is served for its verdict, and the times of the native artifact count.
        """
        is_checked = self._is_checked(artifact.producer, artifact.workload)
        return self._rounds_in(consumer, is_checked=is_checked)

    def steps(self, cell: str, count: int) -> int:
        """Return how many of a workload's *count* steps a cell trains."""
        if cell not in self.emulated or self.steps_emulated is None:
            return count
        return min(count, self.steps_emulated)

    def is_timed(self, job: Job) -> bool:
        """Return whether the times of a job count; all others are only checked.

        Those of emulated cells do not, nor of what such a cell produced, nor of a standard's
        evaluator, nor of a workload that is only checked.
        """
        if self._is_checked(job.cell, job.workload):
            return False
        if job.artifact is None:
            return not TIMED.isdisjoint(job.phases)
        if job.cell in (self._evaluators if job.artifact.imported else self.checked_cells):
            return False
        return job.artifact.producer not in self.emulated

    def is_isolated(self, job: Job) -> bool:
        """Return whether a job has a process of its own.

        The start of a timed training is measured for each workload. A model is inspected apart
        from the others. A user's model that is a program could change what others answer.
        """
        takes_one = any(cell.id == job.cell and not cell.serves_sessions for cell in self.cells)
        is_training = job.artifact is None and self.is_timed(job)
        artifact = job.artifact
        is_program = bool(artifact and artifact.imported and FORMATS[artifact.format].program)
        return any((self.isolate, takes_one, is_training, is_program, record.INSPECT in job.phases))

    def lot(self, name: str) -> float:
        """Return a number that is drawn for a name: of several, the one with the smallest opens."""
        return random.Random(f"{self.seed}/{name}").random()

    def is_cold(self, job: Job, cell: Cell) -> bool:
        """Return whether a job starts from a cold file cache: the first of several rounds."""
        return self.cold and self.is_timed(job) and job.round == 0 and self.rounds(cell) > 1

    @property
    def served(self) -> tuple[Import, ...]:
        """The users' own models that are served and judged."""
        return self.imports[1:] if self.original else self.imports

    def follows(self, model: Import) -> bool:
        """Return whether the outputs of the first model are right for this one too."""
        return self.same and model != self.imports[0]

    def producers(self) -> list[Cell]:
        """Return the cells of the first wave."""
        return [cell for cell in self.cells if cell.role == "framework"]

    def trainings(self) -> Iterator[tuple[Cell, str]]:
        """Yield each framework's cell with each workload that it trains."""
        for cell, workload in product(self.producers(), self.workloads):
            if self.training_rounds(cell, workload):
                yield cell, workload

    def consumers(self, format: str) -> list[Cell]:
        """Return the cells that read a format."""
        return [cell for cell in self.cells if cell.can_read(format)]

    def formats(self, cell: Cell, workload: str) -> tuple[str, ...]:
        """Return the formats that a cell exports a workload to."""
        return cell.exports_of(generates=workload in self.generating)

    def consumers_of(self, artifact: Artifact) -> list[Cell]:
        """Return the cells that serve an artifact: those that read it, or that it is kept for."""
        if kept := self.kept_as(artifact.id):
            return [self._by_id[name] for name in kept.consumers if name in self._by_id]
        readers = self.consumers(artifact.format)
        return [cell for cell in readers if self.rounds_of(artifact, cell)]

    def kept_as(self, artifact: str) -> Kept | None:
        """Return an artifact, given by its id, that an earlier run produced; None of others."""
        return self._kept.get(artifact)

    @cached_property
    def _by_id(self) -> Mapping[str, Cell]:
        return {cell.id: cell for cell in self.cells}

    @cached_property
    def _kept(self) -> Mapping[str, Kept]:
        return {kept.artifact.id: kept for kept in self.kept}

    def artifacts(self) -> Iterator[Artifact]:
        """Yield every artifact that is kept, or that the first wave will produce."""
        yield from (kept.artifact for kept in self.kept)
        yield from (imported.artifact for imported in self.served)
        if record.DEPLOY not in self.phases:
            return
        for cell, workload in self.trainings():
            for format in self.formats(cell, workload):
                yield Artifact(producer=cell.id, workload=workload, format=format)

    def artifact_counts(self) -> Counter[tuple[str, bool]]:
        """Count the artifacts by format, and by whether they are only checked."""
        counts = Counter(
            (model.format, self._is_checked(model.cell, model.name)) for model in self.served
        )
        if record.DEPLOY in self.phases:
            for cell, workload in self.trainings():
                is_checked = self._is_checked(cell.id, workload)
                counts.update((name, is_checked) for name in self.formats(cell, workload))
        return counts

    def exports(self, job: Job) -> Iterator[Artifact]:
        """Yield the artifacts that a job has to give."""
        if not {record.DEPLOY, record.INSPECT}.isdisjoint(job.phases):
            for artifact in self.artifacts():
                if (artifact.producer, artifact.workload) == (job.cell, job.subject):
                    yield artifact

    def size(self, wave: Wave) -> int:
        """Return how many jobs a wave has, without making them."""
        if wave == "produce":
            return len(self.imports) + sum(starmap(self.training_rounds, self.trainings()))
        kept = sum(
            self.rounds_of(kept.artifact, cell)
            for kept in self.kept
            for cell in self.consumers_of(kept.artifact)
        )
        return kept + sum(
            count * sum(self._rounds_in(cell, is_checked=is_checked) for cell in consumers)
            for (format, is_checked), count in self.artifact_counts().items()
            if (consumers := self.consumers(format))
        )

    @property
    def oversize(self) -> str:
        """What there is too much of to be run or reported, or nothing."""
        artifacts = self.artifact_counts().total() + len(self.kept)
        for count, name in ((sum(map(self.size, WAVES)), "jobs"), (artifacts, "artifacts")):
            if count > LARGEST_PLAN:
                return f"it has {count:,} {name}, more than {LARGEST_PLAN:,}"
        return ""

    def jobs(self, wave: Wave) -> Iterator[Job]:
        """Yield a wave's jobs, round by round, cells interleaved in a seeded random order.

        So a drift of the machine affects all cells alike. The same seed gives the same order.
        """
        round_count = max((self.rounds(cell) for cell in self.cells), default=0)
        for round in range(round_count):
            jobs = list(self._jobs_of_round(wave, round))
            random.Random(f"{self.seed}/{wave}/{round}").shuffle(jobs)
            if wave == "produce" and self.imports:
                # In their order: the first may give its inputs to the others.
                places = {model.name: place for place, model in enumerate(self.imports)}
                jobs.sort(key=lambda job: places[job.subject])
            elif self.imports:  # the user waits for the native verdicts
                jobs.sort(key=lambda job: job.cell in self.emulated)
            yield from jobs

    def _phases(self, cell: Cell, workload: str, round: int) -> Iterator[str]:
        for phase in self.phases:
            if phase in ONCE and round > 0:
                continue
            if phase == record.IDIOM and (cell.name, workload) not in self.idioms:
                continue
            if phase == record.PROBE and cell.id not in self.probed:
                continue
            yield phase

    def _jobs_of_round(self, wave: Wave, round: int) -> Iterator[Job]:
        return self._producing(round) if wave == "produce" else self._consuming(round)

    def _producing(self, round: int) -> Iterator[Job]:
        for imported in self.imports if round == 0 else ():
            yield Job(
                wave="produce",
                cell=imported.cell,
                subject=imported.name,
                round=0,
                phases=(record.INSPECT,),
            )
        for cell, workload in self.trainings():
            if round < self.training_rounds(cell, workload):
                yield Job(
                    wave="produce",
                    cell=cell.id,
                    subject=workload,
                    round=round,
                    phases=tuple(self._phases(cell, workload, round)),
                )

    def _consuming(self, round: int) -> Iterator[Job]:
        consumers: dict[object, list[Cell]] = {}
        for artifact in self.artifacts():
            is_checked = self._is_checked(artifact.producer, artifact.workload)
            group = artifact.id if self.kept_as(artifact.id) else (artifact.format, is_checked)
            if group not in consumers:
                consumers[group] = self.consumers_of(artifact)
            for cell in consumers[group]:
                if round < self.rounds_of(artifact, cell):
                    yield Job(
                        wave="consume",
                        cell=cell.id,
                        subject=artifact.id,
                        round=round,
                        phases=CONSUMING,
                        artifact=artifact,
                    )
