"""A plan as a document and as a table."""

from __future__ import annotations

from typing import Any

from deepmatrix.drawing import numbers
from deepmatrix.drawing.layout import Mood, Row, Table, judged_row, key, number, row, text
from deepmatrix.planning.plan import Plan


def document(plan: Plan, engine: str) -> dict[str, Any]:
    """Return a plan for machines: the cells that run, and why the others do not."""
    return {
        "schema": 1,
        "engine": engine,
        "preset": plan.preset,
        "seed": plan.seed,
        "cells": [
            {
                "id": cell.id,
                "role": cell.role,
                "base": cell.base,
                "python": cell.python,
                "architecture": cell.architecture,
                "device": cell.device,
                "emulated": cell.id in plan.emulated,
                "rounds": plan.rounds(cell),
                "produces": list(cell.exports),
                "consumes": list(cell.reads),
            }
            for cell in plan.cells
        ],
        "skipped": [{"id": skipped.cell.id, "reason": skipped.reason} for skipped in plan.skipped],
        "workloads": list(plan.workloads),
        "artifacts": [artifact.id for artifact in plan.artifacts()],
        "jobs": {"produce": plan.size("produce"), "consume": plan.size("consume")},
    }


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
        columns=(key("cell"), text("runs"), text("Python"), number("rounds"), text("task")),
        rows=tuple(rows),
        note=(
            f"Produce: {numbers.count(plan.size('produce'), 'job')}, "
            f"{numbers.count(len(plan.workloads), 'workload')}, "
            f"{numbers.count(plan.artifact_counts().total(), 'artifact')}. "
            f"Consume: {numbers.count(plan.size('consume'), 'job')}."
        ),
    )
