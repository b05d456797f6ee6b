"""A temporal convolutional net in torch 1.0."""

from torch import nn


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv1d(8, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv1d(32, 64, 3, padding=1),
            nn.ReLU(),
        )
        self.output = nn.Linear(64 * 8, 10)

    def forward(self, x):
        x = self.features(x)
        return self.output(x.view(x.size(0), -1))
