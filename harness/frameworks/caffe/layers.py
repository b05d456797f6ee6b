"""A neutral network as Caffe's own description, in text, with the place of every parameter.

Caffe knows of no axis of time but for its LSTM, of no product of two blobs as matrices, of images
only where it pools, and of one padding for both ends of a side. What follows from that is built
here from the layers that it has.
"""

from harness.adapters import Unsupported

#: Where Caffe's default differs from the neutral description, and what is done about it.
NOTES = {
    "flatten": "Caffe's Flatten takes its gradient elsewhere, where a Reshape before it does not "
    "see it: a Reshape",
    "max_pool": "Caffe rounds up and pads both ends alike: what is too much is cropped; it pools "
    "images only: a signal is one that is 1 wide, a video is pooled side by side",
    "rnn": "Caffe's own has a second layer inside: unrolled, from inner products",
    "lstm": "gates i, f, o, g; time first, which slices and reshapes make; the indicators of "
    "where a sequence begins are made from the input",
    "gru": "Caffe has none: unrolled, from inner products",
    "attention": "Caffe has no product of two blobs: steps are scaled and summed",
    "multihead_attention": "Caffe has no product of two blobs: steps are scaled and summed",
    "layer_norm": "Caffe's MVN adds epsilon to the deviation: built from reductions and powers",
    "position": "a Bias layer over both axes",
}

#: The neutral order of gates by Caffe's, in its LSTM.
GATES = (0, 1, 3, 2)


