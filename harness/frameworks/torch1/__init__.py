"""torch 1.0.0: `adapter`, `idioms` and `probes`, as far as they differ from torch's of today.

The rest is in `harness.frameworks.torch`.
"""
