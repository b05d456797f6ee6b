"""OxfordNet, configuration A, in torch 1.0."""

from torch import nn


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        layers, inputs = [], 1
        for widths in ([8], [16], [32, 32], [64, 64], [64, 64]):
            for width in widths:
                layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
                inputs = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)
        )

    def forward(self, x):
        x = self.features(x)
        return self.classifier(x.view(x.size(0), -1))
