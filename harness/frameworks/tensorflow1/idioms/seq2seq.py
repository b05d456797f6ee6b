"""A sequence-to-sequence model with attention in TensorFlow 1."""

import tensorflow as tf


def lstm(x, scope):
    cell = tf.nn.rnn_cell.LSTMCell(32)
    outputs, _ = tf.nn.dynamic_rnn(cell, x, dtype=tf.float32, scope=scope)
    return outputs


def network():
    source = tf.placeholder(tf.float32, [None, 6, 11])
    fed = tf.placeholder(tf.float32, [None, 6, 11])
    memory = lstm(source, "encoder")
    decoded = lstm(fed, "decoder")
    scores = tf.matmul(decoded, memory, transpose_b=True) / 32**0.5
    context = tf.matmul(tf.nn.softmax(scores), memory)
    joined = tf.concat([context, decoded], axis=2)
    attended = tf.layers.dense(joined, 32, activation=tf.tanh)
    return (source, fed), tf.layers.dense(attended, 10)
