"""Planning: which cells run, in which waves and rounds, and why the others do not.

Pure: reads no file, asks no engine. What an engine can do comes in as `Capabilities`.
"""

from __future__ import annotations

import difflib
import fnmatch
import itertools
import random
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Literal

from deepmatrix.config.documents import did_you_mean
from deepmatrix.config.matrix_file import Infer, Matrix, Precision, Preset
from deepmatrix.errors import ArgumentError
from harness import record

Wave = Literal["produce", "consume"]
Role = Literal["framework", "runtime"]

WAVES: tuple[Wave, ...] = ("produce", "consume")

#: What a consumer does; what a producer does is the preset's, in the harness's order.
CONSUMING = (record.STARTUP, record.INFER)

#: What gives the same in every round, and is done in the first.
ONCE = frozenset({record.PARITY, record.IDIOM, record.PROBE, record.DEPLOY})


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One framework or runtime at one pinned version set on one platform: one image."""

    name: str
    role: Role
    family: str
    adapter: str | None
    base: str
    python: str
    architecture: str
    device: str
    command: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict, hash=False)
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)
    pins: str | None = None
    precision: Precision = "float32"
    language: str = "Python"
    patience: float = 1.0
    exports: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset()

    @property
    def platform(self) -> str:
        """Base, architecture and device: ``debian12-amd64-cpu``."""
        return f"{self.base}-{self.architecture}-{self.device}"

    @property
    def id(self) -> str:
        """The one currency: selection, image tag, folder, record and CI job carry it."""
        return f"{self.name}-{self.platform}"

    @property
    def pinned(self) -> str:
        """The cell whose pins it has: its own id, but for a variant of another system."""
        return f"{self.pins or self.name}-{self.platform}"


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What an engine can run, as data.

    ``pythons`` is None where the engine brings its own interpreters (containers); ``lacking``
    says, by base, what would bring one that cannot be made.
    """

    engine: str
    native: frozenset[str]
    emulated: frozenset[str] = frozenset()
    devices: frozenset[str] = frozenset({"cpu"})
    pythons: frozenset[str] | None = None
    lacking: Mapping[str, str] = field(default_factory=dict, hash=False)
    cpus: int = 1
    memory_bytes: int = 0

    def refusal(self, cell: Cell) -> str | None:
        """Return why this engine cannot run a cell, or None."""
        if cell.command and self.engine != "docker":
            return f"the {self.engine} engine runs only what is Python"
        if cell.architecture not in self.native | self.emulated:
            if self.engine == "docker":
                return f"no {cell.architecture} emulation where this engine runs"
            return f"the {self.engine} engine runs only its own architecture"
        if cell.device not in self.devices:
            if self.engine == "docker" and cell.device == "cuda":
                return "the engine has no NVIDIA runtime"
            return f"the {self.engine} engine has no {cell.device}"
        if self.pythons is not None and cell.python not in self.pythons:
            return f"no Python {cell.python} on this machine"
        return self.lacking.get(cell.base)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What the user asked for: a preset narrowed, or widened, by globs on cell ids and tags."""

    preset: str = "default"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A selected cell that will not run, and why."""

    cell: Cell
    reason: str


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """An exported model that a planned cell will produce."""

    producer: str
    workload: str
    format: str

    @property
    def id(self) -> str:
        """Name of its folder in a run, and the subject of the jobs that consume it."""
        return f"{self.producer}--{self.workload}--{self.format}"


