"""Models of classical machine learning in float64: linear ones, support vectors, scaling.

After https://github.com/onnx/onnx/blob/main/docs/Operators-ml.md; where that is silent (what two
classes with one score answer), as ONNX Runtime's kernels, which skl2onnx and others write for.
"""

from typing import List

import numpy

from harness.graphs.operators.base import Operator, sigmoid, softmax
from harness.graphs.precise import WIDE


class MlOperator(Operator):
    """An operator of the standard's domain for machine learning."""

    op_domain = "ai.onnx.ml"

    def __init__(self, onnx_node, run_params, schema=None):
        Operator.__init__(self, onnx_node, run_params, schema)
        self.is_wide = WIDE in run_params["opsets"]

    @classmethod
    def is_trusted(cls, node, constants):
        """Return whether the scores of a node have a formula: the standard only names PROBIT."""
        del constants
        return not any(
            attribute.name == "post_transform" and (attribute.s == b"PROBIT" or attribute.i == 4)
            for attribute in node.attribute
        )

    def floats(self, values, x=None):
        """Return what is computed, of features x, in the precision of the evaluation."""
        is_double = x is not None and x.dtype == "float64"
        return values.astype("float64" if self.is_wide or is_double else "float32")


def text(value):
    """Return an attribute of text, which may come as bytes."""
    return value.decode() if isinstance(value, bytes) else value


def given(*candidates):
    """Return the first attribute that is stated and not empty, as a list; else an empty one."""
    for candidate in candidates:
        if candidate is not None and len(candidate):
            return list(candidate)
    return []


def transformed(scores, name):
    """Return scores (N, K) after the transformation of this name."""
    name = text(name) or "NONE"
    if name == "LOGISTIC":
        return sigmoid(scores)
    if name == "SOFTMAX":
        return softmax(scores)
    if name == "SOFTMAX_ZERO":
        return _softmax_zero(scores)
    if name == "PROBIT":
        return _probit(scores)
    return scores


def _softmax_zero(scores):
    """Softmax that leaves scores of zero at zero."""
    is_zero = numpy.abs(scores) <= 1e-7
    highest = scores.max(axis=-1, keepdims=True)
    factors = numpy.where(is_zero, scores * numpy.exp(-highest), numpy.exp(scores - highest))
    total = factors.sum(axis=-1, keepdims=True)
    return numpy.where(total == 0, 0.5, factors / numpy.where(total == 0, 1, total))


def _probit(scores):
    """The inverse normal distribution function by Winitzki, as in other implementations.

    It is infinite at 0 and 1, and NaN beyond.
    """
    centred = 2 * scores - 1
    with numpy.errstate(divide="ignore", invalid="ignore"):
        log = numpy.log((1 - centred) * (1 + centred))
        half = 2 / (numpy.pi * 0.147) + 0.5 * log
        root = numpy.sqrt(numpy.sqrt(half * half - log / 0.147) - half)
    root = numpy.where(numpy.abs(centred) == 1, numpy.inf, root)
    return 1.41421356 * numpy.where(centred < 0, -root, root)


def two_scores(score, transform, is_probability):
    """Return the scores of both classes (N, 2), or one where it stays alone, from one (N, 1).

    Args:
        score: of the positive class.
        transform: the name of the transformation.
        is_probability: the other class then has what is missing to 1, else the negative.
    """
    name = text(transform) or "NONE"
    if name == "PROBIT":
        return _probit(score)
    scores = numpy.concatenate([-score, score], axis=1)
    if name == "LOGISTIC":
        return sigmoid(scores)
    return numpy.concatenate([1 - score, score], axis=1) if is_probability else scores


def labelled(places, integers, strings):
    """Return the labels at these places: texts where the classes are, else integers."""
    if strings:
        return numpy.array([text(name) for name in strings], object)[places]
    return numpy.array(integers or [0, 1], "int64")[places]


class LinearClassifier(MlOperator):
    """The class with the highest of some linear functions, and all of them."""

    def _run(self, x, coefficients=None, intercepts=None, **settings):
        wide = numpy.atleast_2d(x).astype("float64")
        integers, strings = (settings.get("classlabels_" + kind) for kind in ("ints", "strings"))
        rows = numpy.array(coefficients, "float64").reshape(-1, wide.shape[1])
        scores = wide @ rows.T + numpy.array(given(intercepts) or [0.0])
        transform = settings.get("post_transform")
        if scores.shape[1] > 1:
            places, scores = scores.argmax(axis=1), transformed(scores, transform)
        else:
            places, scores = (scores[:, 0] > 0).astype(int), two_scores(scores, transform, True)
        return labelled(places, integers, strings), self.floats(scores, x)


class LinearRegressor(MlOperator):
    """Linear functions."""

    def _run(self, x, coefficients=None, intercepts=None, post_transform=None, targets=1):
        rows = numpy.array(coefficients, "float64").reshape(targets or 1, -1)
        scores = numpy.atleast_2d(x).astype("float64") @ rows.T
        scores = scores + numpy.array(given(intercepts) or [0.0])
        return (self.floats(transformed(scores, post_transform), x),)


class Scaler(MlOperator):
    """The offset is subtracted first."""

    def _run(self, x, offset=None, scale=None):
        wide = x.astype("float64")
        return (self.floats((wide - numpy.array(offset)) * numpy.array(scale), x),)