class Text:
    """A network that is being written: its layers, and the shape of every blob without N."""

    def __init__(self, network):
        self.lines = ['name: "%s"' % network["name"]]
        self.shapes = {"input": tuple(network["input"])}
        self.parameters = {}  # neutral name -> (layer, index, how it is turned into the neutral)
        self.read = set()
        self.made = {}
        self.count = 0

    def add(self, kind, name, bottoms, shape, settings="", tops=None):
        """Add a layer; its tops, or the one named as it, get the shape. Return the first."""
        tops = [name] if tops is None else tops
        self.read.update(bottoms)
        words = ['name: "%s" type: "%s"' % (name, kind)]
        words += ['bottom: "%s"' % bottom for bottom in bottoms]
        words += ['top: "%s"' % top for top in tops]
        self.lines.append("layer { %s %s }" % (" ".join(words), settings))
        for top in tops:
            self.shapes[top] = shape
        return tops[0] if tops else None

    def fresh(self, name):
        """Return a name for a layer that is not in the neutral description."""
        self.count += 1
        return "%s/%d" % (name, self.count)

    def inner(self, kind, name, bottoms, shape, settings="", tops=None):
        """Add a layer inside the neutral layer *name*."""
        return self.add(kind, self.fresh(name), bottoms, shape, settings, tops)

    def keep(self, neutral, layer, index, turn=None):
        """Remember where a parameter is."""
        self.parameters[neutral] = (layer, index, turn)

    def slices(self, x, axis, points):
        """Return the pieces of a blob between *points*, along an axis, N being 0."""
        key = ("slice", x, axis, tuple(points))
        if key not in self.made:
            shape = self.shapes[x]
            edges = [0, *points, shape[axis - 1]]
            name = self.fresh("slice")
            tops = ["%s-%d" % (name, number) for number in range(len(points) + 1)]
            asked = " ".join("slice_point: %d" % point for point in points)
            if len(tops) == 1:
                return [x]
            self.add("Slice", name, [x], None, "slice_param { axis: %d %s }" % (axis, asked), tops)
            for top, low, high in zip(tops, edges, edges[1:]):
                self.shapes[top] = shape[: axis - 1] + (high - low,) + shape[axis:]
            self.made[key] = tops
        return self.made[key]

    def reshape(self, x, dims, shape, name=None):
        """Reshape to *dims*, N among them; 0 copies and -1 is what is left."""
        name = name or self.fresh("reshape")
        asked = " ".join("dim: %d" % dim for dim in dims)
        return self.add("Reshape", name, [x], shape, "reshape_param { shape { %s } }" % asked)

    def rename(self, x, name):
        """Give a blob another name."""
        shape = self.shapes[x]
        return self.reshape(x, (0,) * (1 + len(shape)), shape, name)

    def steps(self, x):
        """Return a sequence, (N, T, D), as its steps, each (N, D)."""
        key = ("steps", x)
        if key not in self.made:
            length, width = self.shapes[x]
            pieces = self.slices(x, 1, range(1, length))
            self.made[key] = [self.reshape(one, (-1, width), (width,)) for one in pieces]
        return self.made[key]

    def sequence(self, steps, name):
        """Join steps, each (N, D), to a sequence (N, T, D) of this name."""
        width = self.shapes[steps[0]][0]
        pieces = [self.reshape(one, (-1, 1, width), (1, width)) for one in steps]
        return self.concat(pieces, 1, (len(steps), width), name)

    def concat(self, pieces, axis, shape, name):
        """Join pieces along an axis."""
        return self.add("Concat", name, pieces, shape, "concat_param { axis: %d }" % axis)

    def combine(self, operation, inputs, name, coefficients=()):
        """Add or multiply blobs of one shape, element by element."""
        asked = " ".join("coeff: %r" % one for one in coefficients)
        settings = "eltwise_param { operation: %s %s }" % (operation, asked)
        return self.add("Eltwise", name, inputs, self.shapes[inputs[0]], settings)

    def power(self, x, name, scale=1.0, shift=0.0, power=1.0):
        """(shift + scale x) to a power."""
        settings = "power_param { scale: %r shift: %r power: %r }" % (scale, shift, power)
        return self.inner("Power", name, [x], self.shapes[x], settings)

    def reduce(self, operation, x, axis, name, coefficient=1.0):
        """Reduce a blob from an axis to its last."""
        settings = "reduction_param { operation: %s axis: %d coeff: %r }" % (
            operation,
            axis,
            coefficient,
        )
        return self.inner("Reduction", name, [x], self.shapes[x][: axis - 1], settings)

    def product(self, x, units, name, shared="", bias=True, axis=1, top=None):
        """Multiply the last axis, *axis*, by a kernel (units, D); add a bias."""
        words = "inner_product_param { num_output: %d axis: %d bias_term: %s }" % (
            units,
            axis,
            "true" if bias else "false",
        )
        if shared:
            words += ' param { name: "%s.kernel" }' % shared
            words += ' param { name: "%s.bias" }' % shared if bias else ""
        shape = self.shapes[x][:-1] + (units,)
        return self.add("InnerProduct", top or self.fresh(name), [x], shape, words)


def write(network):
    """Return a `Text` of the network up to its logits."""
    text = Text(network)
    before = "input"
    for layer in network["layers"]:
        if layer["kind"] not in KINDS:
            raise Unsupported("layer kind " + layer["kind"])
        inputs = layer.get("inputs", [before])
        KINDS[layer["kind"]](text, layer, *inputs)
        before = layer["name"]
    # What nobody reads would be one more output.
    for blob in [one for one in text.shapes if one not in text.read and one != before]:
        text.add("Silence", text.fresh("silence"), [blob], None, tops=[])
    return text


def _conv(text, layer, x):
    if any(before != after for before, after in layer["padding"]):
        raise Unsupported("Caffe pads both ends of a side alike")
    shape = tuple(
        (side + 2 * before - size) // stride + 1
        for side, (before, _), size, stride in zip(
            text.shapes[x][1:], layer["padding"], layer["kernel"], layer["stride"]
        )
    )
    words = ["num_output: %d" % layer["filters"]]
    words += ["kernel_size: %d" % size for size in layer["kernel"]]
    words += ["stride: %d" % stride for stride in layer["stride"]]
    words += ["pad: %d" % before for before, _ in layer["padding"]]
    settings = "convolution_param { %s }" % " ".join(words)
    text.add("Convolution", layer["name"], [x], (layer["filters"], *shape), settings)
    text.keep(layer["name"] + ".kernel", layer["name"], 0)
    text.keep(layer["name"] + ".bias", layer["name"], 1)


