"""A sequence-to-sequence model with attention in CNTK."""

import cntk
from cntk.layers import Dense, Recurrence, RecurrenceFrom


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


def attend(query, memory):
    steps = cntk.sequence.unpack(memory, 0, no_mask_output=True)
    memory = cntk.sequence.broadcast_as(steps, query)
    scores = cntk.reduce_sum(memory * query, axis=1) / 32**0.5
    return cntk.reduce_sum(cntk.softmax(scores, axis=0) * memory, axis=0, keepdims=False)


def network():
    source = cntk.sequence.input_variable(11, sequence_axis=cntk.Axis("source"))
    fed = cntk.sequence.input_variable(11)
    memory = Recurrence(gru(32))(source)
    decoded = RecurrenceFrom(gru(32))(cntk.sequence.last(memory), fed)
    joined = cntk.splice(attend(decoded, memory), decoded)
    attended = Dense(32, activation=cntk.tanh)(joined)
    return Dense(10)(attended)
