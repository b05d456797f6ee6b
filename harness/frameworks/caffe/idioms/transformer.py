"""A transformer encoder in Caffe."""

import caffe
from caffe import layers as L  # noqa: N812
from caffe import params as P  # noqa: N812


def dense(x, units):
    return L.InnerProduct(x, num_output=units, axis=2, weight_filler={"type": "msra"})


def reshape(x, *dims):
    return L.Reshape(x, shape={"dim": list(dims)})


def norm(x):
    x = L.MVN(x, normalize_variance=False)  # else epsilon is added to the deviation
    variance = L.Reduction(x, operation=P.Reduction.SUMSQ, axis=2, coeff=1 / 32)
    x = L.Scale(x, L.Power(variance, shift=1e-5, power=-0.5), axis=0)
    return L.Scale(x, axis=2, bias_term=True)


def attend(x):
    queries = L.Tile(reshape(dense(x, 32), 0, 8, 1, 4, 8), axis=2, tiles=8)
    keys = L.Tile(reshape(dense(x, 32), 0, 1, 8, 4, 8), axis=1, tiles=8)
    values = L.Tile(reshape(dense(x, 32), 0, 1, 8, 4, 8), axis=1, tiles=8)
    products = L.Eltwise(queries, keys, operation=P.Eltwise.PROD)
    shares = L.Softmax(L.Reduction(products, axis=4, coeff=8**-0.5), axis=2)
    shared = L.Scale(values, shares, axis=0)
    steps = L.Slice(shared, axis=2, slice_point=list(range(1, 8)), ntop=8)
    return dense(reshape(L.Eltwise(*steps), 0, 8, 32), 32)


def block(x):
    x = L.Eltwise(x, attend(norm(x)))
    hidden = L.ReLU(dense(norm(x), 128), in_place=True)
    return L.Eltwise(x, dense(hidden, 32))


def network():
    n = caffe.NetSpec()
    n.data = L.Input(shape={"dim": [32, 8, 8]})
    x = dense(n.data, 32)
    x = L.Bias(x, axis=1, num_axes=2, filler={"type": "gaussian", "std": 0.1})
    x = reshape(norm(block(block(x))), 0, 1, 8, 32)
    x = L.Pooling(x, pool=P.Pooling.AVE, kernel_h=8, kernel_w=1)
    n.score = L.InnerProduct(x, num_output=10, weight_filler={"type": "msra"})
    return n
