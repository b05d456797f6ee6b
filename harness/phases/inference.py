"""What is done with an artifact in a cell: it is loaded, it answers, and it is timed.

`harness/PROTOCOL.md` says the same for a runner in another language.
"""

import functools
import os
import time
from types import ModuleType
from typing import Any, Dict, Optional, Tuple

import numpy

from harness import control, record
from harness.adapters import Arrays, copy_inputs
from harness.jobs import RunningJob
from harness.measuring import timing
from harness.phases import generation, repeating

#: At least this many answers are compared.
LEAST_REPEATS = 2


class ArtifactJob(RunningJob):
    """A job with an artifact: its inputs, read once, and the model, loaded once."""

    def __init__(
        self, directory: str, document: Dict[str, Any], adapter: ModuleType, started: Dict[str, Any]
    ) -> None:
        super().__init__(directory, document, adapter, started)
        self._model: Any = None
        self._load_s: Optional[float] = None
        self._inputs: Optional[Arrays] = None
        self._first: Optional[Arrays] = None

    def inputs(self) -> Arrays:
        """Return the artifact's inputs by name."""
        if self._inputs is None:
            entries = self.document["artifact"]["inputs"]
            self._inputs = {
                entry["name"]: control.load_array(self.directory, entry["path"])
                for entry in entries
            }
        return self._inputs

    def model(self) -> Tuple[Any, Optional[float]]:
        """Return (the model, the seconds it took to load), loaded on the first call."""
        if self._model is None:
            artifact = self.document["artifact"]
            path = os.path.join(self.directory, artifact["model"])
            load = self.adapter.load
            self._model, self._load_s = timing.timed(load, artifact["format"], path)
        return self._model, self._load_s

    def load_again(self) -> None:
        """Forget the model and its answers: the next call is the first of a new one."""
        self._model = self._first = None

    def first_answer(self) -> Arrays:
        """Return the outputs that the model gave right after it was loaded.

        A model may keep state between calls. Where the inputs are split, a smaller call came first.
        """
        if self._first is None:
            self._first = self.answer()
        return self._first

    def answer(self) -> Arrays:
        """Return the outputs for all inputs, by name, one split of the rows after the other."""
        model, _ = self.model()
        splits = self.document["artifact"]["splits"]
        if splits is None:
            whole: Arrays = self.adapter.answer(model, copy_inputs(self.inputs()))
            return whole
        parts, first = [], 0
        for rows in splits:
            split = {name: x[first : first + rows] for name, x in self.inputs().items()}
            parts.append(self.adapter.answer(model, copy_inputs(split)))
            first += rows
        return {name: numpy.concatenate([part[name] for part in parts]) for name in parts[0]}


def startup(job: ArtifactJob, data: Dict[str, Any]) -> None:
    """Measure the way to the first answer, of one row."""
    data.update(job.started)
    model, data["build_s"] = job.model()
    splits = job.document["artifact"]["splits"]
    if splits is None:
        job.inputs()  # read outside the clock
        _, data["first_forward_s"] = timing.timed(job.first_answer)
    else:
        first = batch(job.inputs(), 1)
        _, data["first_forward_s"] = timing.timed(job.adapter.answer, model, first)
    data["answered_at"] = time.time()


def infer(job: ArtifactJob, data: Dict[str, Any]) -> None:
    """Answer all inputs several times, then time batches of each size; see `timing.sampled`.

    Where the settings ask for it, and the runtime can, the operators are timed after that. A model
    that generates does so last.
    """
    _, data["load_s"] = job.model()
    answers = job.first_answer()
    data["outputs"] = list(answers)
    for number, answer in enumerate(answers.values()):
        control.save_array(job.directory, record.answer_path(number), answer)
    settings = job.document["infer"]
    data.update(repeating.repeat(job, answers, settings.get("repeats", LEAST_REPEATS)))
    model, _ = job.model()
    data["batches"] = {}
    cpu_start = time.process_time()
    wall_start = time.perf_counter()
    for size in settings["batches"]:
        call = functools.partial(job.adapter.answer, model)
        data["batches"][str(size)] = timing.sampled(call, _batch(job, size), settings)
    wall_s = time.perf_counter() - wall_start
    data["cpu_share"] = (time.process_time() - cpu_start) / wall_s
    if settings.get("operators") and hasattr(job.adapter, "time_operators"):
        path = os.path.join(job.directory, job.document["artifact"]["model"])
        data["operators"] = {
            str(size): job.adapter.time_operators(path, _batch(job, size))
            for size in settings["batches"]
        }
    if hasattr(job.adapter, "scenarios"):
        in_rows = job.document["artifact"]["splits"] is not None
        data["scenarios"] = job.adapter.scenarios(model, job.inputs(), in_rows)
    if job.document["artifact"].get("generation"):
        data["generation"] = generation.generate(job)


def _batch(job: ArtifactJob, size: int) -> Arrays:
    """Return the inputs of a timed call: some rows where the inputs may be split, else all."""
    return batch(job.inputs(), size if job.document["artifact"]["splits"] else None)


def batch(inputs: Arrays, size: Optional[int]) -> Arrays:
    """Return *size* rows of every input, from the start again where there are not enough.

    Where *size* is None, the inputs are used whole. The arrays are copies, see `copy_inputs`.
    """
    if size is None:
        return copy_inputs(inputs)
    return {
        name: numpy.ascontiguousarray(x[numpy.arange(size) % len(x)]) for name, x in inputs.items()
    }


ALL = {record.STARTUP: startup, record.INFER: infer}
