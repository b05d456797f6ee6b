"""A bidirectional LSTM in torch 1.0, as in torch today."""

from harness.frameworks.torch.idioms.bilstm import Network  # noqa: F401
