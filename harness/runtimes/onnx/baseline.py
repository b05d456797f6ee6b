"""A baseline: ONNX Runtime on the CPU without graph optimisations, in the model's own precision.

It is used where the evaluator knows no float64, and it is the second opinion where the
evaluator's own definition of an operator has not been proven.
"""

import os
import pickle
import subprocess
import sys
import tempfile

import harness
from harness.runtimes.onnx import baseline_process

#: Where the process finds this package.
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(harness.__file__)))


class NoBaseline(Exception):
    """ONNX Runtime is not there, or cannot load or answer the model; the message says why."""


class Refusal(NoBaseline):
    """ONNX Runtime has loaded the model, and refuses to run it on these inputs."""


class Death(NoBaseline):
    """ONNX Runtime crashed on the model; the message says with which signal."""


class Baseline:
    """The baseline of a model file. It answers the same arrays once, and keeps what it answered.

    Args:
        path: the ``.onnx`` file, external data beside it.
        names: of its outputs, in its order.
    """

    def __init__(self, path, names):
        self._path, self._names = path, names
        self._inputs = self._answers = self._failure = None

    def answer(self, inputs):
        """Return the outputs as named arrays, for inputs by name.

        Raises Refusal or NoBaseline, with ONNX Runtime's own first line; Death where it crashed.
        """
        if not self._is_answered(inputs):
            self._inputs, self._answers, self._failure = dict(inputs), None, None
            try:
                self._answers = _answer(self._path, self._names, inputs)
            except NoBaseline as failure:
                self._failure = failure
        if self._failure is not None:
            raise self._failure
        return self._answers

    def remarks(self):
        """Return what the reader should know of it: that ONNX Runtime crashed, if it did."""
        is_dead = isinstance(self._failure, Death)
        return ["no baseline: {}".format(self._failure)] if is_dead else []

    def _is_answered(self, inputs):
        earlier = self._inputs
        return (
            earlier is not None
            and earlier.keys() == inputs.keys()
            and all(earlier[name] is inputs[name] for name in earlier)
        )


def answer_model(model, names, inputs):
    """Return what `Baseline.answer` does, for a model that is in no file."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        try:
            onnx_bytes = model.SerializeToString()
        except Exception as error:  # a protocol buffer has at most 2 GiB
            raise NoBaseline(str(error)) from error
        with open(path, "wb") as file:
            file.write(onnx_bytes)
        return _answer(path, names, inputs)


def _answer(path, names, inputs):
    """Return the answers of a process of its own: its crash says something of the model."""
    finished = subprocess.run(
        [sys.executable, "-m", baseline_process.__name__],
        input=pickle.dumps((path, names, inputs), protocol=4),
        stdout=subprocess.PIPE,
        check=False,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join([_ROOT, *sys.path])),
    )
    if finished.returncode < 0:
        raise Death("ONNX Runtime died with signal {}".format(-finished.returncode))
    if finished.returncode:
        raise Death("ONNX Runtime died with exit status {}".format(finished.returncode))
    outcome, result = pickle.loads(finished.stdout)
    if outcome == baseline_process.ANSWERED:
        return result
    raise (Refusal if outcome == baseline_process.REFUSED else NoBaseline)(result)
