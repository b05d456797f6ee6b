"""TensorFlow 1, a static graph: `adapter`, its `layers`, its `probes`, and `idioms`."""
