"""A residual net in Caffe."""

import caffe
from caffe import layers as L  # noqa: N812
from caffe import params as P  # noqa: N812


def conv(x, filters, size=3, stride=1, filler="msra"):
    return L.Convolution(
        x,
        num_output=filters,
        kernel_size=size,
        stride=stride,
        pad=size // 2,
        weight_filler={"type": filler},
    )


def block(x, width, stride):
    branch = L.ReLU(conv(x, width, stride=stride), in_place=True)
    branch = conv(branch, width, filler="constant")  # of zeros
    shortcut = conv(x, width, 1, stride) if stride > 1 else x
    return L.ReLU(L.Eltwise(shortcut, branch), in_place=True)


def network():
    n = caffe.NetSpec()
    n.data = L.Input(shape={"dim": [8, 1, 32, 32]})
    x = L.ReLU(conv(n.data, 16), in_place=True)
    x = block(x, 16, 1)
    x = block(x, 32, 2)
    x = block(x, 64, 2)
    x = L.Pooling(x, pool=P.Pooling.AVE, global_pooling=True)
    n.score = L.InnerProduct(x, num_output=10, weight_filler={"type": "msra"})
    return n
