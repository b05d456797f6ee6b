"""OpenVINO: `adapter` loads ``onnx`` models and answers."""
