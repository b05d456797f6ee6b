"""The packages of the study's systems: their releases, wheels and licences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

from deepmatrix.drawing.layout import Row, Table, key, number, row, text
from deepmatrix.drawing.numbers import DASH
from deepmatrix.results.rows import Results
from deepmatrix.study.evidence import cells_of
from deepmatrix.study.rating.packages import Packages, Release, as_listed

#: So many of the last releases tell how far apart they are.
RECENT = 10


def table(packages: Packages, runs: Sequence[Results]) -> Table:
    """Return a line for each system and period whose package the index had on the day."""
    return Table(
        title="Packages",
        columns=(
            key("package"),
            text("system"),
            text("on", optional=2),
            number("releases", optional=4),
            text("first", optional=5),
            text("last"),
            number("days between", optional=3),
            text("wheels of the last for"),
            text("licence", optional=1),
        ),
        rows=tuple(_rows(packages, runs)),
        note=(
            "Final releases that the package index listed on the day; it also has the day of every "
            f"upload. Days between: the median of the last {RECENT}. Licence: as the "
            "package that ran says it, whose version is that of the runs; a dash: none that has "
            "metadata ran. What Python's index had nothing of on the day has no line."
        ),
    )


def _rows(packages: Packages, runs: Sequence[Results]) -> Iterator[Row]:
    for listed in as_listed(packages):
        last = listed.releases[-1]
        yield row(
            listed.package,
            f"{listed.system} ({listed.period})",
            str(listed.day),
            str(len(listed.releases)),
            str(listed.releases[0].uploaded),
            f"{last.version} of {last.uploaded}",
            _days_between(listed.releases[-RECENT - 1 :]),
            ", ".join(last.platforms) or "none",
            _licence(listed.framework, runs),
        )


def _days_between(releases: Sequence[Release]) -> str:
    days = [(after.uploaded - before.uploaded).days for before, after in pairwise(releases)]
    return f"{median(days):.0f}" if days else DASH


def _licence(framework: str, runs: Sequence[Results]) -> str:
    """Return what the framework's package says in the last run that has it."""
    for results in reversed(runs):
        for cell in cells_of(framework, results):
            distribution = cell.environment.get("distribution") or {}
            if licence := distribution.get("licence"):
                return f"{licence} ({cell.version})"
    return DASH
