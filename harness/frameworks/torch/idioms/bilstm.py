"""A bidirectional LSTM in torch."""

import torch
from torch import nn


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 48, batch_first=True, bidirectional=True)
        self.output = nn.Linear(2 * 48, 10)

    def forward(self, x):
        _, (hidden, _) = self.lstm(x)
        return self.output(torch.cat([hidden[0], hidden[1]], dim=1))
