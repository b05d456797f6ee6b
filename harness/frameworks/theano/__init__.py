"""Theano 1.0: `adapter` and `operations`, what differs from PyTensor; `probes` and `idioms`.

The rest is in `harness.frameworks.symbolic`.
"""
