"""What Theano and PyTensor share.

`functions` has those of an adapter, `layers` the neutral layers as expressions.
`harness.frameworks.theano` and `harness.frameworks.pytensor` choose the system by `functions.use`.
"""
