"""A neutral network as Caffe's own description, in text, with the place of every parameter.

Caffe has no axis of time but in its LSTM, no product of two blobs as matrices, pooling of images
only, and one padding for both ends of a dimension. This module builds what is missing from the
layers that Caffe has.
"""

from harness.adapters import Unsupported, layers_of
from harness.frameworks.caffe import attention, recurrent
from harness.frameworks.caffe.net_text import Text

#: Where Caffe's default differs from the neutral description, and how it is adapted.
NOTES = {
    "flatten": "a Reshape: Caffe's Flatten hides its gradient from the blob before it",
    "max_pool": "Caffe rounds sizes up and pads both ends alike: the surplus is cropped; it pools "
    "images only: a signal is an image 1 wide, a video is pooled side by side",
    "rnn": "Caffe's own has a second layer inside: unrolled, from inner products",
    "lstm": "gates i, f, o, g; time first, by slices and reshapes; the indicators of where a "
    "sequence begins are made from the input",
    "gru": "Caffe has none: unrolled, from inner products",
    "attention": "Caffe has no product of two blobs: steps are scaled and summed",
    "multihead_attention": "Caffe has no product of two blobs: steps are scaled and summed",
    "layer_norm": "Caffe's MVN adds epsilon to the deviation: built from reductions and powers",
    "position": "a Bias layer over both axes",
}


def write(network):
    """Return a `Text` of the network up to its logits."""
    text = Text(network)
    for layer, inputs in layers_of(network, KINDS):
        KINDS[layer["kind"]](text, layer, *inputs)
    # A blob that no layer reads would become an output.
    logits = network["layers"][-1]["name"]
    for blob in [top for top in text.shapes if top not in text.read and top != logits]:
        text.add("Silence", text.fresh("silence"), [blob], None, tops=[])
    return text


def _conv(text, layer, x):
    if any(before != after for before, after in layer["padding"]):
        raise Unsupported("Caffe pads both ends of a dimension alike")
    shape = tuple(
        (dim + 2 * before - size) // stride + 1
        for dim, (before, _), size, stride in zip(
            text.shapes[x][1:], layer["padding"], layer["kernel"], layer["stride"]
        )
    )
    words = ["num_output: %d" % layer["filters"]]
    words += ["kernel_size: %d" % size for size in layer["kernel"]]
    words += ["stride: %d" % stride for stride in layer["stride"]]
    words += ["pad: %d" % before for before, _ in layer["padding"]]
    settings = "convolution_param { %s }" % " ".join(words)
    text.add("Convolution", layer["name"], [x], (layer["filters"], *shape), settings)
    text.record_parameter(layer["name"] + ".kernel", layer["name"], 0)
    text.record_parameter(layer["name"] + ".bias", layer["name"], 1)


def _max_pool(text, layer, x):
    """Pool an image; a signal as an image of one column; a video's images, then its frames."""
    name, dims = layer["name"], len(layer["size"])
    windows = list(zip(layer["size"], layer["stride"], layer["padding"]))
    channels, *lengths = text.shapes[x]
    if dims == 2:
        _pool(text, x, windows, name)
    elif dims == 1:
        image = text.reshape(x, (0, 0, 0, 1), (channels, lengths[0], 1))
        pooled = _pool(text, image, [*windows, (1, 1, (0, 0))], text.fresh(name))
        after = text.shapes[pooled][:2]
        text.reshape(pooled, (0, 0, 0), after, name)
    else:
        frames, height, width = lengths
        flat = text.reshape(x, (0, -1, height, width), (channels * frames, height, width))
        images = _pool(text, flat, windows[1:], text.fresh(name))
        _, height, width = text.shapes[images]
        area = height * width
        lines = text.reshape(images, (0, channels, frames, area), (channels, frames, area))
        pooled = _pool(text, lines, [windows[0], (1, 1, (0, 0))], text.fresh(name))
        frames = text.shapes[pooled][1]
        after = (channels, frames, height, width)
        text.reshape(pooled, (0, channels, frames, height, width), after, name)


