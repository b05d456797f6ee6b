"""The probes in Caffe: nets as text, with Python around them for what a net cannot express."""

import os
import tempfile

import caffe
import numpy

from harness.adapters import Unsupported
from harness.probes import called


def _net(*layers, without_a_loss=False):
    """Return a net of layers as text, for gradients *without_a_loss* or with one."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.prototxt")
        with open(path, "w") as target:
            target.write("\n".join(["force_backward: true" if without_a_loss else "", *layers]))
        return caffe.Net(path, caffe.TRAIN)


def _input(name, shape):
    dims = " ".join("dim: %d" % dim for dim in shape)
    return 'layer { name: "%s" type: "Input" top: "%s" input_param { shape { %s } } }' % (
        name,
        name,
        dims,
    )


def _layer(kind, name, below, settings=""):
    bottoms = " ".join('bottom: "%s"' % bottom for bottom in below)
    return 'layer { name: "%s" type: "%s" %s top: "%s" %s }' % (name, kind, bottoms, name, settings)


def _slice(name, below, pieces, axis):
    """Return a layer, as text, that cuts a blob into pieces of length 1 along an axis."""
    tops = " ".join('top: "%s"' % piece for piece in pieces)
    points = " ".join("slice_point: %d" % number for number in range(1, len(pieces)))
    settings = "slice_param { axis: %d %s }" % (axis, points)
    return 'layer { name: "%s" type: "Slice" bottom: "%s" %s %s }' % (name, below, tops, settings)


def _run_backward(net, upstream, **inputs):
    """Run forward, then backward from *upstream*, the gradient by the last layer's output ``y``."""
    for name, value in inputs.items():
        net.blobs[name].data[...] = value
    net.clear_param_diffs()
    net.forward()
    net.blobs["y"].diff[...] = upstream
    net.backward(start="y")


class Round(caffe.Layer):
    """Rounding, in Python: a layer is its set-up, shape, forward and backward."""

    def setup(self, bottom, top):
        """Take no settings."""

    def reshape(self, bottom, top):
        """Give the output its input's shape."""
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom, top):
        """Round."""
        top[0].data[...] = numpy.round(bottom[0].data)

    def backward(self, top, propagate_down, bottom):
        """Give half of the gradient."""
        bottom[0].diff[...] = 0.5 * top[0].diff


def _python(layer):
    """Return a layer of this module, as text."""
    settings = 'python_param { module: "harness.frameworks.caffe.probes" layer: "%s" }' % layer
    return _layer("Python", "y", ["x"], settings)


def own_layer(x, upstream):
    net = _net(_input("x", x.shape), _python("Round"), without_a_loss=True)
    _run_backward(net, upstream, x=x)
    return {"y": net.blobs["y"].data, "gradient": net.blobs["x"].diff}


class Waves(caffe.Layer):
    """x sin(x), in Python, of which only the way forward is written."""

    def setup(self, bottom, top):
        """Take no settings."""

    def reshape(self, bottom, top):
        """Give the output its input's shape."""
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom, top):
        """Multiply by the sine."""
        top[0].data[...] = bottom[0].data * numpy.sin(bottom[0].data)


def derived_gradient(x, upstream):
    net = _net(_input("x", x.shape), _python("Waves"), without_a_loss=True)
    try:
        _run_backward(net, upstream, x=x)
    except AttributeError as error:
        raise Unsupported("a layer has to have its own backward: %s" % error)
    return {"y": net.blobs["y"].data, "gradient": net.blobs["x"].diff}


def _loop_step(x, w):
    """Return the net of one step of the loop: a net has no loop, so Python repeats it."""
    settings = "inner_product_param { num_output: %d bias_term: false }" % len(w)
    product = _layer("InnerProduct", "product", ["x"], settings)
    tanh = _layer("TanH", "y", ["product"])
    net = _net(_input("x", x.shape), product, tanh, without_a_loss=True)
    net.params["product"][0].data[...] = w.T
    return net


