"""A GRU in TensorFlow 1."""

import tensorflow as tf


class Cell(tf.nn.rnn_cell.RNNCell):  # GRUCell would reset before the product
    state_size = output_size = 48

    def call(self, x, state):
        given = tf.split(tf.layers.dense(x, 3 * 48), 3, axis=1)
        kept = tf.split(tf.layers.dense(state, 3 * 48), 3, axis=1)
        reset, update = tf.sigmoid(given[0] + kept[0]), tf.sigmoid(given[1] + kept[1])
        candidate = tf.tanh(given[2] + reset * kept[2])
        state = (1 - update) * candidate + update * state
        return state, state


def network():
    rows = tf.placeholder(tf.float32, [None, 8, 8])
    _, state = tf.nn.dynamic_rnn(Cell(), rows, dtype=tf.float32)
    return rows, tf.layers.dense(state, 10)
