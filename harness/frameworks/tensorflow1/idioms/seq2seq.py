"""A sequence-to-sequence model with attention in TensorFlow 1."""

import tensorflow as tf


class Cell(tf.nn.rnn_cell.RNNCell):  # GRUCell would reset before the product
    state_size = output_size = 32

    def call(self, x, state):
        from_input = tf.split(tf.layers.dense(x, 3 * 32), 3, axis=1)
        from_state = tf.split(tf.layers.dense(state, 3 * 32), 3, axis=1)
        reset, update = (
            tf.sigmoid(from_input[0] + from_state[0]),
            tf.sigmoid(from_input[1] + from_state[1]),
        )
        candidate = tf.tanh(from_input[2] + reset * from_state[2])
        state = (1 - update) * candidate + update * state
        return state, state


def network():
    source = tf.placeholder(tf.float32, [None, 6, 11])
    fed = tf.placeholder(tf.float32, [None, 6, 11])
    memory, state = tf.nn.dynamic_rnn(Cell(), source, dtype=tf.float32, scope="encoder")
    decoded, _ = tf.nn.dynamic_rnn(Cell(), fed, initial_state=state, scope="decoder")
    scores = tf.matmul(decoded, memory, transpose_b=True) / 32**0.5
    context = tf.matmul(tf.nn.softmax(scores), memory)
    joined = tf.concat([context, decoded], axis=2)
    attended = tf.layers.dense(joined, 32, activation=tf.tanh)
    return (source, fed), tf.layers.dense(attended, 10)
