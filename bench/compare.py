"""``compare`` of a run with itself: how often does a limit break where nothing changed?

The recorded rounds of one cell (see aa.py), in the order in which they were measured, stand for all
times of two runs. In each comparison every time gets rounds of its own, in three ways:

- `spread`: both runs take rounds from the whole recording, as runs do that last as long;
- `apart`: each run takes rounds from a part of the recording, the second one from its later half:
  two runs at different times of a machine whose speed drifts;
- `alternating`: both take neighbouring rounds in turn, as `--with` measures.

A false failure is a comparison of which any line breaks `slower:LIMIT`. Beside it stands how often
a cell that is slower by a tenth is found.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

import numpy as np
from common import ROOT

from deepmatrix.comparison.times import compare_times

RECORDED = ROOT / "bench" / "recorded" / "aa.json"
POOL = np.array(json.loads(RECORDED.read_text()))

#: A run of the matrix lasts about as long as so many of these rounds.
LASTS = 60

Rounds = tuple[list[float], list[float]]
Draw = Callable[[int], Rounds]


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


def worst(draw: Draw, options: argparse.Namespace, factor: float) -> float:
    """Return the largest ratio that is certainly slower; the first cell is slower by a factor."""
    base, head = {}, {}
    for cell in range(options.cells):
        for batch in range(1, options.times + 1):
            key = ("inference", f"cell{cell}", "model", batch)
            base[key], later = draw(options.rounds)
            head[key] = [seconds * (factor if cell == 0 else 1.0) for seconds in later]
    names = {key[1] for key in base}
    changes, _ = compare_times(base, head, names, {})
    slower = [change for change in changes if change.word == "slower"]
    slower = slower if factor == 1 else [change for change in slower if change.cell == "cell0"]
    return max((change.ratio for change in slower), default=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comparisons", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3, help="a side")
    parser.add_argument("--cells", type=int, default=8)
    parser.add_argument("--times", type=int, default=10, help="of each cell")
    parser.add_argument("--limit", type=float, default=5.0, help="of slower, in percent")
    options = parser.parse_args()
    limit = 1 + options.limit / 100
    print(
        f"{options.comparisons} comparisons of {options.cells} cells with {options.times} times, "
        f"{options.rounds} rounds a side"
    )
    for draw in (spread, apart, alternating):
        random = np.random.default_rng(0)
        equal = [worst(draw(random), options, 1.0) for _ in range(options.comparisons)]
        planted = [worst(draw(random), options, 1.1) for _ in range(options.comparisons)]
        false = np.mean([ratio >= limit for ratio in equal])
        named = np.mean([ratio > 0 for ratio in equal])
        detected = np.mean([ratio >= limit for ratio in planted])
        print(
            f"  {draw.__name__:<12} false failures {false:6.1%}   anything called slower "
            f"{named:6.1%}   10 % slower found {detected:6.1%}"
        )


if __name__ == "__main__":
    main()
