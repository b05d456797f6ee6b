"""A transformer encoder in torch."""

import torch
from torch import nn


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Linear(8, 32)
        self.position = nn.Parameter(torch.randn(8, 32) / 10)
        self.blocks = nn.Sequential(*[self.block() for _ in range(2)])
        self.norm = nn.LayerNorm(32)
        self.output = nn.Linear(32, 10)

    @staticmethod
    def block():
        return nn.TransformerEncoderLayer(
            32, 4, dim_feedforward=128, dropout=0.0, batch_first=True, norm_first=True
        )

    def forward(self, x):
        encoded = self.blocks(self.embedding(x) + self.position)
        return self.output(self.norm(encoded).mean(dim=1))
