"""The inside of model files: ONNX and TFLite graphs of a user, which may be wrong or hostile.

In: the path of a model file, arrays by name. Out: the checked model, sample inputs, the nodes
with their tensors, gold outputs in float64, and models made from parts of a graph.

`checks` reads an ONNX file and refuses what cannot be used, `onnx_inputs` checks or samples its
inputs, `inner` evaluates its nodes and cuts it, `precise` widens it to float64, `operators`
corrects the reference evaluator. `tflite` is the same for TFLite. `sample_inputs` makes arrays
from names, dtypes and shapes.

Runs in a cell that has the ``onnx`` or the LiteRT package. The container is the security
boundary; what is wrong with a file must still be said clearly.
"""


class BadModel(Exception):
    """A model, or an input that came with it, cannot be used; the message says why."""


class WrongInputs(BadModel):
    """The inputs that the user gives, or asks for, are not those of the model."""
