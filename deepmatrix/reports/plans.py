"""A plan as a document and as a table."""

from __future__ import annotations

from typing import Any

from deepmatrix.planning.plan import Plan
from deepmatrix.reports.layout import Mood, Row, Table


def document(plan: Plan, engine: str) -> dict[str, Any]:
    """Return a plan for machines: what CI fans out over, and why the rest does not run."""
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
        "skipped": [{"id": one.cell.id, "reason": one.reason} for one in plan.skipped],
        "workloads": list(plan.workloads),
        "artifacts": [artifact.id for artifact in plan.artifacts()],
        "jobs": {"produce": plan.size("produce"), "consume": plan.size("consume")},
    }


def table(plan: Plan, engine: str) -> Table:
    """Return the cells of a plan for an engine, those that run first."""
    rows = []
    for cell in plan.cells:
        emulated = cell.id in plan.emulated
        how = "emulated" if emulated else "native"
        does = f"produces {', '.join(cell.exports)}" if cell.exports else ""
        reads = f"consumes {', '.join(cell.reads)}" if cell.reads else ""
        texts = (cell.id, how, cell.python, str(plan.rounds(cell)), f"{does}; {reads}".strip("; "))
        mood: Mood = "muted" if emulated else "good"
        moods: tuple[Mood, ...] = ("plain", mood, "plain", "plain", "plain")
        rows.append(Row(texts=texts, moods=moods))
    for one in plan.skipped:
        texts = (one.cell.id, f"not run: {one.reason}", one.cell.python, "", "")
        rows.append(Row(texts=texts, moods=("muted",) * 5))
    artifacts = sum(1 for _ in plan.artifacts())
    return Table(
        title=f"Plan: preset {plan.preset} on the engine {engine}",
        columns=("cell", "runs", "Python", "rounds", "does"),
        rows=tuple(rows),
        numeric=frozenset({3}),
        note=(
            f"{plan.size('produce')} jobs produce {artifacts} artifacts from "
            f"{len(plan.workloads)} workloads; {plan.size('consume')} jobs consume them."
        ),
    )
