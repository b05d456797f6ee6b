"""Training parity: a framework's first step against the float64 evaluation, layer by layer.

The first step runs on the first batch, from the initial weights, without its update. Compared are
the output of every layer, forward, and the gradient of the loss by every parameter, backward. The
first one outside tolerance names the layer at fault.

An output is measured by its largest value: what is small in it is often a difference of large
terms, whose rounding it has. A gradient is measured row by row, a row for each feature that a
layer gives: one that is wrong and small does not hide behind a large one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from deepmatrix.config.sections import Precision, Tolerances
from deepmatrix.store import arrays
from deepmatrix.store.arrays import Floats
from deepmatrix.store.records import Parity
from deepmatrix.workloads.networks import Network
from deepmatrix.workloads.scale import parity_scale

#: The smallest scale of an error, as a share of the largest scale of its kind: arrays of smaller
#: values may be all rounding.
SMALLEST_SCALE = 1e-3


def compare(network: Network, truth: Mapping[str, Floats], path: Path) -> Parity:
    """Compare a framework's arrays in a file with gold.

    Returns errors in the network's order: largest absolute difference over the largest absolute
    gold value, of an output or of a gradient's row; None where a value is not finite.

    Raises:
        arrays.Unreadable: the file or an array is missing, torn, or of another shape.
    """
    reported = arrays.read(path, {name: value.shape for name, value in truth.items()})
    order = {layer["name"]: index for index, layer in enumerate(network["layers"])}
    return Parity(
        outputs=_errors("output/", truth, reported, order, _whole),
        gradients=_errors("gradient/", truth, reported, order, _by_row),
    )


def scale(truth: Floats) -> float:
    """Return the largest absolute gold value, by which errors are divided; 1 where all are 0."""
    return parity_scale(truth)


def _errors(
    kind: str,
    truth: Mapping[str, Floats],
    reported: Mapping[str, Floats],
    order: Mapping[str, int],
    split: Callable[[Floats], Floats],
) -> dict[str, float | None]:
    names = [name.removeprefix(kind) for name in truth if name.startswith(kind)]
    largest = max((np.abs(truth[kind + name]).max(initial=0.0) for name in names), default=0.0)
    least = SMALLEST_SCALE * float(largest)
    return {
        name: _error(split(reported[kind + name]), split(truth[kind + name]), least)
        for name in sorted(names, key=lambda name: order[name.split(".")[0]])
    }


def _whole(output: Floats) -> Floats:
    return output.reshape(1, -1)


def _by_row(gradient: Floats) -> Floats:
    """Return (rows, values); one row of a bias, whose features have one value each."""
    return gradient.reshape(len(gradient) if gradient.ndim > 1 else 1, -1)


def _error(values: Floats, truth: Floats, least: float) -> float | None:
    """Return the largest error of a row, (rows, values), over its own scale or the *least*."""
    if not np.isfinite(values).all():
        return None
    with np.errstate(all="ignore"):  # beyond the largest float, or over zero, it is infinite
        difference = np.abs(values.astype(np.float64) - truth).max(axis=1, initial=0.0)
        scales = np.maximum(np.abs(truth).max(axis=1, initial=0.0), least)
        return float(np.where(difference > 0, difference / scales, 0.0).max(initial=0.0))


def first_wrong(
    parity: Parity, network: Network, tolerances: Tolerances, precision: Precision = "float32"
) -> str:
    """Return the first place of a network outside tolerance, or "" if there is none.

    Outputs are checked in the order of the forward pass, then gradients in that of the backward
    pass. In a reduced *precision* only outputs are: a small row of a gradient may be half rounding
    there.
    """
    if reduced := tolerances.reduced.get(precision):
        wrong = (layer for layer, error in parity.outputs.items() if not _within(error, reduced))
        return next((f"output of {layer}" for layer in wrong), "")
    kinds = {layer["name"]: layer["kind"] for layer in network["layers"]}
    for layer, error in parity.outputs.items():
        if not _within(error, tolerances.of_layer(kinds.get(layer, ""))):
            return f"output of {layer}"
    for parameter, error in reversed(parity.gradients.items()):
        if not _within(error, tolerances.gradient):
            return f"gradient of {parameter}"
    return ""


def worst_parity_error(errors: Mapping[str, float | None]) -> float | None:
    """Return the largest error, or None where one is not finite or there is none."""
    values = list(errors.values())
    if not values or any(value is None for value in values):
        return None
    return max(value for value in values if value is not None)


def _within(error: float | None, tolerance: float) -> bool:
    return error is not None and error <= tolerance
