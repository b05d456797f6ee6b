"""The tables of a conformance run, and its page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from deepmatrix.conformance.suite import Change, Conformity
from deepmatrix.reports.layout import Table
from deepmatrix.reports.layout import row as row_of

Changes = Mapping[str, Change | None]
"""By cell, what differs from its baseline; None where it has none."""

#: So many kinds of failure of a cell are told; the others are in the file.
KINDS = 12


def tables(found: Sequence[Conformity], changes: Changes) -> Iterator[Table]:
    """Yield the counts, what is new, and of what kinds the failures are."""
    yield _counts(found, changes)
    lines = [
        row_of(one.cell, name, outcome.ending, outcome.reason, mood="bad")
        for one in found
        if (change := changes[one.cell])
        for name, outcome in change.worse.items()
    ]
    if lines:
        yield Table(
            title="New failures",
            columns=("cell", "test", "ended", "reason"),
            rows=tuple(lines),
            note="Cases that are not in the cell's baseline.",
        )
    for one in found:
        if one.failed:
            yield _kinds(one)


def _counts(found: Sequence[Conformity], changes: Changes) -> Table:
    lines = []
    for one in found:
        change = changes[one.cell]
        versions = ", ".join(f"{name} {version}" for name, version in one.versions.items())
        counts = (one.counted(ending) for ending in ("pass", "wrong", "error", "crash"))
        texts = (
            one.cell,
            versions,
            *map(str, counts),
            str(one.counted("unsupported") + len(one.skipped)),
            "no baseline" if change is None else str(len(change.worse)),
            "" if change is None else str(len(change.better)),
        )
        lines.append(row_of(*texts, mood="bad" if change and change.worse else "plain"))
    return Table(
        title=f"Conformance: {found[0].suite if found else ''}, tests of single nodes",
        columns=(
            "cell",
            "versions",
            "pass",
            "wrong",
            "error",
            "crash",
            "not tried",
            "new failures",
            "gone",
        ),
        rows=tuple(lines),
        numeric=frozenset(range(2, 9)),
        note=(
            "Not tried: a sequence, an optional, or a dtype that numpy lacks goes in or out. "
            "New and gone: against the cell's baseline."
        ),
    )


def _kinds(one: Conformity) -> Table:
    kinds = Counter((outcome.ending, _kind(outcome.reason)) for outcome in one.failed.values())
    lines = [
        row_of(str(count), ending, reason) for (ending, reason), count in kinds.most_common(KINDS)
    ]
    left = len(kinds) - len(lines)
    more = f"And {left} kinds of fewer tests. " if left > 0 else ""
    return Table(
        title=f"Failures: {one.cell}",
        columns=("tests", "ended", "reason"),
        rows=tuple(lines),
        numeric=frozenset({0}),
        note=f"{more}Every test with its reason: `conformance/{one.cell}.json` in the run.",
    )


def _kind(reason: str) -> str:
    """Return a reason without what differs from test to test: names, numbers and shapes."""
    without = re.sub(r"'[^']*'|\"[^\"]*\"", "'…'", reason)
    without = re.sub(r"\([\d, ]*\)", "(…)", without)
    without = re.sub(r"\b(?:test_\w+|sub_graph\w*)\b", "…", without)
    return re.sub(r"\d+(?:\.\d+)*", "N", without)[:110]
