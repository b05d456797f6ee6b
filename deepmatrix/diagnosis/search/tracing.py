"""Traces: a model as its inspector computes it, node by node, and one-off jobs on models.

The inspector of a format is a cell of its own. It evaluates every node as precisely as it can.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from deepmatrix.boundary.copying import copy_file, copy_tree
from deepmatrix.diagnosis.search.graph import Graph
from deepmatrix.errors import ArgumentError
from deepmatrix.execution.runner import OpenRun
from deepmatrix.judging import deviations
from deepmatrix.models import imports
from deepmatrix.planning.cells import Cell, joint
from deepmatrix.planning.plan import CONSUMING
from deepmatrix.planning.readers import find_inspector
from deepmatrix.planning.subjects import Artifact
from deepmatrix.store import answers, arrays, artifacts
from deepmatrix.store.arrays import Values
from deepmatrix.store.artifacts import INPUTS
from deepmatrix.store.reported.output import Output
from deepmatrix.store.reported.phases import Node
from deepmatrix.store.runs import Run
from deepmatrix.store.truths import Truth
from deepmatrix.workloads.inputs import write_npz
from harness.formats import FORMATS, MODEL_PATHS
from harness.record import ARTIFACTS, INSPECT, PRECISE, SINGLE, TRACE

#: The formats whose nodes can be traced.
TRACEABLE = frozenset(name for name, known in FORMATS.items() if known.is_traceable)

#: The inference of a diagnosis: one batch, not timed.
UNTIMED = {"batches": [1], "samples": 1, "min_s": 0.0, "max_s": None, "warmup": 0}

#: Bytes of all answers of one inference.
LARGEST_ANSWERS = 1 << 30


class Untraceable(Exception):
    """The diagnosis cannot go on; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """A model as its inspector computes it, on some rows of its inputs."""

    graph: Graph
    precise: Mapping[str, Values]
    single: Mapping[str, Values]

    @property
    def outputs(self) -> list[str]:
        """The model's outputs whose precise values are known."""
        return [name for name in self.graph.outputs if name in self.precise]

    def float32_error(self, tensor: str) -> float | None:
        """Return the rounding error of float32 at a tensor; 0 without a float64 evaluation."""
        if tensor not in self.single:
            return 0.0
        truth = self.precise[tensor]
        return deviations.distance(self.single[tensor], truth, deviations.output_scale(truth))