def _run_loop(net, start):
    """Repeat a step until all values are small; return the start and every step's output."""
    values = [start]
    while numpy.abs(values[-1]).max() > 0.1:
        net.blobs["x"].data[...] = values[-1]
        values.append(net.forward()["y"].copy())
    return values


def data_dependent_loop(x, brief, w):
    net = _loop_step(x, w)
    long, short = _run_loop(net, x), _run_loop(net, brief)
    return {
        "long": long[-1],
        "short": short[-1],
        "steps": [len(long) - 1, len(short) - 1],
        "outside": "numpy compares the values, and Python repeats the net",
    }


def python_loop(x, w):
    """Run each step again, the last first, and pass the gradient of the step after it."""
    net = _loop_step(x, w)
    upstream, total = numpy.ones_like(x), numpy.zeros_like(w)
    values = _run_loop(net, x)
    for before in values[-2::-1]:
        _run_backward(net, upstream, x=before)
        upstream = net.blobs["x"].diff.copy()
        total += net.params["product"][0].diff.T
    outside = "numpy compares values and adds gradients up, and Python repeats the net"
    return {"y": values[-1], "gradient": total, "outside": outside}


def data_dependent_loop_gradient(x, brief, w):
    del brief
    answers = python_loop(x, w)
    del answers["y"]
    return answers


def _gates(array):
    """Exchange the last two quarters of the rows: Caffe's gates are i, f, o, g."""
    first, second, third, fourth = numpy.split(array, 4)
    return numpy.concatenate([first, second, fourth, third])


def _lstm(x, kernel, recurrent, bias):
    """Return a net of an LSTM with its inputs set, after it ran forward."""
    steps, rows = x.shape[1], x.shape[0]
    settings = "recurrent_param { num_output: %d }" % recurrent.shape[1]
    net = _net(
        _input("x", (steps, rows, x.shape[2])),
        _input("going-on", (steps, rows)),
        _layer("LSTM", "y", ["x", "going-on"], settings),
        without_a_loss=True,
    )
    _set_lstm(net, "y", kernel, recurrent, bias)
    _set_sequences(net, x)
    net.forward()
    return net


def _set_lstm(net, name, kernel, recurrent, bias):
    for blob, value in zip(net.params[name], (kernel, bias, recurrent)):
        blob.data[...] = _gates(value)


def _set_sequences(net, x):
    """Set the inputs of a net of LSTMs: time first; 0 marks the begin of a sequence."""
    net.blobs["x"].data[...] = x.transpose(1, 0, 2)
    net.blobs["going-on"].data[...] = 1
    net.blobs["going-on"].data[0] = 0


def different_lengths(x, lengths, upstream, **weights):
    """The net runs to the longest length; the gradient selects the steps that count."""
    net = _lstm(x, **weights)
    ends, rows = lengths - 1, numpy.arange(len(lengths))
    net.clear_param_diffs()
    net.blobs["y"].diff[...] = 0
    net.blobs["y"].diff[ends, rows] = upstream
    net.backward(start="y")
    kernel, bias, recurrent = (_gates(blob.diff) for blob in net.params["y"])
    last = net.blobs["y"].data[ends, rows]
    return {"last": last, "kernel": kernel, "recurrent": recurrent, "bias": bias}


def bidirectional(x, **weights):
    """Run two LSTMs in one net, which reverses time itself: it slices it, and joins the steps."""
    steps, rows, units = x.shape[1], x.shape[0], weights["recurrent"].shape[1]
    settings = "recurrent_param { num_output: %d }" % units
    net = _net(
        _input("x", (steps, rows, x.shape[2])),
        _input("going-on", (steps, rows)),
        _layer("LSTM", "ahead", ["x", "going-on"], settings),
        *_reversed_in_time("x", steps),
        _layer("LSTM", "back", ["x-reversed", "going-on"], settings),
        *_reversed_in_time("back", steps),
        _layer("Concat", "y", ["ahead", "back-reversed"], "concat_param { axis: 2 }"),
    )
    for name, prefix in (("ahead", ""), ("back", "backward_")):
        _set_lstm(net, name, *(weights[prefix + part] for part in ("kernel", "recurrent", "bias")))
    _set_sequences(net, x)
    return {"y": net.forward()["y"].transpose(1, 0, 2)}


