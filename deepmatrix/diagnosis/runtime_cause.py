"""Causes in a runtime: the first node that a consumer computes wrongly, cut out and run alone."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from deepmatrix.boundary.copying import copy_tree
from deepmatrix.diagnosis.case import Case, name_node
from deepmatrix.diagnosis.cut_node import CutNode, cut_node
from deepmatrix.diagnosis.search.bisection import Bisection
from deepmatrix.diagnosis.search.dequantised import dequantised_product_advice
from deepmatrix.diagnosis.search.saturation import saturation_advice
from deepmatrix.diagnosis.search.tracing import Trace, Untraceable
from deepmatrix.store.arrays import Values
from deepmatrix.store.causes import Cause
from deepmatrix.store.records import Deviation
from deepmatrix.store.reported.phases import Node
from harness.formats import MODEL_PATHS
from harness.record import EXPOSE, MADE


class _Suspect(NamedTuple):
    """A node, by its number, and its output that is the first wrong tensor: how wrong it is.

    *alone*: it is cut out, or why it cannot be; None where it is the whole model.
    """

    node: int
    tensor: str
    deviation: Deviation
    tolerance: float
    alone: CutNode | Untraceable | None


@dataclass
class RuntimeSearch:
    """The search for the first node of a traced model that its consumer computes wrongly."""

    case: Case
    trace: Trace
    excused: list[_Suspect] = field(default_factory=list)

    def find_cause(self) -> Cause:
        """Return the first wrong node, or the optimisation across nodes that is wrong."""
        values = self.run_consumer([])
        wrong = [name for name in self.trace.outputs if not self._is_right(name, values)]
        if not wrong:
            self._check_traced()
            return self._not_reproduced()
        bisection = Bisection(graph=self.trace.graph, wrong=self.trace.graph.ordered(wrong)[0])
        while True:
            while tensors := bisection.next_tensors():
                if self.case.is_out_of_time:
                    return self._unfinished(bisection)
                exposed = self.run_consumer(tensors)
                if self._outputs_are_right(exposed):
                    return self._wrong_fusion(tensors)
                values.update(exposed)
                compared = [*self.trace.outputs, *tensors]
                bisection.learn({name: self._is_right(name, exposed) for name in compared})
            if self.excused and self.case.is_out_of_time:
                return self._unfinished(bisection)
            suspect = self._cut_suspect(bisection, values)
            if not self._is_excused(suspect, values):
                return self._wrong_node(suspect, values)
            if not bisection.excuse():
                return self._added_up(suspect)
            self.excused.append(suspect)

    def _check_traced(self) -> None:
        """Raise Untraceable where an output is not traced: it may be the wrong one."""
        graph = self.trace.graph
        if untraced := [name for name in graph.outputs if name not in self.trace.precise]:
            raise Untraceable(
                f"the output {untraced[0]} is not an array of numbers: it is not traced"
            )

    def _not_reproduced(self) -> Cause:
        text = "a second inference is right: the fault is not repeatable"
        if self.case.rows:
            text = "the worst row alone is right: the fault needs the whole batch"
        return self.case.cause("batch", text, runs=self.case.consumer_runs)

    def _unfinished(self, bisection: Bisection) -> Cause:
        node = self.trace.graph.nodes[bisection.node]
        text = f"the search used up its time: {name_node(node.kind, node.name)} is wrong, or one of"
        text += f" {len(bisection.suspects())} tensors before it"
        if self.excused:
            text += f", or no node alone: the errors of {len(self.excused)} right ones add up"
        return self.case.cause(
            "unfinished",
            f"{text}; search longer with --explain-for",
            node=node.name,
            tensor=bisection.wrong,
            runs=self.case.consumer_runs,
        )

    def _cut_suspect(self, bisection: Bisection, values: Mapping[str, Values]) -> _Suspect:
        """Cut out the node whose output is the first wrong tensor, where it is one of several."""
        tensor = bisection.wrong
        alone: CutNode | Untraceable | None = None
        if not self.trace.graph.is_one_node:
            try:
                alone = cut_node(self.case, bisection.node)
            except Untraceable as error:
                alone = error
        deviation, tolerance = self.compare(tensor, values.get(tensor))
        return _Suspect(bisection.node, tensor, deviation, tolerance, alone)

    def _is_excused(self, suspect: _Suspect, values: Mapping[str, Values]) -> bool:
        """Return whether a node is right though its output is outside what the model allows.

        Alone it is allowed more. Or, in a quantised model, it is right for what it read: the steps
        that right nodes take otherwise add up.
        """
        alone, tensor = suspect.alone, suspect.tensor
        if not isinstance(alone, CutNode) or tensor not in values:
            return False
        if self.case.steps:
            return alone.explains(tensor, values)
        error = suspect.deviation.error
        return error is not None and error <= self._own_tolerance(suspect)

    def _own_tolerance(self, suspect: _Suspect) -> float:
        """Return what a node's inner tensor is allowed where the node is verified alone.

        An output of the model is allowed what its verdict allows.
        """
        alone, tensor = suspect.alone, suspect.tensor
        own = None
        if isinstance(alone, CutNode) and tensor not in self.trace.graph.outputs:
            with contextlib.suppress(Untraceable):
                own = alone.tolerance_of(tensor)
        return suspect.tolerance if own is None else own

    def _wrong_node(self, suspect: _Suspect, values: Mapping[str, Values]) -> Cause:
        case, tensor, deviation = self.case, suspect.tensor, suspect.deviation
        node = self.trace.graph.nodes[suspect.node]
        name = name_node(node.kind, node.name)
        tolerance = self._own_tolerance(suspect)
        text = f"{name} is the first node outside tolerance"
        text += f": {_describe(deviation)}, tolerance {tolerance:.1e}; all its inputs are right"
        if self.trace.float32_error(tensor) is None:
            text += "; float32 cannot hold the value: the standard's evaluator gives the same"
        outcome, is_wrong = self._run_alone(suspect)
        is_rounding = not is_wrong and self._is_decided_by_rounding(suspect, values)
        if is_rounding:
            text = f"{case.terms.precision} rounds too much before {name}"
            text += ": alone, on the inputs that it had, which are within tolerance, it answers"
            text += " the same"
        cause = case.cause(
            "fusion" if is_rounding else "runtime",
            f"{text}; {'none is wrong' if is_rounding else outcome}",
            node=node.name,
            tensor=tensor,
            error=deviation.error,
            tolerance=tolerance,
            runs=case.consumer_runs,
            alone=is_wrong,
            only_node=self.trace.graph.is_one_node,
        )
        return cause if is_rounding else self._advise(cause, node)

    def _added_up(self, last: _Suspect) -> Cause:
        """Return that nodes of a quantised model are wrong only together, up to its *last* one."""
        first = next(iter(self.excused), last)
        node = self.trace.graph.nodes[first.node]
        text = "no node alone is outside its tolerance; the errors add up: "
        text += f"after {name_node(node.kind, node.name)} {_amount(first.deviation)}"
        if first is not last:
            text += f", at {last.tensor} {_amount(last.deviation)}"
        return self.case.cause(
            "fusion",
            f"{text}, tolerance {last.tolerance:.1e}",
            tensor=last.tensor,
            error=last.deviation.error,
            tolerance=last.tolerance,
            runs=self.case.consumer_runs,
        )

    def _run_alone(self, suspect: _Suspect) -> tuple[str, bool]:
        """Run a node alone; return the outcome, and whether it shows the fault."""
        if suspect.alone is None:
            return "it is the model's only node: the model itself shows the fault", False
        if isinstance(suspect.alone, Untraceable):
            return f"alone it cannot be run: {suspect.alone}", False
        try:
            fault = suspect.alone.find_fault()
        except Untraceable as error:
            return f"alone it cannot be run: {error}", False
        if fault:
            return f"run alone it is wrong too: {_describe(fault)}", True
        return "run alone it is right: it is wrong only inside the model", False

    def _is_decided_by_rounding(self, suspect: _Suspect, values: Mapping[str, Values]) -> bool:
        """Return whether a node that is right alone answers as it did, of what it read then.

        So does one that chooses among values, as ArgMax, where rounding before it makes two of them
        equal or changes their order.
        """
        alone, tensor = suspect.alone, suspect.tensor
        if not isinstance(alone, CutNode) or tensor not in values:
            return False
        if not alone.inputs.keys() & values.keys():
            return False
        try:
            outputs = alone.answer(alone.inputs_among(values))
        except Untraceable:
            return False
        names = self.trace.graph.nodes[suspect.node].outputs
        answer = dict(zip(names, outputs.values(), strict=False)).get(tensor)
        if answer is None:
            return False
        deviation, tolerance = self.case.compare(tensor, answer, values[tensor], None)
        return deviation.error is not None and deviation.error <= tolerance

    def _wrong_fusion(self, tensors: list[str]) -> Cause:
        """Return the inner tensor that makes the outputs right once it is an output itself."""
        while len(tensors) > 1:
            half = tensors[: len(tensors) // 2]
            is_right = self._outputs_are_right(self.run_consumer(half))
            tensors = half if is_right else tensors[len(half) :]
        node = self.trace.graph.nodes[self.trace.graph.makers[tensors[0]]]
        if self.case.terms.precision != "float32":
            text = f"{self.case.terms.precision} rounds too much over several nodes: none is wrong"
            return self.case.cause("fusion", text, runs=self.case.consumer_runs)
        cause = self.case.cause(
            "fusion",
            f"an optimisation across {name_node(node.kind, node.name)} is wrong: the outputs are "
            "right once this node's output is an output of the model",
            node=node.name,
            tensor=tensors[0],
            runs=self.case.consumer_runs,
        )
        return self._advise(cause, node)

    def _advise(self, cause: Cause, node: Node) -> Cause:
        """Return a cause with what to do about its node, where that is known."""
        consumer = self.case.fault.consumer
        advice = saturation_advice(
            node.kind, consumer, fused=cause.kind == "fusion"
        ) or dequantised_product_advice(self.trace.graph, node, consumer)
        if advice is None:
            return cause
        text = f"{cause.text}; {advice.why}: {advice.action}"
        return cause.changed(text=text, hint=advice.action)

    def run_consumer(self, tensors: Sequence[str]) -> dict[str, Values]:
        """Run the consumer on the model with *tensors* exposed; return these and the outputs."""
        case, artifact = self.case, self.case.artifact
        exposed = [name for name in tensors if name not in self.trace.graph.outputs]
        types = [self._tensor_type(name) for name in exposed]
        folder = case.folder / "exposed"
        with case.tracer.inspector_job(artifact, case.rows, EXPOSE, tensors=types) as (_, control):
            copy_tree(control / MADE, folder)
        try:
            model = folder / MODEL_PATHS[artifact.read_as]
            inputs = case.tracer.inputs(artifact, case.rows)
            outputs = case.tracer.infer(case.fault.consumer, artifact.read_as, model, inputs)
        finally:
            shutil.rmtree(folder)
        case.consumer_runs += 1
        names = [*self.trace.graph.outputs, *exposed]
        # Of a sequence or a map there are several arrays: then only names say which is which.
        return (
            dict(zip(names, outputs.values(), strict=True))
            if len(names) == len(outputs)
            else outputs
        )

    def _tensor_type(self, tensor: str) -> dict[str, Any]:
        value = (self.trace.single or self.trace.precise)[tensor]
        return {"name": tensor, "dtype": str(value.dtype), "rank": value.ndim}

    def _outputs_are_right(self, values: Mapping[str, Values]) -> bool:
        return all(self._is_right(name, values) for name in self.trace.outputs)

    def _is_right(self, tensor: str, values: Mapping[str, Values]) -> bool:
        deviation, tolerance = self.compare(tensor, values.get(tensor))
        return deviation.error is not None and deviation.error <= tolerance

    def compare(self, tensor: str, value: Values | None) -> tuple[Deviation, float]:
        """Return the deviation of a tensor's value from its trace, and its tolerance."""
        float32_error = self.case.float32_error(self.trace, tensor)
        if value is None:
            missing = Deviation(name=tensor, error=None, note=f"{tensor} is missing")
            return missing, self.case.tolerance_of(tensor, float32_error)
        return self.case.compare(tensor, value, self.trace.precise[tensor], float32_error)


def _describe(deviation: Deviation) -> str:
    return deviation.note if deviation.error is None else f"its error is {deviation.error:.1e}"


def _amount(deviation: Deviation) -> str:
    return deviation.note if deviation.error is None else f"{deviation.error:.1e}"
