"""The study's own table of latencies, with the same passes as measured here beside it."""

from __future__ import annotations

import itertools

from deepmatrix.reports import numbers
from deepmatrix.reports.layout import Table, mark, row
from deepmatrix.results.rows import PassRow, Results

#: Workload -> framework of the study -> ms of a minibatch forward and backward, on one Titan X.
#: "Evaluation of Deep Learning Toolkits", section on performance, which quotes convnet-benchmarks.
STUDY: dict[str, dict[str, int]] = {
    "alexnet-imagenet": {"TensorFlow 0.6": 292, "TensorFlow 0.8": 97, "Torch FP32": 81},
    "googlenet-imagenet": {"TensorFlow 0.6": 1237, "TensorFlow 0.8": 518, "Torch FP32": 470},
}
NAMES = {"alexnet-imagenet": "AlexNet forward", "googlenet-imagenet": "Inception v1 forward"}


def table(results: Results) -> Table:
    """Return two columns a network: the study's rows, then those of this run, fastest first."""
    found = {(one.cell, one.workload): one for one in results.passes if one.workload in STUDY}
    cells = sorted({cell for cell, _ in found}, key=lambda cell: _first(found, cell))
    rows = []
    for toolkit in next(iter(STUDY.values())) if found else ():
        told = [(numbers.DASH, f"{STUDY[network][toolkit]} ms, batch 128") for network in STUDY]
        texts = (toolkit, "a Titan X, 2016", *itertools.chain.from_iterable(told))
        rows.append(row(*texts, mood="muted"))
    for cell in cells:
        measured = [found.get((cell, workload)) for workload in STUDY]
        emulated = any(one.emulated for one in measured if one)
        times = itertools.chain.from_iterable(map(_pass, measured))
        rows.append(row(cell + mark(emulated), "this machine", *times))
    return Table(
        title="The study's table",
        columns=(
            "toolkit",
            "on",
            *itertools.chain.from_iterable((name, "and backward") for name in NAMES.values()),
        ),
        rows=tuple(rows),
        numeric=frozenset({2, 3, 4, 5}),
        note=(
            "One minibatch forward, and forward and backward. The study's figures are of another "
            "machine and another decade: they are here to be looked at, not to be compared with."
        ),
    )


def _first(found: dict[tuple[str, str], PassRow], cell: str) -> tuple[bool, float]:
    rows = [found[cell, workload] for workload in STUDY if (cell, workload) in found]
    return rows[0].emulated, rows[0].backward_s.median


def _pass(row: PassRow | None) -> tuple[str, str]:
    if row is None:
        return numbers.DASH, numbers.DASH
    backward = f"{numbers.interval(row.backward_s)}, batch {row.batch}"
    return numbers.interval(row.forward_s), backward
