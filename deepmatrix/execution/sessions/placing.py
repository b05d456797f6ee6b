"""Placing: which of several engines run a cell."""

from __future__ import annotations

from collections.abc import Sequence

from deepmatrix.planning.cells import Capabilities, Cell


def places(cells: Sequence[Cell], able: Sequence[Capabilities]) -> list[list[Cell]]:
    """Return, for each engine, the cells that it runs: what one runs natively, no other emulates.

    What none can run is the first one's, which tells why.
    """
    shares: list[list[Cell]] = [[] for _ in able]
    for cell in cells:
        can = [place for place, each in enumerate(able) if each.refusal(cell) is None]
        native = [place for place in can if not able[place].emulates(cell)]
        for place in native or can or [0]:
            shares[place].append(cell)
    return shares
