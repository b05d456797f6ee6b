"""An LSTM in Caffe, time first."""

import caffe
from caffe import layers as L  # noqa: N812

FILLER = {"type": "xavier"}


def network():
    n = caffe.NetSpec()
    n.data = L.Input(shape={"dim": [8, 32, 8]})
    n.cont = L.Input(shape={"dim": [8, 32]})
    x = L.LSTM(n.data, n.cont, recurrent_param={"num_output": 48, "weight_filler": FILLER})
    _, last = L.Slice(x, axis=0, slice_point=7, ntop=2)
    n.score = L.InnerProduct(last, num_output=10, axis=2, weight_filler=FILLER)
    return n
