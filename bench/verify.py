"""From the command to the verdict: how long ``nox -s verify`` of a small model takes, by parts.

Run with ``nox -s benchmark -- verify``. With ``--beside FOLDER`` the same is measured in another
working tree, in turn. The images have to be there. Where another run measures on the same CPUs,
jobs wait for it: "without pauses" leaves the time between jobs out.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from common import ROOT, run_session, show

MODEL = ROOT / "tests" / "models" / "lstm_seqlens.onnx"

Parts = dict[str, float]
"""Seconds by part of a run."""


def verify(repository: Path, model: Path, options: Sequence[str]) -> Parts:
    """Run the command in a working tree; return its parts, in their order."""
    before = children_cpu_s()
    ran = run_session("verify", [str(model), *options], repository)
    cpu_s, jobs = children_cpu_s() - before, processes(ran.records)
    first = min(began for began, _ in jobs.values())
    last = max(began + seconds for began, seconds in jobs.values())
    in_jobs = sum(seconds for _, seconds in jobs.values())
    pauses = last - first - in_jobs
    return {
        "command to verdict": ran.end - ran.start,
        **verdicts(jobs, ran.plan["emulated"], ran.start),
        "without pauses": ran.end - ran.start - pauses,
        "CPU of the host": cpu_s,
        "before the first job": first - ran.start,
        "between jobs": pauses,
        "after the last job": ran.end - last,
        **{f"  {cell}": seconds for cell, (_, seconds) in sorted(jobs.items())},
    }


def run_polygraphy(program: Path, model: Path) -> float:
    """Return the seconds in which Polygraphy runs a model once in ONNX Runtime."""
    start = time.perf_counter()
    subprocess.run([program, "run", model, "--onnxrt"], capture_output=True, check=True)
    return time.perf_counter() - start


def verdicts(
    jobs: Mapping[str, tuple[float, float]], emulated: Sequence[str], start: float
) -> Parts:
    """Return the seconds from the *start* of the command to verdicts: one, all native, all."""
    ends = {
        job.removeprefix("consume "): began + seconds - start
        for job, (began, seconds) in jobs.items()
        if job.startswith("consume ")
    }
    native = [seconds for cell, seconds in ends.items() if cell not in emulated]
    parts = {"first verdict": min(ends.values())}
    if native:
        parts["native verdicts"] = max(native)
    if len(native) < len(ends):
        parts["emulated verdicts"] = max(ends.values())
    return parts


def processes(records: Sequence[Mapping[str, object]]) -> dict[str, tuple[float, float]]:
    """Return start and seconds of each process, by its wave and cell; some have two records."""
    jobs: dict[str, tuple[float, float]] = {}
    for record in sorted(records, key=lambda record: record["wave"] != "produce"):
        span = (float(str(record["started_at"])), float(str(record["wall_s"])))
        if span not in jobs.values():
            jobs[f"{record['wave']} {record['cell']}"] = span
    return jobs


def children_cpu_s() -> float:
    """Return the processor seconds of all processes that this one waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--only", action="append", default=[], metavar="GLOB")
    parser.add_argument("--emulated", action="store_true", help="emulated cells, too")
    parser.add_argument("--beside", type=Path, metavar="FOLDER", help="another working tree")
    parser.add_argument("--polygraphy", type=Path, metavar="PROGRAM", help="NVIDIA's, in turn, too")
    options = parser.parse_args()
    if shutil.which("nox") is None:
        parser.error("nox is not on PATH")
    chosen = [word for glob in options.only for word in ("--only", glob)]
    chosen += [] if options.emulated else ["--native"]
    trees = [ROOT, *([options.beside.resolve()] if options.beside else [])]
    samples: dict[Path, list[Parts]] = {tree: [] for tree in trees}
    rivals: list[float] = []
    for _ in range(options.repeat):
        for tree in trees:
            samples[tree].append(verify(tree, options.model.resolve(), chosen))
        if options.polygraphy:
            rivals.append(run_polygraphy(options.polygraphy, options.model))
    for tree, runs in samples.items():
        print(f"{tree}, {len(runs)} times, in seconds")
        for part in runs[-1]:
            values = [run[part] for run in runs if part in run]
            print(f"  {part:<50} {show(values, 2)}")
    if rivals:
        print(f"polygraphy run MODEL --onnxrt, {len(rivals)} times: {show(rivals, 2)}")


if __name__ == "__main__":
    main()
