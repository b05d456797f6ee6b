"""A sequence-to-sequence model with attention in Caffe, time first."""

import caffe
from caffe import layers as L  # noqa: N812
from caffe import params as P  # noqa: N812


def dense(x, units, **settings):
    return L.InnerProduct(x, num_output=units, axis=2, weight_filler={"type": "xavier"}, **settings)


def gates(x):
    return L.Slice(x, axis=2, slice_point=[32, 2 * 32], ntop=3)


def product(x, y):
    return L.Eltwise(x, y, operation=P.Eltwise.PROD)


def gru(from_input, hidden, name):
    shared = [{"name": name + "_recurrent"}, {"name": name + "_recurrent_bias"}]
    state_r, state_z, state_n = gates(dense(hidden, 3 * 32, param=shared))
    input_r, input_z, input_n = gates(from_input)
    r = L.Sigmoid(L.Eltwise(input_r, state_r))
    z = L.Sigmoid(L.Eltwise(input_z, state_z))
    new = L.TanH(L.Eltwise(input_n, product(r, state_n)))
    return L.Eltwise(new, product(z, L.Eltwise(hidden, new, coeff=[1, -1])))


def outputs_of(x, hidden, name):
    outputs = []
    for step in L.Slice(dense(x, 3 * 32), axis=0, slice_point=list(range(1, 6)), ntop=6):
        hidden = gru(step, hidden, name)
        outputs.append(hidden)
    return L.Concat(*outputs, axis=0), hidden


def tiled(x, axis):
    x = L.Reshape(x, shape={"dim": [1]}, axis=axis, num_axes=0)
    return L.Tile(x, axis=axis, tiles=6)


def attend(queries, memory):
    queries, memory = tiled(queries, 1), tiled(memory, 0)
    products = L.Eltwise(queries, memory, operation=P.Eltwise.PROD)
    shares = L.Softmax(L.Reduction(products, axis=3, coeff=32**-0.5), axis=1)
    shared = L.Scale(memory, shares, axis=0)
    steps = L.Slice(shared, axis=1, slice_point=list(range(1, 6)), ntop=6)
    return L.Reshape(L.Eltwise(*steps), shape={"dim": [6, 16, 32]})


def network():
    n = caffe.NetSpec()
    n.source = L.Input(shape={"dim": [6, 16, 11]})
    n.fed = L.Input(shape={"dim": [6, 16, 11]})
    zeros = L.DummyData(shape={"dim": [1, 16, 32]})
    memory, state = outputs_of(n.source, zeros, "encoder")
    decoded, _ = outputs_of(n.fed, state, "decoder")
    joined = L.Concat(attend(decoded, memory), decoded, axis=2)
    n.score = dense(L.TanH(dense(joined, 32)), 10)
    return n
