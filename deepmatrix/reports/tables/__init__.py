"""The tables of a report, whatever draws them.

In come results, a plan, decisions or conformance outcomes; out go titled tables with notes.
"""

from __future__ import annotations

from deepmatrix.reports.layout import Table
from deepmatrix.reports.tables import (
    cells,
    deployment,
    expressiveness,
    portability,
    quantisation,
    speed,
    study,
)
from deepmatrix.results.rows import Results


def result_tables(results: Results) -> list[Table]:
    """Return the tables of a run's results in their order, without empty ones."""
    tables = [
        cells.cells(results),
        cells.libraries(results),
        cells.startup(results),
        speed.training(results),
        speed.passes(results),
        study.latencies(results),
        *speed.inference(results),
        expressiveness.idiom_lines(results),
        expressiveness.probes(results),
        expressiveness.notes(results),
        deployment.exports(results),
        *portability.verdicts(results),
        portability.causes(results),
        quantisation.costs(results),
        deployment.deployment(results),
        deployment.scenarios(results),
        portability.interfaces(results),
    ]
    return [table for table in tables if table.rows]
