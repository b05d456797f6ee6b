"""Training in torch."""

import torch
from torch.nn import functional


def train(model, batches, rate):
    optimiser = torch.optim.SGD(model.parameters(), lr=rate)
    for inputs, labels in batches:
        optimiser.zero_grad()
        logits = model(*inputs)
        loss = functional.cross_entropy(logits.flatten(0, -2), labels.flatten())
        loss.backward()
        optimiser.step()
