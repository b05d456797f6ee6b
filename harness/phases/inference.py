"""What is done with an artifact in a cell: it is loaded, it answers, and it is timed.

`harness/PROTOCOL.md` says the same for a runner in another language.
"""

import functools
import os
import time

import numpy

from harness import control, record
from harness.adapters import copies
from harness.measuring import timing
from harness.sessions import JobSession


class Session(JobSession):
    """One artifact under way: its adapter, its inputs, and the model once it is loaded."""

    def __init__(self, directory, job, adapter, started):
        super().__init__(directory, job, adapter, started)
        self._model = None
        self._load_s = None
        self._inputs = None

    def inputs(self):
        """Return the artifact's inputs by name, read once."""
        if self._inputs is None:
            entries = self.job["artifact"]["inputs"]
            self._inputs = {
                entry["name"]: control.load_array(self.directory, entry["path"])
                for entry in entries
            }
        return self._inputs

    def model(self):
        """Return (the model, the seconds it took to load), loaded on the first call."""
        if self._model is None:
            artifact = self.job["artifact"]
            path = os.path.join(self.directory, artifact["model"])
            load = self.adapter.load
            self._model, self._load_s = timing.timed(load, artifact["format"], path)
        return self._model, self._load_s

    def answer(self):
        """Return the answers to all inputs, by name, one split of the rows after the other."""
        model, _ = self.model()
        splits = self.job["artifact"]["splits"]
        if splits is None:
            return self.adapter.answer(model, copies(self.inputs()))
        parts, first = [], 0
        for rows in splits:
            some = {name: x[first : first + rows] for name, x in self.inputs().items()}
            parts.append(self.adapter.answer(model, copies(some)))
            first += rows
        return {name: numpy.concatenate([one[name] for one in parts]) for name in parts[0]}


def startup(session, data):
    """From nothing to the first answer."""
    data.update(session.started)
    model, data["build_s"] = session.model()
    first = batch(session.inputs(), 1 if session.job["artifact"]["splits"] else None)
    _, data["first_forward_s"] = timing.timed(session.adapter.answer, model, first)
    data["answered_at"] = time.time()


def infer(session, data):
    """Answer all inputs twice, then in batches of each size; see `timing.sampled`."""
    model, data["load_s"] = session.model()
    answers = session.answer()
    data["outputs"] = list(answers)
    for number, answer in enumerate(answers.values()):
        control.save_array(session.directory, record.answer_path(number), answer)
    data["repeatable"] = _same(answers, session.answer())
    asked = session.job["infer"]
    data["batches"] = {}
    busy = time.process_time()
    began = time.perf_counter()
    for size in asked["batches"]:
        some = batch(session.inputs(), size if session.job["artifact"]["splits"] else None)
        answer = functools.partial(session.adapter.answer, model)
        data["batches"][str(size)] = timing.sampled(answer, some, asked)
    data["cpu_share"] = (time.process_time() - busy) / (time.perf_counter() - began)
    if hasattr(session.adapter, "scenarios"):
        in_rows = session.job["artifact"]["splits"] is not None
        data["scenarios"] = session.adapter.scenarios(model, session.inputs(), in_rows)


def batch(inputs, size):
    """Return *size* rows of every input, from the start again where there are not enough.

    All as they are where *size* is None. The arrays are new ones, see `copies`.
    """
    if size is None:
        return copies(inputs)
    return {
        name: numpy.ascontiguousarray(x[numpy.arange(size) % len(x)]) for name, x in inputs.items()
    }


def _same(one, other):
    """Return whether two answers are the same in every bit, so that a NaN is as good as itself."""
    return list(one) == list(other) and all(
        one[name].dtype == other[name].dtype and one[name].tobytes() == other[name].tobytes()
        for name in one
    )


ALL = {record.STARTUP: startup, record.INFER: infer}
