"""Transposed convolution, over any number of dimensions and in groups."""

import itertools

import numpy

from harness.graphs.operators.base import Operator


class ConvTranspose(Operator):
    """The evaluator takes the wrong weights and the wrong bias for all groups but the first."""

    def _run(self, x, weights, bias=None, kernel_shape=None, group=1, **settings):
        count = x.ndim - 2
        strides = settings.get("strides") or [1] * count
        dilations = settings.get("dilations") or [1] * count
        extra = settings.get("output_padding") or [0] * count
        kernel, dims = weights.shape[2:], x.shape[2:]
        full = [
            strides[at] * (dims[at] - 1) + extra[at] + (kernel[at] - 1) * dilations[at] + 1
            for at in range(count)
        ]
        begins, sizes = _cut(full, dims, strides, settings)
        grouped = x.reshape((x.shape[0], group, -1) + dims)
        kernels = weights.reshape((group, -1) + weights.shape[1:])
        room = [max(dim, begin + size) for dim, begin, size in zip(full, begins, sizes)]
        total = numpy.zeros((x.shape[0], group, weights.shape[1]) + tuple(room), x.dtype)
        for offset in itertools.product(*(range(dim) for dim in kernel)):
            part = numpy.einsum("ngc...,gcm->ngm...", grouped, kernels[(slice(None),) * 3 + offset])
            places = tuple(
                slice(start, start + (dims[at] - 1) * strides[at] + 1, strides[at])
                for at, start in enumerate(step * dilations[at] for at, step in enumerate(offset))
            )
            total[(slice(None),) * 3 + places] += part
        inner = tuple(slice(begin, begin + size) for begin, size in zip(begins, sizes))
        answer = total.reshape((x.shape[0], -1) + tuple(room))[(slice(None),) * 2 + inner]
        if bias is not None:
            answer = answer + bias.reshape((1, -1) + (1,) * count)
        return (answer.astype(x.dtype),)


def _cut(full, dims, strides, settings):
    """Return where the output begins in the full one, and its sizes, a number a dimension each."""
    auto_pad = settings.get("auto_pad") or "NOTSET"
    auto_pad = auto_pad.decode() if isinstance(auto_pad, bytes) else auto_pad
    sizes = settings.get("output_shape")
    if sizes:
        sizes = list(sizes)[-len(full) :]
    elif auto_pad.startswith("SAME"):
        sizes = [dim * stride for dim, stride in zip(dims, strides)]
    else:
        pads = settings.get("pads") or [0] * (2 * len(full))
        if auto_pad == "VALID":
            pads = [0] * (2 * len(full))
        ends = pads[len(full) :]
        return pads[: len(full)], [f - b - e for f, b, e in zip(full, pads, ends)]
    totals = [max(whole - size, 0) for whole, size in zip(full, sizes)]
    if auto_pad == "SAME_UPPER":
        return [total // 2 for total in totals], sizes
    return [total - total // 2 for total in totals], sizes


OPERATORS = [ConvTranspose]
