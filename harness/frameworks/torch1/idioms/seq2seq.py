"""A sequence-to-sequence model with attention in torch 1.0."""

import torch
from torch import nn
from torch.nn import functional


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.GRU(11, 32, batch_first=True)
        self.decoder = nn.GRU(11, 32, batch_first=True)
        self.attended = nn.Linear(64, 32)
        self.output = nn.Linear(32, 10)

    def forward(self, source, fed):
        memory, state = self.encoder(source)
        decoded, _ = self.decoder(fed, state)
        scores = torch.bmm(decoded, memory.transpose(1, 2)) / 32**0.5
        context = torch.bmm(functional.softmax(scores, dim=-1), memory)
        joined = torch.cat([context, decoded], dim=-1)
        return self.output(torch.tanh(self.attended(joined)))
