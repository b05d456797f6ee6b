"""Following: the gold of one model, by the names of the outputs of another one.

The first of several formats says what is right for all, and an original what its quantised copies
should answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from deepmatrix.store import arrays
from deepmatrix.store.arrays import Values
from deepmatrix.store.truths import Truth

Value = TypeVar("Value")


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

    def renamed(named: Mapping[str, Value]) -> dict[str, Value]:
        return {by_place[name]: value for name, value in named.items() if name in by_place}

    unjudged = {**renamed(first.unjudged), **own.unjudged}
    leaders = {name: by_place.get(leader) for name, leader in renamed(first.in_order_of).items()}
    judged = [name for name in by_place.values() if name not in unjudged]
    return Truth(
        gold=renamed(first.gold),
        produced=renamed(first.produced),
        sources=dict.fromkeys(judged, f"the outputs of {giver}"),
        unjudged=unjudged,
        masks=_join(renamed(first.masks), own.masks),
        random=own.random | {by_place[name] for name in first.random if name in by_place},
        rounded=frozenset(by_place[name] for name in first.rounded if name in by_place),
        computed_in=own.computed_in,
        quantised={**renamed(first.quantised), **own.quantised},
        unordered={**renamed(first.unordered), **own.unordered},
        in_order_of={
            **{name: leader for name, leader in leaders.items() if leader},
            **own.in_order_of,
        },
        baseline_errors=renamed(first.baseline_errors),
        growth={**renamed(first.growth), **own.growth},
        apart={**renamed(first.apart), **own.apart},
        reshaped={**renamed(first.reshaped), **own.reshaped},
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
