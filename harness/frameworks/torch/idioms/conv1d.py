"""A temporal convolutional net in torch."""

from torch import nn


class Network(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv1d(8, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv1d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * 8, 10),
        )
