"""A temporal convolutional net in TensorFlow 1."""

import tensorflow as tf


def network():
    signal = tf.placeholder(tf.float32, [None, 8, 8])
    x = tf.layers.conv1d(signal, 32, 3, padding="same", activation=tf.nn.relu)
    x = tf.layers.conv1d(x, 64, 3, padding="same", activation=tf.nn.relu)
    return signal, tf.layers.dense(tf.layers.flatten(x), 10)
