"""Of cells that are equally fast, how many tables call one of them slower than the fastest?

Tables of equal cells are drawn: the logarithms of their rounds' medians are normal, and each cell's
rounds differ by more or less than 1 %. Each cell is compared with the fastest, as in the table
"Training". At most 5 % of the tables should have a false "slower".
"""

from __future__ import annotations

import argparse

import numpy as np
from rich.progress import track

from deepmatrix.results.timing.statistics import compare

CELLS = (10, 27)
ROUNDS = (3, 5)


def has_a_slower_cell(
    random: np.random.Generator, cells: int, rounds: int, unequal: float, *, alone: bool
) -> bool:
    """Draw a table of equal cells; return whether one is said to be slower than the fastest."""
    spreads = 0.01 * np.exp(unequal * random.standard_normal((cells, 1)))
    logs = spreads * random.standard_normal((cells, rounds))
    table = np.exp(logs)
    fastest = table[logs.mean(axis=1).argmin()].tolist()
    comparisons = [
        compare(times, fastest, fastest_of=2 if alone else cells) for times in table.tolist()
    ]
    return any(item is not None and item.direction == "slower" for item in comparisons)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=10_000)
    parser.add_argument(
        "--unequal",
        type=float,
        default=[0.0, 0.5],
        nargs="*",
        help="standard deviations of the logarithms of the cells' spreads",
    )
    parser.add_argument(
        "--alone", action="store_true", help="as if the fastest had not been chosen from the data"
    )
    options = parser.parse_args()
    settings = [(c, r, u) for c in CELLS for r in ROUNDS for u in options.unequal]
    for cells, rounds, unequal in settings:
        random = np.random.default_rng(cells)
        name = f"{cells} cells, {rounds} rounds, spreads unequal by {unequal}"
        slower = sum(
            has_a_slower_cell(random, cells, rounds, unequal, alone=options.alone)
            for _ in track(range(options.tables), name)
        )
        print(f"{name}: {slower} of {options.tables} tables ({slower / options.tables:.1%})")


if __name__ == "__main__":
    main()
