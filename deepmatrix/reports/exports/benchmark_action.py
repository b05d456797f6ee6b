"""The input of github-action-benchmark with its tool ``customSmallerIsBetter``.

https://github.com/benchmark-action/github-action-benchmark#examples
"""

from __future__ import annotations

import json

from deepmatrix.reports.exports.measurements import Quantity, measurements
from deepmatrix.results.rows import Results

UNITS: dict[Quantity, str] = {
    "latency": "s",
    "error": "of gold",
    "image-size": "bytes",
    "peak-memory": "bytes",
}


def document(results: Results) -> str:
    """Return a list of named values, as JSON."""
    entries = []
    for measured in measurements(results):
        entry = {
            "name": f"{measured.subject}: {measured.quantity}",
            "unit": UNITS[measured.quantity],
            "value": measured.value,
        }
        if measured.low is not None and measured.high is not None:
            entry["range"] = f"{measured.low:.4g} to {measured.high:.4g}"
        entries.append({**entry, "extra": f"deepmatrix {results.version}, run {results.run}"})
    return json.dumps(entries, indent=1, allow_nan=False) + "\n"
