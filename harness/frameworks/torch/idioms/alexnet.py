"""AlexNet in torch."""

from torch import nn


def conv(inputs, outputs):
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]


def pool():
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


class Network(nn.Sequential):
    def __init__(self):
        super().__init__(
            *conv(1, 8),
            pool(),
            *conv(8, 24),
            pool(),
            *conv(24, 48),
            *conv(48, 32),
            *conv(32, 32),
            pool(),
            nn.Flatten(),
            nn.Linear(32 * 4 * 4, 64),
            nn.ReLU(),
            nn.Linear(64, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )
