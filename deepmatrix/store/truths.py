"""What judges an artifact's outputs: gold, where it comes from, and what cannot be judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import ValidationError

from deepmatrix.boundary.files import Damaged, describe
from deepmatrix.boundary.opening import is_there
from deepmatrix.boundary.writing import write_text
from deepmatrix.store import arrays, artifacts
from deepmatrix.store.arrays import Values
from deepmatrix.store.parts import Quantised
from deepmatrix.workloads.inputs import write_npz

#: The widest number has so many times the bytes of the narrowest.
WIDEST: Final = 8

#: What judges an output whose right values the user gives.
REFERENCE: Final = "the reference"


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What judges the outputs of an artifact, each by the output's name, in the model's order.

    *gold* and *produced*, the producer's own outputs, are empty before the consumers of a model
    that nothing could evaluate have answered. *sources*: where gold comes from. *unjudged*: why
    nothing judges an output. *evaluations*: those that gave way. *masks*: codes of
    `harness.record` of the values that are not compared. *random*: outputs that are random by
    design. *rounded*: outputs whose gold is in the model's own precision, or of unknown precision.
    *computed_in*: by output, the least exact float type below float32 that it is computed in.
    *agreed*: the consumers alone judge it. *quantised*: outputs that are compared by steps.
    *unordered*: by output, the axis along which it is compared as a set. *in_order_of*: by output,
    another one that is in the same order. *baseline_errors*: by output, the error of ONNX Runtime's
    own kernels, which its tolerance scales with; 0 once another library has answered better.
    *confirmed*: outputs whose evaluation the baseline confirms. *growth*: by output, by what
    rounding costs more in its sums than in short ones.
    *apart*: by output, how far from gold integers may be that rounding decides. *reshaped*: by
    output, why its shape may be another. *labels*: the right classes of the first rows, where
    accuracy is asked for.
    *remarks*: what else the user should know of it.
    """

    gold: Mapping[str, Values]
    produced: Mapping[str, Values]
    sources: Mapping[str, str] = field(default_factory=dict)
    unjudged: Mapping[str, str] = field(default_factory=dict)
    evaluations: Mapping[str, Values] = field(default_factory=dict)
    masks: Mapping[str, Values] = field(default_factory=dict)
    random: frozenset[str] = frozenset()
    rounded: frozenset[str] = frozenset()
    computed_in: Mapping[str, str] = field(default_factory=dict)
    agreed: bool = False
    quantised: Mapping[str, Quantised] = field(default_factory=dict)
    unordered: Mapping[str, int] = field(default_factory=dict)
    in_order_of: Mapping[str, str] = field(default_factory=dict)
    baseline_errors: Mapping[str, float] = field(default_factory=dict)
    confirmed: frozenset[str] = frozenset()
    growth: Mapping[str, float] = field(default_factory=dict)
    apart: Mapping[str, int] = field(default_factory=dict)
    reshaped: Mapping[str, str] = field(default_factory=dict)
    labels: Values | None = None
    remarks: tuple[str, ...] = ()

    @property
    def largest_answers(self) -> int:
        """The most bytes that all answers to it are read with. Any dtype of its shapes fits."""
        if not self.gold:
            return arrays.LARGEST_BYTES
        wanted = sum(values.nbytes for values in self.gold.values())
        return min(max(WIDEST * wanted, arrays.SMALL_BYTES), arrays.LARGEST_BYTES)

    def described(self) -> dict[str, Any]:
        """Return what the description of an artifact says of it, by the fields of `Exported`."""
        return {
            "gold": dict(self.sources),
            "unjudged": dict(self.unjudged),
            "random": tuple(sorted(self.random)),
            "rounded": tuple(sorted(self.rounded)),
            "computed_in": dict(self.computed_in),
            "quantised": dict(self.quantised),
            "unordered": dict(self.unordered),
            "in_order_of": dict(self.in_order_of),
            "baseline_errors": dict(self.baseline_errors),
            "confirmed": tuple(sorted(self.confirmed)),
            "growth": dict(self.growth),
            "apart": dict(self.apart),
            "reshaped": dict(self.reshaped),
            "gold_remarks": self.remarks,
            "agreed": self.agreed,
        }


def read(folder: Path) -> Truth:
    """Return what judges the artifact in a folder. Raises RecordError where a file is damaged."""
    described = artifacts.read_description(folder)
    try:
        return Truth(
            gold=_arrays(folder / artifacts.GOLD),
            produced=_arrays(folder / artifacts.PRODUCED),
            sources=described.gold,
            unjudged=described.unjudged,
            evaluations=_arrays(folder / artifacts.EVALUATION),
            masks=_arrays(folder / artifacts.UNDEFINED),
            random=frozenset(described.random),
            rounded=frozenset(described.rounded),
            computed_in=described.computed_in,
            agreed=described.agreed,
            quantised=described.quantised,
            unordered=described.unordered,
            in_order_of=described.in_order_of,
            baseline_errors=described.baseline_errors,
            confirmed=frozenset(described.confirmed),
            growth=described.growth,
            apart=described.apart,
            reshaped=described.reshaped,
            labels=_arrays(folder / artifacts.LABELS).get("y"),
            remarks=described.gold_remarks,
        )
    except arrays.Unreadable as error:
        raise Damaged(folder, str(error), hint=artifacts.HINT) from None


def _arrays(path: Path) -> dict[str, Values]:
    return arrays.read_all(path, arrays.ANY) if is_there(path) else {}


def with_errors_of(produced: Values, gold: Values, new_gold: Values) -> Values:
    """Return *new_gold* with the rounding errors that *produced* has, floats in its dtype.

    So the tolerance scales with them there too. Floats of one shape have errors where they are
    finite.
    """
    if {x.dtype.kind for x in (produced, gold, new_gold)} != {arrays.FLOATS}:
        return new_gold
    with np.errstate(all="ignore"):
        if not produced.shape == gold.shape == new_gold.shape:
            return new_gold.astype(produced.dtype)
        errors = produced - gold
        moved: Values = new_gold + np.where(np.isfinite(errors), errors, 0)
        return moved.astype(produced.dtype)


def replace(folder: Path, truth: Truth) -> None:
    """Write what judges the artifact in a folder now.

    Its description comes last: until then it is as before, and is settled again. Raises
    RecordError where it is damaged, or could not be read back.
    """
    described = artifacts.read_description(folder)
    files = {
        artifacts.GOLD: truth.gold,
        artifacts.PRODUCED: truth.produced,
        artifacts.EVALUATION: truth.evaluations,
        artifacts.UNDEFINED: truth.masks,
    }
    for name, values in files.items():
        write_npz(folder / name, values)
    untouched = tuple(file for file in described.files if file.path not in files)
    written = tuple(artifacts.describe_file(folder / name, folder) for name in files)
    try:
        changed = described.changed(files=(*untouched, *written), **truth.described())
    except ValidationError as error:
        raise Damaged(folder, describe(error), hint=artifacts.HINT) from None
    write_text(folder / artifacts.DESCRIPTION, changed.model_dump_json(indent=1))
