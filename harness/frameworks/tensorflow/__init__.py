"""TensorFlow 2 with Keras 3: `adapter`, its `layers`, its `probes`, and `idioms`."""
