"""Cells: those of a matrix file, and which of them an engine can run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from deepmatrix.config.matrix import Matrix
from deepmatrix.config.sections import Framework, InstructionSet, Precision, Runtime
from harness.formats import FORMATS

Role = Literal["framework", "runtime"]

#: The keys of a system that say which code runs, and how it is told to.
CODE = (
    "adapter",
    "command",
    "environment",
    "emulated_environment",
    "compile_cache",
    "options",
)


#: Characters of a value that a message shows.
LONGEST_SHOWN = 120


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One framework or runtime, or a variant of it, on one platform, with its pinned packages.

    *system* is its entry in the matrix file. A cell with *serves* unset inspects models or makes
    a suite, and serves no model. *isa*: the instruction set that it is kept to, by its name in the
    matrix file; *processor*: the one that QEMU emulates for it. *threads*: what it has in place of
    the limits' number, 0 where it has none.
    """

    name: str
    system: Framework | Runtime = field(hash=False)
    base: str
    python: str
    architecture: str
    device: str
    serves: bool = True
    isa: str = ""
    processor: str = ""
    threads: int = 0

    @property
    def platform(self) -> str:
        """Base, architecture and device: ``debian12-amd64-cpu``."""
        return f"{self.base}-{self.architecture}-{self.device}"

    @property
    def id(self) -> str:
        """The cell's name in selections, image tags, folders, records and CI jobs."""
        isa = f"_{self.isa}" if self.isa else ""
        threads = f"_{self.threads}threads" if self.threads else ""
        return f"{self.name}{isa}{threads}-{self.platform}"

    @property
    def plain(self) -> Cell:
        """The cell that it shares its image with: itself as the matrix file has it."""
        return replace(self, isa="", processor="", threads=0)

    @property
    def role(self) -> Role:
        """Whether it trains and exports, or only serves."""
        return "framework" if isinstance(self.system, Framework) else "runtime"

    @property
    def tags(self) -> frozenset[str]:
        """What ``--tag`` selects by: its name, role, base, architecture, device and own tags."""
        own = (self.name, self.role, self.base, self.architecture, self.device)
        return frozenset({*own, *self.system.tags})

    @property
    def exports(self) -> tuple[str, ...]:
        """The formats that it exports; a runtime exports none, nor does a number of threads."""
        return (
            self.system.exports if isinstance(self.system, Framework) and not self.threads else ()
        )

    @property
    def reads(self) -> tuple[str, ...]:
        """The formats that it serves."""
        return self.system.reads if self.serves else ()

    def exports_of(self, *, generates: bool) -> tuple[str, ...]:
        """The formats that it exports a workload to; of what *generates*, also those with past."""
        return tuple(name for name in self.exports if generates or not FORMATS[name].has_past)

    def can_read(self, format: str) -> bool:
        """Return whether it serves a format."""
        return FORMATS[format].read_as in self.reads

    @property
    def pins_name(self) -> str:
        """The system whose locked wheels it uses: its own name, but for a variant."""
        return self.system.pins or self.name

    @property
    def pinned(self) -> str:
        """The cell whose pins it has: its own id, but for a variant."""
        return f"{self.pins_name}-{self.platform}"

    @property
    def distribution(self) -> str:
        """The package whose version is that of the system."""
        return self.system.distribution or self.pins_name

    @property
    def library(self) -> str:
        """The library that computes in it, the same in every language and variant."""
        return self.distribution

    @property
    def family(self) -> str:
        """The image family that it is built from."""
        return self.system.family

    @property
    def adapter(self) -> str | None:
        """Its module of the harness, or None where it has a command."""
        return self.system.adapter

    @property
    def folder(self) -> str:
        """The package of the harness that its adapter is in, or nothing where it has a command."""
        return (self.adapter or "").rpartition(".")[0]

    @property
    def command(self) -> tuple[str, ...]:
        """What starts it where it is not Python, without the control directory."""
        return self.system.command

    @property
    def serves_sessions(self) -> bool:
        """Whether one process of it serves several jobs."""
        return self.system.sessions or not self.command

    @property
    def options(self) -> Mapping[str, str]:
        """What its adapter is configured with."""
        return self.system.options

    @property
    def environment(self) -> Mapping[str, str]:
        """Environment variables of its processes."""
        return self.system.environment

    @property
    def compile_cache(self) -> Mapping[str, str]:
        """Environment variables by which its compiler keeps what it made, under emulation."""
        return self.system.compile_cache

    @property
    def emulated_environment(self) -> Mapping[str, str]:
        """Variables of its emulated processes on our own networks."""
        return self.system.emulated_environment

    @property
    def precision(self) -> Precision:
        """The lowest precision that it may compute in."""
        return self.system.precision

    @property
    def is_evaluator(self) -> bool:
        """Whether it is a standard's evaluator, which judges and is not timed."""
        return any(entry.has_evaluator and self.inspects(name) for name, entry in FORMATS.items())

    @property
    def language(self) -> str:
        """The language of the program that uses it."""
        return self.system.language

    @property
    def deadline_factor(self) -> float:
        """How many times the usual deadline its processes get."""
        return self.system.deadline_factor

    def inspects(self, format: str) -> bool:
        """Return whether its system reads a user's model of a format first, and judges it."""
        return FORMATS[format].inspector == self.name

    def with_system(self, **changes: Any) -> Cell:
        """Return this cell with some keys of its system changed."""
        return replace(self, system=self.system.model_copy(update=changes))

    def with_threads(self, count: int) -> Cell:
        """Return this cell with a number of threads of its own."""
        return replace(self, threads=count)

    def kept_to(self, name: str, isa: InstructionSet) -> Cell:
        """Return this cell kept to an instruction set."""
        limited = self.with_system(environment={**self.environment, **isa.environment})
        return replace(limited, isa=name, processor=isa.processor or "")


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What an engine can run, as data.

    *pythons* is None where the engine brings its own interpreters, as containers do. *lacking*
    says, by base, why the base cannot be made here and what the user can do. *emulator*: QEMU's
    program for the architecture that runs natively, to emulate other processors of it.
    """

    engine: str
    native: frozenset[str]
    emulated: frozenset[str] = frozenset()
    devices: frozenset[str] = frozenset({"cpu"})
    pythons: frozenset[str] | None = None
    lacking: Mapping[str, str] = field(default_factory=dict, hash=False)
    cpus: int = 1
    memory_bytes: int = 0
    emulator: str = ""

    def emulates(self, cell: Cell) -> bool:
        """Return whether a cell's processor differs from those that run natively."""
        return cell.architecture not in self.native or bool(cell.processor)

    def emulated_ids(self, cells: Iterable[Cell]) -> frozenset[str]:
        """Return the ids of the cells that run emulated."""
        return frozenset(cell.id for cell in cells if self.emulates(cell))

    def refusal(self, cell: Cell) -> str | None:
        """Return why this engine cannot run a cell, or None."""
        if cell.command and self.engine != "docker":
            return f"the {self.engine} engine runs only Python"
        if cell.architecture not in self.native | self.emulated:
            if self.engine == "docker":
                return (
                    f"no {cell.architecture} emulation where this engine runs: install "
                    "qemu-user-static there"
                )
            return f"the {self.engine} engine runs only its own architecture"
        if cell.device not in self.devices:
            if self.engine == "docker" and cell.device == "cuda":
                return "the engine has no NVIDIA runtime"
            return f"the {self.engine} engine has no {cell.device}"
        if cell.processor and cell.architecture in self.native:
            if not self.emulator:
                return f"no QEMU here for {cell.processor}: install qemu-user-static"
            if cell.command and not cell.command[0].startswith("/"):
                return f"QEMU runs a program by its path, and {cell.command[0]} has none"
        if cell.threads > self.cpus:
            return f"the engine has {self.cpus} CPUs for {cell.threads} threads"
        if self.pythons is not None and cell.python not in self.pythons:
            return f"no Python {cell.python} on this machine; a container engine brings it"
        return self.lacking.get(cell.base)


