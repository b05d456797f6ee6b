"""Sizes that ONNX Runtime asks for where it refuses sample inputs.

Its errors have no fields, so its text is read here: only to choose the next sizes to try, never to
decide a verdict. Where it is worded in another way, no size is returned. The texts are those of
onnxruntime/core/providers/cpu (rnn, math, tensor) and core/session.
"""

import functools
import operator
import re

#: What it got and what it wants, in this order.
PAIRS = (
    re.compile(r"Got: (\d+) Expected: (\d+)"),
    re.compile(r"input channels C: (\d+) .*?kernel channels: (\d+)", re.IGNORECASE),
)

#: A product: the shape of its weights, the size that it got, and the size of its answer.
PRODUCT = re.compile(r"W: \{(\d+),(\d+)\} K: (\d+) N: ?(\d+)")

#: Two sizes that have to be equal: either may be the dynamic one.
EQUALS = (
    re.compile(r"other than 1\. (\d+) by (\d+)"),
    re.compile(r"mismatched dimensions of (\d+) and (\d+)"),
)

#: Two shapes side by side; a closing bracket or brace ends each.
SHAPES = (
    re.compile(r"must have shape \{([\d,]+)\}\. ?Actual: ?\{([\d,]+)\}"),
    re.compile(r"Expected shape[^{]*\{([\d,]+)\}[^{]*\{([\d,]+)\}"),
)

#: The shape that a Reshape got, and the one that its graph wants, where an exporter has fixed it.
RESHAPED = re.compile(r"Input shape:\{([\d,]+)\}, requested shape:\{([\d,]+)\}")


def size_mismatches(message):
    """Return pairs of a size that was given and the size that is wanted in its place."""
    pairs = [
        (int(actual), int(wanted)) for text in PAIRS for actual, wanted in text.findall(message)
    ]
    for first, second, actual, answer in PRODUCT.findall(message):
        pairs.append((int(actual), int(first if second == answer else second)))
    for text in EQUALS:
        for first, second in text.findall(message):
            pairs += [(int(first), int(second)), (int(second), int(first))]
    for text in SHAPES:
        for wanted, actual in text.findall(message):
            pairs += zip(map(int, actual.split(",")), map(int, wanted.split(",")))
    for actual, wanted in RESHAPED.findall(message):
        pairs += _grown(list(map(int, actual.split(","))), list(map(int, wanted.split(","))))
    return [(actual, wanted) for actual, wanted in pairs if actual != wanted]


def _grown(shape, wanted):
    """Yield each size of a shape with what it would be for as many elements as another one has."""
    elements = functools.reduce(operator.mul, shape)
    for size in shape if elements else ():
        grown, rest = divmod(size * functools.reduce(operator.mul, wanted), elements)
        if grown and not rest:
            yield size, grown
