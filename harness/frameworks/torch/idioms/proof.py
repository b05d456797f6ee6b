"""Proof of torch's idioms."""

import numpy
import torch
from torch import nn

from harness import idioms
from harness.frameworks.torch.idioms import training


def logits(network, weights, x, framework="torch"):
    """Return the float32 logits of the framework's idiom on x, with the neutral weights."""
    return _answer(_with_weights(network, weights, framework), network, x)


def trained_logits(network, weights, batches, rate, framework="torch"):
    """Return the logits of the first batch after the idiomatic training on all batches."""
    model = _with_weights(network, weights, framework)
    fed_batches = [(_inputs(network, x), torch.tensor(y)) for x, y in batches]
    training.train(model, fed_batches, rate)
    return _answer(model, network, batches[0][0])


def _answer(model, network, x):
    with torch.no_grad():
        return model(*_inputs(network, x)).numpy()


def _inputs(network, x):
    return [torch.tensor(array) for array in idioms.inputs(network, x, last=False)]


def _with_weights(network, weights, framework):
    model = idioms.idiom(network, framework).Network()
    modules, tables = _modules(model), model.parameters(recurse=False)
    with torch.no_grad():
        for kind, params in _layers(network, weights):
            if kind == "position":
                _set(next(tables), params["table"])
            else:
                module = next(modules)
                place = next(
                    place for kind_of, place in PLACES.items() if isinstance(module, kind_of)
                )
                place(module, params)
    unused = list(modules)
    assert not unused, unused
    return model


def _layers(network, weights):
    """Yield what `idioms.layers` does; torch 1.0 has no attention but four layers."""
    for kind, params in idioms.layers(network, weights):
        if kind == "multihead_attention" and not hasattr(nn, "MultiheadAttention"):
            for part in idioms.PARTS:
                yield "dense", {name: params[part + "_" + name] for name in ("kernel", "bias")}
        else:
            yield kind, params


def _modules(module):
    """Yield the modules with weights in creation order; those of an encoder in the order of use."""
    if isinstance(module, getattr(nn, "TransformerEncoderLayer", ())):
        yield from (module.norm1, module.self_attn, module.norm2, module.linear1, module.linear2)
    elif isinstance(module, tuple(PLACES)):
        yield module
    else:
        for child in module.children():
            yield from _modules(child)


def _set(parameter, value):
    assert parameter.shape == value.shape, (parameter.shape, value.shape)
    parameter.copy_(torch.tensor(value))


def _plain(module, params):
    _set(module.weight, params["kernel"])
    _set(module.bias, params["bias"])


def _norm(module, params):
    _set(module.weight, params["scale"])
    _set(module.bias, params["offset"])


def _recurrent(module, params):
    for way, end in (("", ""), ("backward_", "_reverse")):
        if way + "kernel" not in params:
            continue
        second = getattr(module, "bias_hh_l0" + end)
        _set(getattr(module, "weight_ih_l0" + end), params[way + "kernel"])
        _set(getattr(module, "weight_hh_l0" + end), params[way + "recurrent"])
        _set(getattr(module, "bias_ih_l0" + end), params[way + "bias"])
        if way + "recurrent_bias" in params:
            _set(second, params[way + "recurrent_bias"])
        else:  # the neutral network has no second bias
            second.zero_().requires_grad_(False)


def _attention(module, params):
    for end, joined, last in (
        ("_kernel", module.in_proj_weight, module.out_proj.weight),
        ("_bias", module.in_proj_bias, module.out_proj.bias),
    ):
        query, key, value, output = (params[part + end] for part in idioms.PARTS)
        _set(joined, numpy.concatenate([query, key, value]))
        _set(last, output)


#: By class of module. torch 1.0 has no attention of its own, and of no class there is no module.
PLACES = {
    getattr(nn, "MultiheadAttention", ()): _attention,
    nn.RNNBase: _recurrent,
    nn.modules.conv._ConvNd: _plain,
    nn.Linear: _plain,
    nn.LayerNorm: _norm,
}
