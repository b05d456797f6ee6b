"""The study's own table of latencies, with the same passes as measured here beside it."""

from __future__ import annotations

import itertools

from deepmatrix.drawing import numbers
from deepmatrix.drawing.layout import Column, Table, key, mark, number, row, text
from deepmatrix.results.rows import Results
from deepmatrix.results.timing.rows import BOTH_PASSES, PassRow

#: Workload -> framework of the study -> ms of a minibatch forward and backward, on one Titan X.
#: "Evaluation of Deep Learning Toolkits", section on performance, which quotes convnet-benchmarks.
STUDY: dict[str, dict[str, int]] = {
    "alexnet-imagenet": {"TensorFlow 0.6": 292, "TensorFlow 0.8": 97, "Torch FP32": 81},
    "googlenet-imagenet": {"TensorFlow 0.6": 1237, "TensorFlow 0.8": 518, "Torch FP32": 470},
}
NAMES = {"alexnet-imagenet": "AlexNet", "googlenet-imagenet": "Inception v1"}


def latencies(results: Results) -> Table:
    """Return two columns a network: the study's rows, then those of this run, fastest first."""
    passes = {(row.cell, row.workload): row for row in results.passes if row.workload in STUDY}
    cells = sorted({cell for cell, _ in passes}, key=lambda cell: _speed(passes, cell))
    rows = []
    for toolkit in next(iter(STUDY.values())) if passes else ():
        times = [(numbers.DASH, f"{STUDY[network][toolkit]} ms, batch 128") for network in STUDY]
        texts = (toolkit, "a Titan X, 2016", *itertools.chain.from_iterable(times))
        rows.append(row(*texts, mood="muted"))
    for cell in cells:
        measured = [passes.get((cell, workload)) for workload in STUDY]
        emulated = any(pass_row.emulated for pass_row in measured if pass_row)
        texts = tuple(itertools.chain.from_iterable(map(_pass_times, measured)))
        rows.append(row(cell + mark(emulated), "this machine", *texts))
    columns: list[Column] = [key("toolkit"), text("machine")]
    for name in NAMES.values():
        columns += [number(f"{name} forward", optional=1), number(f"{name} {BOTH_PASSES}")]
    return Table(
        title="The study's table",
        columns=tuple(columns),
        rows=tuple(rows),
        note=(
            "Time of one minibatch. The study's figures are of another machine, another decade and "
            "a GPU: read them as history, do not compare them with this machine's."
        ),
    )


def _speed(passes: dict[tuple[str, str], PassRow], cell: str) -> tuple[bool, float]:
    rows = [passes[cell, workload] for workload in STUDY if (cell, workload) in passes]
    return rows[0].emulated, rows[0].backward_s.median


def _pass_times(pass_row: PassRow | None) -> tuple[str, str]:
    if pass_row is None:
        return numbers.DASH, numbers.DASH
    backward = f"{numbers.interval(pass_row.backward_s)}, batch {pass_row.batch}"
    return numbers.interval(pass_row.forward_s), backward
