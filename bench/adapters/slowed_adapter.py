"""ONNX Runtime made slower by a known share: every answer waits on, for 5 % of what it took."""

import os
import time

from harness.runtimes.onnxruntime import adapter as real
from harness.runtimes.onnxruntime.adapter import *  # noqa: F403

SHARE = float(os.environ.get("SLOWED_BY", "0.05"))


def start():
    real.start()


def answer(model, inputs):
    clock = time.perf_counter
    began = clock()
    outputs = real.answer(model, inputs)
    until = clock() + SHARE * (clock() - began)
    while clock() < until:
        pass
    return outputs
