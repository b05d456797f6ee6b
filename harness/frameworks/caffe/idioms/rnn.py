"""A plain recurrent net in Caffe, time first."""

import caffe
from caffe import layers as L  # noqa: N812


def dense(x, units, **settings):
    return L.InnerProduct(x, num_output=units, axis=2, weight_filler={"type": "xavier"}, **settings)


def network():
    n = caffe.NetSpec()
    n.data = L.Input(shape={"dim": [8, 32, 8]})
    steps = L.Slice(dense(n.data, 48), axis=0, slice_point=list(range(1, 8)), ntop=8)
    hidden = L.TanH(steps[0])
    for step in steps[1:]:
        again = dense(hidden, 48, bias_term=False, param={"name": "recurrent"})
        hidden = L.TanH(L.Eltwise(step, again))
    n.score = dense(hidden, 10)
    return n
