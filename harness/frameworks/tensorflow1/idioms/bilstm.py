"""A bidirectional LSTM in TensorFlow 1."""

import tensorflow as tf


def network():
    rows = tf.placeholder(tf.float32, [None, 8, 8])
    cells = [tf.nn.rnn_cell.LSTMCell(48) for _ in range(2)]
    _, states = tf.nn.bidirectional_dynamic_rnn(*cells, rows, dtype=tf.float32)
    ends = tf.concat([state.h for state in states], axis=1)
    return rows, tf.layers.dense(ends, 10)
