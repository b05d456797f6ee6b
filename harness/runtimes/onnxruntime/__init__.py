"""ONNX Runtime: `adapter` loads ``onnx`` models and answers."""
