"""A residual net in TensorFlow 1."""

import tensorflow as tf


def conv(x, width, stride=1, **settings):
    if stride > 1:  # padding="same" would then pad the end alone
        x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
    padding = "valid" if stride > 1 else "same"
    return tf.layers.conv2d(x, width, 3, strides=stride, padding=padding, **settings)


def block(x, width, stride):
    shortcut = tf.layers.conv2d(x, width, 1, strides=stride) if stride > 1 else x
    branch = conv(x, width, stride, activation=tf.nn.relu)
    branch = conv(branch, width, kernel_initializer=tf.zeros_initializer())
    return tf.nn.relu(branch + shortcut)


def network():
    images = tf.placeholder(tf.float32, [None, 32, 32, 1])
    x = conv(images, 16, activation=tf.nn.relu)
    x = block(x, 16, 1)
    x = block(x, 32, 2)
    x = block(x, 64, 2)
    x = tf.reduce_mean(x, axis=[1, 2])
    return images, tf.layers.dense(x, 10)