def _max_pool(text, layer, x):
    """Pool an image; a signal as one of one column; a video's images, then its frames."""
    name, sides = layer["name"], len(layer["size"])
    windows = list(zip(layer["size"], layer["stride"], layer["padding"]))
    channels, *lengths = text.shapes[x]
    if sides == 2:
        _pool(text, x, windows, name)
    elif sides == 1:
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
    """Pool both sides of an image; Caffe rounds up, so there may be too much at the ends."""
    channels, *lengths = text.shapes[x]
    wanted, found = [], []
    for length, (size, stride, (before, after)) in zip(lengths, windows):
        wanted.append((length + before + after - size) // stride + 1)
        up = -((length + 2 * before - size) // -stride) + 1
        if before and (up - 1) * stride >= length + before:
            up -= 1
        found.append(up)
    if any(one < other for one, other in zip(found, wanted)):
        raise Unsupported("Caffe pads both ends of a side alike, here with too little")
    words = ["pool: MAX"]
    for side, (size, stride, (before, _)) in zip("hw", windows):
        words.append(
            "kernel_%s: %d stride_%s: %d pad_%s: %d" % (side, size, side, stride, side, before)
        )
    settings = "pooling_param { %s }" % " ".join(words)
    exact = found == wanted
    pooled = text.add(
        "Pooling", name if exact else text.fresh(name), [x], (channels, *found), settings
    )
    for axis, (length, kept) in enumerate(zip(found, wanted), start=2):
        if kept < length:
            pooled, _ = text.slices(pooled, axis, [kept])
    return pooled if exact else text.rename(pooled, name)


def _global_average_pool(text, layer, x):
    """Pool an image as a whole; Caffe's pooling has two sides, so all else is reduced."""
    channels, *sides = text.shapes[x]
    if len(sides) == 2:
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
    for side in text.shapes[x]:
        length *= side
    text.reshape(x, (0, -1), (length,), layer["name"])


def _dense(text, layer, x):
    name = layer["name"]
    text.product(x, layer["units"], name, axis=len(text.shapes[x]), top=name)
    text.keep(name + ".kernel", name, 0)
    text.keep(name + ".bias", name, 1)


def _ways(text, layer, x, one_way):
    """Run a recurrent layer forward, and backward where it is bidirectional.

    *one_way* takes the steps and the prefix of its parameters, and returns the steps of its
    outputs.
    """
    name = layer["name"]
    steps = text.steps(x)
    forward = one_way(text, layer, steps, name + ".")
    backward = None
    if layer.get("bidirectional"):
        backward = one_way(text, layer, steps[::-1], name + ".backward_")[::-1]
    if layer["return_sequences"]:
        if backward:
            width = 2 * layer["units"]
            forward = [
                text.concat([one, other], 1, (width,), text.fresh(name))
                for one, other in zip(forward, backward)
            ]
        text.sequence(forward, name)
    elif backward:
        text.concat([forward[-1], backward[0]], 1, (2 * layer["units"],), name)
    else:
        text.rename(forward[-1], name)


def _rnn_way(text, layer, steps, prefix):
    units, hidden, found = layer["units"], None, []
    for number, x in enumerate(steps):
        given = text.product(x, units, layer["name"], shared=prefix + "in")
        if number == 0:
            text.keep(prefix + "kernel", given, 0)
            text.keep(prefix + "bias", given, 1)
        else:
            again = text.product(hidden, units, layer["name"], shared=prefix + "again", bias=False)
            if number == 1:
                text.keep(prefix + "recurrent", again, 0)
            given = text.combine("SUM", [given, again], text.fresh(layer["name"]))
        hidden = text.inner("TanH", layer["name"], [given], (units,))
        found.append(hidden)
    return found


def _gru_way(text, layer, steps, prefix):
    """Gates r, z, n; the state begins as zeros, made from the first step."""
    name, units, found = layer["name"], layer["units"], []
    hidden = None
    for x in steps:
        given = text.product(x, 3 * units, name, shared=prefix + "in")
        if hidden is None:
            text.keep(prefix + "kernel", given, 0)
            text.keep(prefix + "bias", given, 1)
            hidden = text.power(text.slices(given, 1, [units, 2 * units])[0], name, scale=0.0)
        again = text.product(hidden, 3 * units, name, shared=prefix + "again")
        if not found:
            text.keep(prefix + "recurrent", again, 0)
            text.keep(prefix + "recurrent_bias", again, 1)
        gates = [text.slices(one, 1, [units, 2 * units]) for one in (given, again)]
        reset, update = (
            text.inner("Sigmoid", name, [text.combine("SUM", pair, text.fresh(name))], (units,))
            for pair in list(zip(*gates))[:2]
        )
        kept = text.combine("PROD", [reset, gates[1][2]], text.fresh(name))
        new = text.combine("SUM", [gates[0][2], kept], text.fresh(name))
        new = text.inner("TanH", name, [new], (units,))
        change = text.combine("SUM", [hidden, new], text.fresh(name), (1.0, -1.0))
        change = text.combine("PROD", [update, change], text.fresh(name))
        hidden = text.combine("SUM", [new, change], text.fresh(name))
        found.append(hidden)
    return found


def _lstm_way(text, layer, steps, prefix):
    """Caffe's own: (T, N, D) with indicators (T, N) that are 0 where a sequence begins."""
    name, units, length = layer["name"], layer["units"], len(steps)
    width = text.shapes[steps[0]][0]
    lines = [text.reshape(one, (1, -1, width), (-1, width)) for one in steps]
    whole = text.concat(lines, 0, (-1, width), text.fresh(name))
    lstm = text.fresh(name)
    settings = "recurrent_param { num_output: %d }" % units
    text.add("LSTM", lstm, [whole, _going_on(text, length)], (-1, units), settings)
    text.keep(prefix + "kernel", lstm, 0, _turned(units))
    text.keep(prefix + "bias", lstm, 1, _turned(units))
    text.keep(prefix + "recurrent", lstm, 2, _turned(units))
    pieces = ["%s-%d" % (lstm, number) for number in range(length)]
    if length == 1:
        pieces = [lstm]
    else:
        points = " ".join("slice_point: %d" % number for number in range(1, length))
        settings = "slice_param { axis: 0 %s }" % points
        text.inner("Slice", name, [lstm], (-1, units), settings, pieces)
    return [text.reshape(one, (-1, units), (units,)) for one in pieces]


def _turned(units):
    """Return what turns the rows of the gates from Caffe's order to the neutral one, or back."""

    def turn(array):
        gates = array.reshape((4, units) + array.shape[1:])
        return gates[list(GATES)].reshape(array.shape)

    return turn


def _going_on(text, length):
    """Return indicators (T, N): 0 for the first step, 1 for the others.

    Made from the input, as nothing else knows N; and not from what is trained, as Caffe refuses to
    go back through them.
    """
    key = ("indicators", length)
    if key not in text.made:
        lines = []
        for number, step in enumerate(text.steps("input")[:length]):
            some = text.reduce("SUM", step, 1, "indicators")
            line = text.power(some, "indicators", scale=0.0, shift=float(number > 0))
            lines.append(text.reshape(line, (1, -1), (-1,)))
        text.made[key] = text.concat(lines, 0, (-1,), text.fresh("indicators"))
    return text.made[key]


def _concat(text, layer, *inputs):
    axis = layer["axis"]
    first = text.shapes[inputs[0]]
    joined = sum(text.shapes[one][axis - 1] for one in inputs)
    shape = first[: axis - 1] + (joined,) + first[axis:]
    text.concat(inputs, axis, shape, layer["name"])


def _add(text, layer, one, other):
    text.combine("SUM", [one, other], layer["name"])


def _slice(text, layer, x):
    axis, name = layer["axis"], layer["name"]
    length = text.shapes[x][axis - 1]
    points = [point for point in (layer["start"], layer["stop"]) if 0 < point < length]
    pieces = text.slices(x, axis, points)
    text.rename(pieces[1 if layer["start"] else 0], name)


def _mean(text, layer, x):
    steps = text.steps(x)
    text.combine("SUM", steps, layer["name"], [1.0 / len(steps)] * len(steps))


def _attend(text, query, keys, values, name):
    """Return one step, (N, D): what a query, (N, D), makes of keys and values, (N, D) a step."""
    width = text.shapes[query][0]
    scores = []
    for key in keys:
        product = text.combine("PROD", [query, key], text.fresh(name))
        one = text.reduce("SUM", product, 1, name, coefficient=width**-0.5)
        scores.append(text.reshape(one, (-1, 1), (1,)))
    joined = text.concat(scores, 1, (len(keys),), text.fresh(name))
    shares = text.inner("Softmax", name, [joined], (len(keys),), "softmax_param { axis: 1 }")
    shares = text.slices(shares, 1, range(1, len(keys)))
    parts = []
    for share, value in zip(shares, values):
        flat = text.reshape(share, (-1,), ())
        width = text.shapes[value]
        parts.append(text.inner("Scale", name, [value, flat], width, "scale_param { axis: 0 }"))
    return text.combine("SUM", parts, text.fresh(name)) if len(parts) > 1 else parts[0]


def _attention(text, layer, query, memory):
    kept = text.steps(memory)
    name = layer["name"]
    text.sequence([_attend(text, one, kept, kept, name) for one in text.steps(query)], name)


def _multihead_attention(text, layer, x):
    name, heads = layer["name"], layer["heads"]
    _, width = text.shapes[x]
    parts = {}
    for part in ("query", "key", "value"):
        made = text.product(x, width, name, axis=2)
        text.keep("%s.%s_kernel" % (name, part), made, 0)
        text.keep("%s.%s_bias" % (name, part), made, 1)
        points = [number * width // heads for number in range(1, heads)]
        parts[part] = [text.slices(step, 1, points) for step in text.steps(made)]
    steps = []
    for query in parts["query"]:
        found = [
            _attend(
                text,
                query[head],
                [key[head] for key in parts["key"]],
                [value[head] for value in parts["value"]],
                name,
            )
            for head in range(heads)
        ]
        steps.append(text.concat(found, 1, (width,), text.fresh(name)) if heads > 1 else found[0])
    joined = text.sequence(steps, text.fresh(name))
    text.product(joined, width, name, axis=2, top=name)
    text.keep(name + ".output_kernel", name, 0)
    text.keep(name + ".output_bias", name, 1)


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
    text.keep(name + ".scale", name, 0)
    text.keep(name + ".offset", name, 1)


def _position(text, layer, x):
    name = layer["name"]
    text.add("Bias", name, [x], text.shapes[x], "bias_param { axis: 1 num_axes: 2 }")
    text.keep(name + ".table", name, 0)


KINDS = {
    "conv": _conv,
    "max_pool": _max_pool,
    "global_average_pool": _global_average_pool,
    "lrn": _lrn,
    "relu": _plain("ReLU"),
    "tanh": _plain("TanH"),
    "flatten": _flatten,
    "dense": _dense,
    "rnn": lambda text, layer, x: _ways(text, layer, x, _rnn_way),
    "lstm": lambda text, layer, x: _ways(text, layer, x, _lstm_way),
    "gru": lambda text, layer, x: _ways(text, layer, x, _gru_way),
    "concat": _concat,
    "add": _add,
    "attention": _attention,
    "multihead_attention": _multihead_attention,
    "layer_norm": _layer_norm,
    "position": _position,
    "slice": _slice,
    "mean": _mean,
}
