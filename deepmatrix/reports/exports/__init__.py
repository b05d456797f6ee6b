"""Results in the formats of other tools, which a user asks for by name.

In come results; out goes the text of a file. Each module has one format, and names its definition.
"""

from __future__ import annotations

from collections.abc import Callable

from deepmatrix.reports.exports import bencher, benchmark_action, in_toto, pyperf
from deepmatrix.results.rows import Results

#: By the name that users give: what writes the format.
EXPORTS: dict[str, Callable[[Results], str]] = {
    "github-action-benchmark": benchmark_action.document,
    "bencher": bencher.document,
    "in-toto": in_toto.document,
    "pyperf": pyperf.document,
}
