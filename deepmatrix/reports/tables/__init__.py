"""The tables of a report, whatever draws them.

In come results, a plan, decisions or conformance outcomes; out go titled tables with notes.
"""

from __future__ import annotations

import itertools

from deepmatrix.drawing.layout import Table
from deepmatrix.reports.tables import (
    cells,
    deployment,
    expressiveness,
    portability,
    reuse,
    slower,
    speed,
    summary,
)
from deepmatrix.reports.tables.execution import compilation, crossovers, scaling
from deepmatrix.reports.tables.own_models import inputs, overview, quantisation, verification
from deepmatrix.reports.tables.precision import beside_float32
from deepmatrix.reports.tables.study import latencies
from deepmatrix.results.rows import ModelRow, Results


def result_tables(results: Results) -> list[Table]:
    """Return the tables of a run's results in their order, without empty ones."""
    nodes = [verification.nodes(results)]
    tables = [
        overview.verdicts(results),
        *itertools.chain.from_iterable(_model_tables(results, model) for model in results.models),
        *(nodes if results.models else [summary.summary(results)]),
        slower.table(results),
        cells.cells(results),
        reuse.table(results),
        cells.libraries(results),
        cells.startup(results),
        speed.training(results),
        beside_float32.training(results),
        speed.passes(results),
        compilation.compilation(results),
        scaling.scaling(results),
        crossovers.crossovers(results),
        *crossovers.times(results),
        latencies.latencies(results),
        *speed.inference(results),
        speed.generation(results),
        expressiveness.idiom_lines(results),
        expressiveness.probes(results),
        expressiveness.facts(results),
        expressiveness.notes(results),
        deployment.exports(results),
        *([] if results.models else portability.verdicts(results)),
        beside_float32.quantised(results),
        portability.causes(results),
        *([] if results.models else nodes),
        quantisation.costs(results),
        deployment.deployment(results),
        deployment.scenarios(results),
        portability.interfaces(results),
    ]
    return [table for table in tables if table.rows]


def _model_tables(results: Results, model: ModelRow) -> list[Table]:
    """Return the tables of a user's own model."""
    return [
        verification.consumers(results, model),
        verification.outputs(results, model),
        inputs.table(model),
    ]
