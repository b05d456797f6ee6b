"""A language model over bytes in torch 1.0, which has no attention of its own."""

import math

import torch
from torch import nn
from torch.nn import functional


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleList([nn.Linear(32, 32) for _ in range(4)])
        self.mask = torch.triu(torch.full((64, 64), -math.inf), 1)

    def forward(self, x):
        query, key, value = (part(x).view(-1, 64, 4, 8).transpose(1, 2) for part in self.parts[:3])
        scores = torch.matmul(query, key.transpose(2, 3)) / 8**0.5 + self.mask
        attended = torch.matmul(functional.softmax(scores, dim=-1), value)
        return self.parts[3](attended.transpose(1, 2).contiguous().view(-1, 64, 32))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(32), Attention()
        self.norm2 = nn.LayerNorm(32)
        self.hidden, self.output = nn.Linear(32, 128), nn.Linear(128, 32)

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.output(functional.relu(self.hidden(self.norm2(x))))


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Linear(256, 32)
        self.position = nn.Parameter(torch.randn(64, 32) / 10)
        self.blocks = nn.Sequential(Block(), Block())
        self.norm = nn.LayerNorm(32)
        self.output = nn.Linear(32, 256)

    def forward(self, x):
        decoded = self.blocks(self.embedding(x) + self.position)
        return self.output(self.norm(decoded))
