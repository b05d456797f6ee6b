"""An LSTM in CNTK."""

import cntk
from cntk.layers import LSTM, Dense, Fold, Sequential


def network():
    model = Sequential([Fold(LSTM(48)), Dense(10)])
    return model(cntk.sequence.input_variable(8))
