"""A GRU in TensorFlow 1."""

import tensorflow as tf


class Cell(tf.nn.rnn_cell.RNNCell):  # GRUCell would reset before the product
    state_size = output_size = 48

    def call(self, x, state):
        from_input = tf.split(tf.layers.dense(x, 3 * 48), 3, axis=1)
        from_state = tf.split(tf.layers.dense(state, 3 * 48), 3, axis=1)
        reset, update = (
            tf.sigmoid(from_input[0] + from_state[0]),
            tf.sigmoid(from_input[1] + from_state[1]),
        )
        candidate = tf.tanh(from_input[2] + reset * from_state[2])
        state = (1 - update) * candidate + update * state
        return state, state


def network():
    rows = tf.placeholder(tf.float32, [None, 8, 8])
    _, state = tf.nn.dynamic_rnn(Cell(), rows, dtype=tf.float32)
    return rows, tf.layers.dense(state, 10)
