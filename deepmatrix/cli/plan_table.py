"""A plan as a document and as a table."""

from __future__ import annotations

from dataclasses import dataclass

from deepmatrix.config import documents
from deepmatrix.drawing import numbers
from deepmatrix.drawing.layout import Column, Mood, Row, Table, judged_row, key, number, row, text
from deepmatrix.planning.plan import Plan


@dataclass(frozen=True, kw_only=True)
class PlannedCell:
    """A cell that runs. *produces*, *consumes*: formats."""

    id: str
    role: str
    base: str
    python: str
    architecture: str
    device: str
    emulated: bool
    rounds: int
    produces: tuple[str, ...]
    consumes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SkippedCell:
    """A cell that does not run, and why."""

    id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class JobCounts:
    """How many jobs each wave has."""

    produce: int
    consume: int


@dataclass(frozen=True, kw_only=True)
class Document:
    """A plan for machines: the cells that run, and why the others do not."""

    schema: int = 1
    engine: str
    preset: str
    seed: int
    cells: tuple[PlannedCell, ...]
    skipped: tuple[SkippedCell, ...]
    workloads: tuple[str, ...]
    artifacts: tuple[str, ...]
    jobs: JobCounts


def schema() -> str:
    """Return the JSON Schema of ``plan --json``, as published in the repository."""
    return documents.json_schema(Document, "deepmatrix plan", written=True)


def document(plan: Plan, engine: str) -> Document:
    """Return a plan for machines."""
    return Document(
        engine=engine,
        preset=plan.preset,
        seed=plan.seed,
        cells=tuple(
            PlannedCell(
                id=cell.id,
                role=cell.role,
                base=cell.base,
                python=cell.python,
                architecture=cell.architecture,
                device=cell.device,
                emulated=cell.id in plan.emulated,
                rounds=plan.rounds(cell),
                produces=tuple(cell.exports),
                consumes=tuple(cell.reads),
            )
            for cell in plan.cells
        ),
        skipped=tuple(
            SkippedCell(id=skipped.cell.id, reason=skipped.reason) for skipped in plan.skipped
        ),
        workloads=tuple(plan.workloads),
        artifacts=tuple(artifact.id for artifact in plan.artifacts()),
        jobs=JobCounts(produce=plan.size("produce"), consume=plan.size("consume")),
    )


def _only_checked(plan: Plan) -> str:
    """Return which workloads run for their answers only."""
    names = ", ".join(workload for workload in plan.workloads if workload in plan.checked_workloads)
    return f" Only checked, not timed: {names}." if names else ""


def table(plan: Plan, engine: str) -> Table:
    """Return the cells of a plan for an engine, those that run first."""
    rows: list[Row] = []
    for cell in plan.cells:
        emulated = cell.id in plan.emulated
        runs = "emulated" if emulated else "native"
        produces = f"produces {', '.join(cell.exports)}" if cell.exports else ""
        consumes = f"consumes {', '.join(cell.reads)}" if cell.reads else ""
        task = f"{produces}; {consumes}".strip("; ")
        texts = (cell.id, runs, cell.python, str(plan.rounds(cell)), task)
        mood: Mood = "muted" if emulated else "good"
        rows.append(judged_row(texts, 1, mood, emulated=False))
    for skipped in plan.skipped:
        reason = f"not run: {skipped.reason}"
        rows.append(row(skipped.cell.id, reason, skipped.cell.python, "", "", mood="muted"))
    return Table(
        title=f"Plan: preset {plan.preset} on the engine {engine}",
        columns=(
            key("cell"),
            text("runs"),
            text("Python"),
            number("rounds"),
            Column("task", below=True),
        ),
        rows=tuple(rows),
        note=(
            f"Produce: {numbers.count(plan.size('produce'), 'job')}, "
            f"{numbers.count(len(plan.workloads), 'workload')}, "
            f"{numbers.count(plan.artifact_counts().total(), 'artifact')}. "
            f"Consume: {numbers.count(plan.size('consume'), 'job')}.{_only_checked(plan)}"
        ),
    )
