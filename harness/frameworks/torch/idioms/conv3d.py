"""A 3-D convolutional net in torch."""

from torch import nn


class Network(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv3d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool3d(2),
            nn.Conv3d(8, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool3d(2),
            nn.Flatten(),
            nn.Linear(16 * 1 * 3 * 3, 10),
        )
