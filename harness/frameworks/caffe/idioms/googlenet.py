"""GoogLeNet in Caffe."""

import caffe
from caffe import layers as L  # noqa: N812
from caffe import params as P  # noqa: N812


def conv(x, filters, size):
    x = L.Convolution(
        x,
        num_output=filters,
        kernel_size=size,
        pad=size // 2,
        weight_filler={"type": "msra"},
    )
    return L.ReLU(x, in_place=True)


def pool(x):
    return L.Pooling(x, pool=P.Pooling.MAX, kernel_size=3, stride=2)


def normalize(x):
    return L.LRN(x, local_size=5, alpha=1e-4, beta=0.75)


def inception(x, pointwise, three_reduce, three, five_reduce, five, pooled):
    around = L.Pooling(x, pool=P.Pooling.MAX, kernel_size=3, stride=1, pad=1)
    return L.Concat(
        conv(x, pointwise, 1),
        conv(conv(x, three_reduce, 1), three, 3),
        conv(conv(x, five_reduce, 1), five, 5),
        conv(around, pooled, 1),
    )


def network():
    n = caffe.NetSpec()
    n.data = L.Input(shape={"dim": [8, 1, 32, 32]})
    x = normalize(pool(conv(n.data, 8, 3)))
    x = pool(normalize(conv(conv(x, 8, 1), 24, 3)))
    x = inception(x, 8, 12, 16, 2, 4, 4)
    x = pool(inception(x, 16, 16, 24, 4, 12, 8))
    x = inception(x, 24, 12, 26, 2, 6, 8)
    x = inception(x, 20, 14, 28, 3, 8, 8)
    x = inception(x, 16, 16, 32, 3, 8, 8)
    x = inception(x, 14, 18, 36, 4, 8, 8)
    x = pool(inception(x, 32, 20, 40, 4, 16, 16))
    x = inception(x, 32, 20, 40, 4, 16, 16)
    x = inception(x, 48, 24, 48, 6, 16, 16)
    x = L.Pooling(x, pool=P.Pooling.AVE, global_pooling=True)
    n.score = L.InnerProduct(x, num_output=10, weight_filler={"type": "msra"})
    return n
