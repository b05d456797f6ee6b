"""An LSTM in torch 1.0, as in torch today."""

from harness.frameworks.torch.idioms.lstm import Network  # noqa: F401
