"""AlexNet in Caffe."""

import caffe
from caffe import layers as L  # noqa: N812
from caffe import params as P  # noqa: N812


def conv(x, filters):
    x = L.Convolution(x, num_output=filters, kernel_size=3, pad=1, weight_filler={"type": "msra"})
    return L.ReLU(x, in_place=True)


def pool(x):
    return L.Pooling(x, pool=P.Pooling.MAX, kernel_size=3, stride=2)


def dense(x, units):
    return L.InnerProduct(x, num_output=units, weight_filler={"type": "msra"})


def network():
    n = caffe.NetSpec()
    n.data = L.Input(shape={"dim": [8, 1, 32, 32]})
    x = pool(conv(n.data, 8))
    x = pool(conv(x, 24))
    x = conv(x, 48)
    x = conv(x, 32)
    x = pool(conv(x, 32))
    x = L.ReLU(dense(x, 64), in_place=True)
    x = L.ReLU(dense(x, 64), in_place=True)
    n.score = dense(x, 10)
    return n
