"""Training of a workload: single passes and steps timed, and all steps from the first weights."""

import functools
import time
from typing import Any, Callable, Dict

import numpy

from harness.adapters import Array
from harness.measuring import timing
from harness.phases.workload import WorkloadJob, take


class Diverged(Exception):
    """A loss, of a step or of the held-out data, is not a finite number."""


def passes(job: WorkloadJob, data: Dict[str, Any]) -> None:
    """Time the forward pass of the first batch, and forward and backward without an update.

    The batch is on the device before and the results stay there.
    """
    job.require("build", "forward", "backward")
    adapter = job.adapter
    model = job.initial_model()
    x, y = next(job.batches())
    batch = adapter.put(x, y)
    data["batch"] = len(x)
    for name in ("forward", "backward"):
        function = getattr(adapter, name)

        def run_pass(batch: Any, function: Any = function) -> None:
            function(model, batch)
            adapter.synchronise()

        data[name] = timing.sampled(run_pass, batch, job.document["infer"])


def steps(job: WorkloadJob, data: Dict[str, Any]) -> None:
    """Time a step of training on batches of each size, at a rate of zero.

    So the weights stay as they are, and all steps compute the same.
    """
    job.require("build", "step", "set_rate")
    model = job.initial_model()
    job.adapter.set_rate(model, 0.0)
    held = job.workload("data")
    data["batches"] = {}
    for size in job.document["infer"]["batches"]:
        x, y = (take(held[name], size) for name in ("train_x", "train_y"))
        step = functools.partial(job.step, model)
        batch = job.adapter.put(x, y)
        data["batches"][str(size)] = timing.sampled(step, batch, job.document["infer"])


def train(job: WorkloadJob, data: Dict[str, Any]) -> None:
    """Train from the initial weights over all batches; time every step.

    A step is forward, backward and update of a batch that is already on the device, until the
    device is done; the loss is brought back outside the clock.
    """
    job.require("build", "step", "set_rate")
    model = job.initial_model()
    data["batch"] = int(job.workload("order")["order"].shape[1])
    data["step_s"], data["losses"] = [], []
    cpu_start = time.process_time()
    wall_start = time.perf_counter()
    with timing.quiet():
        _take_steps(job, model, data)
    wall_s = time.perf_counter() - wall_start
    data["cpu_share"] = (time.process_time() - cpu_start) / wall_s
    _evaluate(job, model, data)


def _take_steps(job: WorkloadJob, model: Any, data: Dict[str, Any]) -> None:
    adapter = job.adapter
    for (x, y), rate in zip(job.batches(), job.workload("order")["rates"]):
        adapter.set_rate(model, float(rate))
        batch = adapter.put(x, y)
        loss, seconds = timing.timed(job.step, model, batch)
        loss = float(loss)
        if not numpy.isfinite(loss):
            raise Diverged(
                f"the loss of step {len(data['losses'])} is {loss}: lower the workload's `rate`"
            )
        data["step_s"].append(seconds)
        data["losses"].append(loss)


def _evaluate(job: WorkloadJob, model: Any, data: Dict[str, Any]) -> None:
    """Measure accuracy and loss on the held-out data; a decoder's also by its own answers."""
    held_out = job.workload("data")
    logits = job.adapter.predict(model, held_out["test_x"])
    data["accuracy"] = float((logits.argmax(axis=-1) == held_out["test_y"]).mean())
    if job.document["workload"]["network"].get("task") == "reversal":
        predict = functools.partial(job.adapter.predict, model)
        answers = decode_greedily(predict, held_out["test_x"])
        data["greedy_accuracy"] = float((answers == held_out["test_y"]).mean())
    loss = _cross_entropy(logits, held_out["test_y"])
    if not numpy.isfinite(loss):
        raise Diverged(
            f"the held-out loss after the last step is {loss}: lower the workload's `rate`"
        )
    data["test_loss"] = loss


def decode_greedily(predict: Callable[[Array], Array], x: Array) -> Array:
    """Return the answers of a decoder that is fed with its own instead of the right ones: (N, T).

    x is (N, 2T, tokens) float32, one-hot: the source, the start token, and the right answers but
    the last, which are not read. *predict* returns the logits of such inputs, (N, T, classes).
    """
    steps = x.shape[1] // 2
    fed = x.copy()
    fed[:, steps + 1 :] = 0
    for step in range(steps):
        answers: Array = predict(fed).argmax(axis=-1)
        if step + 1 < steps:
            fed[numpy.arange(len(fed)), steps + 1 + step, answers[:, step]] = 1
    return answers


def _cross_entropy(logits: "numpy.ndarray", labels: "numpy.ndarray") -> float:
    """Return the mean softmax cross entropy over all labels, computed in float64.

    Args:
        logits: (..., classes) float32.
        labels: (...) int64.
    """
    logits = logits.astype("float64").reshape(-1, logits.shape[-1])
    labels = labels.reshape(-1)
    logits -= logits.max(axis=1, keepdims=True)
    chosen = logits[numpy.arange(len(labels)), labels]
    return float((numpy.log(numpy.exp(logits).sum(axis=1)) - chosen).mean())