@dataclass(frozen=True, kw_only=True)
class JointCapabilities(Capabilities):
    """What several engines can run together, each cell on one of them."""

    parts: tuple[Capabilities, ...]

    def emulates(self, cell: Cell) -> bool:
        """Return whether no engine runs a cell's processor natively."""
        return all(part.emulates(cell) for part in self._able(cell) or self.parts)

    def refusal(self, cell: Cell) -> str | None:
        """Return why no engine can run a cell, or None: what the nearest to it lacks."""
        if self._able(cell):
            return None
        nearest = [part for part in self.parts if cell.architecture in part.native] or self.parts
        return nearest[0].refusal(cell)

    def _able(self, cell: Cell) -> list[Capabilities]:
        return [part for part in self.parts if part.refusal(cell) is None]


def joint(parts: Sequence[Capabilities]) -> Capabilities:
    """Return what engines can run together; a cell gets no more than the smallest of them has."""
    if len(parts) == 1:
        return parts[0]
    native = frozenset[str]().union(*(part.native for part in parts))
    return JointCapabilities(
        engine=parts[0].engine,
        native=native,
        emulated=frozenset[str]().union(*(part.emulated for part in parts)) - native,
        devices=frozenset[str]().union(*(part.devices for part in parts)),
        cpus=min(part.cpus for part in parts),
        memory_bytes=min(part.memory_bytes for part in parts),
        parts=tuple(parts),
    )


def code_differences(cell: Cell, matrix: Matrix) -> Iterator[str]:
    """Yield what a cell starts that the system of this name in a matrix file does not."""
    system = matrix.systems().get(cell.name)
    isa = matrix.isas.get(cell.isa)
    if system is None:
        yield f"{cell.name}: the matrix file has no such system"
    elif cell.isa and isa is None:
        yield f"{cell.isa}: the matrix file has no such instruction set"
    else:
        own = replace(cell.plain, system=system)
        own = own.kept_to(cell.isa, isa) if isa else own
        for key in CODE:
            value, own_value = getattr(cell, key), getattr(own, key)
            if value != own_value:
                yield f"{cell.name}: {key} is {_shown(value)}, not {_shown(own_value)}"


def _shown(value: object) -> str:
    """Return a value as long as a message can show it."""
    text = str(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A selected cell that will not run, and why."""

    cell: Cell
    reason: str


def all_cells(matrix: Matrix) -> Iterator[Cell]:
    """Yield every cell of the matrix file, excluded ones included."""
    systems = matrix.systems()
    for name, base, architecture, device in matrix.cells():
        yield Cell(
            name=name,
            system=systems[name],
            base=base,
            python=matrix.bases[base].python,
            architecture=architecture,
            device=device,
        )
