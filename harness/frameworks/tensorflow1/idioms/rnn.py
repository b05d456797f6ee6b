"""A plain recurrent net in TensorFlow 1."""

import tensorflow as tf


def network():
    rows = tf.placeholder(tf.float32, [None, 8, 8])
    cell = tf.nn.rnn_cell.BasicRNNCell(48)
    _, state = tf.nn.dynamic_rnn(cell, rows, dtype=tf.float32)
    return rows, tf.layers.dense(state, 10)
