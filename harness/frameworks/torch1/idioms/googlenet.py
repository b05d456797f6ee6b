"""GoogLeNet in torch 1.0."""

import torch
from torch import nn


class Conv(nn.Sequential):
    def __init__(self, inputs, outputs, size):
        super().__init__(nn.Conv2d(inputs, outputs, size, padding=size // 2), nn.ReLU())


class Inception(nn.Module):
    def __init__(self, inputs, pointwise, three_reduce, three, five_reduce, five, pooled):
        super().__init__()
        self.one = Conv(inputs, pointwise, 1)
        self.three = nn.Sequential(Conv(inputs, three_reduce, 1), Conv(three_reduce, three, 3))
        self.five = nn.Sequential(Conv(inputs, five_reduce, 1), Conv(five_reduce, five, 5))
        self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, padding=1), Conv(inputs, pooled, 1))

    def forward(self, x):
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pooled(x)], dim=1)


def pool():
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            Conv(1, 8, 3),
            pool(),
            nn.LocalResponseNorm(5),
            Conv(8, 8, 1),
            Conv(8, 24, 3),
            nn.LocalResponseNorm(5),
            pool(),
            Inception(24, 8, 12, 16, 2, 4, 4),
            Inception(32, 16, 16, 24, 4, 12, 8),
            pool(),
            Inception(60, 24, 12, 26, 2, 6, 8),
            Inception(64, 20, 14, 28, 3, 8, 8),
            Inception(64, 16, 16, 32, 3, 8, 8),
            Inception(64, 14, 18, 36, 4, 8, 8),
            Inception(66, 32, 20, 40, 4, 16, 16),
            pool(),
            Inception(104, 32, 20, 40, 4, 16, 16),
            Inception(104, 48, 24, 48, 6, 16, 16),
            nn.AdaptiveAvgPool2d(1),
        )
        self.output = nn.Linear(128, 10)

    def forward(self, x):
        x = self.features(x)
        return self.output(x.view(x.size(0), -1))
