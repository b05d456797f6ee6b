"""A sequence-to-sequence model with attention in torch."""

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
        context = functional.scaled_dot_product_attention(decoded, memory, memory)
        joined = torch.cat([context, decoded], dim=-1)
        return self.output(torch.tanh(self.attended(joined)))
