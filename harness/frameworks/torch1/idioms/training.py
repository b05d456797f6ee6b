"""Training in torch 1.0, as in torch today."""

from harness.frameworks.torch.idioms.training import train  # noqa: F401