@dataclass(frozen=True, kw_only=True)
class Import:
    """A person's own model: its files are below the run's ``models/NAME``, *file* is the first.

    *cell* looks into it, makes inputs where none were given, and gold where it can.
    """

    name: str
    format: str
    file: str
    cell: str

    @property
    def artifact(self) -> Artifact:
        """What the consumers serve."""
        return Artifact(producer=self.cell, workload=self.name, format=self.format)


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


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The cells that run, those that do not, and everything that follows from them."""

    preset: str
    seed: int
    cells: tuple[Cell, ...]
    skipped: tuple[Skipped, ...]
    emulated: frozenset[str]
    workloads: tuple[str, ...]
    rounds_native: int
    rounds_emulated: int
    phases: tuple[str, ...]
    cold: bool
    infer: Infer
    imports: tuple[Import, ...] = ()
    same: bool = False
    #: The frameworks and workloads of whose network an idiom is written.
    idioms: frozenset[tuple[str, str]] = frozenset()

    def rounds(self, cell: Cell) -> int:
        """Return how many fresh processes repeat this cell's phases."""
        return self.rounds_emulated if cell.id in self.emulated else self.rounds_native

    def rounds_of(self, artifact: Artifact, consumer: Cell) -> int:
        """Return how many fresh processes of a consumer serve an artifact.

        What was exported under emulation is like what was exported natively: it is served to be
        judged, and timed no more often than it was made.
        """
        made = self.rounds_emulated if artifact.producer in self.emulated else self.rounds_native
        return min(made, self.rounds(consumer))

    def is_cold(self, job: Job, cell: Cell) -> bool:
        """Return whether a job starts from a cold file cache: the first of several rounds."""
        return self.cold and job.round == 0 and self.rounds(cell) > 1

    def producers(self) -> list[Cell]:
        """Return the cells of the first wave."""
        return [cell for cell in self.cells if cell.role == "framework"]

    def consumers(self, format: str) -> list[Cell]:
        """Return the cells that read a format."""
        return [cell for cell in self.cells if format in cell.reads]

    def artifacts(self) -> Iterator[Artifact]:
        """Yield every artifact that the first wave will produce."""
        yield from (one.artifact for one in self.imports)
        if record.DEPLOY not in self.phases:
            return
        for cell, workload in itertools.product(self.producers(), self.workloads):
            for format in cell.exports:
                yield Artifact(producer=cell.id, workload=workload, format=format)

    def size(self, wave: Wave) -> int:
        """Return how many jobs a wave has, without making them."""
        if wave == "produce":
            trained = sum(self.rounds(cell) for cell in self.producers())
            return len(self.workloads) * trained + len(self.imports)
        imported = sum(
            self.rounds_of(one.artifact, cell)
            for one in self.imports
            for cell in self.consumers(one.format)
        )
        if record.DEPLOY not in self.phases:
            return imported
        made = Counter(
            (format, cell.id in self.emulated)
            for cell in self.producers()
            for format in cell.exports
        )
        most = {False: self.rounds_native, True: self.rounds_emulated}
        return imported + len(self.workloads) * sum(
            count * sum(min(most[emulated], self.rounds(cell)) for cell in self.consumers(format))
            for (format, emulated), count in made.items()
        )

    def jobs(self, wave: Wave) -> Iterator[Job]:
        """Yield a wave's jobs, round by round, cells interleaved in a seeded random order.

        A drift of the machine so touches all cells alike, and the same seed gives the same order.
        """
        last = max((self.rounds(cell) for cell in self.cells), default=0)
        for round in range(last):
            jobs = list(self._round(wave, round))
            random.Random(f"{self.seed}/{wave}/{round}").shuffle(jobs)
            if wave == "produce" and self.imports:  # in their order: the first may be the others'
                names = [one.name for one in self.imports]
                jobs.sort(key=lambda job: names.index(job.subject))
            yield from jobs

    def _phases(self, cell: Cell, workload: str, round: int) -> Iterator[str]:
        for phase in self.phases:
            if phase in ONCE and round > 0:
                continue
            if phase != record.IDIOM or (cell.name, workload) in self.idioms:
                yield phase

    def _round(self, wave: Wave, round: int) -> Iterator[Job]:
        if wave == "produce":
            for one in self.imports if round == 0 else ():
                yield Job(
                    wave=wave, cell=one.cell, subject=one.name, round=0, phases=(record.INSPECT,)
                )
            for cell, workload in itertools.product(self.producers(), self.workloads):
                if round < self.rounds(cell):
                    phases = tuple(self._phases(cell, workload, round))
                    yield Job(wave=wave, cell=cell.id, subject=workload, round=round, phases=phases)
            return
        readers: dict[str, list[Cell]] = {}
        for artifact in self.artifacts():
            if artifact.format not in readers:
                readers[artifact.format] = self.consumers(artifact.format)
            for cell in readers[artifact.format]:
                if round < self.rounds_of(artifact, cell):
                    yield Job(
                        wave=wave,
                        cell=cell.id,
                        subject=artifact.id,
                        round=round,
                        phases=CONSUMING,
                        artifact=artifact,
                    )


