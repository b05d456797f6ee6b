"""A GRU in CNTK."""

import cntk
from cntk.layers import Dense, Fold, Sequential


def gru(units):
    """Return a step that resets after the product; that of CNTK's own GRU resets before."""
    read, recall = Dense(3 * units), Dense(3 * units)

    def step(state, x):
        from_input, from_state = read(x), recall(state)
        reset = cntk.sigmoid(from_input[:units] + from_state[:units])
        update = cntk.sigmoid(from_input[units : 2 * units] + from_state[units : 2 * units])
        new = cntk.tanh(from_input[2 * units :] + reset * from_state[2 * units :])
        return (1 - update) * new + update * state

    return step


def network():
    model = Sequential([Fold(gru(48)), Dense(10)])
    return model(cntk.sequence.input_variable(8))
