"""A plain recurrent net in torch 1.0, as in torch today."""

from harness.frameworks.torch.idioms.rnn import Network  # noqa: F401
