"""A plain recurrent net in CNTK."""

import cntk
from cntk.layers import Dense, Fold, RNNStep, Sequential


def network():
    model = Sequential([Fold(RNNStep(48, activation=cntk.tanh)), Dense(10)])
    return model(cntk.sequence.input_variable(8))
