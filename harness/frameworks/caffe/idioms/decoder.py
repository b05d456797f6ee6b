"""A language model over bytes in Caffe."""

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


def steps(x, count):
    return L.Slice(x, axis=1, slice_point=list(range(1, count)), ntop=count)


def first(x, count):
    return L.Slice(x, axis=1, slice_point=count, ntop=2)[0] if count < 64 else x


def step(query, keys, values, count):
    products = L.Eltwise(L.Tile(query, axis=1, tiles=count), keys, operation=P.Eltwise.PROD)
    shares = L.Softmax(L.Reduction(products, axis=3, coeff=8**-0.5), axis=1)
    shared = L.Scale(values, shares, axis=0)
    return L.Eltwise(*steps(shared, count)) if count > 1 else shared


def attend(x):
    queries, keys, values = [reshape(dense(x, 32), 0, 64, 4, 8) for _ in range(3)]
    attended = [
        step(query, first(keys, count), first(values, count), count)
        for count, query in enumerate(steps(queries, 64), start=1)
    ]
    return dense(reshape(L.Concat(*attended, axis=1), 0, 64, 32), 32)


def block(x):
    x = L.Eltwise(x, attend(norm(x)))
    hidden = L.ReLU(dense(norm(x), 128), in_place=True)
    return L.Eltwise(x, dense(hidden, 32))


def network():
    n = caffe.NetSpec()
    n.data = L.Input(shape={"dim": [8, 64, 256]})
    x = dense(n.data, 32)
    x = L.Bias(x, axis=1, num_axes=2, filler={"type": "gaussian", "std": 0.1})
    n.score = dense(norm(block(block(x))), 256)
    return n
