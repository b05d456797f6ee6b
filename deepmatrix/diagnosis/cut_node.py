"""A node cut out of a model: run alone, and judged as its verification would judge it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from deepmatrix.boundary.copying import copy_tree
from deepmatrix.diagnosis.case import Case
from deepmatrix.diagnosis.search.tracing import Untraceable
from deepmatrix.judging import deviations
from deepmatrix.judging.terms import Terms
from deepmatrix.judging.verdicts import judged_outputs
from deepmatrix.store import arrays
from deepmatrix.store.arrays import Values
from deepmatrix.store.artifacts import GOLD, INPUTS
from deepmatrix.store.records import Agreement, Deviation
from deepmatrix.store.truths import Truth
from harness.formats import MODEL_PATHS
from harness.record import CUT, MADE


@dataclass(frozen=True, kw_only=True)
class CutNode:
    """One node as a model, in the case's folder, with the *inputs* that it should have had."""

    case: Case
    inputs: Mapping[str, Values]

    @property
    def model(self) -> Path:
        """The model's file."""
        return self.case.folder / MODEL_PATHS[self.case.artifact.format]

    @cached_property
    def truth(self) -> Truth:
        """What judges it on its inputs, by what the whole model's evaluation has there.

        Raises Untraceable where nothing does.
        """
        return self._judged_on(self.inputs, self.case.folder / GOLD)

    def answer(self, inputs: Mapping[str, Values]) -> Mapping[str, Values]:
        """Return what the consumer answers; raises Untraceable where it cannot."""
        case = self.case
        outputs = case.tracer.infer(case.fault.consumer, case.artifact.format, self.model, inputs)
        case.consumer_runs += 1
        return outputs

    def find_fault(self) -> Deviation | None:
        """Run it on its inputs; return an output outside its tolerance, None if there is none.

        Raises Untraceable where it cannot be run.
        """
        agreement = deviations.compare(self.answer(self.inputs), self.truth)
        if not agreement.outputs:
            return Deviation(name="", error=None, note=agreement.note)
        wrong = (output for output in agreement.outputs if not self._is_right(output, agreement))
        return next(wrong, None)

    def tolerance_of(self, tensor: str) -> float | None:
        """Return what one of its outputs is allowed, None where nothing judges it."""
        own = deviations.compare(self.truth.produced, self.truth)
        for output in judged_outputs(own, self._terms):
            if output.name == tensor:
                return self._terms.allowed_of(output, own)[0]
        return None

    def explains(self, tensor: str, values: Mapping[str, Values]) -> bool:
        """Return whether an output has its value in the whole model because of what was read there.

        Args:
            tensor: the output's name.
            values: of tensors, as the consumer computed them in the model.
        """
        try:
            truth = self._judged_on(self.inputs_among(values), None)
        except Untraceable:
            return False
        answered = {**truth.produced, tensor: values[tensor]}
        agreement = deviations.compare(answered, truth)
        return any(
            output.name == tensor and not output.unjudged and self._is_right(output, agreement)
            for output in agreement.outputs
        )

    def inputs_among(self, values: Mapping[str, Values]) -> dict[str, Values]:
        """Return its inputs, in their types, with those values that are known."""
        known = {name: values[name] for name in self.inputs if name in values}
        return {name: known.get(name, x).astype(x.dtype) for name, x in self.inputs.items()}

    def _judged_on(self, inputs: Mapping[str, Values], reference: Path | None) -> Truth:
        tracer, model_format = self.case.tracer, self.case.artifact.format
        return tracer.inspect(model_format, self.model, inputs, reference)

    def _is_right(self, output: Deviation, agreement: Agreement) -> bool:
        """Return whether an output is within its tolerance, or nothing judges it."""
        if output not in judged_outputs(agreement, self._terms):
            return True
        tolerance, _ = self._terms.allowed_of(output, agreement)
        return output.error is not None and output.error <= tolerance

    @property
    def _terms(self) -> Terms:
        """Those of a user's own model: what the matrix file overrides is of the whole model."""
        return replace(self.case.terms, overrides=(), imported=True)


def cut_node(case: Case, node: int) -> CutNode:
    """Cut a node, by its number, out of the model of a case, into the case's folder.

    Raises Untraceable where it cannot be cut.
    """
    with case.tracer.inspector_job(case.artifact, case.rows, CUT, node=node) as (_, control):
        copy_tree(control / MADE, case.folder, exist_ok=True)
    try:
        return CutNode(case=case, inputs=arrays.read_all(case.folder / INPUTS, arrays.ANY))
    except arrays.Unreadable as error:
        raise Untraceable(str(error)) from None
