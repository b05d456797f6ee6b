"""TensorFlow 2: `adapter`, its `probes`, and `idioms`.

Its layers are those of `harness.frameworks.keras`.
"""
