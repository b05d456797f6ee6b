"""A language model over bytes in torch."""

import torch
from torch import nn


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Linear(256, 32)
        self.position = nn.Parameter(torch.randn(64, 32) / 10)
        self.blocks = nn.ModuleList([self.block() for _ in range(2)])
        self.norm = nn.LayerNorm(32)
        self.output = nn.Linear(32, 256)

    @staticmethod
    def block():
        return nn.TransformerEncoderLayer(
            32, 4, dim_feedforward=128, dropout=0.0, batch_first=True, norm_first=True
        )

    def forward(self, x):
        mask = nn.Transformer.generate_square_subsequent_mask(64)
        x = self.embedding(x) + self.position
        for block in self.blocks:
            x = block(x, src_mask=mask, is_causal=True)
        return self.output(self.norm(x))
