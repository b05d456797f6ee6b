"""RNN, GRU and LSTM with all that the standard lets them have.

The evaluator leaves out the lengths of sequences, activations other than the usual ones, clipping,
and what some directions answer.
"""

from typing import Tuple

import numpy

from harness.graphs.operators.base import Operator, sigmoid

_ACTIVATIONS = {
    "relu": lambda x, alpha, beta: numpy.maximum(x, 0),
    "tanh": lambda x, alpha, beta: numpy.tanh(x),
    "sigmoid": lambda x, alpha, beta: sigmoid(x),
    "affine": lambda x, alpha, beta: alpha * x + beta,
    "leakyrelu": lambda x, alpha, beta: numpy.where(x < 0, alpha * x, x),
    "thresholdedrelu": lambda x, alpha, beta: numpy.where(x > alpha, x, 0),
    "scaledtanh": lambda x, alpha, beta: alpha * numpy.tanh(beta * x),
    "hardsigmoid": lambda x, alpha, beta: numpy.clip(alpha * x + beta, 0, 1),
    "elu": lambda x, alpha, beta: numpy.where(x < 0, alpha * numpy.expm1(numpy.minimum(x, 0)), x),
    "softsign": lambda x, alpha, beta: x / (1 + numpy.abs(x)),
    "softplus": lambda x, alpha, beta: numpy.logaddexp(x, 0),
}

#: (alpha, beta) where a node states none.
_DEFAULTS = {
    "affine": (1.0, 0.0),
    "leakyrelu": (0.01, 0.0),
    "thresholdedrelu": (1.0, 0.0),
    "scaledtanh": (1.0, 1.0),
    "hardsigmoid": (0.2, 0.5),
    "elu": (1.0, 0.0),
}

#: Activations that take an alpha, and those that take a beta, from the lists of a node.
_WITH_ALPHA = frozenset(_DEFAULTS)
_WITH_BETA = frozenset({"affine", "scaledtanh", "hardsigmoid"})


class _Recurrent(Operator):
    """A layer over a sequence, in one direction or both.

    Subclasses say how many *gates* they have, their *usual* activations and one step of theirs.
    """

    gates = 1
    usual: Tuple[str, ...] = ("tanh",)
    has_cell = False

    def _run(self, x, w, r, b=None, lengths=None, h=None, c=None, p=None, **attributes):
        self.settings = attributes
        if attributes.get("layout"):
            x = numpy.swapaxes(x, 0, 1)
            h, c = (None if array is None else numpy.swapaxes(array, 0, 1) for array in (h, c))
        steps, batch = x.shape[:2]
        directions, hidden = w.shape[0], r.shape[-1]
        lengths = numpy.full(batch, steps) if lengths is None else lengths
        zeros = numpy.zeros((directions, batch, hidden), x.dtype)
        h, c = (zeros if array is None else array for array in (h, c))
        b = numpy.zeros((directions, 2 * self.gates * hidden), x.dtype) if b is None else b
        p = numpy.zeros((directions, 3 * hidden), x.dtype) if p is None else p
        functions = self._functions(directions)
        answers, last_h, last_c = [], [], []
        for at in range(directions):
            backwards = at == 1 or attributes.get("direction") in ("reverse", b"reverse")
            parameters = (w[at], r[at], b[at], p[at])
            y, state, cell = self._direction(
                x, lengths, backwards, h[at], c[at], parameters, functions[at]
            )
            answers.append(y)
            last_h.append(state)
            last_c.append(cell)
        y, h, c = numpy.stack(answers, axis=1), numpy.stack(last_h), numpy.stack(last_c)
        if attributes.get("layout"):
            y, h, c = numpy.transpose(y, (2, 0, 1, 3)), h.swapaxes(0, 1), c.swapaxes(0, 1)
        results = (y, h, c) if self.has_cell else (y, h)
        return tuple(
            array.astype(x.dtype) for array in results[: max(len(self.onnx_node.output), 1)]
        )

    def _direction(self, x, lengths, backwards, h, c, parameters, functions):
        """Return (T, N, H) outputs and the last states; after its end a sequence gives zeros."""
        steps, batch = x.shape[:2]
        y = numpy.zeros((steps, batch, h.shape[-1]), x.dtype)
        for number in range(steps):
            going = number < lengths
            if not going.any():
                break
            places = numpy.where(going, (lengths - 1 - number) if backwards else number, 0)
            rows = numpy.arange(batch)
            new_h, new_c = self.step(x[places, rows], h, c, parameters, functions)
            h = numpy.where(going[:, None], new_h, h)
            c = numpy.where(going[:, None], new_c, c)
            y[places[going], rows[going]] = h[going]
        empty = (numpy.asarray(lengths) == 0)[:, None]
        return y, numpy.where(empty, 0, h), numpy.where(empty, 0, c)

    def _functions(self, directions):
        """Return the activations of each direction, in the order of the standard."""
        names = self.settings.get("activations") or list(self.usual) * directions
        names = [(name.decode() if isinstance(name, bytes) else name).lower() for name in names]
        alphas = list(self.settings.get("activation_alpha") or ())
        betas = list(self.settings.get("activation_beta") or ())
        functions = []
        for name in names:
            alpha, beta = _DEFAULTS.get(name, (0.0, 0.0))
            if alphas and name in _WITH_ALPHA:
                alpha = alphas.pop(0)
            if betas and name in _WITH_BETA:
                beta = betas.pop(0)
            functions.append(_bound(_ACTIVATIONS[name], alpha, beta))
        count = len(self.usual)
        return [functions[count * at : count * (at + 1)] for at in range(directions)]

    def clipped(self, x):
        """Return what goes into an activation, within the node's *clip*."""
        clip = self.settings.get("clip")
        return numpy.clip(x, -clip, clip) if clip else x