def _reversed_in_time(name, steps):
    """Return the layers, as text, that join the steps of a blob with the last first."""
    pieces = ["%s-%d" % (name, step) for step in range(steps)]
    yield _slice(name + "-steps", name, pieces, axis=0)
    yield _layer("Concat", name + "-reversed", pieces[::-1], "concat_param { axis: 0 }")


def beam_search(embedding, recurrent, output):
    """The net takes a step; Python chooses which beams continue."""
    settings = "inner_product_param { num_output: %d bias_term: false }"
    net = _net(
        _input("before", (1, len(recurrent))),
        _input("state", (1, len(recurrent))),
        _layer("InnerProduct", "again", ["state"], settings % len(recurrent)),
        _layer("Eltwise", "sum", ["before", "again"]),
        _layer("TanH", "hidden", ["sum"]),
        _layer("InnerProduct", "logits", ["hidden"], settings % len(output)),
        _layer("Softmax", "odds", ["logits"]),
    )
    net.params["again"][0].data[...], net.params["logits"][0].data[...] = recurrent, output
    sequences, scores = numpy.zeros((1, 1), int), numpy.zeros(1, "float32")
    states = numpy.zeros((1, len(recurrent)), "float32")
    for _ in range(5):
        for name, value in (("before", embedding[sequences[:, -1]]), ("state", states)):
            net.blobs[name].reshape(*value.shape)
            net.blobs[name].data[...] = value
        grown = (scores[:, None] + numpy.log(net.forward()["odds"])).reshape(-1)
        chosen = numpy.argsort(-grown)[:3]
        parents, tokens = divmod(chosen, len(output))
        scores, states = grown[chosen], net.blobs["hidden"].data[parents]
        sequences = numpy.concatenate([sequences[parents], tokens[:, None]], axis=1)
    outside = "Python repeats the net and chooses the beams"
    return {"sequences": sequences[:, 1:], "scores": scores, "outside": outside}


def attention(query, key, value, mask, upstream):
    """Caffe has no product of two blobs: both are tiled, multiplied and summed.

    N is batch and heads, T and S the steps of queries and keys: (N, T, S, D).
    """
    *outer, steps, width = query.shape
    count, key_steps = int(numpy.prod(outer)), key.shape[-2]
    parts = ["part-%d" % number for number in range(key_steps)]
    scale = "reduction_param { operation: SUM axis: 3 coeff: %r }" % width**-0.5
    net = _net(
        _input("query", (count, steps, 1, width)),
        _input("key", (count, 1, key_steps, width)),
        _input("value", (count, 1, key_steps, width)),
        _input("mask", (count, steps, key_steps)),
        _layer("Tile", "queries", ["query"], "tile_param { axis: 2 tiles: %d }" % key_steps),
        _layer("Tile", "keys", ["key"], "tile_param { axis: 1 tiles: %d }" % steps),
        _layer("Tile", "values", ["value"], "tile_param { axis: 1 tiles: %d }" % steps),
        _layer("Eltwise", "product", ["queries", "keys"], "eltwise_param { operation: PROD }"),
        _layer("Reduction", "scores", ["product"], scale),
        _layer("Eltwise", "allowed", ["scores", "mask"]),
        _layer("Softmax", "shares", ["allowed"], "softmax_param { axis: 2 }"),
        _layer("Scale", "shared", ["values", "shares"], "scale_param { axis: 0 }"),
        _slice("slice", "shared", parts, axis=2),
        _layer("Eltwise", "y", parts),
        without_a_loss=True,
    )
    feed = {"query": query, "key": key, "value": value}
    feed = {name: array.reshape(net.blobs[name].data.shape) for name, array in feed.items()}
    hidden = numpy.where(mask > 0, 0, -1e30)
    _run_backward(net, upstream.reshape((count, steps, 1, width)), mask=hidden, **feed)
    gradients = {name: net.blobs[name].diff.reshape(query.shape) for name in feed}
    return dict(gradients, y=net.blobs["y"].data.reshape(upstream.shape))


