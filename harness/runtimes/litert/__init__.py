"""LiteRT, once TensorFlow Lite: `adapter` loads, inspects and traces ``tflite`` models."""
