"""The LSTM that ONNX Runtime's quantiser writes."""

import numpy

from harness.graphs.operators.base import ContribOperator
from harness.graphs.operators.quantization import dynamic
from harness.graphs.operators.recurrent import LSTM


class DynamicQuantizeLSTM(ContribOperator, LSTM):
    """Weights are quantised already; the sequence is by its own range, each state by its own.

    ONNX Runtime shares the batch among its threads, and then takes the range of a thread's part.
    """

    def _run(self, x, w, r, b=None, lengths=None, h=None, c=None, p=None, *grids, **attributes):
        w_scale, w_zero, r_scale, r_zero = grids
        w, r = _weights(w, w_scale, w_zero, x.dtype), _weights(r, r_scale, r_zero, x.dtype)
        return LSTM._run(self, _rounded(x), w, r, b, lengths, h, c, p, **attributes)

    def step(self, x, h, c, parameters, functions):
        """Return the next state and cell, of a state that is quantised first."""
        return LSTM.step(self, x, _rounded(h), c, parameters, functions)


def _weights(quantised, scale, zero_point, dtype):
    """Return weights (directions, 4*hidden, inputs) of quantised ones, whose axes are swapped.

    Scales and zero points are one a direction, or one a column too.
    """
    along = (len(quantised), 1, -1)
    scale, zero_point = numpy.reshape(scale, along), numpy.reshape(zero_point, along)
    weights = (quantised.astype("int32") - zero_point.astype("int32")) * scale.astype(dtype)
    return weights.swapaxes(1, 2)


def _rounded(x):
    values, scale, zero_point = dynamic(x)
    return (values.astype(x.dtype) - zero_point.astype(x.dtype)) * scale


OPERATORS = [DynamicQuantizeLSTM]