def higher_order_gradients(x, w1, w2):
    del x, w1, w2
    raise Unsupported("Caffe's gradients are arrays outside of any net: none is made of them")


def _convolution(x, kernel, upstream):
    sizes = " ".join("kernel_size: %d" % dim for dim in kernel.shape[2:])
    settings = "convolution_param { num_output: %d bias_term: false %s }" % (len(kernel), sizes)
    net = _net(
        _input("x", x.shape), _layer("Convolution", "y", ["x"], settings), without_a_loss=True
    )
    net.params["y"][0].data[...] = kernel
    _run_backward(net, upstream, x=x)
    return {
        "y": net.blobs["y"].data,
        "gradient": net.params["y"][0].diff,
        "ran": called(net.layers[-1].type, net.params["y"][0].data),
    }


def convolution_of_video(x, kernel, upstream):
    return _convolution(x, kernel, upstream)


def temporal_convolution(x, kernel, upstream):
    before = numpy.pad(x, ((0, 0), (0, 0), (2, 0)), "constant")
    return _convolution(before, kernel, upstream)


def weight_sharing(tokens, targets, embedding):
    """Layers share parameters of the same name."""
    count, width = embedding.shape
    shared = 'param { name: "matrix" }'
    embed = "embed_param { input_dim: %d num_output: %d bias_term: false }" % (count, width)
    product = "inner_product_param { num_output: %d axis: 2 bias_term: false }" % count
    net = _net(
        _input("tokens", tokens.shape),
        _input("targets", targets.shape),
        _layer("Embed", "embedded", ["tokens"], shared + embed),
        _layer("TanH", "hidden", ["embedded"]),
        _layer("InnerProduct", "logits", ["hidden"], shared + product),
        _layer("SoftmaxWithLoss", "y", ["logits", "targets"], "softmax_param { axis: 2 }"),
    )
    net.params["embedded"][0].data[...] = embedding
    _run_backward(net, 1.0, tokens=tokens, targets=targets)
    return {"loss": net.blobs["y"].data, "gradient": net.params["embedded"][0].diff}


def changed_model(x, y, w1, w2, w3):
    """A second net gets the weights of the first."""
    weights = {"w1": w1, "w2": w2, "w3": w3}
    losses = [_step(names, weights, x, y) for names in (("w1", "w2"), ("w1", "w3", "w2"))]
    return dict(weights, losses=losses)


def _step(names, weights, x, y):
    layers, before = [_input("x", x.shape), _input("labels", y.shape)], "x"
    for name in names:
        settings = "inner_product_param { num_output: %d bias_term: false }" % len(weights[name])
        layers.append(_layer("InnerProduct", name, [before], settings))
        before = name
        if name != names[-1]:
            before = name + "-tanh"
            layers.append(_layer("TanH", before, [name]))
    solver = _solver(*layers, _layer("SoftmaxWithLoss", "y", [before, "labels"]))
    parameters, blobs = solver.net.params, solver.net.blobs
    for name in names:
        parameters[name][0].data[...] = weights[name]
    blobs["x"].data[...], blobs["labels"].data[...] = x, y
    solver.step(1)
    for name in names:
        weights[name] = parameters[name][0].data.copy()
    return float(blobs["y"].data)


def _solver(*layers):
    """Return a solver of a net of layers as text, which takes steps of SGD at the rate 0.1."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "solver.prototxt")
        with open(path, "w") as target:
            target.write('base_lr: 0.1 lr_policy: "fixed" net_param { %s }' % "\n".join(layers))
        return caffe.get_solver(path)
