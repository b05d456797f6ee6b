"""A workload in a framework: the network is built from its description and answers."""

import functools
import time
from types import ModuleType
from typing import Any, Callable, Dict, Iterator, Optional, Tuple

import numpy

from harness import control
from harness.adapters import Arrays, Unsupported
from harness.jobs import RunningJob
from harness.measuring import timing

#: So many tiny operations are timed together, after a tenth as many that are not.
OPERATIONS = 1000


class WorkloadJob(RunningJob):
    """A job with a workload: its arrays, read once, and its model, built once."""

    def __init__(
        self, directory: str, document: Dict[str, Any], adapter: ModuleType, started: Dict[str, Any]
    ) -> None:
        super().__init__(directory, document, adapter, started)
        self._model: Any = None
        self._build_s: Optional[float] = None
        self._arrays: Dict[str, Arrays] = {}

    def arrays(self, path: str) -> Arrays:
        """Return the arrays of an ``.npz`` by name."""
        if path not in self._arrays:
            self._arrays[path] = control.load_arrays(self.directory, path)
        return self._arrays[path]

    def workload(self, name: str) -> Arrays:
        """Return the arrays of the workload's ``data``, ``weights`` or ``order``."""
        return self.arrays(self.document["workload"][name])

    def inputs(self) -> "numpy.ndarray":
        """Return the inputs of inference, (N, ...) float32."""
        return self.workload("data")["probe_x"]

    def batches(self) -> "Iterator[Tuple[numpy.ndarray, numpy.ndarray]]":
        """Yield the batches of training in order: x (batch, ...) float32, y (batch,) int64."""
        data = self.workload("data")
        for rows in self.workload("order")["order"]:
            yield data["train_x"][rows], data["train_y"][rows]

    def model(self) -> Tuple[Any, Optional[float]]:
        """Return (the model, the seconds it took to build), built on the first call."""
        if self._model is None:
            self._model, self._build_s = timing.timed(self._build)
        return self._model, self._build_s

    def initial_model(self) -> Any:
        """Return the model with the initial weights."""
        model, _ = self.model()
        self.adapter.set_weights(model, self.workload("weights"))
        return model

    def require(self, *names: str) -> None:
        """Raise Unsupported unless the adapter has all functions of these names."""
        missing = [name for name in names if not hasattr(self.adapter, name)]
        if missing:
            raise Unsupported(f"{self.adapter.__name__} cannot {', '.join(missing)}")

    def step(self, model: Any, batch: Any) -> Any:
        """Do one step of training on a batch on the device and wait for it; return the loss."""
        loss = self.adapter.step(model, batch)
        self.adapter.synchronise()
        return loss

    def _build(self) -> Any:
        self.require("build")
        workload = self.document["workload"]
        rate = workload["optimiser"]["rate"]
        return self.adapter.build(workload["network"], self.workload("weights"), rate)


def startup(job: WorkloadJob, data: Dict[str, Any]) -> None:
    """Measure the way to the first answer and to the second step of training."""
    data.update(job.started)
    batches = job.batches()
    model, data["build_s"] = job.model()
    batch = next(batches)
    _time_first(job, data, "first_forward", job.adapter.predict, model, batch[0])
    batch = job.adapter.put(*batch)
    _time_first(job, data, "first_step", job.step, model, batch)
    _, data["second_step_s"] = timing.timed(job.step, model, batch)
    data["operation_s"] = _time_operation(job)


def _time_operation(job: WorkloadJob) -> Optional[float]:
    """Return the seconds of a tiny operation, which are those of the way to it and back."""
    if not hasattr(job.adapter, "tiny_product"):
        return None
    product = job.adapter.tiny_product()
    for _ in range(OPERATIONS // 10):
        product()
    job.adapter.synchronise()
    with timing.quiet():
        start = time.perf_counter()
        for _ in range(OPERATIONS):
            product()
        job.adapter.synchronise()
        return (time.perf_counter() - start) / OPERATIONS


def _time_first(
    job: WorkloadJob, data: Dict[str, Any], name: str, function: Callable[..., Any], *arguments: Any
) -> None:
    """Time a first call; where the framework can tell, also for how long it compiled in it."""
    compile_seconds = getattr(job.adapter, "compile_s", None)
    before = compile_seconds() if compile_seconds else 0.0
    _, data[name + "_s"] = timing.timed(function, *arguments)
    if compile_seconds:
        data[name + "_compile_s"] = compile_seconds() - before


def infer(job: WorkloadJob, data: Dict[str, Any]) -> None:
    """Answer in batches of each size; the latency is from arrays to arrays."""
    model, _ = job.model()
    settings = job.document["infer"]
    data["batches"] = {}
    cpu_start = time.process_time()
    wall_start = time.perf_counter()
    for size in settings["batches"]:
        x = take(job.inputs(), size)
        answer = functools.partial(job.adapter.predict, model)
        data["batches"][str(size)] = timing.sampled(answer, x, settings)
    wall_s = time.perf_counter() - wall_start
    data["cpu_share"] = (time.process_time() - cpu_start) / wall_s


def take(x: "numpy.ndarray", size: int) -> "numpy.ndarray":
    """Return *size* rows of *x*, from the start again where there are not enough."""
    return numpy.ascontiguousarray(x[numpy.arange(size) % len(x)])