def make(
    matrix: Matrix,
    selection: Selection,
    capabilities: Capabilities,
    *,
    seed: int,
    idioms: Collection[tuple[str, str]] = (),
) -> Plan:
    """Plan a run. *idioms* are those that are written, by network and framework.

    A cell runs when the preset selects it (or, where globs are given, when a glob does, inside
    the preset or not), no ``--exclude`` drops it, all tags fit, no exclusion of the matrix file
    forbids it, and the engine can run it. Those that the last two stop are kept with the reason.

    Raises:
        ArgumentError: a preset, glob or tag that matches nothing.
    """
    preset = _preset(matrix, selection.preset)
    cells, skipped = [], []
    for cell in _select(matrix, selection, preset):
        reason = matrix.exclusion(cell.id) or capabilities.refusal(cell) or _idle(cell, preset)
        if reason is None:
            cells.append(cell)
        else:
            skipped.append(Skipped(cell=cell, reason=reason))
    return Plan(
        preset=selection.preset,
        seed=seed,
        cells=tuple(cells),
        skipped=tuple(skipped),
        emulated=frozenset(
            cell.id for cell in cells if cell.architecture not in capabilities.native
        ),
        workloads=preset.workloads,
        rounds_native=preset.rounds.native,
        rounds_emulated=preset.rounds.emulated,
        phases=tuple(phase for phase in record.PHASES if phase in preset.phases),
        cold=preset.cold,
        infer=preset.infer,
        idioms=frozenset(
            (framework, workload)
            for workload in preset.workloads
            for network, framework in idioms
            if network == matrix.workloads[workload].network
        ),
    )


def of_models(
    matrix: Matrix,
    models: Sequence[tuple[str, str, str]],
    selection: Selection,
    capabilities: Capabilities,
    *,
    seed: int,
    infer: Infer,
    same: bool = False,
) -> Plan:
    """Plan the verification of models, each a name, a format and its main file.

    With *same* they are one model in several formats: the first gives inputs and gold to all.
    All cells that read one of their formats serve them; a model is looked into by the first
    native cell of these that can, see INSPECTORS.

    Raises:
        ArgumentError: as `make`; or no cell can look into a model, or none serve it.
    """
    formats = {form for _, form, _ in models}
    cells, skipped = _readers(matrix, formats, selection, capabilities)
    emulated = frozenset(cell.id for cell in cells if cell.architecture not in capabilities.native)
    looking = {form: inspector(matrix, form, capabilities) for form in sorted(formats)}
    _check_served(models, cells, skipped)
    chosen = {cell.id for cell in cells}
    # One that was not chosen looks, and serves nothing.
    cells += [replace(cell, reads=()) for cell in looking.values() if cell.id not in chosen]
    return Plan(
        preset=selection.preset,
        seed=seed,
        cells=tuple(cells),
        skipped=skipped,
        emulated=emulated,
        workloads=(),
        rounds_native=1,  # a person waits: the samples of one process are enough
        rounds_emulated=1,
        phases=(),
        cold=False,
        infer=infer,
        same=same,
        imports=tuple(
            Import(name=name, format=form, file=file, cell=looking[form].id)
            for name, form, file in models
        ),
    )


def _check_served(
    models: Sequence[tuple[str, str, str]], cells: Sequence[Cell], skipped: Sequence[Skipped]
) -> None:
    """Raise ArgumentError for the models that none of the chosen cells read."""
    left = [(name, form) for name, form, _ in models if all(form not in one.reads for one in cells)]
    if left:
        forms = {form for _, form in left}
        reasons = [
            f"{one.cell.id}: {one.reason}"
            for one in skipped
            if not forms.isdisjoint(one.cell.reads)
        ]
        raise ArgumentError(
            "\n".join(
                f"{name}: no cell that is chosen, and can run here, reads {form}"
                for name, form in left
            ),
            hint="\n".join(reasons) or "try a wider --only, or drop an --exclude",
        )


def of_suite(matrix: Matrix, form: str, selection: Selection, capabilities: Capabilities) -> Plan:
    """Plan the tests of a format's standard: nothing is produced, and nothing timed.

    They are tried by adapters of the harness: a runner in another language starts anew for every
    model. Where no glob names a cell, emulated ones are left out. The first cell is the judge.

    Raises:
        ArgumentError: as `make`; or no cell can make the tests, or none try them.
    """
    cells, skipped = _readers(matrix, {form}, selection, capabilities)
    able = [
        cell
        for cell in cells
        if cell.adapter and (selection.include or cell.architecture in capabilities.native)
    ]
    if not able:
        raise ArgumentError(
            f"no cell that is left tries the tests of {form}",
            hint="it needs a runtime with a Python adapter; emulated ones are named by a glob",
        )
    return Plan(
        preset=selection.preset,
        seed=0,
        cells=(replace(inspector(matrix, form, capabilities), reads=()), *able),
        skipped=skipped,
        emulated=frozenset(
            cell.id for cell in able if cell.architecture not in capabilities.native
        ),
        workloads=(),
        rounds_native=1,
        rounds_emulated=1,
        phases=(),
        cold=False,
        infer=Infer(batches=(1,), samples=1, min_s=0.0, warmup=0),
    )


