"""OxfordNet, configuration A, in TensorFlow 1."""

import tensorflow as tf


def network():
    images = x = tf.placeholder(tf.float32, [None, 32, 32, 1])
    for widths in ([8], [16], [32, 32], [64, 64], [64, 64]):
        for width in widths:
            x = tf.layers.conv2d(x, width, 3, padding="same", activation=tf.nn.relu)
        x = tf.layers.max_pooling2d(x, 2, strides=2)
    x = tf.layers.flatten(x)
    x = tf.layers.dense(x, 64, activation=tf.nn.relu)
    x = tf.layers.dense(x, 64, activation=tf.nn.relu)
    return images, tf.layers.dense(x, 10)
