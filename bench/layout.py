"""How far does the layout of a process's memory move a time?

OpenVINO serves a model in processes that differ in one way: some allocate blocks of random sizes
before they load it, and keep them, as a process does that has served other models. No model came
before in either. What is left of a difference between `isolation`'s ways is then no state, but
where things lie in memory. Nothing else should run.

    nox -s benchmark -- layout MODEL

Method: T. Mytkowicz et al., "Producing wrong data without doing anything obviously wrong!",
ASPLOS 2009; C. Curtsinger and E. D. Berger, "Stabilizer", ASPLOS 2013.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import time

import numpy as np
import openvino
from common import show

from deepmatrix.comparison.significance import compare_rounds

#: How many blocks, and the largest of them, in bytes.
BLOCKS, LARGEST = 2000, 90_000

#: How long a process serves the model, in seconds.
SERVES_S = 1.2


def serve(model: str) -> float:
    """Return the median time of a call, in seconds."""
    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()
    dice = np.random.default_rng(0)
    for entry in compiled.inputs:
        shape = [dim.get_length() if dim.is_static else 1 for dim in entry.get_partial_shape()]
        values = dice.integers(0, 5, shape).astype(entry.get_element_type().to_dtype())
        request.set_tensor(entry.get_any_name(), openvino.Tensor(values))
    times = []
    end = time.perf_counter() + SERVES_S
    while time.perf_counter() < end:
        start = time.perf_counter()
        request.infer()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(model: str, seed: int) -> float:
    """Return the median time of a call in a new process; a seed of 0 allocates no block."""
    command = [sys.executable, __file__, model, "--seed", str(seed)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seed", type=int, help="of the blocks of one process: serve, and end")
    options = parser.parse_args()
    if options.seed is not None:
        dice = random.Random(options.seed)
        count = BLOCKS if options.seed else 0
        blocks = [bytearray(dice.randrange(LARGEST)) for _ in range(count)]
        print(serve(options.model))
        del blocks  # they lay in memory meanwhile
        return
    fresh, full = [], []
    for number in range(1, options.rounds + 1):
        ways = [(fresh, 0), (full, number)]
        for times, seed in ways if number % 2 else ways[::-1]:
            times.append(measure(options.model, seed))
    (ratio,) = compare_rounds([(fresh, full)])
    print(f"fresh {show([1e6 * x for x in fresh], 1)} us")
    print(f"with random blocks {show([1e6 * x for x in full], 1)} us")
    print(f"ratio {ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]")


if __name__ == "__main__":
    main()
