"""The table of what quantisation costs a model, against its original."""

from __future__ import annotations

from deepmatrix.drawing import numbers
from deepmatrix.drawing.layout import Row, Table, key, number, row, text
from deepmatrix.results.precision.rows import CostRow
from deepmatrix.results.rows import Results

#: At most this many rows that flip are listed.
LISTED = 5


def costs(results: Results) -> Table:
    """Each output of each quantised model against that of its original, on the same inputs."""
    return Table(
        title="Cost of quantisation",
        columns=(
            key("model"),
            key("output"),
            number("error"),
            number("SNR"),
            number("top-1 flips"),
            text("flipped rows, with their margin"),
        ),
        rows=tuple(map(_cost_row, results.costs)),
        note=(
            "Against the original's own float64 evaluation, or what stands for it, on the same "
            "inputs. Error: the largest difference over the original's largest value. Margin: the "
            "original's largest value of the row less its second; a small one flips easily."
        ),
    )


def _cost_row(cost: CostRow) -> Row:
    flips = cost.flips or ()
    listed = [
        f"{at} ({margin:.2g})"
        for at, margin in zip(flips[:LISTED], cost.margins[:LISTED], strict=True)
    ]
    unlisted = f" and {len(flips) - LISTED} more" if len(flips) > LISTED else ""
    return row(
        cost.model,
        cost.output,
        numbers.error(cost.error),
        numbers.DASH if cost.snr_db is None else f"{cost.snr_db:.1f} dB",
        numbers.DASH if cost.flips is None else f"{len(flips)} of {cost.rows}",
        (", ".join(listed) or numbers.DASH) + unlisted,
    )
