"""A suite of pyperf, for ``python -m pyperf compare_to BASE.json HEAD.json``.

https://pyperf.readthedocs.io/en/latest/api.html#pyperf-json-file-format says what the file is. A
round is a run of pyperf with one value, its median: only rounds are independent.
"""

from __future__ import annotations

import json
from typing import Any

from deepmatrix.errors import ArgumentError
from deepmatrix.reports.exports.measurements import Measurement, measurements
from deepmatrix.results.rows import Results

FORMAT = "1.0"


def document(results: Results) -> str:
    """Return the native latencies as a suite, as JSON.

    Raises:
        ArgumentError: there is none; pyperf reads no empty suite.
    """
    benchmarks = [
        _benchmark(measured) for measured in measurements(results) if measured.quantity == "latency"
    ]
    if not benchmarks:
        raise ArgumentError(
            f"{results.run} has no native latency, which a suite of pyperf is made of",
            hint="name a run in which a native cell served a model",
        )
    metadata = {"unit": "second", "deepmatrix_version": results.version, "run": results.run}
    suite = {"version": FORMAT, "metadata": metadata, "benchmarks": benchmarks}
    return json.dumps(suite, indent=1, allow_nan=False) + "\n"


def _benchmark(measured: Measurement) -> dict[str, Any]:
    values = measured.rounds or (measured.value,)
    return {
        "metadata": {"name": measured.subject},
        "runs": [{"values": [value]} for value in values],
    }
