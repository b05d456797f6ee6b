"""The ``onnx`` package: `adapter` inspects, evaluates and traces ``onnx`` models in numpy."""
