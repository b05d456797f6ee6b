"""A GRU in torch."""

from torch import nn


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.recurrent = nn.GRU(8, 48, batch_first=True)
        self.output = nn.Linear(48, 10)

    def forward(self, x):
        outputs, _ = self.recurrent(x)
        return self.output(outputs[:, -1])
