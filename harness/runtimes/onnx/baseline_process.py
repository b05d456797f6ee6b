"""The process in which ONNX Runtime answers: a model that makes it crash ends this process only.

It reads (path, names of outputs, inputs by name) from its standard input, pickled, and writes what
it came to, pickled, to its standard output: (ANSWERED, arrays by name), or (FAILED or REFUSED, why
in a line).
"""

import os
import pickle
import sys

from harness.graphs import ort_session, values

#: More of an error is left out. What it got and what it wants stands behind names of C++.
LONGEST = 1000

ANSWERED, FAILED, REFUSED = "answered", "failed", "refused"


def main():
    """Answer one request."""
    with os.fdopen(os.dup(1), "wb") as target:
        os.dup2(2, 1)  # what a library prints belongs to the log
        target.write(pickle.dumps(_answer(*pickle.load(sys.stdin.buffer)), protocol=4))


def _answer(path, names, inputs):
    try:
        import onnxruntime
    except ImportError:
        return FAILED, "ONNX Runtime is not installed beside the evaluator"
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors share no class
        return FAILED, _line(error)
    if ort_session.without_array(session):
        return FAILED, ort_session.without_array(session)
    try:
        answers = ort_session.run(onnxruntime, session, names, inputs)
    except Exception as error:
        return REFUSED, _line(error)
    return ANSWERED, values.flatten(zip(names, answers))


def _line(error):
    """Return an error in a line; ONNX Runtime lists wrong sizes in lines of their own."""
    text = " ".join(str(error).split())
    return "{}: {}".format(type(error).__name__, text)[:LONGEST]


if __name__ == "__main__":
    main()