def _bound(function, alpha, beta):
    return lambda x: function(x, alpha, beta)


class RNN(_Recurrent):
    """One activation of input and state."""

    def step(self, x, h, c, parameters, functions):
        """Return the next state."""
        w, r, b, _ = parameters
        bias_w, bias_r = numpy.split(b, 2)
        return functions[0](self.clipped(x @ w.T + h @ r.T + bias_w + bias_r)), c


class GRU(_Recurrent):
    """Gates z (update), r (reset), h (candidate)."""

    gates = 3
    usual = ("sigmoid", "tanh")

    def step(self, x, h, c, parameters, functions):
        """Return the next state."""
        w, r, b, _ = parameters
        w_z, w_r, w_h = numpy.split(w, 3)
        r_z, r_r, r_h = numpy.split(r, 3)
        bw_z, bw_r, bw_h, br_z, br_r, br_h = numpy.split(b, 6)
        update = functions[0](self.clipped(x @ w_z.T + h @ r_z.T + bw_z + br_z))
        reset = functions[0](self.clipped(x @ w_r.T + h @ r_r.T + bw_r + br_r))
        if self.settings.get("linear_before_reset"):
            memory = reset * (h @ r_h.T + br_h)
        else:
            memory = (reset * h) @ r_h.T + br_h
        candidate = functions[1](self.clipped(x @ w_h.T + memory + bw_h))
        return (1 - update) * candidate + update * h, c


class LSTM(_Recurrent):
    """Gates i (input), o (output), f (forget), c (cell), with peepholes i, o, f."""

    gates = 4
    usual = ("sigmoid", "tanh", "tanh")
    has_cell = True

    def step(self, x, h, c, parameters, functions):
        """Return the next state and cell."""
        w, r, b, p = parameters
        bias_w, bias_r = numpy.split(b, 2)
        i, o, f, g = numpy.split(x @ w.T + h @ r.T + bias_w + bias_r, 4, axis=-1)
        p_i, p_o, p_f = numpy.split(p, 3)
        i = functions[0](self.clipped(i + p_i * c))
        coupled = self.settings.get("input_forget")
        f = 1 - i if coupled else functions[0](self.clipped(f + p_f * c))
        cell = f * c + i * functions[1](self.clipped(g))
        o = functions[0](self.clipped(o + p_o * cell))
        return o * functions[2](cell), cell


OPERATORS = [RNN, GRU, LSTM]
