"""A baseline: ONNX Runtime on the CPU without graph optimisations, in the model's own precision.

It is used where the evaluator knows no float64, and it is the second opinion where the
evaluator's own definition of an operator has not been proven.
"""

from harness.graphs import ort_session, values


class NoBaseline(Exception):
    """ONNX Runtime is not there, or cannot load or answer the model; the message says why."""


class Refusal(NoBaseline):
    """ONNX Runtime has loaded the model, and refuses to run it on these inputs."""


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

        Raises Refusal or NoBaseline, with ONNX Runtime's own first line.
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

    def _is_answered(self, inputs):
        earlier = self._inputs
        return (
            earlier is not None
            and earlier.keys() == inputs.keys()
            and all(earlier[name] is inputs[name] for name in earlier)
        )


def _answer(path, names, inputs):
    try:
        import onnxruntime
    except ImportError:
        raise NoBaseline("ONNX Runtime is not installed beside the evaluator")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors share no class
        raise NoBaseline(_line(error))
    if ort_session.without_array(session):
        raise NoBaseline(ort_session.without_array(session))
    try:
        answers = ort_session.run(onnxruntime, session, names, inputs)
    except Exception as error:
        raise Refusal(_line(error))
    return values.flatten(zip(names, answers))


def _line(error):
    """Return an error in a line; ONNX Runtime lists wrong sizes in lines of their own."""
    text = " ".join(str(error).split())
    return "{}: {}".format(type(error).__name__, text)[:300]
