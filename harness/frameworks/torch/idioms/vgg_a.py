"""OxfordNet, configuration A, in torch."""

from torch import nn


class Network(nn.Sequential):
    def __init__(self):
        layers, inputs = [], 1
        for widths in ([8], [16], [32, 32], [64, 64], [64, 64]):
            for width in widths:
                layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
                inputs = width
            layers.append(nn.MaxPool2d(2))
        layers += [nn.Flatten(), nn.Linear(64, 64), nn.ReLU()]
        layers += [nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)]
        super().__init__(*layers)
