"""The probes in torch, eager, as its users write them."""

import numpy
import torch
from torch import nn
from torch.nn import functional

from harness.frameworks.torch import parallel
from harness.probes import called, work_together


def tensor(array, grad=False):
    return torch.tensor(array, requires_grad=grad)


def arrays(**tensors):
    return {name: value.detach().numpy() for name, value in tensors.items()}


class Round(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return torch.round(x)

    @staticmethod
    def backward(context, gradient):
        return 0.5 * gradient


def own_layer(x, upstream):
    x = tensor(x, grad=True)
    y = Round.apply(x)
    (y * tensor(upstream)).sum().backward()
    return arrays(y=y, gradient=x.grad)


def derived_gradient(x, upstream):
    x = tensor(x, grad=True)
    y = x * torch.sin(x)
    (y * tensor(upstream)).sum().backward()
    return arrays(y=y, gradient=x.grad)


def _loop(x, w):
    steps = 0
    while x.abs().max() > 0.1:
        x = torch.tanh(x @ w)
        steps += 1
    return x, steps


def data_dependent_loop(x, brief, w):
    long, many = _loop(tensor(x), tensor(w))
    short, few = _loop(tensor(brief), tensor(w))
    return dict(arrays(long=long, short=short), steps=[many, few])


def data_dependent_loop_gradient(x, brief, w):
    w = tensor(w, grad=True)
    last, _ = _loop(tensor(x), w)
    last.sum().backward()
    return arrays(gradient=w.grad)


def python_loop(x, w):
    w = tensor(w, grad=True)
    y, _ = _loop(tensor(x), w)
    y.sum().backward()
    return arrays(y=y, gradient=w.grad)


def lstm_with(width, units, **weights):
    lstm = nn.LSTM(width, units, batch_first=True, bidirectional="backward_kernel" in weights)
    with torch.no_grad():
        for way, end in (("", ""), ("backward_", "_reverse")):
            if way + "kernel" in weights:
                getattr(lstm, "weight_ih_l0" + end).copy_(tensor(weights[way + "kernel"]))
                getattr(lstm, "weight_hh_l0" + end).copy_(tensor(weights[way + "recurrent"]))
                getattr(lstm, "bias_ih_l0" + end).copy_(tensor(weights[way + "bias"]))
                getattr(lstm, "bias_hh_l0" + end).zero_()
    return lstm


def different_lengths(x, lengths, upstream, **weights):
    lstm = lstm_with(x.shape[2], upstream.shape[1], **weights)
    packed = nn.utils.rnn.pack_padded_sequence(
        tensor(x), tensor(lengths), batch_first=True, enforce_sorted=False
    )
    _, (hidden, _) = lstm(packed)
    last = hidden[0]
    (last * tensor(upstream)).sum().backward()
    kernel, recurrent, bias = lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0
    return arrays(last=last, kernel=kernel.grad, recurrent=recurrent.grad, bias=bias.grad)


def beam_search(embedding, recurrent, output):
    embedding, recurrent, output = tensor(embedding), tensor(recurrent), tensor(output)
    sequences = torch.zeros(1, 1, dtype=torch.long)
    scores, hidden = torch.zeros(1), torch.zeros(1, embedding.shape[1])
    for _ in range(5):
        hidden = torch.tanh(embedding[sequences[:, -1]] + hidden @ recurrent.t())
        grown = scores[:, None] + functional.log_softmax(hidden @ output.t(), dim=-1)
        scores, chosen = grown.flatten().topk(3)
        parents, tokens = chosen // len(output), chosen % len(output)
        sequences = torch.cat([sequences[parents], tokens[:, None]], dim=1)
        hidden = hidden[parents]
    return arrays(sequences=sequences[:, 1:], scores=scores)


def bidirectional(x, **weights):
    lstm = lstm_with(x.shape[2], weights["recurrent"].shape[1], **weights)
    y, _ = lstm(tensor(x))
    return arrays(y=y)


def attention(query, key, value, mask, upstream):
    query, key, value = (tensor(array, grad=True) for array in (query, key, value))
    allowed = tensor(mask).bool()
    y = functional.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
    (y * tensor(upstream)).sum().backward()
    return arrays(y=y, query=query.grad, key=key.grad, value=value.grad)


def convolution_of_video(x, kernel, upstream):
    kernel = tensor(kernel, grad=True)
    y = functional.conv3d(tensor(x), kernel)
    (y * tensor(upstream)).sum().backward()
    return arrays(y=y, gradient=kernel.grad)


def temporal_convolution(x, kernel, upstream):
    weight = tensor(kernel, grad=True)
    y = functional.conv1d(functional.pad(tensor(x), (2, 0)), weight)
    (y * tensor(upstream)).sum().backward()
    ran = called(functional.conv1d.__name__, kernel)
    return dict(arrays(y=y, gradient=weight.grad), ran=ran)


def weight_sharing(tokens, targets, embedding):
    count, width = embedding.shape
    embed, decode = nn.Embedding(count, width), nn.Linear(width, count, bias=False)
    decode.weight = embed.weight
    with torch.no_grad():
        embed.weight.copy_(tensor(embedding))
    logits = decode(torch.tanh(embed(tensor(tokens))))
    loss = functional.cross_entropy(logits.flatten(0, 1), tensor(targets).flatten())
    loss.backward()
    return arrays(loss=loss, gradient=embed.weight.grad)


def higher_order_gradients(x, w1, w2):
    x, w1, w2 = (tensor(array, grad=True) for array in (x, w1, w2))
    y = (torch.tanh(x @ w1) @ w2).sum()
    (by_input,) = torch.autograd.grad(y, x, create_graph=True)
    penalty = (by_input**2).sum()
    penalty.backward()
    return arrays(penalty=penalty, w1=w1.grad, w2=w2.grad)


def dense(weights):
    layer = nn.Linear(weights.shape[1], weights.shape[0], bias=False)
    with torch.no_grad():
        layer.weight.copy_(tensor(weights))
    return layer


def changed_model(x, y, w1, w2, w3):
    model = nn.Sequential(dense(w1), nn.Tanh(), dense(w2))
    losses = [step(model, x, y)]
    model.insert(2, dense(w3))
    model.insert(3, nn.Tanh())
    losses.append(step(model, x, y))
    return dict(
        arrays(w1=model[0].weight, w2=model[4].weight, w3=model[2].weight),
        losses=numpy.array(losses),
    )


def step(model, x, y):
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    optimiser.zero_grad()
    loss = functional.cross_entropy(model(tensor(x)), tensor(y))
    loss.backward()
    optimiser.step()
    return loss.item()


def data_parallel(x, y, w1, w2):
    return work_together(parallel.work, {"x": x, "y": y, "w1": w1, "w2": w2})
