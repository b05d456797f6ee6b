"""AlexNet in torch 1.0."""

from torch import nn


def conv(inputs, outputs):
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]


def pool():
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            *conv(1, 8),
            pool(),
            *conv(8, 24),
            pool(),
            *conv(24, 48),
            *conv(48, 32),
            *conv(32, 32),
            pool(),
        )
        self.classifier = nn.Sequential(
            nn.Linear(32 * 4 * 4, 64),
            nn.ReLU(),
            nn.Linear(64, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )

    def forward(self, x):
        x = self.features(x)
        return self.classifier(x.view(x.size(0), -1))
