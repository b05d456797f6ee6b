"""A GRU in CNTK."""

import cntk
from cntk.layers import Dense, Fold, Sequential


def gru(units):
    """Return a step that resets after the product; that of CNTK's own GRU resets before."""
    read, recall = Dense(3 * units), Dense(3 * units)

    def step(state, x):
        given, again = read(x), recall(state)
        reset = cntk.sigmoid(given[:units] + again[:units])
        update = cntk.sigmoid(given[units : 2 * units] + again[units : 2 * units])
        new = cntk.tanh(given[2 * units :] + reset * again[2 * units :])
        return (1 - update) * new + update * state

    return step


def network():
    model = Sequential([Fold(gru(48)), Dense(10)])
    return model(cntk.sequence.input_variable(8))
