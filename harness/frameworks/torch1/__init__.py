"""torch 1.0.0: `adapter`, `layers`, `idioms` and `probes`, as far as they differ from today.

The rest is in `harness.frameworks.torch`.
"""
