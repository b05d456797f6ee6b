"""``compare`` of a run with itself: how often does a limit break where nothing changed?

The recorded rounds of one cell (see aa.py), in the order in which they were measured, stand for all
times of two runs. In each comparison every time gets rounds of its own, in three ways:

- `spread`: both runs take rounds from the whole recording, as runs do that last as long;
- `apart`: each run takes rounds from a part of the recording, the second one from its later half:
  two runs at different times of a machine whose speed drifts;
- `alternating`: both take neighbouring rounds in turn, as `--with` measures.

A false failure is a comparison of which any line breaks `slower:LIMIT`. Beside it stands how many
are left where the suspects are measured again, in turn; and how often a cell that is slower by a
tenth is found.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from common import ROOT

from deepmatrix.comparison.times import compare_times

RECORDED = ROOT / "bench" / "recorded" / "aa.json"
POOL = np.array(json.loads(RECORDED.read_text()))

#: A run of the matrix lasts about as long as so many of these rounds.
LASTS = 60

#: Rounds of a second measurement, as `--rounds` has by default.
AGAIN = 10

Rounds = tuple[list[float], list[float]]
Draw = Callable[[int], Rounds]
Way = Callable[[np.random.Generator], Draw]

Key = tuple[str, str, str, str, int]
"""The quantity, the cell, its machine (it has one), the subject and the batch of a time."""


def spread(random: np.random.Generator) -> Draw:
    def draw(rounds: int) -> Rounds:
        drawn = random.choice(POOL, 2 * rounds, replace=False)
        return drawn[:rounds].tolist(), drawn[rounds:].tolist()

    return draw


def apart(random: np.random.Generator) -> Draw:
    half = POOL.size // 2
    first, second = random.integers(half - LASTS), half + random.integers(half - LASTS)

    def draw(rounds: int) -> Rounds:
        base = random.choice(POOL[first : first + LASTS], rounds, replace=False)
        head = random.choice(POOL[second : second + LASTS], rounds, replace=False)
        return base.tolist(), head.tolist()

    return draw


def alternating(random: np.random.Generator) -> Draw:
    def draw(rounds: int) -> Rounds:
        first = random.integers(POOL.size - 2 * rounds)
        drawn = POOL[first : first + 2 * rounds]
        return drawn[::2].tolist(), drawn[1::2].tolist()

    return draw


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large a comparison is: rounds a side, cells, times of each cell."""

    rounds: int = 3
    cells: int = 8
    times: int = 10


def slower(draw: Draw, size: Size, factor: float = 1.0) -> dict[Key, float]:
    """Return the ratios of all that is certainly slower; the first cell is slower by a factor."""
    keys = [
        ("inference", f"cell{cell}", "", "model", batch)
        for cell in range(size.cells)
        for batch in range(1, size.times + 1)
    ]
    return slower_of(keys, draw, size.rounds, factor)


def slower_of(keys: list[Key], draw: Draw, rounds: int, factor: float = 1.0) -> dict[Key, float]:
    base, head = {}, {}
    for key in keys:
        base[key], later = draw(rounds)
        head[key] = [seconds * (factor if key[1] == "cell0" else 1.0) for seconds in later]
    changes, _ = compare_times(base, head, {key[1:3] for key in keys}, {})
    return {
        (change.quantity, change.cell, change.machine, change.subject, change.batch): change.ratio
        for change in changes
        if change.word == "slower"
    }


def fails(ratios: dict[Key, float], size: Size, limit: float, *, again: Draw | None = None) -> bool:
    """Return whether a limit is broken; where it is measured *again*, by that measurement."""
    suspects = [key for key, ratio in ratios.items() if ratio >= limit]
    if not suspects or again is None:
        return bool(suspects)
    served = {
        ("inference", cell, "", "model", own)
        for _, cell, _, _, batch in suspects
        for own in ([batch] if batch else range(1, size.times + 1))  # a mean is of all
    }
    second = slower_of(sorted(served), again, AGAIN)
    return any(second.get(key, 0.0) >= limit for key in suspects)


def false_failures(
    way: Way, count: int, size: Size, limit: float = 1.05, *, again: bool = False
) -> float:
    """Return the share of comparisons that fail though nothing changed."""
    random = np.random.default_rng(0)
    failed = [
        fails(slower(way(random), size), size, limit, again=alternating(random) if again else None)
        for _ in range(count)
    ]
    return float(np.mean(failed))


def found(way: Way, count: int, size: Size, limit: float = 1.05) -> float:
    """Return the share of comparisons that find a cell that is slower by a tenth."""
    random = np.random.default_rng(1)
    comparisons = (slower(way(random), size, factor=1.1) for _ in range(count))
    named = [{key: ratios[key] for key in ratios if key[1] == "cell0"} for ratios in comparisons]
    return float(np.mean([fails(ratios, size, limit) for ratios in named]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comparisons", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3, help="a side")
    parser.add_argument("--cells", type=int, default=8)
    parser.add_argument("--times", type=int, default=10, help="of each cell")
    parser.add_argument("--limit", type=float, default=5.0, help="of slower, in percent")
    options = parser.parse_args()
    limit = 1 + options.limit / 100
    size = Size(rounds=options.rounds, cells=options.cells, times=options.times)
    print(
        f"{options.comparisons} comparisons of {options.cells} cells with {options.times} times, "
        f"{options.rounds} rounds a side"
    )
    for way in (spread, apart, alternating):
        false = false_failures(way, options.comparisons, size, limit)
        second = false_failures(way, options.comparisons, size, limit, again=True)
        detected = found(way, options.comparisons, size, limit)
        print(
            f"  {way.__name__:<12} false failures {false:6.1%}   measured again {second:6.1%}   "
            f"10 % slower found {detected:6.1%}"
        )


if __name__ == "__main__":
    main()
