"""What the definitions of operators share."""

import numpy
import onnx
from onnx.reference.op_run import OpRun


class Operator(OpRun):
    """An operator whose definition may depend on the opset of its model.

    Attributes that a node does not state, and for which the standard has no default, come as None.
    """

    def __init__(self, onnx_node, run_params, schema=None):
        opsets = run_params["opsets"]
        self.opset = opsets.get(self.op_domain, 1)
        OpRun.__init__(self, onnx_node, run_params, schema or self._schema_of(onnx_node))

    def _schema_of(self, node):
        """Return the schema of the model's own opset: the evaluator takes the newest's defaults."""
        try:
            return onnx.defs.get_schema(node.op_type, self.opset, self.op_domain)
        except onnx.defs.SchemaError:
            return None


class ContribOperator(Operator):
    """An operator that ONNX Runtime's optimiser or quantiser writes."""

    op_domain = "com.microsoft"
    op_schema = None  # else the evaluator takes that of the standard's operator of the same name


def present(inputs, position):
    """Return an optional input, or None where it is left out."""
    return inputs[position] if len(inputs) > position else None


def sigmoid(x):
    """Return the logistic function, without overflow."""
    return 0.5 * (1 + numpy.tanh(0.5 * x))


def softmax(x, axis=-1):
    """Return the softmax along an axis; a row that is -inf throughout gives NaN."""
    with numpy.errstate(invalid="ignore"):
        exponentials = numpy.exp(x - x.max(axis=axis, keepdims=True))
        return exponentials / exponentials.sum(axis=axis, keepdims=True)


def masked_softmax(x, axis=-1):
    """Return the softmax along an axis; a row that is -inf throughout gives zeros.

    So ONNX Runtime's attention answers where a mask leaves nothing.
    """
    highest = x.max(axis=axis, keepdims=True)
    exponentials = numpy.exp(x - numpy.where(numpy.isfinite(highest), highest, 0))
    total = exponentials.sum(axis=axis, keepdims=True)
    return exponentials / numpy.where(total == 0, 1, total)


def normal_cdf(x):
    """Return the distribution function of the standard normal distribution."""
    import math

    return 0.5 * (1 + numpy.vectorize(math.erf, otypes=["float64"])(x / math.sqrt(2.0)))
