"""Following: the gold of one model, by the names of the outputs of another one.

The first of several formats says what is right for all, and an original what its quantised copies
should answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from deepmatrix.store import arrays
from deepmatrix.store.arrays import Values
from deepmatrix.store.truths import Truth


def follow(first: Truth, own: Truth, names: Sequence[str], giver: str) -> Truth:
    """Return what judges a model whose right outputs another one gives.

    Values that either model leaves undefined are not compared, outputs that either makes at random
    only by their statistics, and those that depend on quantised values in either by steps.

    Args:
        first: what judges the model that gives the right outputs.
        own: what the inspection of the model itself says of its outputs.
        names: of its outputs, in their order.
        giver: the first model, for a message and for the report.

    Raises:
        arrays.Unreadable: the outputs cannot be those of one model; the message says why.
    """
    by_place = output_names(list(first.gold), names, giver)
    masks = {by_place[name]: mask for name, mask in first.masks.items() if name in by_place}
    sets = {by_place[name]: axis for name, axis in first.unordered.items() if name in by_place}
    steps = {by_place[name]: grid for name, grid in first.quantised.items() if name in by_place}
    errors = {by_place[old]: x for old, x in first.baseline_errors.items() if old in by_place}
    apart = {by_place[name]: count for name, count in first.apart.items() if name in by_place}
    reshaped = {by_place[name]: why for name, why in first.reshaped.items() if name in by_place}
    return Truth(
        gold={new: first.gold[old] for old, new in by_place.items()},
        produced={new: first.produced[old] for old, new in by_place.items()},
        sources={
            new: f"the outputs of {giver}"
            for old, new in by_place.items()
            if old not in first.unjudged
        },
        unjudged={by_place[old]: reason for old, reason in first.unjudged.items()},
        masks=_join(masks, own.masks),
        random=own.random | {by_place[name] for name in first.random if name in by_place},
        rounded=frozenset(by_place[old] for old in first.rounded if old in by_place),
        computed_in=own.computed_in,
        quantised={**steps, **own.quantised},
        unordered={**sets, **own.unordered},
        in_order_of={
            **{
                by_place[name]: by_place[leader]
                for name, leader in first.in_order_of.items()
                if name in by_place and leader in by_place
            },
            **own.in_order_of,
        },
        baseline_errors=errors,
        apart={**apart, **own.apart},
        reshaped={**reshaped, **own.reshaped},
        remarks=own.remarks,
    )


def _join(first: Mapping[str, Values], second: Mapping[str, Values]) -> dict[str, Values]:
    """Return masks by name of output; where both say something of a value, the first counts."""
    joined = {**second, **first}
    for name in first.keys() & second.keys():
        if first[name].shape == second[name].shape:
            joined[name] = np.where(first[name] != 0, first[name], second[name])
    return joined


def output_names(givers_names: Sequence[str], names: Sequence[str], giver: str) -> dict[str, str]:
    """Return a model's own name of each output that something else gives: the same, else by place.

    Raises arrays.Unreadable unless each output is given.
    """
    missing = [name for name in givers_names if name not in names]
    surplus = [name for name in names if name not in givers_names]
    if len(givers_names) == len(names) and len(missing) in (0, len(givers_names)):
        return dict(zip(givers_names if missing else names, names, strict=True))
    message = f"{giver} has {_listed(givers_names)}, the model has {_listed(names)}"
    if len(missing) < len(givers_names):  # else outputs are matched by their order
        message += f": it does not give {_quoted(missing)}" if missing else ""
        message += f": it also gives {_quoted(surplus)}" if surplus and not missing else ""
    raise arrays.Unreadable(message)


def _listed(names: Sequence[str]) -> str:
    """Return how many outputs there are, and which."""
    return f"{len(names)} output{'s' * (len(names) != 1)} ({', '.join(names)})"


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
