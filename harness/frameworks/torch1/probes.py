"""The probes in torch 1.0, eager: those of torch today, but where its interface differed."""

import numpy
from torch import nn
from torch.nn import functional

from harness.frameworks.torch.probes import (  # noqa: F401 - the rest of the probes
    arrays,
    beam_search,
    bidirectional,
    convolution_of_video,
    data_dependent_loop,
    data_dependent_loop_gradient,
    dense,
    derived_gradient,
    higher_order_gradients,
    lstm_with,
    own_layer,
    python_loop,
    step,
    temporal_convolution,
    tensor,
    weight_sharing,
)


def different_lengths(x, lengths, upstream, **weights):
    lstm = lstm_with(x.shape[2], upstream.shape[1], **weights)
    longest_first, order = tensor(lengths).sort(descending=True)
    packed = nn.utils.rnn.pack_padded_sequence(tensor(x)[order], longest_first, batch_first=True)
    _, (hidden, _) = lstm(packed)
    last = hidden[0][order.argsort()]
    (last * tensor(upstream)).sum().backward()
    kernel, recurrent, bias = lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0
    return arrays(last=last, kernel=kernel.grad, recurrent=recurrent.grad, bias=bias.grad)


def attention(query, key, value, mask, upstream):
    query, key, value = (tensor(array, grad=True) for array in (query, key, value))
    scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
    scores = scores.masked_fill(tensor(mask) == 0, -float("inf"))
    y = functional.softmax(scores, dim=-1) @ value
    (y * tensor(upstream)).sum().backward()
    return arrays(y=y, query=query.grad, key=key.grad, value=value.grad)


def changed_model(x, y, w1, w2, w3):
    model = nn.Sequential(dense(w1), nn.Tanh(), dense(w2))
    losses = [step(model, x, y)]
    model = nn.Sequential(*model[:2], dense(w3), nn.Tanh(), model[2])
    losses.append(step(model, x, y))
    return dict(
        arrays(w1=model[0].weight, w2=model[4].weight, w3=model[2].weight),
        losses=numpy.array(losses),
    )