def _pool(text, x, windows, name):
    """Pool both dimensions of an image; Caffe rounds up, so surplus at the ends is cut off."""
    channels, *lengths = text.shapes[x]
    wanted_lengths, pooled_lengths = [], []
    for length, (size, stride, (before, after)) in zip(lengths, windows):
        wanted_lengths.append((length + before + after - size) // stride + 1)
        up = -((length + 2 * before - size) // -stride) + 1
        if before and (up - 1) * stride >= length + before:
            up -= 1
        pooled_lengths.append(up)
    if any(pooled < wanted for pooled, wanted in zip(pooled_lengths, wanted_lengths)):
        raise Unsupported("Caffe pads both ends of a dimension alike, here with too little")
    words = ["pool: MAX"]
    for dim, (size, stride, (before, _)) in zip("hw", windows):
        words.append(
            "kernel_%s: %d stride_%s: %d pad_%s: %d" % (dim, size, dim, stride, dim, before)
        )
    settings = "pooling_param { %s }" % " ".join(words)
    exact = pooled_lengths == wanted_lengths
    pooled = text.add(
        "Pooling", name if exact else text.fresh(name), [x], (channels, *pooled_lengths), settings
    )
    for axis, (length, wanted) in enumerate(zip(pooled_lengths, wanted_lengths), start=2):
        if wanted < length:
            pooled, _ = text.slices(pooled, axis, [wanted])
    return pooled if exact else text.rename(pooled, name)


def _global_average_pool(text, layer, x):
    """Pool an image as a whole; Caffe's pooling has two dimensions, so all else is reduced."""
    channels, *dims = text.shapes[x]
    if len(dims) == 2:
        settings = "pooling_param { pool: AVE global_pooling: true }"
        pooled = text.inner("Pooling", layer["name"], [x], (channels, 1, 1), settings)
        text.reshape(pooled, (0, -1), (channels,), layer["name"])
        return
    settings = "reduction_param { operation: MEAN axis: 2 }"
    text.add("Reduction", layer["name"], [x], text.shapes[x][:1], settings)


def _lrn(text, layer, x):
    settings = "lrn_param { local_size: %d alpha: %r beta: %r k: %r }" % (
        layer["size"],
        layer["alpha"],
        layer["beta"],
        layer["k"],
    )
    text.add("LRN", layer["name"], [x], text.shapes[x], settings)


def _plain(kind):
    def layer_of(text, layer, x):
        text.add(kind, layer["name"], [x], text.shapes[x])

    return layer_of


def _flatten(text, layer, x):
    length = 1
    for dim in text.shapes[x]:
        length *= dim
    text.reshape(x, (0, -1), (length,), layer["name"])


def _dense(text, layer, x):
    name = layer["name"]
    text.product(x, layer["units"], name, axis=len(text.shapes[x]), top=name)
    text.record_parameter(name + ".kernel", name, 0)
    text.record_parameter(name + ".bias", name, 1)


def _concat(text, layer, *inputs):
    axis = layer["axis"]
    first = text.shapes[inputs[0]]
    joined = sum(text.shapes[blob][axis - 1] for blob in inputs)
    shape = first[: axis - 1] + (joined,) + first[axis:]
    text.concat(inputs, axis, shape, layer["name"])


def _add(text, layer, x, y):
    text.combine("SUM", [x, y], layer["name"])


def _slice(text, layer, x):
    axis, name = layer["axis"], layer["name"]
    length = text.shapes[x][axis - 1]
    points = [point for point in (layer["start"], layer["stop"]) if 0 < point < length]
    pieces = text.slices(x, axis, points)
    text.rename(pieces[1 if layer["start"] else 0], name)


def _mean(text, layer, x):
    steps = text.steps(x)
    text.combine("SUM", steps, layer["name"], [1.0 / len(steps)] * len(steps))


def _layer_norm(text, layer, x):
    name, width = layer["name"], text.shapes[x][-1]
    axis = len(text.shapes[x])
    share = 1.0 / width
    mean = text.power(text.reduce("SUM", x, axis, name, coefficient=share), name, scale=-1.0)
    shape = text.shapes[x]
    centred = text.inner("Bias", name, [x, mean], shape, "bias_param { axis: 0 }")
    variance = text.reduce("SUMSQ", centred, axis, name, coefficient=share)
    inverse = text.power(variance, name, shift=layer["epsilon"], power=-0.5)
    normal = text.inner("Scale", name, [centred, inverse], shape, "scale_param { axis: 0 }")
    settings = "scale_param { axis: %d bias_term: true }" % axis
    text.add("Scale", name, [normal], shape, settings)
    text.record_parameter(name + ".scale", name, 0)
    text.record_parameter(name + ".offset", name, 1)


def _position(text, layer, x):
    name = layer["name"]
    text.add("Bias", name, [x], text.shapes[x], "bias_param { axis: 1 num_axes: 2 }")
    text.record_parameter(name + ".table", name, 0)


KINDS = {
    "conv": _conv,
    "max_pool": _max_pool,
    "global_average_pool": _global_average_pool,
    "lrn": _lrn,
    "relu": _plain("ReLU"),
    "tanh": _plain("TanH"),
    "flatten": _flatten,
    "dense": _dense,
    "rnn": recurrent.rnn,
    "lstm": recurrent.lstm,
    "gru": recurrent.gru,
    "concat": _concat,
    "add": _add,
    "attention": attention.attention,
    "multihead_attention": attention.multihead_attention,
    "layer_norm": _layer_norm,
    "position": _position,
    "slice": _slice,
    "mean": _mean,
}
