"""Attention in Caffe, which has no product of two blobs: steps are scaled and summed.

A layer function takes (`Text`, the neutral layer, the names of its input blobs) and adds the layers
that make it.
"""


def _attend(text, query, keys, values, name):
    """Return attention of a query, (N, D), over steps of keys and values, each (N, D): (N, D)."""
    width = text.shapes[query][0]
    scores = []
    for key in keys:
        product = text.combine("PROD", [query, key], text.fresh(name))
        score = text.reduce("SUM", product, 1, name, coefficient=width**-0.5)
        scores.append(text.reshape(score, (-1, 1), (1,)))
    joined = text.concat(scores, 1, (len(keys),), text.fresh(name))
    shares = text.inner("Softmax", name, [joined], (len(keys),), "softmax_param { axis: 1 }")
    shares = text.slices(shares, 1, range(1, len(keys)))
    parts = []
    for share, value in zip(shares, values):
        flat = text.reshape(share, (-1,), ())
        width = text.shapes[value]
        parts.append(text.inner("Scale", name, [value, flat], width, "scale_param { axis: 0 }"))
    return text.combine("SUM", parts, text.fresh(name)) if len(parts) > 1 else parts[0]


def attention(text, layer, query, memory):
    """Add attention without weights: *query* (N, T, D) over *memory* (N, S, D)."""
    memory_steps = text.steps(memory)
    name = layer["name"]
    text.sequence(
        [_attend(text, step, memory_steps, memory_steps, name) for step in text.steps(query)], name
    )


def multihead_attention(text, layer, x):
    """Add self-attention of several heads over *x*, (N, T, D)."""
    name, heads = layer["name"], layer["heads"]
    _, width = text.shapes[x]
    parts = {}
    for part in ("query", "key", "value"):
        projected = text.product(x, width, name, axis=2)
        text.record_parameter("%s.%s_kernel" % (name, part), projected, 0)
        text.record_parameter("%s.%s_bias" % (name, part), projected, 1)
        points = [number * width // heads for number in range(1, heads)]
        parts[part] = [text.slices(step, 1, points) for step in text.steps(projected)]
    steps = []
    for query in parts["query"]:
        head_outputs = [
            _attend(
                text,
                query[head],
                [key[head] for key in parts["key"]],
                [value[head] for value in parts["value"]],
                name,
            )
            for head in range(heads)
        ]
        steps.append(
            text.concat(head_outputs, 1, (width,), text.fresh(name))
            if heads > 1
            else head_outputs[0]
        )
    joined = text.sequence(steps, text.fresh(name))
    text.product(joined, width, name, axis=2, top=name)
    text.record_parameter(name + ".output_kernel", name, 0)
    text.record_parameter(name + ".output_bias", name, 1)
