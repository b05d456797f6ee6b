"""MLPerf's inference scenarios, issued and judged by MLCommons' own LoadGen.

Reddi and others, "MLPerf Inference Benchmark", 2020: single-stream sends the next query when it has
the last answer; offline sends all samples at once; server's queries arrive as a Poisson process,
and 99 percent of them must be answered within a bound. A run takes seconds here, not the ten
minutes of a submission: the numbers compare runtimes and are not MLPerf results.
"""

import os
import re
import shutil
import tempfile
import time
from typing import Any

from harness import record

LEAST_QUERIES = 100
BATCH = 32  # samples that offline answers at once
PILOTS = 5

#: Loads that the server scenario tries, the highest first, as shares of single-stream's rate.
LOADS = (0.9, 0.7, 0.5, 0.3, 0.1)

lg: Any = None  # LoadGen, once `start` has imported it


def start():
    """Import LoadGen."""
    global lg
    import mlperf_loadgen as module

    lg = module


def scenarios(answer, rows):
    """Run all scenarios; return {name: numbers}, times in seconds.

    ``answer(indices)`` answers these samples, of *rows*, as one batch where that can be.
    """
    typical = _typical(lambda: answer([0]))
    batched = _typical(lambda: answer([number % rows for number in range(BATCH)])) / BATCH
    single = _run("SingleStream", answer, rows, single_stream_expected_latency_ns=_ns(typical))
    # LoadGen makes one query of as many samples as it expects to take long enough.
    offline = _run("Offline", answer, rows, offline_expected_qps=2 / batched)
    numbers = {
        "single-stream": {
            "valid": _valid(single),
            "p90_s": 1e-9 * _number(single, r"90\.00 percentile latency \(ns\)"),
            "samples_per_s": _number(single, "QPS w/ loadgen overhead"),
        },
        "offline": {
            "valid": _valid(offline),
            "samples_per_s": _number(offline, "Samples per second"),
        },
    }
    numbers["server"] = _server(answer, rows, numbers["single-stream"]["samples_per_s"], typical)
    return numbers


def _server(answer, rows, top_rate, typical):
    """Return the numbers of the highest load within the bound, or of the lowest load."""
    bound_s = max(record.SCENARIO_BOUND * typical, record.SCENARIO_LEAST_BOUND_S)
    for share in LOADS:
        settings = {
            "server_target_qps": share * top_rate,
            "server_target_latency_ns": _ns(bound_s),
        }
        summary = _run("Server", answer, rows, **settings)
        if _valid(summary):
            break
    return {
        "valid": _valid(summary),
        "bound_s": bound_s,
        "p99_s": 1e-9 * _number(summary, r"99\.00 percentile latency \(ns\)"),
        "samples_per_s": _number(summary, "Completed samples per second"),
    }


def _run(scenario, answer, rows, **overrides):
    """Run a scenario; return LoadGen's summary."""
    settings = lg.TestSettings()
    settings.scenario = getattr(lg.TestScenario, scenario)
    settings.mode = lg.TestMode.PerformanceOnly
    settings.min_duration_ms = int(record.SCENARIO_S * 1000)
    settings.min_query_count = LEAST_QUERIES
    for name, value in overrides.items():
        setattr(settings, name, value)

    def issue(queries):
        for first in range(0, len(queries), BATCH):
            batch = queries[first : first + BATCH]
            answer([query.index for query in batch])
            lg.QuerySamplesComplete([lg.QuerySampleResponse(query.id, 0, 0) for query in batch])

    folder = tempfile.mkdtemp()
    log = lg.LogSettings()
    log.log_output = lg.LogOutputSettings()
    log.log_output.outdir = folder
    log.enable_trace = False
    system = lg.ConstructSUT(issue, lambda: None)
    library = lg.ConstructQSL(rows, rows, lambda _: None, lambda _: None)
    try:
        lg.StartTestWithLogSettings(system, library, settings, log)
        path = os.path.join(folder, "mlperf_log_summary.txt")
        with open(path, encoding="utf-8") as summary:
            return summary.read()
    finally:
        lg.DestroyQSL(library)
        lg.DestroySUT(system)
        shutil.rmtree(folder)


def _typical(action):
    times = []
    for _ in range(PILOTS):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return sorted(times)[PILOTS // 2]


def _ns(seconds):
    return max(int(1e9 * seconds), 1)


def _valid(summary):
    return "Result is : VALID" in summary


def _number(summary, label):
    match = re.search(label + r"\s*: ([\d.e+]+)", summary)
    if not match:
        raise ValueError("LoadGen's summary has no " + label)
    return float(match.group(1))
