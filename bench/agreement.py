"""One ONNX model, three clocks: the harness, a bare loop, and pyperf. Do they agree?

All three run in turn, round by round, in containers of the same image on the same CPU with the
same session settings; pyperf times single calls (loops of one). Prints the medians of each round,
the difference between the medians over all rounds, and the CPU time of the host's process while a
cell samples.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pyperf
from common import Bench, ready, show

from deepmatrix.config.sections import Infer
from deepmatrix.planning.plan import Job

BATCH = 256
CALLS = 2000

SETUP = f"""
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession("/artifact/model/model.onnx", options)
x = numpy.load("/artifact/inputs.npz")["x"]
x = numpy.ascontiguousarray(numpy.resize(x, ({BATCH}, *x.shape[1:])))
feed = {{session.get_inputs()[0].name: x}}
"""

LOOP = f"""{SETUP}
import gc, json, time
for _ in range(100):
    session.run(None, feed)
gc.disable()
samples = []
for _ in range({CALLS}):
    start = time.perf_counter()
    session.run(None, feed)
    samples.append(time.perf_counter() - start)
print(json.dumps(samples))
"""

PYPERF = f"""{SETUP}
import pyperf, sys
runner = pyperf.Runner(values={CALLS}, warmups=100, loops=1, processes=1)
measured = runner.bench_func("run", session.run, None, feed)
if not runner.args.worker:
    measured.dump(sys.stdout)
"""


def in_container(bench: Bench, job: Job, script: str, *arguments: str) -> str:
    """Run a script in the consumer's image beside its artifact; return what it prints."""
    assert job.artifact is not None
    with tempfile.NamedTemporaryFile("w", suffix=".py", dir=bench.run.path) as file:
        file.write(script)
        file.flush()
        Path(file.name).chmod(0o644)
        completed = subprocess.run(
            [
                "docker",
                "run",
                "--rm",
                "--network=none",
                "--cpuset-cpus=1",
                "--tmpfs=/tmp:exec",
                f"--volume={bench.run.artifact_path(job.artifact)}:/artifact:ro",
                f"--volume={Path(pyperf.__file__).parent}:/extra/pyperf:ro",
                f"--volume={file.name}:/script.py:ro",
                "--env=PYTHONPATH=/packages:/extra",
                "--env=OMP_NUM_THREADS=1",
                bench.engine.references[job.cell],
                "/script.py",
                *arguments,
            ],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, **bench.engine.endpoint.environment()},
        )
    return completed.stdout


def by_harness(bench: Bench, job: Job) -> float:
    record = bench.perform(job)
    assert record.output is not None, record.cause
    inference = record.output.infer()
    assert inference is not None, record.cause
    measured = inference.batches[str(BATCH)]
    return statistics.median(measured.latency_s[measured.warmup :])


def by_loop(bench: Bench, job: Job) -> float:
    return statistics.median(json.loads(in_container(bench, job, LOOP)))


def by_pyperf(bench: Bench, job: Job) -> float:
    inherit = "--inherit-environ=PYTHONPATH,OMP_NUM_THREADS"
    text = in_container(bench, job, PYPERF, "--quiet", inherit)
    document = json.loads(text[text.index("{") : text.rindex("}") + 1])
    return statistics.median(pyperf.Benchmark.loads(json.dumps(document)).get_values())


def host_cpu(bench: Bench, job: Job) -> float:
    """Return the share of a CPU that this process uses in the middle of a long sampling."""
    process = psutil.Process()
    marks: list[tuple[float, float]] = []

    def mark() -> None:
        times = process.cpu_times()
        marks.append((time.perf_counter(), times.user + times.system))

    thread = threading.Thread(target=bench.perform, args=(job,))
    thread.start()
    time.sleep(2.0)
    mark()
    time.sleep(5.0)
    mark()
    thread.join()
    (start, before), (stop, after) = marks
    return (after - before) / (stop - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    clocks = {"harness": by_harness, "bare loop": by_loop, "pyperf": by_pyperf}
    infer = Infer(batches=(BATCH,), samples=CALLS, min_s=0, warmup=100)
    with tempfile.TemporaryDirectory() as folder, ready(Path(folder), infer) as bench:
        job = bench.job("consume")
        medians: dict[str, list[float]] = {name: [] for name in clocks}
        for _ in range(options.rounds):
            for name, clock in clocks.items():
                medians[name].append(clock(bench, job) * 1e6)
    print(f"p50 of one inference of {job.artifact.id}, batch {BATCH}, {options.rounds} rounds")  # type: ignore[union-attr]
    for name, values in medians.items():
        print(f"  {name:10} {show(values, 1)} µs")
    overall_medians = [statistics.median(values) for values in medians.values()]
    print(f"  differ by  {(max(overall_medians) / min(overall_medians) - 1) * 100:.1f} %")
    long = Infer(batches=(BATCH,), samples=1, min_s=8, warmup=0)
    with tempfile.TemporaryDirectory() as folder, ready(Path(folder), long) as bench:
        share = host_cpu(bench, bench.job("consume"))
    print(f"CPU of the host's process while a cell samples: {share * 100:.2f} % of one")


if __name__ == "__main__":
    main()
