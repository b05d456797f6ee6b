"""Attention, as ONNX Runtime's optimiser fuses it.

Queries, keys and values are (N, heads, sequence, size of a head) inside.
"""

import numpy

from harness.graphs.operators.base import ContribOperator, masked_softmax, present


def split_heads(x, heads):
    """Return (N, S, heads x size) as (N, heads, S, size)."""
    batch, length, width = x.shape
    return x.reshape(batch, length, heads, width // heads).transpose(0, 2, 1, 3)


def join_heads(x):
    """Return (N, heads, S, size) as (N, S, heads x size)."""
    batch, heads, length, size = x.shape
    return x.transpose(0, 2, 1, 3).reshape(batch, length, heads * size)


def attended(query, key, value, scale, mask=None, softcap=0.0):
    """Return softmax(scale q k' + mask) v; a mask of -inf leaves a place out."""
    scores = scale * numpy.matmul(query, numpy.swapaxes(key, -1, -2))
    if softcap:
        scores = softcap * numpy.tanh(scores / softcap)
    if mask is not None:
        scores = scores + mask
    return numpy.matmul(masked_softmax(scores), value)


def padding_mask(mask, batch, total, filter_value):
    """Return what is added to scores for an optional mask of any form that is served.

    (N,) or (N, total) of integers; (N, S, total); (N, 1, M, M) is refused.
    """
    if mask is None:
        return 0.0
    mask = numpy.asarray(mask)
    if mask.ndim == 1 and mask.size == batch:
        visible = numpy.arange(total)[None] < mask[:, None]
        visible = visible[:, None, None]
    elif mask.ndim == 1 and mask.size == 2 * batch:  # ends, then begins
        places = numpy.arange(total)[None]
        visible = (places < mask[:batch, None]) & (places >= mask[batch:, None])
        visible = visible[:, None, None]
    elif mask.ndim == 2:
        visible = (mask != 0)[:, None, None]
    elif mask.ndim == 3:
        visible = (mask != 0)[:, None]
    else:
        raise NotImplementedError("an attention mask of {} dimensions".format(mask.ndim))
    return numpy.where(visible, 0.0, filter_value)


def causal_mask(length, total, filter_value=-numpy.inf, window=-1):
    """Return what is added so that a place sees none after it, nor before its window."""
    query = numpy.arange(total - length, total)[:, None]
    key = numpy.arange(total)[None]
    visible = key <= query
    if window > 0:
        visible = visible & (key > query - window)
    return numpy.where(visible, 0.0, filter_value)


def attend_after(past, query, key, value, mask, added, settings):
    """Return (outputs, all keys, all values); what is *past* comes before the keys and values."""
    if past is not None:
        key = numpy.concatenate([past[0], key], axis=2)
        value = numpy.concatenate([past[1], value], axis=2)
    total, length = key.shape[2], query.shape[2]
    low = settings.get("mask_filter_value") or -10000.0
    shift = padding_mask(mask, query.shape[0], total, low)
    if settings.get("unidirectional"):
        shift = shift + causal_mask(length, total)
    if added is not None:
        shift = shift + added
    scale = settings.get("scale") or query.shape[-1] ** -0.5
    return join_heads(attended(query, key, value, scale, shift)), key, value


class Attention(ContribOperator):
    """Self-attention with its projections in one matrix."""

    def _run(self, x, weights, bias=None, mask=None, past=None, added=None, *_, **settings):
        heads = settings["num_heads"]
        projected = x @ weights if bias is None else x @ weights + bias
        sizes = settings.get("qkv_hidden_sizes") or [projected.shape[-1] // 3] * 3
        query, key, value = (
            split_heads(part, heads)
            for part in numpy.split(projected, [sizes[0], sizes[0] + sizes[1]], axis=-1)
        )
        answer, key, value = attend_after(past, query, key, value, mask, added, settings)
        results = (answer.astype(x.dtype), numpy.stack([key, value]).astype(x.dtype))
        return results[: len(self.onnx_node.output)]


class MultiHeadAttention(ContribOperator):
    """Attention of projections that come apart, or packed."""

    def _run(
        self, query, key=None, value=None, bias=None, mask=None, added=None, *past, **settings
    ):
        heads = settings["num_heads"]
        dtype = query.dtype
        query, key, value = _projections(query, key, value, bias, heads)
        has_past = present(past, 0) is not None and present(past, 0).size
        results = attend_after(past if has_past else None, query, key, value, mask, added, settings)
        return tuple(array.astype(dtype) for array in results[: len(self.onnx_node.output)])


def _projections(query, key, value, bias, heads):
    """Return queries, keys and values by head, whatever way they were given."""
    if key is None:  # (N, S, heads, 3, size)
        packed = query.transpose(3, 0, 2, 1, 4)
        return packed[0], packed[1], packed[2]
    width = query.shape[-1]
    parts = [query, key, value]
    if value is None:  # keys and values packed: (N, T, heads, 2, size)
        packed = key.transpose(3, 0, 2, 1, 4)
        parts = [query, packed[0], packed[1]]
    if bias is not None:
        biases = numpy.split(bias, [width, 2 * width])
        parts = [
            part + (own if part.ndim == 3 else own.reshape(1, heads, 1, -1))
            for part, own in zip(parts, biases)
        ]
    return [split_heads(part, heads) if part.ndim == 3 else part for part in parts]


def rotated(x, cosine, sine, interleaved):
    """Return x (N, S, heads, size) with its leading part turned by angles (N, S, half)."""
    half = cosine.shape[-1]
    turned, unturned = x[..., : 2 * half], x[..., 2 * half :]
    cosine, sine = cosine[:, :, None], sine[:, :, None]
    if interleaved:
        first, second = turned[..., 0::2], turned[..., 1::2]
    else:
        first, second = turned[..., :half], turned[..., half:]
    real, imaginary = first * cosine - second * sine, first * sine + second * cosine
    if interleaved:
        turned = numpy.stack([real, imaginary], axis=-1).reshape(turned.shape)
    else:
        turned = numpy.concatenate([real, imaginary], axis=-1)
    return numpy.concatenate([turned, unturned], axis=-1)


class RotaryEmbedding(ContribOperator):
    """Positions as angles by which pairs of values are turned."""

    def _run(self, x, places, cosines, sines, interleaved=0, num_heads=0, **settings):
        shape = x.shape
        by_head = x.transpose(0, 2, 1, 3) if x.ndim == 4 else None
        if by_head is None:
            heads = num_heads or shape[-1] // (
                settings.get("rotary_embedding_dim") or 2 * cosines.shape[-1]
            )
            by_head = x.reshape(shape[0], shape[1], heads, -1)
        if numpy.asarray(places).size == 1:  # where the first one is
            places = int(numpy.asarray(places).ravel()[0]) + numpy.arange(by_head.shape[1])[None]
        places = numpy.broadcast_to(places, by_head.shape[:2])
        answer = rotated(by_head, cosines[places], sines[places], interleaved)
        answer = answer.transpose(0, 2, 1, 3) if x.ndim == 4 else answer.reshape(shape)
        return (answer.astype(x.dtype),)


class GroupQueryAttention(ContribOperator):
    """Causal attention in which several heads of queries share one of keys and values."""

    def _run(self, query, key, value, past_key, past_value, lengths, total, *optional, **settings):
        heads, groups = settings["num_heads"], settings["kv_num_heads"]
        dtype = query.dtype
        if key is None:
            size = query.shape[-1] // (heads + 2 * groups)
            query, key, value = numpy.split(query, [heads * size, (heads + groups) * size], axis=-1)
        size = query.shape[-1] // heads
        batch, length = query.shape[:2]
        ends = numpy.asarray(lengths).ravel() + 1
        query, key, value = (part.reshape(batch, length, -1, size) for part in (query, key, value))
        if settings.get("do_rotary"):
            first = numpy.maximum(ends - length, 0)
            places = first[:, None] + numpy.arange(length)[None]
            cosine, sine = optional[0][places], optional[1][places]
            turned = settings.get("rotary_interleaved")
            query, key = (rotated(part, cosine, sine, turned) for part in (query, key))
        room = max(
            int(numpy.asarray(total).ravel()[0]), 0 if past_key is None else past_key.shape[2]
        )
        keys, values = (numpy.zeros((batch, groups, room, size), query.dtype) for _ in range(2))
        answer = numpy.zeros((batch, heads, length, size), query.dtype)
        scale = settings.get("scale") or size**-0.5
        for row in range(batch):
            end = int(ends[row])
            before = max(end - length, 0)
            for cache, past, new in ((keys, past_key, key), (values, past_value, value)):
                if past is not None and before:
                    cache[row, :, :before] = past[row, :, :before]
                cache[row, :, before:end] = new[row].transpose(1, 0, 2)[:, : end - before]
            window = settings.get("local_window_size") or -1
            shift = causal_mask(length, max(end, length), window=window)[:, :end]
            answer[row] = attended(
                query[row].transpose(1, 0, 2),
                numpy.repeat(keys[row, :, :end], heads // groups, axis=0),
                numpy.repeat(values[row, :, :end], heads // groups, axis=0),
                scale,
                shift,
                settings.get("softcap") or 0.0,
            )
        results = (join_heads(answer), keys, values)
        return tuple(array.astype(dtype) for array in results[: len(self.onnx_node.output)])


class QAttention(ContribOperator):
    """Attention whose input and weights are quantised."""

    def _run(self, x, w, bias, x_scale, w_scale, *optional, **settings):
        mask, x_zero, w_zero, past = (present(optional, at) for at in range(4))
        x_zero, w_zero = (
            numpy.asarray(0 if array is None else array).astype("int64")
            for array in (x_zero, w_zero)
        )
        total = (x.astype("int64") - x_zero) @ (w.astype("int64") - w_zero)
        projected = total * (numpy.asarray(x_scale) * numpy.asarray(w_scale)) + bias
        identity = numpy.eye(projected.shape[-1])
        answer = Attention._run(self, projected, identity, None, mask, past, **settings)
        return tuple(array.astype(bias.dtype) for array in answer)


OPERATORS = [Attention, MultiHeadAttention, RotaryEmbedding, GroupQueryAttention, QAttention]
