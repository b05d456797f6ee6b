"""The study's own table of latencies, with the same passes as measured here beside it."""

from __future__ import annotations

from matrix.reports import numbers
from matrix.reports.layout import Table, mark, row
from matrix.rows import PassRow, Results

#: Workload -> framework of the study -> ms of a minibatch forward and backward, on one Titan X.
#: "Evaluation of Deep Learning Toolkits", section on performance, which quotes convnet-benchmarks.
STUDY: dict[str, dict[str, int]] = {
    "alexnet-imagenet": {"TensorFlow 0.6": 292, "TensorFlow 0.8": 97, "Torch FP32": 81},
    "googlenet-imagenet": {"TensorFlow 0.6": 1237, "TensorFlow 0.8": 518, "Torch FP32": 470},
}
NAMES = {"alexnet-imagenet": "AlexNet", "googlenet-imagenet": "Inception v1"}


def table(results: Results) -> Table:
    """Return one column a network: the study's rows, then those of this run, fastest first."""
    found = {(one.cell, one.workload): one for one in results.passes if one.workload in STUDY}
    cells = sorted({cell for cell, _ in found}, key=lambda cell: _first(found, cell))
    rows = []
    if found:
        for toolkit in next(iter(STUDY.values())):
            texts = (
                toolkit,
                "a Titan X, 2016",
                *(f"{STUDY[network][toolkit]} ms, batch 128" for network in STUDY),
            )
            rows.append(row(*texts, mood="muted"))
    for cell in cells:
        measured = [found.get((cell, workload)) for workload in STUDY]
        emulated = any(one.emulated for one in measured if one)
        texts = (cell + mark(emulated), "this machine", *(_pass(one) for one in measured))
        rows.append(row(*texts))
    return Table(
        title="The study's table",
        columns=("toolkit", "on", *NAMES.values()),
        rows=tuple(rows),
        numeric=frozenset({2, 3}),
        note=(
            "One minibatch forward and backward. The study's figures are of another machine and "
            "another decade: they are here to be looked at, not to be compared with."
        ),
    )


def _first(found: dict[tuple[str, str], PassRow], cell: str) -> tuple[bool, float]:
    rows = [found[cell, workload] for workload in STUDY if (cell, workload) in found]
    return rows[0].emulated, rows[0].backward_s.median


def _pass(row: PassRow | None) -> str:
    return f"{numbers.interval(row.backward_s)}, batch {row.batch}" if row else numbers.DASH
