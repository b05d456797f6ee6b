"""OxfordNet, configuration A, in Caffe."""

import caffe
from caffe import layers as L  # noqa: N812
from caffe import params as P  # noqa: N812


def conv(x, filters):
    x = L.Convolution(x, num_output=filters, kernel_size=3, pad=1, weight_filler={"type": "msra"})
    return L.ReLU(x, in_place=True)


def dense(x, units):
    return L.InnerProduct(x, num_output=units, weight_filler={"type": "msra"})


def network():
    n = caffe.NetSpec()
    x = n.data = L.Input(shape={"dim": [8, 1, 32, 32]})
    for widths in ([8], [16], [32, 32], [64, 64], [64, 64]):
        for width in widths:
            x = conv(x, width)
        x = L.Pooling(x, pool=P.Pooling.MAX, kernel_size=2, stride=2)
    x = L.ReLU(dense(x, 64), in_place=True)
    x = L.ReLU(dense(x, 64), in_place=True)
    n.score = dense(x, 10)
    return n