class Normalizer(MlOperator):
    """Every row over its norm; a row whose norm is zero stays."""

    def _run(self, x, norm="MAX"):
        wide = x.astype("float64")
        kind = text(norm)
        if kind == "MAX":
            size = wide.max(axis=-1, keepdims=True)
        elif kind == "L1":
            size = numpy.abs(wide).sum(axis=-1, keepdims=True)
        else:
            size = numpy.sqrt(numpy.square(wide).sum(axis=-1, keepdims=True))
        return (self.floats(wide / numpy.where(size == 0, 1, size), x),)


def kernels(x, vectors, kind, parameters):
    """Return a kernel of every row of x (N, F) with every vector (M, F), (N, M)."""
    gamma, offset, degree = given(parameters) or (0.0, 0.0, 0.0)
    kind = text(kind) or "LINEAR"
    if kind == "RBF":
        differences = x[:, None, :] - vectors[None, :, :]
        return numpy.exp(-gamma * numpy.square(differences).sum(axis=-1))
    products = x @ vectors.T
    if kind == "POLY":
        return (gamma * products + offset) ** degree
    return numpy.tanh(gamma * products + offset) if kind == "SIGMOID" else products


class SVMRegressor(MlOperator):
    """A sum of kernels; for one class its sign."""

    def _run(self, x, coefficients=None, rho=None, support_vectors=None, n_supports=0, **settings):
        wide = numpy.atleast_2d(x).astype("float64")
        weights, shift = numpy.array(coefficients, "float64"), given(rho) or [0.0]
        if n_supports:
            vectors = numpy.array(support_vectors, "float64").reshape(n_supports, -1)
            kind, parameters = settings.get("kernel_type"), settings.get("kernel_params")
            scores = kernels(wide, vectors, kind, parameters) @ weights
        else:
            scores = wide @ weights
        scores = (scores + shift[0])[:, None]
        if settings.get("one_class"):
            return (self.floats(numpy.where(scores > 0, 1.0, -1.0), x),)
        return (self.floats(transformed(scores, settings.get("post_transform")), x),)


class SVMClassifier(MlOperator):
    """Classes by the votes of pairs, by their coupled probabilities, or by linear functions."""

    def _run(self, x, coefficients=None, rho=None, **settings):
        wide = numpy.atleast_2d(x).astype("float64")
        integers, strings = (settings.get("classlabels_" + kind) for kind in ("ints", "strings"))
        weights, shift = numpy.array(coefficients, "float64"), numpy.array(rho, "float64")
        counts = given(settings.get("vectors_per_class"))
        classes = max(len(given(integers, strings)), 1)
        has_probabilities = bool(counts and given(settings.get("prob_a")))
        if counts:
            scores, votes = _pairs(wide, weights, shift, counts, settings)
        else:
            scores = votes = wide @ weights.reshape(classes, -1).T + shift[0]
        if has_probabilities:
            scores = _coupled(scores, settings["prob_a"], settings["prob_b"], classes)
        places = votes.argmax(axis=1)
        if scores.shape[1] > 1:
            scores = transformed(scores, settings.get("post_transform"))
        elif classes == 2:
            scores = two_scores(scores, settings.get("post_transform"), False)
        return labelled(places, integers, strings), self.floats(scores, x)


def _pairs(x, weights, shift, counts, settings):
    """Return (scores of all pairs of classes (N, P), votes (N, K)) of support vectors."""
    starts = numpy.cumsum([0, *counts])
    total, classes = int(starts[-1]), len(counts)
    vectors = numpy.array(settings["support_vectors"], "float64").reshape(total, -1)
    weights = weights.reshape(-1, total)
    values = kernels(x, vectors, settings.get("kernel_type"), settings.get("kernel_params"))
    scores: List[numpy.ndarray] = []
    votes = numpy.zeros((len(x), classes))
    for first in range(classes):
        own = slice(starts[first], starts[first + 1])
        for second in range(first + 1, classes):
            rival = slice(starts[second], starts[second + 1])
            score = values[:, own] @ weights[second - 1, own]
            score = score + values[:, rival] @ weights[first, rival] + shift[len(scores)]
            votes[:, first] += score > 0
            votes[:, second] += score <= 0
            scores.append(score)
    return numpy.stack(scores, axis=1), votes


def _coupled(scores, slopes, shifts, classes):
    """Return probabilities of classes (N, K) from the scores of their pairs (N, P).

    The second method of Wu, Lin and Weng, "Probability estimates for multi-class classification by
    pairwise coupling" (2004), as libsvm iterates it: to 0.005 / K, at most 100 times.
    """
    pairs = 1 - sigmoid(scores * numpy.array(slopes) + numpy.array(shifts))
    pairs = numpy.clip(pairs, 1e-7, 1 - 1e-7)
    return numpy.stack([_couple(row, classes) for row in pairs])


def _couple(pairs, classes):
    beats = numpy.zeros((classes, classes))
    first, second = numpy.triu_indices(classes, 1)
    beats[first, second], beats[second, first] = pairs, 1 - pairs
    matrix = -beats.T * beats
    numpy.fill_diagonal(matrix, numpy.square(beats).sum(axis=0))
    chances = numpy.full(classes, 1 / classes)
    for _ in range(max(100, classes)):
        product = matrix @ chances
        level = chances @ product
        if numpy.abs(product - level).max() < 0.005 / classes:
            break
        for at in range(classes):
            step = (level - product[at]) / matrix[at, at]
            chances[at] += step
            level = (level + step * (step * matrix[at, at] + 2 * product[at])) / (1 + step) ** 2
            product = (product + step * matrix[at]) / (1 + step)
            chances = chances / (1 + step)
    return chances


OPERATORS = [
    LinearClassifier,
    LinearRegressor,
    Normalizer,
    SVMClassifier,
    SVMRegressor,
    Scaler,
]
