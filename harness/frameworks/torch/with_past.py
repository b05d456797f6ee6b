"""A step of a language model, with the keys and values of the steps before: to generate with.

Import this module after torch only.
"""

import torch
from torch import nn

import harness.adapters as protocol
from harness import record
from harness.frameworks.torch import exports, layers


class Step(nn.Module):
    """A network of `layers.Graph` that is fed with tokens, its first layer being an embedding."""

    def __init__(self, graph):
        super().__init__()
        self.network = graph  # a GraphModule has a `graph` of its own
        modules = graph.layers.values()
        self.attentions = sum(isinstance(module, layers.MultiheadAttention) for module in modules)

    def forward(self, tokens, past):
        """Return logits (N, L, symbols), and the keys and values of all steps, by name.

        *tokens*: (N, L) int64. *past*: the keys and values of the P steps before, each
        (N, heads, P, D / heads), see `arguments`.
        """
        cache, start = iter(past.values()), next(iter(past.values())).shape[2]
        outputs, presents = {"input": tokens}, []
        for name, (source, *others) in self.network.reads:
            module, x = self.network.layers[name], outputs[source]
            if source == "input":
                y = nn.functional.embedding(x, module.weight.T) + module.bias
            elif isinstance(module, layers.Position):
                y = x + module.table[torch.arange(start, start + x.shape[1], device=x.device)]
            elif isinstance(module, layers.MultiheadAttention):
                query, *new = module.project(x)
                whole = [torch.cat([next(cache), part], 2) for part in new]
                y = module.attend(query, *whole)
                presents += whole
            else:
                y = module(x, *(outputs[other] for other in others))
            outputs[name] = y
        names = record.cache_names(self.attentions).values()
        return dict({record.LOGITS: y}, **dict(zip(names, presents)))


def arguments(inputs):
    """Return the arguments of a step for values by name.

    torch.export joins the names of an argument and of what it holds.
    """
    prefix = "past_"
    past = {name[len(prefix) :]: x for name, x in inputs.items() if name.startswith(prefix)}
    return inputs[record.TOKENS], past


def write(step, format_name, path, inputs):
    """Write a step that is on the CPU and in evaluation mode. Raises Unsupported."""
    if format_name not in WRITERS:
        raise protocol.Unsupported(f"torch writes no {format_name} with past")
    opset = WRITERS[format_name](step, inputs, path)
    return {"opset": opset, "exporter": exports.exporter(format_name)}


def _program(step, inputs):
    """Return the step as an exported program, its inputs free in rows, tokens and past."""
    rows, length, past = (torch.export.Dim(name) for name in ("rows", "length", "past"))
    tokens, before = arguments({name: torch.from_numpy(x) for name, x in inputs.items()})
    free = ({0: rows, 1: length}, {name: {0: rows, 2: past} for name in before})
    return torch.export.export(step, (tokens, before), dynamic_shapes=free)


def _exported(step, inputs, path):
    torch.export.save(_program(step, inputs), path)


def _onnx(step, inputs, path):
    cache = record.cache_names(step.attentions)
    translated = torch.onnx.export(
        _program(step, inputs),
        dynamo=True,
        input_names=[record.TOKENS, *cache],
        output_names=[record.LOGITS, *cache.values()],
        verbose=False,
    )
    translated.save(path, external_data=False)
    return translated.model.opset_imports.get("")


WRITERS = {"onnx": _onnx, "torch-export": _exported}
