"""A GRU in torch 1.0, as in torch today."""

from harness.frameworks.torch.idioms.gru import Network  # noqa: F401
