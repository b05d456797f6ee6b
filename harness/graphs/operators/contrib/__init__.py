"""Operators of ``com.microsoft``: what ONNX Runtime's optimiser fuses, and its attention."""
