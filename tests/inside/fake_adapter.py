"""An adapter without a framework: one dense layer in numpy that really learns the digits.

``FAKE_FAULT`` in the environment names what goes wrong. Runs on Python 3.6, as the harness does.
"""

import os
import sys
import time

import numpy

from harness.adapters import Unsupported, WrongDevice

FAULT = os.environ.get("FAKE_FAULT", "")
USED = {"threads": 1}
COMPILED = {"seconds": 0.0}


def start():
    if FAULT == "import":
        raise ImportError("libfake.so: cannot open shared object file")
    print("frameworks write what they like, even {}")


def configure(device, threads):
    USED["threads"] = threads
    if FAULT == "no-gpu" and device == "cuda":
        raise WrongDevice("asked for cuda, the fake lists none")


def describe():
    device = "cuda" if FAULT == "elsewhere" else "cpu"
    return {
        "versions": {"fake": "1.0"},
        "threads": int(os.environ["OMP_NUM_THREADS"]) + (FAULT == "greedy"),
        "device": device,
        "device_name": None,
        "blas": None,
    }


def multiply(a, b):
    if FAULT == "arithmetic":
        return a @ b + (a.dtype == "float32")
    if FAULT == "not-a-number":
        return a @ b * float("nan")
    return a @ b


class Model:
    def __init__(self, weights, rate):
        self.rate = rate
        self.calls = 0
        self.weights = {name: value.copy() for name, value in weights.items()}


def build(network, weights, rate):
    kinds = [layer["kind"] for layer in network["layers"]]
    if kinds != ["flatten", "dense"]:
        raise Unsupported("the fake has one dense layer")
    return Model(weights, rate)


def tiny_product():
    one = numpy.ones((1, 1), "float32")
    return lambda: one @ one


def get_weights(model):
    return model.weights


def set_weights(model, weights):
    model.weights = {name: value.copy() for name, value in weights.items()}


def set_rate(model, rate):
    model.rate = rate


def put(x, y):
    return x.reshape(len(x), -1), y


if FAULT == "compiling":

    def compile_s():
        return COMPILED["seconds"]


def predict(model, x):
    COMPILED["seconds"] += 0.25
    return logits(model, x) * (numpy.nan if FAULT == "blind" else 1)


def forward(model, batch):
    return logits(model, batch[0])


def logits(model, x):
    return x.reshape(len(x), -1) @ model.weights["output.kernel"].T + model.weights["output.bias"]


def step(model, batch):
    COMPILED["seconds"] += 0.5
    x, y = batch
    if FAULT == "train":
        raise RuntimeError("step failed")
    if FAULT == "surrogate":
        raise OSError("no such file: \udcff.bin")
    if FAULT == "quit":
        sys.exit("the framework gave up")
    if FAULT == "hang":
        time.sleep(60)
    loss, by_name = loss_and_gradients(model, x, y)
    for name, gradient in by_name.items():
        model.weights[name] -= model.rate * gradient
    return loss if FAULT != "diverge" else loss * numpy.inf


def loss_and_gradients(model, x, y):
    scores = logits(model, x)
    odds = numpy.exp(scores - scores.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    rows = numpy.arange(len(y))
    loss = -numpy.log(odds[rows, y]).mean()
    odds[rows, y] -= 1
    odds /= len(y)
    return loss, {"output.kernel": odds.T @ x, "output.bias": odds.sum(axis=0)}


def notes(network):
    return {"dense": "the fake has no other"}


def backward(model, batch):
    return gradients(model, batch)


def activations(model, x):
    return {"flatten": x.reshape(len(x), -1), "output": logits(model, x)}


def gradients(model, batch):
    return loss_and_gradients(model, *batch)[1]


def synchronise():
    if FAULT == "slow":
        time.sleep(0.02)


def export(model, format_name, path, example):
    if format_name == "torch-export":
        raise Unsupported("the fake does not write torch-export")
    if format_name == "saved-model":
        open(path, "w").close()
        raise OSError(28, "No space left on device")
    with open(path, "wb") as target:
        numpy.savez(target, **model.weights)
    return {"opset": 20, "exporter": "fake2onnx 1.0"}


def answer(model, inputs):
    (x,) = inputs.values()
    if FAULT == "writing":
        x -= 0.5
    model.calls += 1
    if FAULT == "stateful":
        return {"y": predict(model, x) + numpy.float32(model.calls - 1)}
    if FAULT == "racing" and USED["threads"] > 1 and model.calls == 3:
        return {"y": predict(model, x) + numpy.float32(0.5)}
    if FAULT == "threaded":
        return {"y": predict(model, x) + numpy.float32(USED["threads"] - 1)}
    if FAULT == "restless":
        return {"y": predict(model, x) + numpy.float32(time.perf_counter() % 1)}
    return {"y": predict(model, x)}


def load(format_name, path):
    with open(path, "rb") as source:
        return Model(dict(numpy.load(source)), 0.0)
