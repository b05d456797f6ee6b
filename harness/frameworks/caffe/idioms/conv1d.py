"""A temporal convolutional net in Caffe."""

import caffe
from caffe import layers as L  # noqa: N812


def conv(x, filters):
    x = L.Convolution(x, num_output=filters, kernel_size=3, pad=1, weight_filler={"type": "msra"})
    return L.ReLU(x, in_place=True)


def network():
    n = caffe.NetSpec()
    n.data = L.Input(shape={"dim": [32, 8, 8]})
    x = conv(conv(n.data, 32), 64)
    n.score = L.InnerProduct(x, num_output=10, weight_filler={"type": "msra"})
    return n
