"""A bidirectional LSTM in CNTK."""

import cntk
from cntk.layers import LSTM, Dense, Fold, Sequential


def network():
    ways = (Fold(LSTM(48)), Fold(LSTM(48), go_backwards=True))
    model = Sequential([ways, cntk.splice, Dense(10)])
    return model(cntk.sequence.input_variable(8))
