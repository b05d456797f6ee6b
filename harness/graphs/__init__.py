"""ONNX graphs of a person: read with suspicion, given inputs, evaluated in float64.

Runs inside a cell that has the ``onnx`` package; the container is the boundary, but what is wrong
with a file has to be said clearly.
"""


class BadModel(Exception):
    """A model, or what was given with it, cannot be used; the message says why."""
