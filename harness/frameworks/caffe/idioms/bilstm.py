"""A bidirectional LSTM in Caffe, time first."""

import caffe
from caffe import layers as L  # noqa: N812

FILLER = {"type": "xavier"}


def last_of_lstm(x, cont):
    x = L.LSTM(x, cont, recurrent_param={"num_output": 48, "weight_filler": FILLER})
    _, last = L.Slice(x, axis=0, slice_point=7, ntop=2)
    return last


def network():
    n = caffe.NetSpec()
    n.data = L.Input(shape={"dim": [8, 32, 8]})
    n.cont = L.Input(shape={"dim": [8, 32]})
    steps = L.Slice(n.data, axis=0, slice_point=list(range(1, 8)), ntop=8)
    turned = L.Concat(*steps[::-1], axis=0)
    ends = L.Concat(last_of_lstm(n.data, n.cont), last_of_lstm(turned, n.cont), axis=2)
    n.score = L.InnerProduct(ends, num_output=10, axis=2, weight_filler=FILLER)
    return n
