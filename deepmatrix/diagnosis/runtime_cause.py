"""Causes in a runtime: the first node that a consumer computes wrongly, cut out and run alone."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deepmatrix.boundary.copying import copy_tree
from deepmatrix.diagnosis.case import Case, name_node
from deepmatrix.diagnosis.search.bisection import Bisection
from deepmatrix.diagnosis.search.dequantised import dequantised_product_advice
from deepmatrix.diagnosis.search.saturation import saturation_advice
from deepmatrix.diagnosis.search.tracing import Trace, Untraceable
from deepmatrix.store import arrays
from deepmatrix.store.arrays import Values
from deepmatrix.store.artifacts import GOLD, INPUTS
from deepmatrix.store.causes import Cause
from deepmatrix.store.records import Deviation
from deepmatrix.store.reported.phases import Node
from harness.formats import MODEL_PATHS
from harness.record import CUT, EXPOSE, MADE


@dataclass
class RuntimeSearch:
    """The search for the first node of a traced model that its consumer computes wrongly."""

    case: Case
    trace: Trace

    def find_cause(self) -> Cause:
        """Return the first wrong node, or the optimisation across nodes that is wrong."""
        values = self.run_consumer([])
        wrong = [name for name in self.trace.outputs if not self._is_right(name, values)]
        if not wrong:
            self._check_traced()
            return self._not_reproduced()
        bisection = Bisection(graph=self.trace.graph, wrong=self.trace.graph.ordered(wrong)[0])
        while tensors := bisection.next_tensors():
            if self.case.is_out_of_time:
                return self._unfinished(bisection)
            exposed = self.run_consumer(tensors)
            if self._outputs_are_right(exposed):
                return self._wrong_fusion(tensors)
            values.update(exposed)
            compared = [*self.trace.outputs, *tensors]
            bisection.learn({name: self._is_right(name, exposed) for name in compared})
        return self._wrong_node(bisection, values)

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
        return self.case.cause(
            "unfinished",
            f"the search used up its time: {name_node(node.kind, node.name)} is wrong, or one of "
            f"{len(bisection.suspects())} tensors before it; search longer with --explain-for",
            node=node.name,
            tensor=bisection.wrong,
            runs=self.case.consumer_runs,
        )

    def _wrong_node(self, bisection: Bisection, values: Mapping[str, Values]) -> Cause:
        case, tensor = self.case, bisection.wrong
        node = self.trace.graph.nodes[bisection.node]
        deviation, tolerance = self.compare(tensor, values.get(tensor))
        name = name_node(node.kind, node.name)
        text = f"{name} is the first node outside tolerance"
        text += f": {_describe(deviation)}, tolerance {tolerance:.1e}; all its inputs are right"
        if self.trace.float32_error(tensor) is None:
            text += "; float32 cannot hold the value: the standard's evaluator gives the same"
        outcome, is_wrong = self._run_alone(bisection.node, tensor)
        is_rounding = not is_wrong and self._is_decided_by_rounding(tensor, values)
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

    def _run_alone(self, node: int, tensor: str) -> tuple[str, bool]:
        """Cut a node out and run it alone; return the outcome, and whether it shows the fault."""
        if self.trace.graph.is_one_node:
            return "it is the model's only node: the model itself shows the fault", False
        case, model_format = self.case, self.case.artifact.format
        with case.tracer.inspector_job(case.artifact, case.rows, CUT, node=node) as (_, control):
            copy_tree(control / MADE, case.folder, exist_ok=True)
        inputs = arrays.read_all(case.folder / INPUTS, arrays.ANY)
        truths = arrays.read_all(case.folder / GOLD, arrays.ANY)
        model = case.folder / MODEL_PATHS[model_format]
        try:
            outputs = case.tracer.infer(case.fault.consumer, model_format, model, inputs)
        except Untraceable as error:
            return f"alone it cannot be run: {error}", False
        case.consumer_runs += 1
        float32_error = self.trace.float32_error(tensor)
        for (name, truth), output in zip(truths.items(), outputs.values(), strict=False):
            deviation, tolerance = case.compare(name, output, truth, float32_error)
            if deviation.error is None or deviation.error > tolerance:
                return f"run alone it is wrong too: {_describe(deviation)}", True
        return "run alone it is right: it is wrong only inside the model", False

    def _is_decided_by_rounding(self, tensor: str, values: Mapping[str, Values]) -> bool:
        """Return whether a node that is right alone answers as it did, of what it read then.

        So does one that chooses among values, as ArgMax, where rounding before it makes two of them
        equal or changes their order. The node was cut out before.
        """
        case = self.case
        if self.trace.graph.is_one_node or tensor not in values:
            return False
        inputs = arrays.read_all(case.folder / INPUTS, arrays.ANY)
        read = {name: values[name].astype(x.dtype) for name, x in inputs.items() if name in values}
        model = case.folder / MODEL_PATHS[case.artifact.format]
        try:
            outputs = case.tracer.infer(
                case.fault.consumer, case.artifact.format, model, {**inputs, **read}
            )
        except Untraceable:
            return False
        case.consumer_runs += 1
        names = self.trace.graph.nodes[self.trace.graph.makers[tensor]].outputs
        answer = dict(zip(names, outputs.values(), strict=False)).get(tensor)
        if answer is None or not read:
            return False
        deviation, tolerance = case.compare(tensor, answer, values[tensor], None)
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
        advice = saturation_advice(node.kind, consumer) or dequantised_product_advice(
            self.trace.graph, node, consumer
        )
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
            model = folder / MODEL_PATHS[artifact.format]
            inputs = case.tracer.inputs(artifact, case.rows)
            outputs = case.tracer.infer(case.fault.consumer, artifact.format, model, inputs)
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
