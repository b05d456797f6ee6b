"""What Theano and PyTensor share: `adapter`, and the neutral layers as expressions in `layers`.

`harness.frameworks.theano` and `harness.frameworks.pytensor` choose the system by `adapter.use`.
"""
