"""PyTensor: `adapter` and `operations`, what differs from Theano.

The rest is in `harness.frameworks.symbolic`.
"""
