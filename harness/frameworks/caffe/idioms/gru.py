"""A GRU in Caffe, time first."""

import caffe
from caffe import layers as L  # noqa: N812
from caffe import params as P  # noqa: N812


def dense(x, units, **settings):
    return L.InnerProduct(x, num_output=units, axis=2, weight_filler={"type": "xavier"}, **settings)


def gates(x):
    return L.Slice(x, axis=2, slice_point=[48, 2 * 48], ntop=3)


def product(x, y):
    return L.Eltwise(x, y, operation=P.Eltwise.PROD)


def gru(from_input, hidden):
    shared = [{"name": "recurrent"}, {"name": "recurrent_bias"}]
    state_r, state_z, state_n = gates(dense(hidden, 3 * 48, param=shared))
    input_r, input_z, input_n = gates(from_input)
    r = L.Sigmoid(L.Eltwise(input_r, state_r))
    z = L.Sigmoid(L.Eltwise(input_z, state_z))
    new = L.TanH(L.Eltwise(input_n, product(r, state_n)))
    return L.Eltwise(new, product(z, L.Eltwise(hidden, new, coeff=[1, -1])))


def network():
    n = caffe.NetSpec()
    n.data = L.Input(shape={"dim": [8, 32, 8]})
    hidden = L.DummyData(shape={"dim": [1, 32, 48]})  # zeros
    from_input = dense(n.data, 3 * 48)
    for step in L.Slice(from_input, axis=0, slice_point=list(range(1, 8)), ntop=8):
        hidden = gru(step, hidden)
    n.score = dense(hidden, 10)
    return n
