"""A sequence-to-sequence model with attention in Caffe, time first."""

import caffe
from caffe import layers as L  # noqa: N812
from caffe import params as P  # noqa: N812

FILLER = {"type": "xavier"}


def lstm(x, cont):
    return L.LSTM(x, cont, recurrent_param={"num_output": 32, "weight_filler": FILLER})


def dense(x, units):
    return L.InnerProduct(x, num_output=units, axis=2, weight_filler=FILLER)


def tiled(x, axis):
    x = L.Reshape(x, shape={"dim": [1]}, axis=axis, num_axes=0)
    return L.Tile(x, axis=axis, tiles=6)


def attend(queries, memory):
    queries, memory = tiled(queries, 1), tiled(memory, 0)
    products = L.Eltwise(queries, memory, operation=P.Eltwise.PROD)
    shares = L.Softmax(L.Reduction(products, axis=3, coeff=32**-0.5), axis=1)
    shared = L.Scale(memory, shares, axis=0)
    steps = L.Slice(shared, axis=1, slice_point=list(range(1, 6)), ntop=6)
    return L.Reshape(L.Eltwise(*steps), shape={"dim": [6, 32, 32]})


def network():
    n = caffe.NetSpec()
    n.source = L.Input(shape={"dim": [6, 32, 11]})
    n.fed = L.Input(shape={"dim": [6, 32, 11]})
    n.cont = L.Input(shape={"dim": [6, 32]})
    memory = lstm(n.source, n.cont)
    decoded = lstm(n.fed, n.cont)
    joined = L.Concat(attend(decoded, memory), decoded, axis=2)
    n.score = dense(L.TanH(dense(joined, 32)), 10)
    return n
