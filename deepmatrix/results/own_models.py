"""Rows of users' own models: what judges each, and what its nodes add to the error."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence

from deepmatrix.boundary.opening import is_there
from deepmatrix.planning.subjects import Import
from deepmatrix.results.rows import ModelRow, NodesRow
from deepmatrix.store import artifacts
from deepmatrix.store.causes import NodeError
from deepmatrix.store.manifests import Manifest
from deepmatrix.store.runs import Run

#: At most this many nodes of a consumer are in the results; the file in the run has all.
MOST_NODES = 5

#: The errors of at most this many nodes are in the results.
MOST_ERRORS = 300


def model_rows(manifest: Manifest, runs: Sequence[Run]) -> Iterator[ModelRow]:
    """Yield a row for each model that a user verifies; of a damaged one it says little."""
    cells = {cell.id: cell for cell in manifest.plan.cells}
    for model in manifest.plan.imports:
        described = artifacts.read_first(model.artifact, runs)
        yield ModelRow(
            name=model.name,
            format=model.format,
            artifact=model.artifact.id,
            source=model.source,
            inspector=model.cell,
            evaluator=cells[model.cell].is_evaluator,
            judged_by=described.gold if described else {},
            remarks=described.gold_remarks if described else (),
            random=described.random if described else (),
            has_reference=_has_reference(model, manifest, runs),
            inputs=described.inputs if described else (),
            refusal=described.refusal if described else "",
            sha256=artifacts.model_digests(described) if described else _digests(model, runs),
        )


def _digests(model: Import, runs: Sequence[Run]) -> dict[str, str]:
    """Return the SHA-256 of the files of a model that no cell described, if they can be read."""
    for folder in (run.model_path(model.name) for run in runs):
        files = sorted(artifacts.plain_files(folder))
        with contextlib.suppress(OSError):
            digests = {
                path.relative_to(folder).as_posix(): artifacts.sha256(path) for path in files
            }
            if digests:
                return digests
    return {}


def _has_reference(model: Import, manifest: Manifest, runs: Sequence[Run]) -> bool:
    """Return whether gold is a user's reference, or what another model gives."""
    if manifest.plan.follows(model):
        return True
    return any(is_there(run.user_arrays_path("reference")) for run in runs)


def nodes_rows(manifest: Manifest, runs: Sequence[Run]) -> Iterator[NodesRow]:
    """Yield, for each consumer whose nodes were measured, what adds most to its error."""
    names = {model.artifact.id: model.name for model in manifest.plan.imports}
    for run in runs:
        for path, measured in run.node_errors():
            largest = sorted(measured.nodes, key=_added, reverse=True)[:MOST_NODES]
            first_wrong = next((node for node in measured.nodes if node.is_wrong), None)
            yield NodesRow(
                artifact=measured.artifact,
                model=names.get(measured.artifact, ""),
                consumer=measured.consumer,
                file=path.relative_to(run.path).as_posix(),
                count=len(measured.nodes),
                largest=tuple(
                    node for node in measured.nodes if node in largest or node is first_wrong
                ),
                errors=tuple(_thinned(measured.nodes, first_wrong)),
                note=measured.note,
            )


def _thinned(
    nodes: Sequence[NodeError], first_wrong: NodeError | None
) -> Iterator[tuple[int, float | None]]:
    """Yield numbers and errors of at most `MOST_ERRORS` nodes.

    Of neighbours that with the largest error is taken, or the first wrong node.
    """
    every = -(-len(nodes) // MOST_ERRORS) or 1
    for first in range(0, len(nodes), every):
        neighbours = range(first, min(first + every, len(nodes)))
        worst = max(neighbours, key=lambda at: (nodes[at] is first_wrong, _badness(nodes[at])))
        yield worst, nodes[worst].error


def _badness(node: NodeError) -> float:
    return math.inf if node.error is None else node.error


def _added(node: NodeError) -> float:
    return math.inf if node.added is None else node.added