def _readers(
    matrix: Matrix, formats: Set[str], selection: Selection, capabilities: Capabilities
) -> tuple[list[Cell], tuple[Skipped, ...]]:
    """Return the selected cells that read one of some formats, and those that cannot be."""
    cells, skipped = [], []
    for cell in _select(matrix, selection, _preset(matrix, selection.preset)):
        if formats.isdisjoint(cell.reads):
            continue
        reason = matrix.exclusion(cell.id) or capabilities.refusal(cell)
        if reason is None:
            cells.append(cell)
        else:
            skipped.append(Skipped(cell=cell, reason=reason))
    return cells, tuple(skipped)


#: What looks into a model of a format.
INSPECTORS = {
    "onnx": "onnx",
    "tflite": "litert",
    "saved-model": "tensorflow",
    "torchscript": "torch",
}


def inspector(matrix: Matrix, form: str, capabilities: Capabilities) -> Cell:
    """Return the native cell that looks into models of a format.

    Raises ArgumentError where there is none.
    """
    name = INSPECTORS.get(form)
    for cell in all_cells(matrix):
        able = not (matrix.exclusion(cell.id) or capabilities.refusal(cell))
        if cell.name == name and cell.architecture in capabilities.native and able:
            return cell
    raise ArgumentError(
        f"nothing here can look into a model of the format {form}",
        hint=f"formats that can be verified: {', '.join(INSPECTORS)}",
    )


def _idle(cell: Cell, preset: Preset) -> str | None:
    """Return why a preset leaves a cell nothing to do, or None."""
    if cell.role == "runtime" and record.DEPLOY not in preset.phases:
        return "this preset exports nothing that it could serve"
    return None


def all_cells(matrix: Matrix) -> Iterator[Cell]:
    """Yield every cell that the matrix file can write down, excluded ones included."""
    systems = matrix.systems()
    for name, base, architecture, device in matrix.cells():
        system = systems[name]
        role: Role = "framework" if name in matrix.frameworks else "runtime"
        yield Cell(
            name=name,
            role=role,
            family=system.family,
            adapter=system.adapter,
            command=system.command,
            options=system.options,
            environment=system.environment,
            pins=system.pins,
            precision=system.precision,
            language=system.language,
            patience=system.patience,
            base=base,
            python=matrix.bases[base].python,
            architecture=architecture,
            device=device,
            exports=getattr(system, "exports", ()),
            reads=system.reads,
            tags=frozenset({name, role, base, architecture, device, *system.tags}),
        )


def matching(ids: Iterable[str], globs: Iterable[str]) -> list[str]:
    """Return the ids that match any of the globs, in their order."""
    wanted = _matcher(globs)
    return [one for one in ids if wanted(one)]


def check_globs(
    ids: Sequence[str],
    globs: Iterable[str],
    *,
    hint: str = "`nox -s plan -- --preset full` lists all cells",
) -> None:
    """Raise ArgumentError for the first glob that matches none of the ids."""
    for glob in globs:
        if not fnmatch.filter(ids, glob):
            near = difflib.get_close_matches(glob.strip("*"), ids, n=1, cutoff=0.4)
            meant = f"; did you mean '{near[0]}'?" if near else ""
            raise ArgumentError(f"'{glob}' matches no cell{meant}", hint=hint)


def _preset(matrix: Matrix, name: str) -> Preset:
    if name not in matrix.presets:
        raise ArgumentError(f"no preset '{name}'{did_you_mean(name, matrix.presets)}")
    return matrix.presets[name]


def _select(matrix: Matrix, selection: Selection, preset: Preset) -> list[Cell]:
    cells = list(all_cells(matrix))
    ids = [cell.id for cell in cells]
    check_globs(ids, (*selection.include, *selection.exclude))
    known = {tag for cell in cells for tag in cell.tags}
    for tag in selection.tags:
        if tag not in known:
            raise ArgumentError(f"no cell has the tag '{tag}'{did_you_mean(tag, known)}")
    wanted = _matcher(selection.include or preset.cells)
    without = frozenset() if selection.include else frozenset(preset.without)
    dropped = _matcher(selection.exclude)
    chosen = [
        cell
        for cell in cells
        if wanted(cell.id)
        and not dropped(cell.id)
        and cell.tags.issuperset(selection.tags)
        and cell.tags.isdisjoint(without)
    ]
    if not chosen:
        raise ArgumentError(
            "the selection leaves no cell", hint="drop an --exclude or a --tag, or try a wider glob"
        )
    return chosen


def _matcher(globs: Iterable[str]) -> Callable[[str], bool]:
    """Return whether a text matches any of some globs, compiled once."""
    patterns = [re.compile(fnmatch.translate(glob)) for glob in globs]
    return lambda text: any(pattern.match(text) for pattern in patterns)
