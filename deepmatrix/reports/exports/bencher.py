"""The Bencher Metric Format, for ``bencher run --adapter json``.

https://bencher.dev/docs/reference/bencher-metric-format
"""

from __future__ import annotations

import json

from deepmatrix.reports.exports.measurements import Measurement, measurements
from deepmatrix.results.rows import Results

#: Bencher's own measure `latency` is in nanoseconds.
NANOSECONDS = 1e9

#: The longest name of a benchmark, in characters.
LONGEST = 1024


def document(results: Results) -> str:
    """Return metrics by benchmark and measure, as JSON."""
    benchmarks: dict[str, dict[str, dict[str, float]]] = {}
    for measured in measurements(results):
        metrics = benchmarks.setdefault(measured.subject[:LONGEST], {})
        metrics[measured.quantity] = _metric(measured)
    return json.dumps(benchmarks, indent=1, allow_nan=False) + "\n"


def _metric(measured: Measurement) -> dict[str, float]:
    scale = NANOSECONDS if measured.quantity == "latency" else 1
    values = {
        "value": measured.value,
        "lower_value": measured.low,
        "upper_value": measured.high,
    }
    return {name: value * scale for name, value in values.items() if value is not None}
