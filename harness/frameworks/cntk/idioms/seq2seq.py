"""A sequence-to-sequence model with attention in CNTK."""

import cntk
from cntk.layers import LSTM, Dense, Recurrence


def attend(query, memory):
    steps = cntk.sequence.unpack(memory, 0, no_mask_output=True)
    memory = cntk.sequence.broadcast_as(steps, query)
    scores = cntk.reduce_sum(memory * query, axis=1) / 32**0.5
    return cntk.reduce_sum(cntk.softmax(scores, axis=0) * memory, axis=0, keepdims=False)


def network():
    source = cntk.sequence.input_variable(11, sequence_axis=cntk.Axis("source"))
    fed = cntk.sequence.input_variable(11)
    memory = Recurrence(LSTM(32))(source)
    decoded = Recurrence(LSTM(32))(fed)
    joined = cntk.splice(attend(decoded, memory), decoded)
    attended = Dense(32, activation=cntk.tanh)(joined)
    return Dense(10)(attended)
