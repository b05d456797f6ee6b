"""Operators of ``ai.onnx.ml``: classical models, trees, categories, and text."""
