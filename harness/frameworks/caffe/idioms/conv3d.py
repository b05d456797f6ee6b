"""A 3-D convolutional net in Caffe, which pools images only."""

import caffe
from caffe import layers as L  # noqa: N812
from caffe import params as P  # noqa: N812


def conv(x, filters):
    x = L.Convolution(x, num_output=filters, kernel_size=3, pad=1, weight_filler={"type": "msra"})
    return L.ReLU(x, in_place=True)


def reshape(x, *dims):
    return L.Reshape(x, shape={"dim": list(dims)})


def pool(x, filters, frames, side):
    x = reshape(x, 0, filters * frames, side, side)
    x = L.Pooling(x, pool=P.Pooling.MAX, kernel_size=2, stride=2)
    x = reshape(x, 0, filters, frames, -1)
    if frames % 2:  # Caffe rounds up: the odd one would be pooled alone
        x, _ = L.Slice(x, axis=2, slice_point=frames - 1, ntop=2)
    x = L.Pooling(x, pool=P.Pooling.MAX, kernel_h=2, kernel_w=1, stride_h=2, stride_w=1)
    return reshape(x, 0, filters, frames // 2, side // 2, side // 2)


def network():
    n = caffe.NetSpec()
    n.data = L.Input(shape={"dim": [32, 1, 6, 12, 12]})
    x = pool(conv(n.data, 8), 8, 6, 12)
    x = pool(conv(x, 16), 16, 3, 6)
    n.score = L.InnerProduct(x, num_output=10, weight_filler={"type": "msra"})
    return n