@dataclass(kw_only=True)
class Tracer:
    """Runs the one-off jobs of a diagnosis in a run that is open."""

    opened: OpenRun
    _traces: dict[tuple[str, tuple[int, ...]], Trace] = field(default_factory=dict)

    @property
    def run(self) -> Run:
        """The run that is diagnosed."""
        return self.opened.run

    def clock(self) -> float:
        """Return monotonic seconds that stand still while another run has its turn at the CPUs."""
        return time.monotonic() - sum(sum(site.attempts.waits) for site in self.opened.sites)

    def trace(self, artifact: Artifact, rows: Sequence[int]) -> Trace:
        """Return the trace of an artifact on some rows, made once."""
        key = (artifact.id, tuple(rows))
        if key not in self._traces:
            self._traces.clear()  # traces are large, and the next artifact needs others
            self._traces[key] = self._make_trace(artifact, rows)
        return self._traces[key]

    def inputs(self, artifact: Artifact, rows: Sequence[int]) -> dict[str, Values]:
        """Return some rows of an artifact's inputs, or all of them where *rows* is empty."""
        inputs = arrays.read_all(self.run.artifact_path(artifact) / INPUTS, arrays.ANY)
        return {name: x[list(rows)] if rows else x for name, x in inputs.items()}

    @contextlib.contextmanager
    def inspector_job(
        self, artifact: Artifact, rows: Sequence[int], phase: str, **options: Any
    ) -> Iterator[tuple[Output, Path]]:
        """Run a phase of `harness.phases.tracing` in the inspector of an artifact's format.

        Yields its output and its control directory. Raises Untraceable where it fails.
        """
        inspector = self._find_inspector(artifact.read_as)

        def fill(control: Path) -> dict[str, Any]:
            copy_tree(self.run.artifact_path(artifact) / artifacts.MODEL, control / "model")
            (control / "given").mkdir()
            write_npz(control / "given" / INPUTS, self.inputs(artifact, rows))
            description = {
                "format": artifact.read_as,
                "model": f"model/{MODEL_PATHS[artifact.read_as]}",
                "inputs": f"given/{INPUTS}",
            }
            return {"trace": {**description, **options}}

        with self._one_off(inspector, f"{artifact.id}--{phase}", (phase,), fill) as result:
            yield result

    def inspect(
        self, model_format: str, model: Path, inputs: Mapping[str, Values], reference: Path | None
    ) -> Truth:
        """Return what judges a model on some inputs when it is verified; *reference*: if given.

        Raises Untraceable where it cannot be inspected, or its outputs are other ones.
        """

        def fill(control: Path) -> dict[str, Any]:
            for folder in ("model", "given"):
                (control / folder).mkdir()
            copy_file(model, control / "model" / model.name)
            write_npz(control / "given" / INPUTS, inputs)
            paths = {"model": f"model/{model.name}", "inputs": f"given/{INPUTS}"}
            return {
                "import": {"format": model_format, "seed": self.run.manifest.plan.seed, **paths}
            }

        inspector, subject = self._find_inspector(model_format), f"{model.parent.name}--inspect"
        with self._one_off(inspector, subject, (INSPECT,), fill) as (output, control):
            try:
                inspected = output.inspected()
                return imports.judge_inspected(control / ARTIFACTS, inspected, reference)
            except arrays.Unreadable as error:
                raise Untraceable(str(error)) from None

    def infer(
        self, consumer: Cell, model_format: str, model: Path, inputs: Mapping[str, Values]
    ) -> dict[str, Values]:
        """Return a consumer's outputs of a model by name, in the model's order.

        Raises Untraceable where it fails.
        """

        def fill(control: Path) -> dict[str, Any]:
            path = control / "artifact" / MODEL_PATHS[model_format]
            path.parent.mkdir()
            copy_file(model, path)
            (control / "artifact" / "inputs").mkdir()
            entries = []
            for number, (name, x) in enumerate(inputs.items()):
                entries.append({"name": name, "path": f"artifact/inputs/{number}.npy"})
                np.save(control / entries[-1]["path"], x)
            artifact = {"id": "one-off", "format": model_format, "model": f"artifact/{path.name}"}
            return {"artifact": {**artifact, "inputs": entries, "splits": None}, "infer": UNTIMED}

        subject = f"{model.parent.name}--infer"
        with self._one_off(consumer, subject, CONSUMING, fill) as (output, control):
            inferred = output.infer()
            names = inferred.outputs if inferred else ()
            try:
                return answers.read_control(control, names, LARGEST_ANSWERS)
            except arrays.Unreadable as error:
                raise Untraceable(str(error)) from None

    def _make_trace(self, artifact: Artifact, rows: Sequence[int]) -> Trace:
        with self.inspector_job(artifact, rows, TRACE) as (output, control):
            traced = output.traced()
            assert traced is not None
            precise = _numbered_values(control / PRECISE, traced.tensors)
            single = _numbered_values(control / SINGLE, traced.tensors)
            graph = Graph(
                nodes=traced.nodes,
                inputs=_graph_inputs(traced.nodes, list(self.inputs(artifact, rows))),
                outputs=traced.outputs,
                tensors=list(precise),
            )
        return Trace(graph=graph, precise=precise, single=single)

    @contextlib.contextmanager
    def _one_off(
        self,
        cell: Cell,
        subject: str,
        phases: tuple[str, ...],
        fill: Callable[[Path], dict[str, Any]],
    ) -> Iterator[tuple[Output, Path]]:
        """Run a one-off job; yield its output and its control directory."""
        self._make_ready(cell)
        attempts = self.opened.site_of(cell.id).attempts
        with attempts.one_off(cell, subject, phases, fill) as attempt:
            if attempt.status != "ok" or attempt.output is None:
                raise Untraceable(f"{cell.id} {attempt.status}: {attempt.cause}")
            yield attempt.output, attempt.control

    def _find_inspector(self, model_format: str) -> Cell:
        """Return the cell that reads a format first. Raises Untraceable where there is none."""
        try:
            able = joint([site.attempts.capabilities for site in self.opened.sites])
            return find_inspector(self.run.manifest.matrix, model_format, able)
        except ArgumentError as error:
            raise Untraceable(error.message) from None

    def _make_ready(self, cell: Cell) -> None:
        self.opened.prepare([cell])
        if cell.id not in self.opened.ready:
            raise Untraceable(f"{cell.id} is not ready: {self.run.prepared()[cell.id].error}")


def _numbered_values(path: Path, names: Sequence[str]) -> dict[str, Values]:
    """Return the arrays of a file that are named by the number of a tensor, by its name."""
    try:
        numbered = arrays.read_all(path, arrays.NUMBERS)
    except arrays.Unreadable as error:
        raise Untraceable(str(error)) from None
    by_number = {str(number): name for number, name in enumerate(names)}
    if unknown := sorted(numbered.keys() - by_number.keys()):
        raise Untraceable(f"{path.name} has the array {unknown[0][:100]!r}, which no tensor names")
    return {by_number[number]: value for number, value in numbered.items()}


def _graph_inputs(nodes: Sequence[Node], input_names: Sequence[str]) -> set[str]:
    """Return the graph's inputs: those of *input_names* that it reads, else what no node makes.

    No node makes the constants of a TFLite model either. A constant that is taken for an input
    only widens the search.
    """
    made_names = {name for node in nodes for name in node.outputs}
    read_names = {name for node in nodes for name in node.inputs}
    return set(input_names) & read_names or read_names - made_names
