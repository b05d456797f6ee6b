"""The study anew: ratings with their inputs, statements, and the study's own table of times."""

from __future__ import annotations

from collections.abc import Sequence

from deepmatrix.drawing.layout import Table
from deepmatrix.reports.tables.study import claims, packages, ratings
from deepmatrix.reports.tables.study.latencies import latencies
from deepmatrix.results.rows import Results
from deepmatrix.study.decisions import DecidedStatement
from deepmatrix.study.rating.packages import Packages
from deepmatrix.study.rating.ratings import Rating


def brief(rated: Sequence[Rating], decided: Sequence[DecidedStatement]) -> list[Table]:
    """Return the stars, and the statements that are decided."""
    return [*ratings.stars(rated), *claims.brief(decided)]


def tables(
    rated: Sequence[Rating],
    decided: Sequence[DecidedStatement],
    runs: Sequence[Results],
    listed: Packages,
) -> list[Table]:
    """Return the tables of an evaluation: stars first, then what they rest on."""
    measured = [table for table in map(latencies, runs) if table.rows]
    releases = packages.table(listed, runs)
    return [*ratings.tables(rated), releases, *measured[-1:], *claims.tables(decided)]
