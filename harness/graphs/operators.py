"""Operators that the reference evaluator of onnx 1.23 gets wrong, by ONNX's own definitions.

Verdicts depend on the evaluator: every evaluation here uses these.
"""

from typing import Any, List


def evaluator(model: Any) -> Any:
    """Return a reference evaluator of a model (or of the file at a path) with these operators."""
    import onnx.reference

    return onnx.reference.ReferenceEvaluator(model, new_ops=_operators())


def _operators() -> List[Any]:
    import numpy
    from onnx.reference.op_run import OpRun

    class BatchNormalization(OpRun):  # type: ignore[misc] # onnx has no types here
        """Before opset 14 the evaluator takes a model that has a momentum to be in training."""

        def _run(
            self, x: Any, scale: Any, bias: Any, mean: Any, variance: Any, **attributes: Any
        ) -> Any:
            if attributes.get("training_mode"):
                raise NotImplementedError("BatchNormalization in training mode is not served")
            sides = (-1,) + (1,) * (x.ndim - 2)
            scale, bias, mean, variance = (
                array.reshape(sides) for array in (scale, bias, mean, variance)
            )
            epsilon = attributes.get("epsilon")
            epsilon = 1e-5 if epsilon is None else epsilon
            return ((scale * (x - mean) / numpy.sqrt(variance + epsilon) + bias).astype(x.dtype),)

    class LRN(OpRun):  # type: ignore[misc] # onnx has no types here
        """The evaluator counts examples where it should count channels."""

        def _run(
            self, x: Any, alpha: Any = None, beta: Any = None, bias: Any = None, size: Any = None
        ) -> Any:
            squares = numpy.zeros_like(x)
            channels = x.shape[1]
            for channel in range(channels):
                first = max(0, channel - (size - 1) // 2)
                last = min(channels, channel + size // 2 + 1)
                squares[:, channel] = (x[:, first:last] ** 2).sum(axis=1)
            return ((x / (bias + alpha / size * squares) ** beta).astype(x.dtype),)

    return [BatchNormalization, LRN]
