"""A 3-D convolutional net in torch 1.0."""

from torch import nn


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv3d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool3d(2),
            nn.Conv3d(8, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool3d(2),
        )
        self.output = nn.Linear(16 * 1 * 3 * 3, 10)

    def forward(self, x):
        x = self.features(x)
        return self.output(x.view(x.size(0), -1))
