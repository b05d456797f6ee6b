"""Recurrent layers in Caffe: its own LSTM, time first; RNN and GRU unrolled.

A layer function takes (`Text`, the neutral layer, the name of its input blob) and adds the layers
that make it. Sequences are (N, T, D), steps (N, D).
"""

import functools
from typing import Any, List

#: The neutral order of gates by Caffe's, in its LSTM.
GATES = (0, 1, 3, 2)


def _directions(text, layer, x, one_direction):
    """Run a recurrent layer forward, and backward where it is bidirectional.

    *one_direction* takes the steps and the prefix of its parameters, and returns the steps of its
    outputs.
    """
    name = layer["name"]
    steps = text.steps(x)
    forward = one_direction(text, layer, steps, name + ".")
    backward = None
    if layer.get("bidirectional"):
        backward = one_direction(text, layer, steps[::-1], name + ".backward_")[::-1]
    if layer["return_sequences"]:
        if backward:
            width = 2 * layer["units"]
            forward = [
                text.concat([ahead, back], 1, (width,), text.fresh(name))
                for ahead, back in zip(forward, backward)
            ]
        text.sequence(forward, name)
    elif backward:
        text.concat([forward[-1], backward[0]], 1, (2 * layer["units"],), name)
    else:
        text.rename(forward[-1], name)


def _rnn_direction(text, layer, steps, prefix):
    units, hidden, outputs = layer["units"], None, []
    for number, x in enumerate(steps):
        summed = text.product(x, units, layer["name"], shared=prefix + "in")
        if number == 0:
            text.record_parameter(prefix + "kernel", summed, 0)
            text.record_parameter(prefix + "bias", summed, 1)
        else:
            from_state = text.product(
                hidden, units, layer["name"], shared=prefix + "state", bias=False
            )
            if number == 1:
                text.record_parameter(prefix + "recurrent", from_state, 0)
            summed = text.combine("SUM", [summed, from_state], text.fresh(layer["name"]))
        hidden = text.inner("TanH", layer["name"], [summed], (units,))
        outputs.append(hidden)
    return outputs


def _gru_direction(text, layer, steps, prefix, start):
    """Return the output steps; gates r, z, n; initial zeros are made from the first step."""
    name, units = layer["name"], layer["units"]
    hidden = start
    outputs: List[Any] = []
    for x in steps:
        from_input = text.product(x, 3 * units, name, shared=prefix + "in")
        if not outputs:
            text.record_parameter(prefix + "kernel", from_input, 0)
            text.record_parameter(prefix + "bias", from_input, 1)
        if hidden is None:
            hidden = text.power(text.slices(from_input, 1, [units, 2 * units])[0], name, scale=0.0)
        from_state = text.product(hidden, 3 * units, name, shared=prefix + "state")
        if not outputs:
            text.record_parameter(prefix + "recurrent", from_state, 0)
            text.record_parameter(prefix + "recurrent_bias", from_state, 1)
        gates = [
            text.slices(projection, 1, [units, 2 * units])
            for projection in (from_input, from_state)
        ]
        reset, update = (
            text.inner("Sigmoid", name, [text.combine("SUM", pair, text.fresh(name))], (units,))
            for pair in list(zip(*gates))[:2]
        )
        reset_state = text.combine("PROD", [reset, gates[1][2]], text.fresh(name))
        new = text.combine("SUM", [gates[0][2], reset_state], text.fresh(name))
        new = text.inner("TanH", name, [new], (units,))
        change = text.combine("SUM", [hidden, new], text.fresh(name), (1.0, -1.0))
        change = text.combine("PROD", [update, change], text.fresh(name))
        hidden = text.combine("SUM", [new, change], text.fresh(name))
        outputs.append(hidden)
    return outputs


def _lstm_direction(text, layer, steps, prefix):
    """Return the output steps of Caffe's LSTM: (T, N, D), indicators (T, N) with 0 at a begin."""
    name, units, length = layer["name"], layer["units"], len(steps)
    width = text.shapes[steps[0]][0]
    lines = [text.reshape(step, (1, -1, width), (-1, width)) for step in steps]
    whole = text.concat(lines, 0, (-1, width), text.fresh(name))
    lstm = text.fresh(name)
    settings = "recurrent_param { num_output: %d }" % units
    text.add("LSTM", lstm, [whole, _indicators(text, length)], (-1, units), settings)
    text.record_parameter(prefix + "kernel", lstm, 0, _reorder_gates(units))
    text.record_parameter(prefix + "bias", lstm, 1, _reorder_gates(units))
    text.record_parameter(prefix + "recurrent", lstm, 2, _reorder_gates(units))
    pieces = ["%s-%d" % (lstm, number) for number in range(length)]
    if length == 1:
        pieces = [lstm]
    else:
        points = " ".join("slice_point: %d" % number for number in range(1, length))
        settings = "slice_param { axis: 0 %s }" % points
        text.inner("Slice", name, [lstm], (-1, units), settings, pieces)
    return [text.reshape(step, (-1, units), (units,)) for step in pieces]


def _reorder_gates(units):
    """Return a function from Caffe's order of the gates' rows to the neutral order, or back."""

    def turn(array):
        gates = array.reshape((4, units) + array.shape[1:])
        return gates[list(GATES)].reshape(array.shape)

    return turn


def _indicators(text, length):
    """Return indicators (T, N): 0 for the first step, 1 for the others.

    They are made from the input, which alone knows N, and not from trained layers: Caffe does not
    propagate gradients through them.
    """
    key = ("indicators", length)
    if key not in text.cache:
        lines = []
        for number, step in enumerate(text.steps("input")[:length]):
            row_sum = text.reduce("SUM", step, 1, "indicators")
            line = text.power(row_sum, "indicators", scale=0.0, shift=float(number > 0))
            lines.append(text.reshape(line, (1, -1), (-1,)))
        text.cache[key] = text.concat(lines, 0, (-1,), text.fresh("indicators"))
    return text.cache[key]


def rnn(text, layer, x):
    """Add a simple recurrent layer with tanh."""
    _directions(text, layer, x, _rnn_direction)


def lstm(text, layer, x):
    """Add an LSTM."""
    _directions(text, layer, x, _lstm_direction)


def gru(text, layer, x, before=None):
    """Add a GRU that starts from the last step of *before*, where that is given."""
    start = text.steps(before)[-1] if before else None
    _directions(text, layer, x, functools.partial(_gru_direction, start=start))
