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
    """Add self-attention of several heads over *x*, (N, T, D), step by step.

    Where it is causal, a step reads no more keys and values than it sees: Caffe has no mask.
    """
    name, heads = layer["name"], layer["heads"]
    length, width = text.shapes[x]
    parts = []
    for part in ("query", "key", "value"):
        projected = text.product(x, width, name, axis=2)
        text.record_parameter("%s.%s_kernel" % (name, part), projected, 0)
        text.record_parameter("%s.%s_bias" % (name, part), projected, 1)
        split_heads = (length, heads, width // heads)
        parts.append(text.reshape(projected, (0,) + split_heads, split_heads))
    queries, keys, values = parts
    steps = []
    for place, query in enumerate(text.slices(queries, 1, range(1, length)), start=1):
        seen = place if layer.get("causal") else length
        points = [seen] if seen < length else []
        key, value = (text.slices(part, 1, points)[0] for part in (keys, values))
        attended = _attend_in_heads(text, query, key, value, name)
        steps.append(text.reshape(attended, (0, 1, width), (1, width)))
    joined = text.concat(steps, 1, (length, width), text.fresh(name))
    text.product(joined, width, name, axis=2, top=name)
    text.record_parameter(name + ".output_kernel", name, 0)
    text.record_parameter(name + ".output_bias", name, 1)


def _attend_in_heads(text, query, keys, values, name):
    """Attention of a query (N, 1, H, D) over keys and values (N, S, H, D): (N, 1, H, D)."""
    seen, heads, width = text.shapes[keys]
    tiling = "tile_param { axis: 1 tiles: %d }" % seen
    tiled = text.inner("Tile", name, [query], text.shapes[keys], tiling)
    product = text.combine("PROD", [tiled, keys], text.fresh(name))
    scores = text.reduce("SUM", product, 3, name, coefficient=width**-0.5)
    shares = text.inner("Softmax", name, [scores], (seen, heads), "softmax_param { axis: 1 }")
    shape = text.shapes[values]
    shared = text.inner("Scale", name, [values, shares], shape, "scale_param { axis: 0 }")
    parts = text.slices(shared, 1, range(1, seen))
    return text.combine("SUM", parts, text.fresh(name)) if seen > 1 else parts[0]
